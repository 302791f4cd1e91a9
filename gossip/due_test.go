package gossip

import (
	"testing"
	"time"
)

// In a calm cluster a node is woken for its renewals and to look for silence, and
// when something moves, as often as that needs.
func TestTicksComeWhenTheyAreDue(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, q, r := w.nodes[0], w.nodes[1], w.nodes[3]
	due := func(n *testNode) time.Duration { return n.m.Due() - n.m.lastTick }
	w.run(time.Second, "calm replicas", func() bool { return due(r) == tickCalm })
	if got := p.m.Due() - p.m.lease.askedAt; got > p.m.leaseFor(3)/2 {
		t.Errorf("the next renewal is due %v after the last", got)
	}
	p.kill()
	w.run(time.Second, "the link's end is noticed", func() bool { return due(q) == tickSoon && due(r) == tickSoon })
	w.run(3*time.Second, "the replica has reason to stand", func() bool {
		why, _ := r.m.reasonToStand()
		return why == becauseFail
	})
	if r.m.election.why == 0 && r.m.Due() > w.now {
		t.Errorf("the election begins only %v later", r.m.Due()-w.now)
	}
	w.run(3*time.Second, "the replica took over", func() bool { return r.owns(0) && r.leased() })
	w.run(time.Second, "one node has failed", func() bool { return due(w.nodes[4]) == tickWatchful })
	p.boot(false)
	w.run(3*time.Second, "calm again", func() bool { return due(w.nodes[4]) == tickCalm })
}

// The primaries of a calm cluster ask for their leases at one time.
func TestPrimariesRenewTogether(t *testing.T) {
	w := newNet(t)
	w.cluster(5, 0)
	w.run(time.Second, "", nil)
	w.run(time.Second, "all asked within 10 ms", func() bool {
		first, last := w.nodes[0].m.lease.askedAt, Instant(0)
		for _, n := range w.nodes {
			first, last = min(first, n.m.lease.askedAt), max(last, n.m.lease.askedAt)
		}
		return last-first <= 10*time.Millisecond
	})
	for range 100 {
		w.run(10*time.Millisecond, "", nil)
		for _, n := range w.nodes {
			if !n.leased() {
				t.Fatalf("%s has no lease", n.name)
			}
		}
	}
}
