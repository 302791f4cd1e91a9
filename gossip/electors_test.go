package gossip

import (
	"slices"
	"testing"
	"time"

	"slotmesh/slots"
)

// Three of five seats are replaced while two primaries are cut off, and the first
// that these hear of it is the word of two of the replaced: that they are replicas
// now. To take themselves and the one they have heard nothing from for all the
// primaries there are would make them a majority.
func TestReplacedElectorIsMissedUntilItsHeirIsKnown(t *testing.T) {
	w := newNet(t)
	w.cluster(5, 5)
	p, r := w.nodes[:5], w.nodes[5:]
	for _, n := range w.nodes {
		n.cfg.NodeTimeout = 2 * time.Second
		n.step(Reconfigure{n.cfg})
	}
	w.run(time.Second, "", nil)
	far := map[*testNode]bool{p[0]: true, p[1]: true}
	w.cut = func(a, b *testNode) bool { return far[a] != far[b] }
	w.run(5*time.Second, "the replicas of the two take over", func() bool { return r[0].leased() && r[1].leased() })
	for i := 2; i < 4; i++ {
		w.must(r[i].do(Failover{FailoverForce}))
		w.run(3*time.Second, "two more take over", func() bool { return r[i].leased() && p[i].view.Self.IsReplica })
	}
	w.run(time.Second, "", nil)
	slot := slotOf(p[0])
	for _, n := range p[:2] {
		for _, old := range p[2:4] {
			word := encode(old.m.Self(), recordMsg{old.m.self.copyRecord(allWindows)})
			n.step(Received{From: old.m.Self(), Way: ByLink, Message: word})
		}
		if n.view.Node(p[2].m.Self()).IsReplica != true || len(n.m.claims.electors) != 5 {
			t.Fatalf("%s counts %d electors", n.name, len(n.m.claims.electors))
		}
		n.saved = n.m.encodeConfig()
		again, err := New(Options{Config: n.cfg, Saved: n.saved, Rand: w.rng, Now: w.now})
		if err != nil || again.claims.electorsDigest != n.m.claims.electorsDigest {
			t.Fatalf("after a restart it counts %d electors (%v)", len(again.claims.electors), err)
		}
	}
	for range 300 {
		if p[0].leased() && p[0].owns(slot) {
			t.Fatal("two old primaries are a majority")
		}
		w.run(10*time.Millisecond, "", nil)
	}
	w.cut = nil
	w.run(5*time.Second, "the old primaries follow", func() bool { return p[0].view.Self.IsReplica && p[1].view.Self.IsReplica })
	w.agree()
	for _, n := range w.nodes {
		if len(n.m.claims.electors) != 5 || n.m.claims.electorsDigest != r[0].m.claims.electorsDigest {
			t.Errorf("%s counts %d electors in the end", n.name, len(n.m.claims.electors))
		}
	}
}

// Whoever became a replica after its slots had been moved away has no heir. A node
// that was cut off meanwhile, and hears that first, waits for the claims on the
// slots only.
func TestElectorThatGaveItsSlotsAwayHasNoHeir(t *testing.T) {
	w := newNet(t)
	w.cluster(4, 0)
	x := w.start("x")
	w.must(x.do(Meet{IP: "127.0.0.1", Port: 7000, BusPort: 17000}))
	w.run(3*time.Second, "x joined", func() bool { return len(w.nodes[1].view.Nodes) == 5 && len(x.view.Nodes) == 5 })
	gone, heir, off := w.nodes[0], w.nodes[1], w.nodes[3]
	w.cut = func(a, b *testNode) bool { return a == off }
	for slot := range gone.view.Self.Slots.All() {
		w.must(heir.do(SetSlot{Slot: slot, To: Importing, Node: gone.m.Self()}))
		w.must(gone.do(SetSlot{Slot: slot, To: Migrating, Node: heir.m.Self()}))
		w.run(2*time.Second, "the target takes the slot", func() bool {
			return heir.do(SetSlot{Slot: slot, To: OwnedBy, Node: heir.m.Self()}) == nil
		})
		w.must(gone.do(SetSlot{Slot: slot, To: OwnedBy, Node: heir.m.Self()}))
		if slot == 40 {
			break
		}
	}
	w.must(gone.do(DelSlots{slices.Collect(gone.view.Self.Slots.All())})) // the rest goes at once
	w.run(2*vacateFor, "", nil)
	var rest []slots.Slot
	for slot := range slots.Slot(slots.Count) {
		if heir.view.Table.Owner[slot] == slots.None {
			rest = append(rest, slot)
		}
	}
	w.must(heir.do(AddSlots{rest}))
	w.run(time.Second, "", nil)
	w.must(gone.do(Replicate{Primary: x.m.Self()}))
	word := encode(gone.m.Self(), recordMsg{gone.m.self.copyRecord(allWindows)})
	off.step(Received{From: gone.m.Self(), Way: ByLink, Message: word})
	if n := off.m.members[gone.m.Self()]; !n.heirless {
		t.Fatal("it should wait for whoever has the slots")
	}
	w.cut = nil
	w.run(3*time.Second, "it knows who has them", func() bool {
		return !off.m.members[gone.m.Self()].heirless && off.leased() && off.view.OK
	})
	w.agree()
}
