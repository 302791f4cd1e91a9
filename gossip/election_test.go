package gossip

import (
	"testing"
	"time"
)

// A candidate that stands because its primary failed, and hears that primary
// again before the votes are counted, does not take over: the primary lives and
// may have acknowledged what has not come here yet. Nor do the FAIL messages that
// are still under way, as broadcasts are for long, begin it all anew.
func TestCandidateStepsBackWhenItsPrimaryIsBack(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	for _, n := range w.nodes {
		n.cfg.NodeTimeout = 2 * time.Second
		n.step(Reconfigure{n.cfg})
	}
	w.run(time.Second, "", nil)
	w.cut = func(a, _ *testNode) bool { return a == p }
	w.run(5*time.Second, "the replica asks for votes", func() bool { return r.m.election.running != nil })
	w.cut = nil
	w.run(time.Millisecond, "", nil) // what was on its way about the failure is here
	for _, voter := range w.nodes[1:3] {
		withdrawn := reportMsg{1 << 40, []reportEntry{{p.m.Self(), false}}}
		r.step(Received{From: voter.m.Self(), Way: ByLink, Message: encode(voter.m.Self(), withdrawn)})
	}
	r.step(Received{From: p.m.Self(), Way: ByLink, Message: encode(p.m.Self(), progressMsg{130})})
	if r.m.members[p.m.Self()].fail || r.m.election.running == nil {
		t.Fatal("the primary should be back while the election runs")
	}
	w.run(5*time.Second, "the primary serves on", func() bool {
		if r.owns(0) {
			t.Fatal("the candidate took over from a primary that it hears")
		}
		return p.leased() && p.view.OK
	})
	w.agree()
}

// Two seats are replaced during one partition. The vote of a primary in whose
// seat somebody else may sit by now, as another voter knows, does not count: the
// majority that replaces the second seat and the one that goes with the first
// could be without a common voter.
func TestVoteOfADoubtfulSeatDoesNotCount(t *testing.T) {
	w := newNet(t)
	w.cluster(5, 2)
	p, r := w.nodes[:5], w.nodes[5:]
	doubtful := slotOf(p[1])
	// The first seat: r1 asks for p1's, which hears nothing of it, and wins it
	// with the votes of p2, p3 and p4.
	w.cut = func(a, b *testNode) bool { return a == r[1] && (b == p[0] || b == p[1]) }
	w.must(r[1].do(Failover{FailoverForce}))
	votedFor := func(n *testNode) bool {
		return n.m.election.votes[p[1].m.self.rec.Shard].Candidate == r[1].m.Self()
	}
	w.run(3*time.Second, "the three vote", func() bool { return votedFor(p[2]) && votedFor(p[3]) && votedFor(p[4]) })
	// What it then says reaches only p2, which is cut off with it.
	far := map[*testNode]bool{r[1]: true, p[2]: true}
	w.cut = func(a, b *testNode) bool { return far[a] != far[b] }
	w.run(time.Second, "it takes the seat", func() bool { return r[1].owns(doubtful) })
	// The second seat: of the four others only p3 and p4 are beyond doubt.
	p[0].kill()
	w.run(3*time.Second, "the replica of the killed one asks for votes", func() bool { return r[0].m.election.running != nil })
	w.run(3*time.Second, "", nil)
	if r[0].owns(slotOf(p[0])) {
		t.Fatal("it won with the vote of a seat that its voters had given to somebody else")
	}
	w.cut = nil
	w.run(5*time.Second, "it wins when the majority is whole again", func() bool {
		return r[0].owns(slotOf(p[0])) && r[0].leased() && r[1].owns(doubtful) && r[1].leased()
	})
	w.agree()
}
