package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/store"
)

// TestSortedSetEffects looks at what is journaled.
func TestSortedSetEffects(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct{ command, want string }{
		{"ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", "0 ZADD z 1 a 2 b 3 c 4 d 5 e 6 f"},
		{"ZADD z 1 a", ""},
		{"ZADD z NX CH 9 a", ""},
		{"ZADD z XX INCR 1 nosuch", ""},
		{"ZADD z INCR 0 a", ""},
		{"ZINCRBY z 1.5 a", "0 ZINCRBY z 1.5 a"},
		{"ZREM z nosuch", ""},
		{"ZPOPMIN z", "0 ZPOPMIN z"},
		{"ZPOPMIN z 0", ""},
		{"ZMPOP 2 y z MAX", "0 ZPOPMAX z"},
		{"ZMPOP 1 z MIN COUNT 2", "0 ZPOPMIN z 2"},
		{"BZPOPMIN y z 0", "0 ZPOPMIN z"},
		{"BZMPOP 0 2 y z MAX COUNT 10", "0 ZPOPMAX z 10"},
		{"ZADD z 1 a 2 b 3 c", "0 ZADD z 1 a 2 b 3 c"},
		{"ZRANGESTORE d z 0 1", "0 ZRANGESTORE d z 0 1"},
		{"ZRANGESTORE d z 5 6", "0 DEL d"},
		{"ZRANGESTORE d z 5 6", ""},
		{"ZUNIONSTORE d 1 z", "0 ZUNIONSTORE d 1 z"},
		{"ZINTERSTORE d 2 z nokey", "0 DEL d"},
		{"ZREMRANGEBYSCORE z 10 20", ""},
		{"ZREMRANGEBYRANK z 0 0", "0 ZREMRANGEBYRANK z 0 0"},
		{"ZRANDMEMBER z", ""},
		{"GEOADD g 13.361389 38.115556 p 15.087269 37.502669 c", "0 ZADD g 3479099956230698 p 3479447370796909 c"},
		{"GEOADD g NX CH 1 1 p 13 38 q", "0 ZADD g NX CH 3377822707026402 p 3479065152021743 q"},
		{"GEOADD g 13.361389 38.115556 p", ""},
		{"GEOSEARCHSTORE d g FROMMEMBER p BYRADIUS 10 km", "0 GEOSEARCHSTORE d g FROMMEMBER p BYRADIUS 10 km"},
		{"GEORADIUS g 0 0 1 m STORE d", "0 DEL d"},
		{"GEORADIUSBYMEMBER g p 1 m STOREDIST d", "0 GEORADIUSBYMEMBER g p 1 m STOREDIST d"},
	} {
		reply := n.do(strings.Fields(c.command)...)
		if got := n.entries(); got != c.want {
			t.Errorf("%s: %q: journaled %q, want %q", c.command, reply, got, c.want)
		}
	}
}

// TestSortedSetReplay replays the journal of random commands on another engine,
// with another clock and other hashes.
func TestSortedSetReplay(t *testing.T) {
	for seed := range uint64(2) {
		kept := &keeper{}
		n := newNode(t)
		n.engine = NewEngine(EngineOptions{Table: testTable(t), Store: store.New(store.Options{}), Journal: kept, Lanes: 2, Seed: 1, Now: n.now.Load})
		d := &driver{Rand: rand.New(rand.NewPCG(seed, 6))}
		for range 5000 {
			args := d.zset()
			if d.IntN(3) == 0 {
				args = d.geo()
			}
			if strings.HasPrefix(args[0], "GEORADIUS") && !strings.HasSuffix(args[0], "RO") {
				args = append(args, "STOREDIST", d.zkey())
			}
			n.do(args...)
		}
		other := newNode(t)
		other.now.Add(-1_000_000_000)
		for _, group := range kept.groups {
			if err := other.engine.Apply(group, nil); err != nil {
				t.Fatalf("%s: %v", joinArgs(group[0].Args), err)
			}
		}
		if a, b := digestAll(n.engine.store), digestAll(other.engine.store); a != b {
			t.Fatalf("seed %d: %x, want %x", seed, b, a)
		}
	}
}

// TestWaitingForSortedSets has clients wait for a key, and every kind of write
// that makes it a sorted set serve them.
func TestWaitingForSortedSets(t *testing.T) {
	n := newNode(t)
	n.do("ZADD", "source", "1", "m")
	n.do("GEOADD", "geo", "13", "38", "m")
	one := "*3\r\n$1\r\nk\r\n$1\r\nm\r\n$1\r\n1\r\n"
	place := "*3\r\n$1\r\nk\r\n$1\r\nm\r\n$16\r\n3479065152021743\r\n"
	for _, c := range []struct{ waits, writes, reply, journaled string }{
		{"BZPOPMIN x k 0", "ZADD k 1 m", one, "0 ZADD k 1 m | 0 ZPOPMIN k"},
		{"BZPOPMAX k x 0", "ZINCRBY k 1 m", one, "0 ZINCRBY k 1 m | 0 ZPOPMAX k"},
		{"BZPOPMIN k 0", "ZUNIONSTORE k 1 source", one, "0 ZUNIONSTORE k 1 source | 0 ZPOPMIN k"},
		{"BZPOPMIN k 0", "ZINTERSTORE k 2 source source AGGREGATE MIN", one, "0 ZINTERSTORE k 2 source source AGGREGATE MIN | 0 ZPOPMIN k"},
		{"BZPOPMIN k 0", "ZDIFFSTORE k 1 source", one, "0 ZDIFFSTORE k 1 source | 0 ZPOPMIN k"},
		{"BZPOPMIN k 0", "ZRANGESTORE k source 0 0", one, "0 ZRANGESTORE k source 0 0 | 0 ZPOPMIN k"},
		{"BZPOPMIN k 0", "COPY source k", one, "0 COPY source k | 0 ZPOPMIN k"},
		{"BZPOPMIN k 0", "GEOADD k 13 38 m", place, "0 ZADD k 3479065152021743 m | 0 ZPOPMIN k"},
		{"BZPOPMIN k 0", "GEOSEARCHSTORE k geo FROMMEMBER m BYRADIUS 1 m", place, "0 GEOSEARCHSTORE k geo FROMMEMBER m BYRADIUS 1 m | 0 ZPOPMIN k"},
		{"BZPOPMIN k 0", "GEORADIUSBYMEMBER geo m 1 m STORE k", place, "0 GEORADIUSBYMEMBER geo m 1 m STORE k | 0 ZPOPMIN k"},
		{"BZMPOP 0 2 x k MAX COUNT 2", "ZADD k 1 m", "*2\r\n$1\r\nk\r\n*1\r\n*2\r\n$1\r\nm\r\n$1\r\n1\r\n", "0 ZADD k 1 m | 0 ZPOPMAX k 2"},
	} {
		conn := n.sleep(t, strings.Fields(c.waits)...)
		n.do("SADD", "k", "of another type")
		n.do("DEL", "k")
		n.entries()
		n.do(strings.Fields(c.writes)...)
		if conn.reply != c.reply {
			t.Errorf("%s, %s: %q", c.waits, c.writes, conn.reply)
		}
		if got := n.entries(); got != c.journaled {
			t.Errorf("%s, %s: journaled %q", c.waits, c.writes, got)
		}
		if n.do("EXISTS", "k") != ":0\r\n" {
			t.Errorf("%s, %s: the key is still there", c.waits, c.writes)
		}
	}
	conn := n.sleep(t, "BZPOPMIN", "k", "0")
	n.do("RENAME", "source", "k")
	if conn.reply != one {
		t.Errorf("RENAME: %q", conn.reply)
	}
	// The members of one write go to those who wait in the order in which they came.
	first, second, third := n.sleep(t, "BZPOPMIN", "k", "0"), n.sleep(t, "BZPOPMAX", "k", "0"), n.sleep(t, "BZPOPMIN", "k", "1")
	n.do("ZADD", "k", "1", "a", "2", "b")
	if !strings.Contains(first.reply, "\r\na\r\n") || !strings.Contains(second.reply, "\r\nb\r\n") || third.reply != "" {
		t.Errorf("%q, %q, %q", first.reply, second.reply, third.reply)
	}
	third.timer()
	if third.reply != "*-1\r\n" {
		t.Errorf("time out: %q", third.reply)
	}
}

// TestLargeSortedSet looks at what must not depend on the size of a set.
func TestLargeSortedSet(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	const members = 200_000
	for i := 0; i < members; i += 100 {
		args := []string{"ZADD", "z"}
		for j := i; j < i+100; j++ {
			args = append(args, strconv.Itoa(j*7919%members), fmt.Sprint("m", j))
		}
		n.do(args...)
	}
	for _, c := range [][2]string{
		{"ZCARD z", ":200000"},
		{"ZRANK z m1", ":7919"},
		{"ZREVRANK z m1", ":192080"},
		{"ZCOUNT z 1000 (2000", ":1000"},
		{"ZREMRANGEBYSCORE z 100 199", ":100"},
		{"ZRANK z m1", ":7819"},
		{"ZREMRANGEBYRANK z -100 -1", ":100"},
		{"ZCARD z", ":199800"},
		{"ZUNIONSTORE d 1 z", ":199800"},
		{"ZINTERCARD 2 z d", ":199800"},
		{"ZDIFFSTORE d 2 d z", ":0"},
		{"ZRANGESTORE d z 0 99999", ":100000"},
		{"OBJECT ENCODING d", "$8\r\nskiplist"},
	} {
		if got := n.do(strings.Fields(c[0])...); got != c[1]+"\r\n" {
			t.Errorf("%s: %q, want %q", c[0], got, c[1])
		}
	}
	// A scan meets every member that is there all the time, and no other ones
	// twice in one step, while members come and go.
	seen := map[string]bool{}
	cursor := "0"
	for step := 0; ; step++ {
		reply := decoded(n.do("ZSCAN", "z", cursor, "COUNT", "1000")).([]any)
		cursor = reply[0].(string)
		list := reply[1].([]any)
		for i := 0; i < len(list); i += 2 {
			seen[list[i].(string)] = true
		}
		if at, err := strconv.ParseUint(cursor, 10, 64); err != nil || at >= 1<<53 {
			t.Fatalf("cursor %s", cursor)
		}
		if cursor == "0" {
			break
		}
		n.do("ZADD", "z", "0", fmt.Sprint("new", step))
		n.do("ZREM", "z", fmt.Sprint("new", step-3))
	}
	for i := range members {
		if score := i * 7919 % members; !seen[fmt.Sprint("m", i)] && (score < 100 || score >= 200) && score < members-100 {
			t.Fatalf("m%d was not seen", i)
		}
	}
}
