package command

import (
	"fmt"
	"strings"
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

// TestLongPops takes many members from each end, alone, of several sets, and in a
// transaction, with the replies of a client of each protocol.
func TestLongPops(t *testing.T) {
	r := newRemovals(t)
	pop := func(proto int, args ...string) string {
		t.Helper()
		c := r.prepared(args...)
		c.Reply.Proto = proto
		r.n.engine.Execute(c, func() {})
		if !c.ahead.thinned.taken || c.Err != nil {
			t.Errorf("%q: what was prepared is taken: %v, %v", args, c.ahead.thinned.taken, c.Err)
		}
		c.dropAhead()
		return string(c.Reply.Buf)
	}
	same := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("the reply has %d bytes %.60q, not %d bytes %.60q", len(got), got, len(want), want)
		}
	}
	// The twin is so small after each that nothing is prepared for it.
	twin := func(command string, count int, tail ...string) (replies []string) {
		for range count {
			replies = append(replies, r.n.do(append([]string{command, "{k}twin"}, tail...)...))
		}
		return replies
	}
	flat := func(replies []string) string {
		text := fmt.Sprintf("*%d\r\n", 2*len(replies))
		for _, reply := range replies {
			text += strings.TrimPrefix(reply, "*2\r\n")
		}
		return text
	}
	same(pop(2, "ZPOPMIN", "{k}set", "2500"), flat(twin("ZPOPMIN", 2500)))
	r.same("from the least")
	same(pop(2, "ZPOPMAX", "{k}set", "2500"), flat(twin("ZPOPMAX", 2500)))
	r.same("from the greatest")
	// What was prepared for the older protocol is of no use to a client that has
	// changed to the newer one meanwhile.
	got := pop(3, "ZPOPMIN", "{k}set", "2000")
	if !strings.HasPrefix(got, "*2000\r\n*2\r\n") {
		t.Errorf("in RESP3 the reply begins %.40q", got)
	}
	twin("ZPOPMIN", 2000)
	r.same("in RESP3")
	pairs := fmt.Sprintf("*2\r\n$6\r\n{k}set\r\n*%d\r\n", 2000) + strings.Join(twin("ZPOPMAX", 2000), "")
	same(pop(2, "ZMPOP", "2", "{k}none", "{k}set", "MAX", "COUNT", "2000"), pairs)
	r.same("of several sets")
	r.n.exec([]string{"ZADD", "{k}other", "1", "x"}, []string{"ZPOPMIN", "{k}set", "2000"})
	twin("ZPOPMIN", 2000)
	r.same("in a transaction")
}

// TestLongDraws takes many members of a set at random: they are gone, the others are
// left, and the effects say so. What was drawn of a set that changed is not taken.
func TestLongDraws(t *testing.T) {
	n := newNode(t)
	m := &meter{t: t, n: n}
	for i := 0; i < 20_000; i += 500 {
		set := []string{"SADD", "{k}set"}
		for j := i; j < i+500; j++ {
			set = append(set, fmt.Sprint("member:", j))
		}
		n.do(set...)
	}
	left := 20_000
	for _, tt := range []struct {
		count   int
		between []string
		taken   bool
	}{
		{2000, []string{"GET", "{k}none"}, true},
		{5000, []string{"SADD", "{k}set", "new"}, false},
		{6000, []string{"SISMEMBER", "{k}set", "new"}, true},
	} {
		n.do("COPY", "{k}set", "{k}twin", "REPLACE")
		c := m.call("SPOP", "{k}set", fmt.Sprint(tt.count))
		if c.Spec.Ahead(c); c.ahead == nil || len(c.ahead.thinned.drawn) != tt.count {
			t.Fatalf("%d members are not drawn", tt.count)
		}
		n.do(tt.between...)
		if !tt.taken {
			n.do("COPY", "{k}set", "{k}twin", "REPLACE")
			left++
		}
		n.entries()
		n.engine.Execute(c, func() {})
		if c.Err != nil || c.ahead.thinned.taken != tt.taken {
			t.Errorf("what was drawn is taken: %v, %v", c.ahead.thinned.taken, c.Err)
		}
		c.dropAhead()
		left -= tt.count
		members := strings.Split(string(c.Reply.Buf), "\r\n")
		if len(members) != 1+2*tt.count+1 || members[0] != fmt.Sprintf("*%d", tt.count) {
			t.Fatalf("the reply begins %.40q and has %d lines", c.Reply.Buf, len(members))
		}
		if got := n.do("SCARD", "{k}set"); got != fmt.Sprintf(":%d\r\n", left) {
			t.Errorf("%d members should be left: %s", left, got)
		}
		// The twin becomes equal by removing what the reply names, and what the
		// effects name is the same.
		named := 0
		for _, entry := range strings.Split(n.entries(), " | ") {
			named += strings.Count(entry, "member:") + strings.Count(entry, "new")
		}
		for i := 2; i < len(members); i += 2 {
			if got := n.do("SREM", "{k}twin", members[i]); got != ":1\r\n" {
				t.Fatalf("%s of the reply: %s", members[i], got)
			}
		}
		if named != tt.count {
			t.Errorf("the effects name %d members, not %d", named, tt.count)
		}
		if got, want := n.digestOf("{k}set"), n.digestOf("{k}twin"); got != want {
			t.Errorf("the set is %s, its twin %s", got, want)
		}
	}
	n.do("DEL", "{k}set", "{k}twin")
	for n.engine.store.Reap(1000) {
	}
	if used := n.engine.store.Used(); used > 100_000 {
		t.Errorf("%d bytes are left", used)
	}
}
