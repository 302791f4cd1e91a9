package gossip

import (
	"testing"
	"time"
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
