package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/store"
	"slotmesh/slots"
)

// TestSetsReplay replays the journal of random commands on sets, bits,
// HyperLogLogs and sorts on another engine, with other hashes, choices and another
// clock.
func TestSetsReplay(t *testing.T) {
	for seed := range uint64(4) {
		kept := &keeper{}
		n := newNode(t)
		n.engine = NewEngine(EngineOptions{Table: testTable(t), Store: store.New(store.Options{}), Journal: kept, Lanes: 2, Seed: 1, Now: n.now.Load})
		d := &driver{Rand: rand.New(rand.NewPCG(seed, 8))}
		for range 4000 {
			var args []string
			d.own = "set"
			switch d.IntN(6) {
			case 0:
				d.own = "bits"
				args = d.bitmap()
			case 1:
				args = d.hyperLogLog()
			case 2:
				args = d.sort()
				if args[0] == "SORT" && d.IntN(2) == 0 {
					args = append(args, "BY", "k*", "GET", "#", "GET", "h*", "STORE", d.key())
				}
			case 3:
				args = []string{"SPOP", d.key(), strconv.Itoa(d.IntN(30))}[:2+d.IntN(2)]
			default:
				args = d.set()
			}
			n.do(args...)
		}
		other := newNode(t)
		other.now.Add(-1_000_000_000)
		for _, group := range kept.groups {
			if err := other.engine.Apply(group, nil); err != nil {
				t.Fatalf("seed %d: %s: %v", seed, joinArgs(group[0].Args), err)
			}
		}
		for _, prefix := range []string{"k", "h", "t", "set", "bits"} {
			for i := range 12 {
				for _, what := range []string{"ENCODING", "DIGEST"} {
					key := fmt.Sprint(prefix, i)
					a, b := fmt.Sprint(DigestOf(n.engine.store.Find(0, slots.Of([]byte(key)), []byte(key)))), fmt.Sprint(DigestOf(other.engine.store.Find(0, slots.Of([]byte(key)), []byte(key))))
					if what == "ENCODING" {
						a, b = n.do("OBJECT", what, key), other.do("OBJECT", what, key)
					}
					// SORT unpacks a sorted set, and SETBIT a number, without a change.
					if a != b && !strings.Contains(a, "skiplist") && !strings.Contains(a, "raw") {
						t.Errorf("seed %d: %s of %s: %q, replayed %q", seed, what, key, a, b)
					}
				}
			}
		}
		if a, b := digestAll(n.engine.store), digestAll(other.engine.store); a != b {
			t.Fatalf("seed %d: %x, want %x", seed, b, a)
		}
	}
}

// TestSetEffects has what is journaled in place of the command.
func TestSetEffects(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct{ before, command, journaled string }{
		{"SADD s a", "SPOP s", "0 SREM s a"},
		{"SADD s a", "SPOP s 5", "0 DEL s"},
		{"SADD s a", "SPOP s 0", ""},
		{"SADD s a b", "SADD s a", ""},
		{"SADD s a b", "SADD s a c", "0 SADD s a c"},
		{"SADD s a b", "SREM s x", ""},
		{"SADD d a", "SINTERSTORE d missing", "0 DEL d"},
		{"PING", "SINTERSTORE d missing", ""},
		{"SADD s a b", "SUNIONSTORE d s", "0 SUNIONSTORE d s"},
		{"SADD s a b", "SMOVE s d a", "0 SMOVE s d a"},
		{"SADD s a", "SMOVE s s a", ""},
		{"SETBIT b 7 1", "SETBIT b 7 1", ""},
		{"SETBIT b 7 1", "BITFIELD b GET u8 0", ""},
		{"SETBIT b 7 1", "BITFIELD b SET u8 0 1", ""},
		{"SETBIT b 7 1", "BITOP AND d missing", ""},
		{"PFADD h a", "PFCOUNT h", "0 PFCOUNT h"},
		{"PFADD h a", "PFADD h a", ""},
		{"RPUSH l 2 1", "SORT l STORE d", "0 SORT l STORE d"},
		{"RPUSH l 2 1", "SORT l BY w_* STORE d", "(0 DEL d; 0 RPUSH d 1 2)"},
		{"RPUSH l 2 1", "SORT l", ""},
		{"SET d x", "SORT missing BY w_* STORE d", "0 DEL d"},
	} {
		n.do("FLUSHALL")
		n.do(strings.Fields(c.before)...)
		n.entries()
		n.do(strings.Fields(c.command)...)
		if got := n.entries(); got != c.journaled {
			t.Errorf("%s, %s: journaled %q, want %q", c.before, c.command, got, c.journaled)
		}
	}
	// A count that was worked out is kept once.
	n.do("PFADD", "h", "a")
	n.do("PFCOUNT", "h")
	n.entries()
	n.do("PFCOUNT", "h")
	if got := n.entries(); got != "" {
		t.Errorf("PFCOUNT again: %q", got)
	}
	// A replica's clients change nothing.
	n.do("PFADD", "h", "b")
	n.entries()
	n.engine.SetReplica(true)
	n.do("PFCOUNT", "h")
	if got := n.entries(); got != "" {
		t.Errorf("PFCOUNT on a replica: %q", got)
	}
}

// TestSortInCluster: what looks at other keys is refused there.
func TestSortInCluster(t *testing.T) {
	n := newNode(t)
	n.do("RPUSH", "l", "2", "1")
	n.engine.SetRouting(&slots.Table{})
	call := &Call{engine: n.engine, Spec: n.engine.Table().Lookup([]byte("sort"))}
	for _, c := range []struct{ options, err string }{
		{"BY w_*", "ERR BY option of SORT denied in Cluster mode."},
		{"GET w_*", "ERR GET option of SORT denied in Cluster mode."},
		{"GET #", "ERR GET option of SORT denied in Cluster mode."},
		{"BY nosort", ""},
		{"STORE d", ""},
	} {
		call.Args = [][]byte{[]byte("SORT"), []byte("l")}
		for _, word := range strings.Fields(c.options) {
			call.Args = append(call.Args, []byte(word))
		}
		if n.engine.reaches(call.Spec, call.Args) {
			t.Errorf("%s: runs alone", c.options)
		}
		_, err := parseSort(call)
		if got := fmt.Sprint(err); got != c.err && (err != nil || c.err != "") {
			t.Errorf("%s: %s", c.options, got)
		}
	}
}

// TestSortAlone sorts by keys of other slots from many goroutines, in EXEC and
// outside, while they change.
func TestSortAlone(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	n.do("RPUSH", "l", "1", "2", "3")
	done := make(chan struct{})
	go func() {
		defer close(done)
		other := &node{engine: n.engine, journal: n.journal, conn: &testConn{}}
		other.call.Lane = 1
		for i := range 3000 {
			other.do("SET", fmt.Sprint("w_", 1+i%3), strings.Repeat("1", 1+i%17))
		}
	}()
	sort := Queued{Spec: n.engine.Table().Lookup([]byte("sort"))}
	for _, word := range strings.Fields("SORT l BY w_* GET w_* GET #") {
		sort.Args = append(sort.Args, []byte(word))
	}
	for range 500 {
		if reply := n.do("SORT", "l", "BY", "w_*", "GET", "#", "GET", "w_*"); !strings.HasPrefix(reply, "*6\r\n") {
			t.Fatalf("%q", reply)
		}
		tx := &Transaction{Commands: []Queued{sort}, Reply: &n.out, Conn: n.conn}
		n.out.Buf = n.out.Buf[:0]
		if !n.engine.ExecuteAll(tx, func() {}) || !strings.HasPrefix(string(n.out.Buf), "*1\r\n*6\r\n") {
			t.Fatalf("%q", n.out.Buf)
		}
	}
	<-done
}

// TestLargeSet holds the commands on single members of a large set to their time,
// which is that of a small one but for the logarithm: none allocates, and the set
// is deleted at once.
func TestLargeSet(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	args := []string{"SADD", "large"}
	for i := range 200_000 {
		args = append(args, fmt.Sprint("member:", i))
	}
	n.do(args...)
	for _, line := range []string{
		"SADD large member:77", "SISMEMBER large member:1234", "SMISMEMBER large a member:5", "SCARD large", "SRANDMEMBER large",
		"SSCAN large 0", "SSCAN large 4503599627370496 COUNT 5", "SINTERCARD 2 large tiny LIMIT 1",
	} {
		n.do("SADD", "tiny", "member:3", "x")
		var words [][]byte
		for _, word := range strings.Fields(line) {
			words = append(words, []byte(word))
		}
		c := &Call{Spec: n.engine.Table().Lookup(words[0]), Args: words, Reply: &n.out, Conn: n.conn}
		if allocs := testing.AllocsPerRun(20, func() {
			n.out.Buf = n.out.Buf[:0]
			n.engine.Execute(c, func() {})
		}); allocs > 0 {
			t.Errorf("%s: %v allocations", line, allocs)
		}
	}
	if n.do("SCARD", "large") != ":200000\r\n" || n.do("DEL", "large") != ":1\r\n" || n.do("EXISTS", "large") != ":0\r\n" {
		t.Error("the set is not what it should be")
	}
}
