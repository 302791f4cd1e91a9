package command

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"slotmesh/node/journal"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// tape is a Journal that keeps copies of what it is given.
type tape struct{ groups [][]Applied }

func (t *tape) Active() bool { return true }

func (t *tape) Append(db int, slot slots.Slot, args [][]byte) int64 {
	return t.AppendGroup([]journal.Effect{{DB: db, Slot: slot, Args: args}})
}

func (t *tape) AppendGroup(effects []journal.Effect) int64 {
	var group []Applied
	for _, e := range effects {
		a := Applied{DB: e.DB}
		for _, arg := range e.Args {
			a.Args = append(a.Args, append([]byte(nil), arg...))
		}
		group = append(group, a)
	}
	t.groups = append(t.groups, group)
	return 0
}

// TestListsReplay runs random commands on lists, with clients that wait for some
// of them, and what they journal on another node, under another clock and seed:
// both have the same keyspace.
func TestListsReplay(t *testing.T) {
	for seed := range uint64(3) {
		d := &driver{Rand: rand.New(rand.NewPCG(seed, 5))}
		source, target := newNode(t), newNode(t)
		written := new(tape)
		source.engine = NewEngine(EngineOptions{
			Table: testTable(t), Store: store.New(store.Options{}), Journal: written, Lanes: 1, Seed: 3,
			Now: func() int64 { return source.now.Load() },
		})
		target.now.Add(12345678)
		waited := 0
		for range 4000 {
			var args []string
			switch d.IntN(10) {
			case 0:
				args = []string{d.pick("DEL", "RENAME", "COPY"), d.key(), d.key()}
				if d.IntN(3) == 0 {
					args = []string{"PERSIST", d.key()}
				}
			case 1:
				args = []string{"PEXPIRE", d.key(), d.pick("50", "100000")}
				source.now.Add(20)
			default:
				args = d.list()
			}
			if len(args[0]) > 3 && (args[0][0] == 'B') {
				// Without the timeout that nobody would wait for here.
				continue
			}
			if d.IntN(20) == 0 {
				waited += sleepOnAnything(source, d)
			}
			source.do(args...)
		}
		for i, group := range written.groups {
			if err := target.engine.Apply(group, nil); err != nil {
				t.Fatalf("seed %d: entry %d of %d commands: %v", seed, i, len(group), err)
			}
		}
		a, b := Call{engine: source.engine}, Call{engine: target.engine}
		if x, y := a.DigestAll(), b.DigestAll(); x != y {
			t.Errorf("seed %d: the keyspaces differ after %d entries", seed, len(written.groups))
		}
		if waited == 0 || source.engine.Blocked() == waited {
			t.Errorf("seed %d: %d waited, %d still do", seed, waited, source.engine.Blocked())
		}
	}
}

// sleepOnAnything has a client wait for some keys, if they are not there, and
// returns how many do.
func sleepOnAnything(n *node, d *driver) int {
	before := n.engine.Blocked()
	var args []string
	switch d.IntN(4) {
	case 0:
		args = []string{d.pick("BLPOP", "BRPOP"), d.key(), d.key(), "0"}
	case 1:
		args = []string{"BLMOVE", d.key(), d.key(), d.pick("LEFT", "RIGHT"), d.pick("LEFT", "RIGHT"), "0"}
	case 2:
		args = []string{"BRPOPLPUSH", d.key(), d.key(), "0"}
	default:
		args = []string{"BLMPOP", "0", "2", d.key(), d.key(), d.pick("LEFT", "RIGHT"), "COUNT", "3"}
	}
	c := &Call{Reply: new(resp.Writer), Conn: new(sleeperConn), DB: n.conn.db}
	for _, arg := range args {
		c.Args = append(c.Args, []byte(arg))
	}
	c.Spec, _ = n.engine.Table().Find(c.Args)
	n.engine.ExecuteWait(c)
	return n.engine.Blocked() - before
}

// TestLargeLists has a list of a million elements changed in the middle and at
// the ends, beside a slice.
func TestLargeLists(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	const size = 1_000_000
	for i := 0; i < size; i += 1000 {
		args := []string{"RPUSH", "k"}
		for j := range 1000 {
			args = append(args, fmt.Sprint("element:", i+j))
		}
		n.do(args...)
	}
	for _, c := range []struct{ line, want string }{
		{"LLEN k", ":1000000\r\n"},
		{"LINDEX k 500000", "$14\r\nelement:500000\r\n"},
		{"LINSERT k BEFORE element:500000 here", ":1000001\r\n"},
		{"LINDEX k 500000", "$4\r\nhere\r\n"},
		{"LINDEX k 500001", "$14\r\nelement:500000\r\n"},
		{"LINDEX k -1", "$14\r\nelement:999999\r\n"},
		{"LREM k -1 element:750000", ":1\r\n"},
		{"LINDEX k 750000", "$14\r\nelement:749999\r\n"},
		{"LINDEX k 750001", "$14\r\nelement:750001\r\n"},
		{"LSET k 250000 there", "+OK\r\n"},
		{"LPOS k there", ":250000\r\n"},
		{"LPOS k element:900000", ":900000\r\n"},
		{"LTRIM k 100000 -100001", "+OK\r\n"},
		{"LLEN k", ":800000\r\n"},
		{"LINDEX k 0", "$14\r\nelement:100000\r\n"},
		{"LINDEX k 150000", "$5\r\nthere\r\n"},
		{"LRANGE k -2 -1", "*2\r\n$14\r\nelement:899998\r\n$14\r\nelement:899999\r\n"},
		{"LMOVE k k LEFT RIGHT", "$14\r\nelement:100000\r\n"},
		{"LINDEX k 149999", "$5\r\nthere\r\n"},
		{"PEXPIRE k 100000", ":1\r\n"},
		{"LTRIM k 149990 150000", "+OK\r\n"},
		{"LLEN k", ":11\r\n"},
		{"LINDEX k 9", "$5\r\nthere\r\n"},
		{"LINDEX k -2", "$5\r\nthere\r\n"},
		{"PTTL k", ":100000\r\n"},
	} {
		if got := n.do(strings.Fields(c.line)...); got != c.want {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
}
