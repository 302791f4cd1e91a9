package gossip

import (
	"testing"
	"time"

	"slotmesh/slots"
)

func TestFailoverIsFast(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	p.kill()
	took := w.run(3*time.Second, "the replica owns slot 0 under a lease", func() bool { return r.owns(0) && r.leased() })
	t.Logf("failover took %v", took)
	if took > 600*time.Millisecond {
		t.Errorf("failover took %v", took)
	}
	w.agree()
	// The other shards never stopped.
	for _, n := range w.nodes[1:3] {
		if !n.view.OK || !n.leased() {
			t.Errorf("%s is interrupted", n.name)
		}
	}
	p.boot(false)
	w.run(5*time.Second, "the old primary follows the new one", func() bool {
		return p.view.Self.IsReplica && p.view.Self.Primary == r.m.Self()
	})
	w.agree()
}

func TestHandover(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	// A seat that was just taken keeps what the one before may have promised.
	w.run(time.Second, "", nil)
	w.must(r.do(Failover{FailoverAgreed}))
	w.run(time.Second, "the primary holds writes", func() bool { return p.view.HoldWrites })
	p.repl.Drained, p.repl.Offset = true, 120
	p.step(p.repl)
	w.run(20*time.Millisecond, "", nil)
	if p.lease != 0 || r.owns(0) {
		t.Fatal("the consent is out: no lease, and no owner before the offset is reached")
	}
	r.repl.Offset = 120
	r.step(r.repl)
	took := w.run(50*time.Millisecond, "the replica owns the slots under a lease", func() bool { return r.owns(0) && r.leased() })
	t.Logf("took %v", took)
	w.run(time.Second, "the old primary is its replica", func() bool { return p.view.Self.IsReplica && !p.view.HoldWrites })
	w.agree()
}

func TestHandoverThatIsAbandonedLetsThePrimaryGoOn(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	w.must(r.do(Failover{FailoverAgreed}))
	w.run(time.Second, "the primary holds writes", func() bool { return p.view.HoldWrites })
	p.repl.Drained, p.repl.Offset = true, 120
	p.step(p.repl)
	w.run(20*time.Millisecond, "", nil)
	r.kill()
	w.run(8*time.Second, "the primary serves again", func() bool { return p.leased() && !p.view.HoldWrites })
}

func TestForcedFailoverKeepsPromises(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	w.must(r.do(Failover{FailoverForce}))
	last := Instant(0)
	w.run(2*time.Second, "the replica owns the slots", func() bool {
		if p.owns(0) && p.leased() {
			last = w.now
		}
		return r.owns(0) && r.leased()
	})
	if p.owns(0) && p.leased() {
		t.Errorf("both hold a lease; the old one had it at %v", last)
	}
	w.agree()
}

func TestForgottenNodeStaysOutUntilMet(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 1)
	x := w.start("x")
	w.must(x.do(Meet{IP: "127.0.0.1", Port: 7000, BusPort: 17000}))
	joined := func() bool {
		for _, n := range w.nodes {
			if len(n.view.Nodes) != len(w.nodes) {
				return false
			}
		}
		return true
	}
	w.run(3*time.Second, "x joined", joined)
	id := x.m.Self()
	for _, n := range w.nodes {
		if n != x {
			w.must(n.do(Forget{id}))
		}
	}
	w.run(3*time.Second, "", nil)
	for _, n := range w.nodes {
		if n != x && n.view.Node(id) != nil {
			t.Fatalf("%s still knows x", n.name)
		}
		if n != x {
			w.must(n.do(Forget{id}))
		}
	}
	w.must(x.do(Reset{}))
	if len(x.view.Nodes) != 1 || x.m.Self() != id {
		t.Fatal("reset keeps the id and forgets the rest")
	}
	w.run(time.Second, "", nil)
	if len(x.view.Nodes) != 1 {
		t.Fatal("x was drawn in again without a MEET")
	}
	w.must(x.do(Meet{IP: "127.0.0.1", Port: 7000, BusPort: 17000}))
	w.run(3*time.Second, "x joined again", joined)
}

func TestEqualEpochsAreRepaired(t *testing.T) {
	w := newNet(t)
	for i := range 4 {
		n := w.start(string(rune('a' + i)))
		w.must(n.do(AddSlots{[]slots.Slot{slots.Slot(i)}}))
		w.must(n.do(SetConfigEpoch{7}))
	}
	for _, n := range w.nodes[1:] {
		w.must(n.do(Meet{IP: "127.0.0.1", Port: 7000, BusPort: 17000}))
	}
	w.run(5*time.Second, "distinct epochs", func() bool {
		seen := map[uint64]bool{}
		for _, n := range w.nodes {
			seen[n.view.Self.ConfigEpoch] = true
		}
		return len(seen) == 4
	})
	w.agree()
}

func TestEmptyPrimaryIsReplaced(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	p.kill()
	w.run(100*time.Millisecond, "", nil)
	p.boot(true)
	w.run(2*time.Second, "the replica with data takes over", func() bool {
		if p.leased() && p.owns(0) {
			t.Fatal("the empty primary serves")
		}
		return r.owns(0) && r.leased()
	})
	w.run(2*time.Second, "p is its replica", func() bool { return p.view.Self.IsReplica && p.view.MayServe })
	w.agree()
}

// A primary that comes back empty and cut off does not know that the node it
// replaced has become its replica meanwhile. It must learn that before it
// serves, or the last copy of its data would be wiped.
func TestEmptyPrimaryThatWasCutOffLooksForReplicas(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	p.kill()
	w.run(3*time.Second, "the replica took over", func() bool { return r.owns(0) && r.leased() })
	for _, n := range w.nodes {
		n.cfg.NodeTimeout = 5 * time.Second
		n.step(Reconfigure{n.cfg})
	}
	w.run(time.Second, "", nil)
	w.cut = func(a, b *testNode) bool { return a == r || b == r }
	p.boot(false)
	w.run(time.Second, "the old primary follows", func() bool { return p.view.Self.IsReplica })
	r.kill()
	r.boot(true)
	w.run(emptyWait+100*time.Millisecond, "", nil)
	w.cut = nil
	w.run(3*time.Second, "the data are served", func() bool {
		if r.view.MayServe && !r.view.Self.IsReplica {
			t.Fatal("the empty primary serves")
		}
		return p.owns(0) && p.leased()
	})
	w.run(2*time.Second, "the empty one follows", func() bool { return r.view.Self.IsReplica })
	w.agree()
}

func TestWholeClusterComesBackEmpty(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	for _, n := range w.nodes {
		n.kill()
	}
	w.run(time.Second, "", nil)
	for _, n := range w.nodes {
		n.boot(true)
		w.run(100*time.Millisecond, "", nil)
	}
	took := w.run(3*time.Second, "all primaries serve", func() bool {
		for _, n := range w.nodes[:3] {
			if !n.leased() || !n.view.OK || !n.view.MayServe {
				return false
			}
		}
		return true
	})
	t.Logf("took %v", took)
	w.agree()
}

func TestMigrationOfASlot(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	src, dst := w.nodes[0], w.nodes[1]
	for slot := range slots.Slot(20) {
		w.must(dst.do(SetSlot{Slot: slot, To: Importing, Node: src.m.Self()}))
		w.must(src.do(SetSlot{Slot: slot, To: Migrating, Node: dst.m.Self()}))
		for _, n := range []*testNode{dst, src, w.nodes[2]} {
			w.must(n.do(SetSlot{Slot: slot, To: OwnedBy, Node: dst.m.Self()}))
			if n.view.Table.Owner[slot] == slots.None {
				t.Fatalf("slot %d without owner on %s", slot, n.name)
			}
		}
		w.run(5*time.Millisecond, "", nil)
		if !dst.owns(slot) {
			t.Fatalf("slot %d did not move", slot)
		}
		w.run(100*time.Millisecond, "a lease", dst.leased)
	}
	w.agree()
}

// SETSLOT NODE on a target that is not importing, as when the import was closed
// in between, takes effect when the owner gives the slot up: no slot is lost.
func TestSlotGivenToANodeThatDoesNotImportIt(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 0)
	a, b := w.nodes[0], w.nodes[1]
	slotOfA, slotOfB := a.view.Self.Slots.Ranges()[0].First, b.view.Self.Slots.Ranges()[0].First
	for _, move := range []struct {
		src, dst *testNode
		slot     slots.Slot
	}{{a, b, slotOfA}, {b, a, slotOfB}} {
		w.must(move.dst.do(SetSlot{Slot: move.slot, To: OwnedBy, Node: move.dst.m.Self()}))
		w.run(300*time.Millisecond, "", nil)
		w.must(move.src.do(SetSlot{Slot: move.slot, To: OwnedBy, Node: move.dst.m.Self()}))
		w.run(time.Second, "the slot moved", func() bool { return move.dst.owns(move.slot) && move.dst.leased() })
		w.run(2*assumeFor, "", nil)
		w.agree()
	}
}

func TestPartitionedPrimaryLosesItsLeaseFirst(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	for _, n := range w.nodes {
		n.cfg.NodeTimeout = 2 * time.Second
		n.step(Reconfigure{n.cfg})
	}
	w.run(time.Second, "", nil)
	w.cut = func(a, b *testNode) bool { return a == p }
	w.run(10*time.Second, "the replica owns the slots", func() bool {
		both := p.leased() && p.owns(0) && r.leased() && r.owns(0)
		if both {
			t.Fatal("two owners with a lease")
		}
		return r.leased() && r.owns(0)
	})
	w.cut = nil
	w.run(5*time.Second, "p follows", func() bool { return p.view.Self.IsReplica })
	w.agree()
}

func TestPrimaryBackWithinTheFailureServesOn(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 0)
	p := w.nodes[0]
	p.kill()
	w.run(2*time.Second, "it is marked as failing", func() bool { return w.nodes[1].view.Node(p.m.Self()).Fail })
	p.boot(false)
	w.run(3*time.Second, "it serves again", func() bool { return p.leased() && p.view.OK && w.nodes[1].view.OK })
	w.agree()
}

// A TAKEOVER gives slots, and no seat among the electors. On each side of a
// partition there is one half of the primaries that were not taken over: with
// the seat of the fifth both sides would be a majority.
func TestTakeoverTakesNoSeat(t *testing.T) {
	w := newNet(t)
	w.cluster(5, 1)
	p, r := w.nodes[0], w.nodes[5]
	far := map[*testNode]bool{p: true, w.nodes[1]: true, w.nodes[2]: true}
	p.kill()
	w.cut = func(a, b *testNode) bool { return far[a] != far[b] }
	w.must(r.do(Failover{FailoverTakeover}))
	if !r.owns(0) {
		t.Fatal("the takeover is not at once")
	}
	w.run(time.Second, "", nil)
	p.boot(false)
	w.run(3*time.Second, "the old primary, which has heard nothing, gets a lease", p.leased)
	for range 100 {
		if r.leased() {
			t.Fatal("the one that took over holds a lease beside the old primary")
		}
		w.run(10*time.Millisecond, "", nil)
	}
	w.cut = nil
	w.run(5*time.Second, "the one that took over gets its lease and its seat", func() bool {
		return r.leased() && p.view.Self.IsReplica && r.m.elector(r.m.self)
	})
	w.agree()
}
