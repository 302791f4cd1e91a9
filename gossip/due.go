package gossip

import "time"

// How long a Tick may be away: while something is under way that moves on with
// time, while something is wrong, and in a calm cluster, where each one wakes an
// idle process for nothing but to look for silence.
const (
	tickSoon     = 10 * time.Millisecond
	tickWatchful = 50 * time.Millisecond
	tickCalm     = 200 * time.Millisecond
)

// Due is when the next Tick must come at the latest. Every Step may change it.
func (m *Machine) Due() Instant {
	if why, _ := m.reasonToStand(); why != m.election.why {
		return m.now // an election begins, or ends, with the tick
	}
	switch {
	case m.moving():
		return m.lastTick + tickSoon
	case m.troubled():
		return m.lastTick + tickWatchful
	}
	// A silent node is noticed this much later.
	due := m.lastTick + min(max(m.cfg.NodeTimeout/20, tickWatchful), tickCalm)
	if m.needsRenewals() {
		due = min(due, m.lease.askedAt+m.renewEvery())
	}
	return due
}

// moving reports whether something is under way whose next step time decides.
func (m *Machine) moving() bool {
	if m.election.why != 0 || m.handover.token != 0 || m.handover.draining() || !m.mayServe() || len(m.meets) > 0 {
		return true
	}
	if m.needsRenewals() && m.now >= m.lease.until {
		return true
	}
	for _, n := range m.order {
		if (n.hinted || n.pfail) && !n.fail || n.heirless {
			return true
		}
	}
	return false
}

// troubled reports whether this node waits for others to set things right.
func (m *Machine) troubled() bool {
	c := &m.claims
	if !m.view.ok || len(c.awaited)+len(c.masked)+len(c.assumed) > 0 {
		return true
	}
	for _, n := range m.order {
		if n.fail {
			return true
		}
	}
	return false
}
