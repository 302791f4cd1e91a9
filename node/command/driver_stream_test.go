package command

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// streamID draws an id: mostly small ones, so that they collide, some at the
// edges and some that are none.
func (d *driver) streamID() string {
	switch n := d.IntN(60); {
	case n == 0:
		return d.pick("0-0", "0", "18446744073709551615-18446744073709551615", "18446744073709551615", "0-1", "1-18446744073709551615",
			"17592186044415-1", "17592186044414-5", "18446744073709551615-5")
	case n == 1:
		return d.pick("x", "", "-", "+", "1-", "-1", "1-2-3", "01-02", " 1", "1-*", "*", "$", ">")
	case n == 2, len(d.added) == 0:
		return strconv.Itoa(1 + d.IntN(400))
	case n < 20:
		return strconv.Itoa(d.added[d.IntN(len(d.added))])
	}
	return fmt.Sprintf("%d-%s", d.added[d.IntN(len(d.added))], d.pick("0", "0", "0", "1", "2"))
}

// nextID is an id that is likely to be after the last one of a stream.
func (d *driver) nextID() string {
	last := &d.lastID
	*last += d.IntN(2)
	switch d.IntN(10) {
	case 0:
		// With "*" the two servers read their clocks one after the other.
		if id := d.streamID(); id != "*" {
			return id
		}
	case 1:
		return fmt.Sprintf("%d-%d", *last, d.IntN(4))
	case 2:
		*last += d.IntN(300) * d.IntN(300)
	}
	if d.added = append(d.added, *last); len(d.added) > 200 {
		d.added = d.added[1:]
	}
	return fmt.Sprintf("%d-*", *last)
}

func (d *driver) bound() string {
	switch d.IntN(5) {
	case 0:
		return d.pick("-", "+", "-", "+", "(0-0", "(-", "(", "(18446744073709551615")
	case 1:
		return "(" + d.streamID()
	}
	return d.streamID()
}

func (d *driver) threshold() []string {
	word := d.pick("MAXLEN", "MINID")
	args := []string{word}
	how := d.IntN(5)
	switch how {
	case 0, 1:
		args = append(args, "~")
	case 2:
		args = append(args, "=")
	}
	if word == "MAXLEN" {
		args = append(args, d.pick(strconv.Itoa(d.IntN(30)), strconv.Itoa(d.IntN(300)), strconv.Itoa(d.IntN(300)), d.number()))
	} else {
		args = append(args, d.streamID())
	}
	if how == 0 || d.IntN(40) == 0 {
		args = append(args, "LIMIT", d.pick("0", "1", "10", "50", "200", "x", "-1"))
	}
	return args
}

func (d *driver) fields() (args []string) {
	if d.IntN(3) > 0 {
		// The same ones as most entries.
		return []string{"field", d.value(), "2", d.number()}
	}
	for range 1 + d.IntN(4) {
		args = append(args, d.pick("field", "2", "other", d.value()), d.pick(d.value(), d.number(), strings.Repeat("v", d.IntN(200))))
	}
	if d.IntN(50) == 0 {
		args = append(args, "odd")
	}
	if d.IntN(200) == 0 {
		args = append(args, "large", strings.Repeat("v", d.IntN(9000)))
	}
	return args
}

func (d *driver) groupName() string { return d.pick("g", "g", "g", "g", "g", "g", "h", "", "\x00g") }

func (d *driver) consumerName() string { return d.pick("a", "b", "b2", "c", "", "\xff") }

func (d *driver) count() []string {
	switch d.IntN(4) {
	case 0:
		return nil
	case 1:
		return []string{"COUNT", d.number()}
	}
	return []string{"COUNT", strconv.Itoa(1 + d.IntN(20))}
}

// stream draws a command on streams. Times that it names are past or far away.
func (d *driver) stream() []string {
	if d.IntN(1500) == 0 {
		d.lastID, d.added = 0, nil
		return []string{"DEL", "s1", "s2", "s3", "s4"}
	}
	k := d.pick("s1", "s2", "s3", "s4")
	if d.IntN(30) == 0 {
		k = d.pick("nostream", d.key())
	}
	switch d.IntN(40) {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11:
		args := []string{"XADD", k}
		if d.IntN(20) == 0 {
			args = append(args, "NOMKSTREAM")
		}
		if d.IntN(12) == 0 {
			args = append(args, d.threshold()...)
		}
		return append(append(args, d.nextID()), d.fields()...)
	case 12:
		return append(append([]string{"XRANGE", k}, d.bound(), d.bound()), d.count()...)
	case 13:
		return append(append([]string{"XREVRANGE", k}, d.bound(), d.bound()), d.count()...)
	case 14:
		return append([]string{d.pick("XRANGE", "XREVRANGE"), k}, d.pick("-", "+"), d.pick("+", "-"))
	case 15, 16, 17:
		args := []string{"XDEL", k}
		for range 1 + d.IntN(6) {
			args = append(args, d.streamID())
		}
		return args
	case 18:
		return append([]string{"XTRIM", k}, d.threshold()...)
	case 19:
		args := []string{"XSETID", k, d.streamID()}
		if d.IntN(2) == 0 {
			args[2] = strconv.Itoa(d.lastID + 1)
		}
		if d.IntN(2) == 0 {
			args = append(args, "ENTRIESADDED", d.number())
		}
		if d.IntN(2) == 0 {
			args = append(args, "MAXDELETEDID", d.streamID())
		}
		return args
	case 20:
		return append(append([]string{"XREAD"}, d.count()...), "STREAMS", k, "s1", d.pick("$", "0", d.streamID()), d.streamID())
	case 21, 22, 23, 24:
		args := append([]string{"XREADGROUP", "GROUP", d.groupName(), d.consumerName()}, d.count()...)
		if d.IntN(5) == 0 {
			args = append(args, "NOACK")
		}
		if d.IntN(5) == 0 {
			return append(args, "STREAMS", k, d.pick("s1", "s2", "s3", k), ">", d.pick(">", d.streamID()))
		}
		return append(args, "STREAMS", k, d.pick(">", ">", "0", d.streamID()))
	case 25, 26:
		args := []string{"XGROUP", "CREATE", k, d.groupName(), d.pick("$", "0", d.streamID())}
		if d.IntN(3) == 0 {
			args = append(args, "MKSTREAM")
		}
		if d.IntN(3) == 0 {
			args = append(args, "ENTRIESREAD", d.number())
		}
		return args
	case 27:
		args := []string{"XGROUP", "SETID", k, d.groupName(), d.pick("$", "0", "-", "+", d.streamID())}
		if d.IntN(2) == 0 {
			args = append(args, "ENTRIESREAD", d.number())
		}
		return args
	case 28:
		if d.IntN(6) == 0 {
			return []string{"XGROUP", "DESTROY", k, d.groupName()}
		}
		return []string{"XGROUP", d.pick("CREATECONSUMER", "CREATECONSUMER", "DELCONSUMER"), k, d.groupName(), d.consumerName()}
	case 29, 30:
		args := []string{"XACK", k, d.groupName()}
		for range 1 + d.IntN(5) {
			args = append(args, d.streamID())
		}
		return args
	case 31:
		return []string{"XPENDING", k, d.groupName()}
	case 32, 33:
		args := []string{"XPENDING", k, d.groupName()}
		if d.IntN(2) == 0 {
			args = append(args, "IDLE", d.pick("0", "3600000", "-5", "x", "1000000000000"))
		}
		args = append(args, d.bound(), d.bound(), d.pick("10", "100", d.number()))
		if d.IntN(2) == 0 {
			args = append(args, d.consumerName())
		}
		if d.IntN(40) == 0 {
			args = append(args, "more")
		}
		return args
	case 34, 35:
		args := []string{"XCLAIM", k, d.groupName(), d.consumerName(), d.pick("0", "0", "0", "0", "-1", "3600000", "x")}
		for range 1 + d.IntN(5) {
			args = append(args, d.streamID())
		}
		for range d.IntN(4) {
			args = append(args, [][]string{
				{"FORCE"},
				{"FORCE"},
				{"JUSTID"},
				{"IDLE", d.pick("7200000", "x", "0")},
				{"TIME", d.pick("1000", "x", "99999999999999", "-1")},
				{"RETRYCOUNT", d.number()},
				{"LASTID", d.streamID()},
				{"FOO"},
			}[d.IntN(8)]...)
		}
		return args
	case 36:
		args := []string{"XAUTOCLAIM", k, d.groupName(), d.consumerName(), d.pick("0", "0", "0", "0", "-1", "3600000", "x"), d.bound()}
		args = append(args, d.count()...)
		if d.IntN(2) == 0 {
			args = append(args, "JUSTID")
		}
		return args
	case 37:
		return []string{"XINFO", d.pick("STREAM", "GROUPS", "GROUPS"), k}
	case 38:
		if d.IntN(2) == 0 {
			return []string{"XINFO", "CONSUMERS", k, d.groupName()}
		}
		return append([]string{"XINFO", "STREAM", k, "FULL"}, d.count()...)
	default:
		switch d.IntN(12) {
		case 0:
			return []string{"DEL", k}
		case 1:
			return []string{"RENAME", k, d.pick("s1", "s2")}
		case 2:
			return []string{"COPY", k, d.pick("s1", "s2", "s3"), "REPLACE"}
		}
		return []string{d.pick("XLEN", "TYPE", "EXISTS"), k}
	}
}

// sameStreams compares replies that may have times in them: those may differ by
// what the test may take.
func sameStreams(args []string, a, b string) bool {
	if a == b {
		return true
	}
	x, y := decoded(a), decoded(b)
	switch {
	case args[0] == "XPENDING":
		return reflect.DeepEqual(withoutTimes(x, 4, 2), withoutTimes(y, 4, 2))
	case args[0] == "XINFO":
		return reflect.DeepEqual(withoutNamedTimes(x), withoutNamedTimes(y))
	}
	return false
}

// withoutTimes takes number i out of lists of n.
func withoutTimes(v any, n, i int) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	var out []any
	for _, item := range list {
		if entry, ok := item.([]any); ok && len(entry) == n {
			entry[i] = roughly(entry[i])
		}
		out = append(out, item)
	}
	return out
}

// roughly keeps of a time only what does not depend on the moment.
func roughly(v any) any {
	if n, ok := v.(int64); ok {
		return (n + 30000) / 600000
	}
	return v
}

func withoutNamedTimes(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	var out []any
	for i := 0; i < len(list); i++ {
		out = append(out, withoutNamedTimes(list[i]))
		name, _ := list[i].(string)
		if i+1 == len(list) {
			break
		}
		switch name {
		case "idle", "seen-time":
			i++
			out = append(out, roughly(list[i]))
		case "pending":
			i++
			out = append(out, withoutTimes(withoutTimes(list[i], 4, 2), 3, 1))
		}
	}
	return out
}

// compareStreams compares all that a stream shows, and takes its groups away: the
// times in them are not the same on both sides.
func compareStreams(t *testing.T, ours *node, ref *reference, key string) {
	both := func(args ...string) {
		if our, theirs := ours.do(args...), ref.do(args...); !sameReply(args, our, theirs) {
			at := firstDifference(our, theirs)
			t.Errorf("%.200q\n ours:   %.300q\n theirs: %.300q", args, our[min(at, len(our)):], theirs[min(at, len(theirs)):])
		}
	}
	both("XINFO", "STREAM", key)
	both("XINFO", "STREAM", key, "FULL", "COUNT", "0")
	both("XRANGE", key, "-", "+")
	both("XREVRANGE", key, "+", "-")
	for _, group := range []string{"g", "h", "", "\x00g"} {
		both("XGROUP", "DESTROY", key, group)
	}
}
