package backup

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

const (
	// farAhead is a time, in milliseconds, that no test lives to see.
	farAhead = 4_102_444_800_000
	// step lies between the deadlines of two keys. MIGRATE sends what is left of
	// a key's life, so that a moved key's deadline shifts by its time on the way,
	// which is less.
	step    = 20_000
	groups  = 300
	members = 5000
)

// band is connections to every primary of a cluster.
type band struct {
	t      *testing.T
	owners [slots.Count]*harness.Conn
	conns  []*harness.Conn
	// moved is set when keys went from node to node in one of the clusters that
	// are compared: deadlines are then told by steps.
	moved bool
	// unread is set when a group's entries-read is not compared: replicas of the
	// reference do not have it.
	unread bool
}

func connect(t *testing.T, c *harness.Cluster) *band {
	t.Helper()
	b := &band{t: t}
	for _, p := range c.Primaries() {
		conn := p.Connect()
		b.conns = append(b.conns, conn)
		for _, r := range c.View(p).Self().Slots {
			for slot := r.First; slot <= r.Last; slot++ {
				b.owners[slot] = conn
			}
		}
	}
	return b
}

func (b *band) of(key string) *harness.Conn { return b.owners[slots.Of([]byte(key))] }

// do sends a command whose second word is its key.
func (b *band) do(args ...string) harness.Reply {
	b.t.Helper()
	reply, err := b.of(args[1]).Do(args...)
	if err != nil {
		b.t.Fatalf("%.100q: %v", args, err)
	}
	return reply
}

// keys returns all keys of the cluster, sorted.
func (b *band) keys() []string {
	b.t.Helper()
	var keys []string
	for _, conn := range b.conns {
		for cursor := "0"; ; {
			reply, err := conn.Do("SCAN", cursor, "COUNT", "1000")
			if err != nil {
				b.t.Fatalf("SCAN: %v", err)
			}
			keys = append(keys, reply.Elems[1].Strings()...)
			if cursor = reply.Elems[0].Text; cursor == "0" {
				break
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// load writes keys of every type into slots all over the cluster.
func load(b *band, fieldDeadlines bool) {
	tags := harness.Tags()
	for i := range groups {
		key := func(kind string) string { return "{" + tags[i*slots.Count/groups] + "}" + kind }
		n := strconv.Itoa(i)
		for _, args := range [][]string{
			{"SET", key("text"), strings.Repeat("some text ", i)},
			{"SET", key("number"), strconv.Itoa(i * 1_000_003)},
			{"SET", key("empty"), ""},
			{"SET", key("binary\x00\r\n\xff"), "\r\n\x00\xff" + n},
			{"SET", key("ends"), n, "PXAT", strconv.Itoa(farAhead + i*step)},
			{"SETBIT", key("bits"), strconv.Itoa(i * 7), "1"},
			{"RPUSH", key("list"), "a", n, "", "\x00", strings.Repeat("l", i)},
			{"SADD", key("ints"), n, "-5", "70000"},
			{"SADD", key("set"), "member", n, "\xfe"},
			{"ZADD", key("zset"), "1.5", "a", "-inf", "b", n, "c", "1e300", "d"},
			{"GEOADD", key("geo"), "13.361389", "38.115556", "Palermo" + n},
			{"PFADD", key("hll"), "a", n},
			{"HSET", key("hash"), "field", n, "n", "17", "", "empty"},
			{"PEXPIREAT", key("hash"), strconv.Itoa(farAhead + i*step)},
			{"XADD", key("stream"), "5-1", "f", n},
			{"XADD", key("stream"), "5-2", "f", n, "g", "h"},
			{"XADD", key("stream"), "6-0", "other", "fields"},
			{"XGROUP", "CREATE", key("stream"), "group", "0"},
			{"XREADGROUP", "GROUP", "group", "consumer", "COUNT", "2", "STREAMS", key("stream"), ">"},
			{"XDEL", key("stream"), "5-1"},
		} {
			reply, err := b.of(key("")).Do(args...)
			if err != nil {
				b.t.Fatalf("%.100q: %v %v", args, reply, err)
			}
		}
		if fieldDeadlines {
			b.do("HSET", key("fields"), "one", "1", "two", "2")
			b.do("HPEXPIREAT", key("fields"), strconv.Itoa(farAhead+i), "FIELDS", "1", "one")
		}
	}
	for _, slot := range []int{11, 6011, 12011} {
		key := func(kind string) string { return "{" + tags[slot] + "}large " + kind }
		for from := 0; from < members; from += 500 {
			list, set, zset, hash := []string{"RPUSH", key("list")}, []string{"SADD", key("set")}, []string{"ZADD", key("zset")}, []string{"HSET", key("hash")}
			for i := from; i < from+500; i++ {
				name := "member " + strconv.Itoa(i)
				list, set, zset, hash = append(list, name), append(set, name), append(zset, strconv.Itoa(i%777), name), append(hash, name, strconv.Itoa(i))
				b.do("XADD", key("stream"), "1-"+strconv.Itoa(i+1), "n", name)
			}
			for _, args := range [][]string{list, set, zset, hash} {
				b.do(args...)
			}
		}
		b.do("SET", key("text"), strings.Repeat("a large text that packs well ", 100_000))
	}
}

// image is everything about a key that clients can see, but for times of use.
func (b *band) image(key string) string {
	b.t.Helper()
	var text strings.Builder
	kind := b.do("TYPE", key).Text
	ends := b.do("PEXPIRETIME", key).Int()
	if b.moved && ends > 0 {
		ends -= ends % step
	}
	fmt.Fprintf(&text, "%s %d\n", kind, ends)
	switch kind {
	case "string":
		text.WriteString(b.do("GET", key).Text)
	case "list":
		text.WriteString(b.do("LRANGE", key, "0", "-1").String())
	case "set":
		fmt.Fprintf(&text, "%q", slices.Sorted(slices.Values(b.do("SMEMBERS", key).Strings())))
	case "zset":
		text.WriteString(b.do("ZRANGE", key, "0", "-1", "WITHSCORES").String())
	case "hash":
		flat := b.do("HGETALL", key).Strings()
		var pairs []string
		for i := 0; i+1 < len(flat); i += 2 {
			pairs = append(pairs, fmt.Sprintf("%q=%q", flat[i], flat[i+1]))
		}
		sort.Strings(pairs)
		text.WriteString(strings.Join(pairs, " "))
		if strings.HasSuffix(key, "}fields") {
			text.WriteString(b.do("HPEXPIRETIME", key, "FIELDS", "2", "one", "two").String())
		}
	case "stream":
		text.WriteString(b.do("XRANGE", key, "-", "+").String())
		conn := b.of(key)
		reply, err := conn.Do("XINFO", "GROUPS", key)
		if err != nil {
			b.t.Fatalf("XINFO GROUPS %q: %v", key, err)
		}
		for _, g := range reply.Elems {
			for i := 0; i+1 < len(g.Elems); i += 2 {
				if name := g.Elems[i].Text; !b.unread || name != "entries-read" {
					fmt.Fprintf(&text, "\n%s %v", name, g.Elems[i+1])
				}
			}
		}
		reply, err = conn.Do("XPENDING", key, "group")
		fmt.Fprintf(&text, "\n%v %v", reply, err)
		info, err := conn.Do("XINFO", "STREAM", key)
		if err != nil {
			b.t.Fatalf("XINFO STREAM %q: %v", key, err)
		}
		for i := 0; i+1 < len(info.Elems); i += 2 {
			if name := info.Elems[i].Text; !strings.HasPrefix(name, "radix") {
				fmt.Fprintf(&text, "\n%s %v", name, info.Elems[i+1])
			}
		}
	}
	return text.String()
}

// compare wants every key of want, but for those that writers changed, to be
// the same in got, and no other keys.
func compare(got, want *band, changing func(key string) bool) {
	t := got.t
	t.Helper()
	is, wanted := got.keys(), want.keys()
	if !slices.Equal(is, wanted) {
		t.Errorf("the restored cluster has %d keys, the other one %d", len(is), len(wanted))
		for _, key := range wanted {
			if _, found := slices.BinarySearch(is, key); !found {
				t.Fatalf("%q is missing", key)
			}
		}
		return
	}
	compared, dumps := 0, 0
	for _, key := range wanted {
		if changing(key) {
			continue
		}
		if is, want := got.image(key), want.image(key); is != want {
			t.Errorf("%q is\n%.500q\nwant\n%.500q", key, is, want)
			return
		}
		if got.do("DUMP", key).Text == want.do("DUMP", key).Text {
			dumps++
		}
		compared++
	}
	t.Logf("%d keys are equal, %d of them by DUMP too", compared, dumps)
	if compared < 12*groups {
		t.Errorf("only %d keys were compared", compared)
	}
}
