package command

import (
	"fmt"
	"testing"

	"slotmesh/node/store"
	"slotmesh/node/store/zset"
	"slotmesh/slots"
)

// removals is a sorted set from which many members are removed, and a twin from
// which the same ones are removed one by one.
type removals struct {
	t *testing.T
	n *node
}

func newRemovals(t *testing.T) *removals {
	n := newNode(t)
	for i := 0; i < 12_000; i += 500 {
		set, twin := []string{"ZADD", "{k}set"}, []string{"ZADD", "{k}twin"}
		for j := i; j < i+500; j++ {
			set = append(set, fmt.Sprint(j/3), fmt.Sprint("member:", j*7919%12_000))
		}
		n.do(append(twin, set[2:]...)...)
		n.do(set...)
	}
	return &removals{t, n}
}

// fromTwin removes the ranks from the twin.
func (r *removals) fromTwin(from, to int) {
	for range to - from {
		r.n.do("ZREMRANGEBYRANK", "{k}twin", fmt.Sprint(from), fmt.Sprint(from))
	}
}

// same compares the two, and the set's trees with one another.
func (r *removals) same(what string) {
	r.t.Helper()
	if got, want := r.n.digestOf("{k}set"), r.n.digestOf("{k}twin"); got != want {
		r.t.Errorf("%s: the set is %s, its twin %s", what, got, want)
	}
	at := slots.Of([]byte("{k}set"))
	r.n.engine.WithSlot(at, func() {
		ref := r.n.engine.store.Find(0, at, []byte("{k}set"))
		whole(r.t, what, zset.Read(ref.Value()))
	})
}

// whole checks that a set's trees hold the same members.
func whole(t *testing.T, what string, set zset.Reader) {
	t.Helper()
	n := 0
	for c := set.FromHash(0); c.Valid(); c.Next() {
		if _, score, ok := set.Rank(c.Member()); !ok || score != c.Score() {
			t.Fatalf("%s: %q has no rank", what, c.Member())
		}
		n++
	}
	if n != set.Len() {
		t.Errorf("%s: %d members by hash, %d by score", what, n, set.Len())
	}
}

// prepared returns a removal that has been prepared.
func (r *removals) prepared(args ...string) *Call {
	r.t.Helper()
	m := &meter{t: r.t, n: r.n}
	c := m.call(args...)
	c.Spec.Ahead(c)
	if c.ahead == nil || len(c.ahead.thinned.left) == 0 {
		r.t.Fatalf("%q is not prepared", args)
	}
	return c
}

// TestLongRemovals removes many members in each way, alone and in transactions.
func TestLongRemovals(t *testing.T) {
	r := newRemovals(t)
	r.n.do("ZREMRANGEBYRANK", "{k}set", "1000", "3999")
	r.fromTwin(1000, 4000)
	r.same("by rank")
	r.n.do("ZREMRANGEBYSCORE", "{k}set", "-inf", "(2000")
	r.fromTwin(0, 3000)
	r.same("by score")
	r.n.exec([]string{"ZADD", "{k}set", "5", "new"}, []string{"ZREMRANGEBYRANK", "{k}set", "-2100", "-1"}, []string{"ZREMRANGEBYRANK", "{k}set", "0", "2099"})
	r.n.do("ZADD", "{k}twin", "5", "new")
	r.fromTwin(3901, 6001)
	r.fromTwin(0, 2100)
	r.same("in a transaction")
	r.n.do("DEL", "{k}twin", "{k}set")
	for r.n.engine.store.Reap(1000) {
	}
	if used := r.n.engine.store.Used(); used > 100_000 {
		t.Errorf("%d bytes are left", used)
	}
}

// TestRemovalsPreparedInVain changes the set, or puts another in its place, between
// the preparation and the command. Nothing of what was prepared is used or left.
func TestRemovalsPreparedInVain(t *testing.T) {
	r := newRemovals(t)
	removal := []string{"ZREMRANGEBYRANK", "{k}set", "10", "2509"}
	for what, between := range map[string]func(){
		"changed":  func() { r.n.do("ZADD", "{k}set", "700", "more"); r.n.do("ZADD", "{k}twin", "700", "more") },
		"replaced": func() { r.n.do("RENAME", "{k}set", "{k}other"); r.n.do("COPY", "{k}other", "{k}set") },
		"nothing":  func() {},
	} {
		c := r.prepared(removal...)
		between()
		r.n.engine.Execute(c, func() {})
		if taken := c.ahead.thinned.taken; taken != (what == "nothing") {
			t.Errorf("%s: what was prepared is taken: %v", what, taken)
		}
		c.dropAhead()
		r.fromTwin(10, 2510)
		r.same(what)
	}
	c := r.prepared(removal...)
	r.n.do("FLUSHALL")
	c.dropAhead()
	for r.n.engine.store.Reap(1000) {
	}
	if used := r.n.engine.store.Used(); used > 100_000 {
		t.Errorf("%d bytes are left", used)
	}
}

// TestRemovalsPreparedUnderSnapshots has snapshots that were opened before the
// preparation, and between it and the command: both see the whole set.
func TestRemovalsPreparedUnderSnapshots(t *testing.T) {
	r := newRemovals(t)
	cut := func() (sn *store.Snapshot) {
		r.n.engine.Exclusive(func() { sn = r.n.engine.store.Cut(nil) })
		return sn
	}
	r.n.do("DEL", "{k}twin")
	before := cut()
	c := r.prepared("ZREMRANGEBYRANK", "{k}set", "0", "9999")
	between := cut()
	r.n.engine.Execute(c, func() {})
	if !c.ahead.thinned.taken {
		t.Error("what was prepared is not taken")
	}
	c.dropAhead()
	for i := range 500 {
		r.n.do("ZADD", "{k}set", fmt.Sprint(i), fmt.Sprint("new:", i))
	}
	for what, sn := range map[string]*store.Snapshot{"before": before, "between": between} {
		err := sn.Walk(func(slot slots.Slot, fn func()) { r.n.engine.WithSlot(slot, fn) }, func(entries []store.Entry) error {
			for _, e := range entries {
				set := zset.Read(e.Value)
				if set.Len() != 12_000 {
					t.Errorf("%s: %d members", what, set.Len())
				}
				whole(t, what, set)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		sn.Close()
	}
	r.n.do("DEL", "{k}set")
	for r.n.engine.store.Reap(1000) {
	}
	if used := r.n.engine.store.Used(); used > 100_000 {
		t.Errorf("%d bytes are left", used)
	}
}
