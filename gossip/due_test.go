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

// A primary that serves nobody asks for longer leases, and for short ones again
// as soon as it serves. Its lease never ends in between, and whoever replaces it
// waits for the end of what it was granted.
func TestCalmLeases(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 1)
	p, r := w.nodes[0], w.nodes[3]
	length := func() time.Duration { return p.lease - p.m.lease.askedAt }
	longest := func(d time.Duration) (most time.Duration) {
		for end := w.now + d; w.now < end; {
			w.run(10*time.Millisecond, "", nil)
			if !p.leased() {
				t.Fatalf("no lease at %v", w.now)
			}
			most = max(most, length())
		}
		return most
	}
	short, long := p.m.leaseFor(3), p.m.calmLeaseFor(3)
	if got := longest(4 * time.Second); got > short {
		t.Errorf("a lease of %v while it serves, at most %v is right", got, short)
	}
	w.calm = true
	if got := longest(4 * time.Second); got <= short || got > long {
		t.Errorf("a lease of %v while it serves nobody, more than %v and at most %v is right", got, short, long)
	}
	w.calm = false
	longest(long)
	if got := longest(2 * time.Second); got > short {
		t.Errorf("a lease of %v when it serves again", got)
	}

	w.calm = true
	longest(4 * time.Second)
	p.kill()
	until := p.lease
	w.run(5*time.Second, "the replica took over", func() bool { return r.owns(0) && r.leased() })
	if w.now < until {
		t.Errorf("replaced at %v, before the lease ended at %v", w.now, until)
	}
}

// What was granted when a lease was shorter does not count for a longer one.
func TestLongerTimeoutIsAskedAnew(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 0)
	p := w.nodes[0]
	cfg := p.m.cfg
	cfg.NodeTimeout = 200 * time.Millisecond
	for _, n := range w.nodes {
		n.step(Reconfigure{cfg})
	}
	w.run(time.Second, "", nil)
	promised := func() (until Instant) {
		for _, n := range w.nodes[1:] {
			until = max(until, n.m.members[p.m.self.rec.ID].promised)
		}
		return until
	}
	cfg.NodeTimeout = 20 * time.Second
	w.cut = func(from, to *testNode) bool { return to == p }
	p.step(Reconfigure{cfg})
	p.step(Tick{Served: true})
	if p.lease > promised() {
		t.Errorf("a lease until %v, and the others promised until %v", p.lease, promised())
	}
	w.cut = nil
	w.run(time.Second, "a lease", p.leased)
}
