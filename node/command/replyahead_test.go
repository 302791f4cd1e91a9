package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slotmesh/slots"
)

// large makes a collection of 20,000 and returns its members, the fields of a hash or
// the elements of a list.
func (n *node) large(key, command string) (members []string) {
	for i := 0; i < 20_000; i += 500 {
		args := []string{command, key}
		for j := i; j < i+500; j++ {
			member := fmt.Sprint("member:", j)
			members = append(members, member)
			switch command {
			case "HSET":
				args = append(args, member, "value")
			case "ZADD":
				args = append(args, fmt.Sprint(j%100), member)
			default:
				args = append(args, member)
			}
		}
		n.do(args...)
	}
	return members
}

// TestManyDrawn asks for many random members of a collection of each kind: they are
// chosen before the slot is held, whatever happens to the collection then.
func TestManyDrawn(t *testing.T) {
	for _, kind := range []struct{ add, draw, with string }{
		{"SADD", "SRANDMEMBER", ""},
		{"HSET", "HRANDFIELD", "WITHVALUES"},
		{"ZADD", "ZRANDMEMBER", "WITHSCORES"},
	} {
		t.Run(kind.draw, func(t *testing.T) {
			n := newNode(t)
			m := &meter{t: t, n: n}
			members := n.large("{k}large", kind.add)
			small := []string{kind.add, "{k}small", "1", "one"}
			n.do(small...)
			draw := func(proto int, between func(), ahead bool, args ...string) []string {
				t.Helper()
				c := m.call(append([]string{kind.draw}, args...)...)
				c.Reply.Proto = 2
				if c.Spec.Ahead(c); (c.ahead != nil) != ahead {
					t.Fatalf("%q: prepared is %v", args, c.ahead != nil)
				}
				between()
				c.Reply.Proto = proto
				random := n.engine.random.Load()
				n.engine.Execute(c, func() {})
				c.dropAhead()
				if drawn := n.engine.random.Load() != random; ahead && drawn == (proto == 2) && len(c.Reply.Buf) > 10 {
					t.Errorf("%q: drawn while the slot is held: %v", args, drawn)
				}
				if c.Err != nil {
					t.Errorf("%q: %v", args, c.Err)
				}
				lines := strings.Split(strings.TrimSuffix(string(c.Reply.Buf), "\r\n"), "\r\n")
				texts := []string{lines[0]}
				for i := 2; i < len(lines); i += 2 {
					if strings.HasPrefix(lines[i-1], "*") { // a pair in RESP3
						i++
					}
					texts = append(texts, lines[i])
				}
				return texts
			}
			nothing := func() {}
			known := make(map[string]bool)
			for _, member := range members {
				known[member] = true
			}
			check := func(what string, got []string, head string, count int, distinct bool) {
				t.Helper()
				if got[0] != head || len(got) != 1+count {
					t.Fatalf("%s: %s and %d members, not %s and %d", what, got[0], len(got)-1, head, count)
				}
				for _, member := range got[1:] {
					if !known[member] {
						t.Fatalf("%s: %q was never there", what, member)
					}
				}
				got = slices.Compact(slices.Sorted(slices.Values(got[1:])))
				if distinct != (len(got) == count) {
					t.Errorf("%s: %d different members", what, len(got))
				}
			}
			check("some", draw(2, nothing, true, "{k}large", "3000"), "*3000", 3000, true)
			check("most", draw(2, nothing, true, "{k}large", "15000"), "*15000", 15_000, true)
			check("again and again", draw(2, nothing, true, "{k}large", "-30000"), "*30000", 30_000, false)
			check("a client that changed its protocol", draw(3, nothing, true, "{k}large", "3000"), "*3000", 3000, true)
			check("changed", draw(2, func() { n.do(kind.add, "{k}large", "5", "fresh") }, true, "{k}large", "3000"), "*3000", 3000, true)
			known["5"], known["fresh"] = kind.add != "ZADD", kind.add != "HSET"
			if got := draw(2, nothing, true, "{k}large", "99999"); len(got) < 20_001 || len(got) > 20_003 {
				t.Errorf("all: %d members", len(got)-1)
			}
			check("few", draw(2, nothing, false, "{k}large", "100"), "*100", 100, true)
			if got := draw(2, nothing, true, "{k}small", "-4000"); got[0] != "*4000" || len(got) != 4001 {
				t.Errorf("of a small one: %s and %d members", got[0], len(got)-1)
			}
			if kind.with != "" {
				got := draw(2, nothing, true, "{k}large", "2500", kind.with)
				if got[0] != "*5000" || len(got) != 5001 || !known[got[1]] || known[got[2]] {
					t.Errorf("%s: %.60q", kind.with, got)
				}
			}
			if got := draw(2, func() { n.do("DEL", "{k}large") }, true, "{k}large", "3000"); !slices.Equal(got, []string{"*0"}) {
				t.Errorf("deleted: %.60q", got)
			}
			n.do("SET", "{k}large", "x")
			draw(2, func() { n.do(small...) }, false, "{k}small", "3000")
		})
	}
	// Which fields are there is not known ahead where they may expire.
	n := newNode(t)
	n.large("{k}hash", "HSET")
	n.do("HEXPIRE", "{k}hash", "100", "FIELDS", "1", "member:1")
	c := (&meter{t: t, n: n}).call("HRANDFIELD", "{k}hash", "3000")
	if c.Spec.Ahead(c); c.ahead != nil {
		t.Error("a hash with deadlines is prepared for")
	}
}

// TestManyPopped takes many elements from the ends of a list. The answer is written
// before the slot is held, and anew if the list has changed.
func TestManyPopped(t *testing.T) {
	n := newNode(t)
	m := &meter{t: t, n: n}
	elements := n.large("{k}list", "RPUSH")
	bulks := func(texts []string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(texts))
		for _, text := range texts {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(text), text)
		}
		return b.String()
	}
	named := "*2\r\n$7\r\n{k}list\r\n"
	for _, tt := range []struct {
		args   []string
		front  bool
		count  int
		head   string
		change bool
	}{
		{[]string{"LPOP", "{k}list", "2500"}, true, 2500, "", false},
		{[]string{"RPOP", "{k}list", "2500"}, false, 2500, "", false},
		{[]string{"LPOP", "{k}list", "2500"}, true, 2500, "", true},
		{[]string{"LMPOP", "2", "{k}none", "{k}list", "RIGHT", "COUNT", "2000"}, false, 2000, named, false},
		{[]string{"BLMPOP", "0", "1", "{k}list", "LEFT", "COUNT", "2100"}, true, 2100, named, false},
		{[]string{"BLMPOP", "0", "1", "{k}list", "RIGHT", "COUNT", "2100"}, false, 2100, named, true},
		{[]string{"RPOP", "{k}list", "99999"}, false, 99999, "", false},
	} {
		c := m.call(tt.args...)
		if c.Spec.Ahead(c); c.ahead == nil {
			t.Fatalf("%q is not prepared", tt.args)
		}
		if tt.change {
			// One element goes at each end, and one comes.
			n.do("LPOP", "{k}list")
			n.do("RPUSH", "{k}list", "new")
			elements = append(slices.Clone(elements[1:]), "new")
		}
		at := slots.Of([]byte("{k}list"))
		n.engine.WithSlot(at, func() {
			if still := c.ahead.stillOf(n.engine.store.Find(0, at, []byte("{k}list"))); still == tt.change {
				t.Errorf("%q: the list is as it was: %v", tt.args, still)
			}
		})
		n.engine.Execute(c, func() {})
		c.dropAhead()
		count := min(tt.count, len(elements))
		var want []string
		if tt.front {
			want, elements = elements[:count], elements[count:]
		} else {
			want = slices.Clone(elements[len(elements)-count:])
			slices.Reverse(want)
			elements = elements[:len(elements)-count]
		}
		if got := string(c.Reply.Buf); got != tt.head+bulks(want) || c.Err != nil {
			t.Errorf("%q: %.60q of %d bytes, %v", tt.args, got, len(got), c.Err)
		}
		if got := n.do("LLEN", "{k}list"); got != fmt.Sprintf(":%d\r\n", len(elements)) {
			t.Errorf("%q: %q elements are left, not %d", tt.args, got, len(elements))
		}
	}
	// A name that is longer than the room in front of an answer.
	long := strings.Repeat("k", answerRoom)
	elements = n.large(long, "RPUSH")
	c := m.call("LMPOP", "1", long, "LEFT", "COUNT", "3000")
	c.Spec.Ahead(c)
	n.engine.Execute(c, func() {})
	c.dropAhead()
	if got, want := string(c.Reply.Buf), fmt.Sprintf("*2\r\n$%d\r\n%s\r\n", len(long), long)+bulks(elements[:3000]); got != want {
		t.Errorf("%.300q of %d bytes, not %d", got, len(got), len(want))
	}
	n.do("DEL", long)

	n.large("{k}list", "RPUSH")
	n.exec([]string{"RPUSH", "{k}list", "x"}, []string{"LPOP", "{k}list", "5000"})
	if got := n.do("LINDEX", "{k}list", "0"); got != "$11\r\nmember:5000\r\n" {
		t.Errorf("in a transaction: the first one is %q", got)
	}
	for n.engine.store.Reap(1000) {
	}
	n.do("DEL", "{k}list")
	for n.engine.store.Reap(1000) {
	}
	if used := n.engine.store.Used(); used > 100_000 {
		t.Errorf("%d bytes are left", used)
	}
}
