package gossip

import (
	"time"

	"slotmesh/slots"
)

// handoverState is a manual failover under way, as replica or as primary.
//
//	replica                         primary
//	  ask  ------------------------>  hold new writes, drain
//	  consent (offset, Seq) <-------  drained: give the lease up
//	  apply up to the offset,
//	  stand with the consent ------>  voters
//
// From its consent on the primary acknowledges nothing, until it is a replica
// or until it gives up waiting: it then raises its Seq, which voids the
// consent with every voter that grants it a lease again. A voter that has
// granted the vote grants the primary nothing, so that it can only come back by
// votes of its own (becauseReclaim). Lost messages cost time and nothing else.
type handoverState struct {
	// As replica.
	token      uint64 // 0: none
	deadline   Instant
	askedAt    Instant
	agreed     bool // the consent has come
	offset     int64
	consentSeq uint64
	forced     bool // CLUSTER FAILOVER FORCE

	// As primary.
	heir       slots.NodeID // zero: none
	heirToken  uint64
	heirUntil  Instant
	gaveUp     bool // the consent is out
	gaveOffset int64
}

const (
	handoverLast  = 5 * time.Second
	handoverAgain = 50 * time.Millisecond
)

// consented reports whether this primary has given its lease up.
func (h *handoverState) consented() bool { return !h.heir.IsZero() && h.gaveUp }

// draining reports whether this primary holds new writes.
func (h *handoverState) draining() bool { return !h.heir.IsZero() }

// agreedAt reports whether the primary's consent is here and the data are
// complete at offset.
func (h *handoverState) agreedAt(offset int64) bool {
	return h.token != 0 && h.agreed && offset >= h.offset
}

// startHandover is the replica's: CLUSTER FAILOVER without or with FORCE.
func (m *Machine) startHandover(forced bool) {
	m.handover = handoverState{token: m.rng.Uint64() | 1, deadline: m.now + handoverLast, forced: forced}
	m.election.why, m.election.running = 0, nil
	if forced {
		m.log("Forced failover user request accepted.")
		m.tickElection()
		return
	}
	m.log("Manual failover user request accepted.")
	m.askHandover()
}

func (m *Machine) askHandover() {
	m.handover.askedAt = m.now
	m.send(m.self.rec.Primary, handoverMsg{Step: handoverAsk, Token: m.handover.token})
}

func (m *Machine) tickHandover() {
	h := &m.handover
	if h.token != 0 {
		switch {
		case m.now >= h.deadline || !m.self.rec.Replica:
			m.log("Manual failover timed out.")
			if m.self.rec.Replica && !h.forced {
				m.send(m.self.rec.Primary, handoverMsg{Step: handoverCancel, Token: h.token})
			}
			m.handover = handoverState{}
			m.view.dirty = true
		case !h.forced && m.now-h.askedAt >= handoverAgain:
			m.askHandover()
		}
	}
	if h.heir.IsZero() {
		return
	}
	if m.now >= h.heirUntil || m.self.rec.Replica {
		m.endHolding()
		return
	}
	if !h.gaveUp && m.data.Drained {
		h.gaveUp = true
		h.gaveOffset = m.data.Offset
		m.sendConsent()
	}
}

func (m *Machine) sendConsent() {
	h := &m.handover
	m.send(h.heir, handoverMsg{Step: handoverConsent, Token: h.heirToken, Offset: h.gaveOffset, Seq: m.self.rec.Seq})
}

// endHolding lets writes go on. A consent that was given is void from here.
func (m *Machine) endHolding() {
	if m.handover.gaveUp {
		m.claims.selfDirty = true
		m.lease.ask = true
	}
	m.handover = handoverState{}
	m.view.dirty = true
	if !m.self.rec.Replica {
		m.log("Manual failover timed out.")
	}
}

func (m *Machine) handoverStep(n *member, b handoverMsg) {
	h := &m.handover
	switch b.Step {
	case handoverAsk:
		m.handoverAsked(n, b)
	case handoverConsent:
		if h.token == b.Token && h.token != 0 && n.rec.ID == m.self.rec.Primary {
			h.agreed, h.offset, h.consentSeq = true, b.Offset, b.Seq
			m.tickElection()
		}
	case handoverRefuse:
		if h.token == b.Token && h.token != 0 && n.rec.ID == m.self.rec.Primary {
			m.log("Manual failover refused by the primary.")
			m.handover = handoverState{}
		}
	case handoverCancel:
		if h.heir == n.rec.ID && h.heirToken == b.Token {
			m.endHolding()
		}
	}
}

func (m *Machine) handoverAsked(n *member, b handoverMsg) {
	h := &m.handover
	switch {
	case m.self.rec.Replica || m.self.nOwned == 0 || !m.mayServe() || n.rec.Primary != m.self.rec.ID || !n.rec.Replica,
		!h.heir.IsZero() && (h.heir != n.rec.ID || h.heirToken != b.Token):
		m.send(n.rec.ID, handoverMsg{Step: handoverRefuse, Token: b.Token})
	case h.heir.IsZero():
		m.log("Manual failover requested by replica %s.", n.rec.ID)
		m.handover = handoverState{heir: n.rec.ID, heirToken: b.Token, heirUntil: m.now + handoverLast}
		// A drain that was over before this hold began says nothing of it.
		m.data.Drained = false
		m.view.dirty = true
	case h.gaveUp:
		m.sendConsent()
	}
}

// dataState is about a primary that came back without its data. It neither
// serves nor asks for a lease before its replicas had their chance: one of
// them that has data takes over with its consent, which is its record's Empty.
type dataState struct {
	servesEmpty bool // nobody has the data: it serves what it has
	// touched is since when a majority has been in touch without a break, or 0.
	touched Instant
}

// lacksData reports whether this primary had slots, and lost their keys.
func (m *Machine) lacksData() bool {
	return m.startedWithSlots && !m.self.rec.Replica && m.self.nOwned > 0 && m.data.Empty && !m.dataKept.servesEmpty
}

func (m *Machine) mayServe() bool { return !m.lacksData() }

// announcedEmpty is what the own record says.
func (m *Machine) announcedEmpty() bool {
	return m.lacksData() || m.self.rec.Replica && m.data.Empty
}

// emptyWait is for how long a majority must have been in touch with an empty
// primary before it may conclude that nobody has its data. What it remembers of
// its replicas may be old: while it was down, or cut off, a former primary of
// the shard may have become one. So it counts from when others can be heard,
// not from the start, and by the end of it they have been asked.
const emptyWait = 500 * time.Millisecond

// heardMajority reports whether a majority of the electors is in touch.
func (m *Machine) heardMajority() bool {
	heard := 0
	for _, n := range m.claims.electors {
		if n == m.self || m.elector(n) && n.everHeard && n.complete() && !n.pfail && !n.fail {
			heard++
		}
	}
	return heard >= m.majority() || len(m.claims.electors) == 0
}

// settleData lets an empty primary serve when no replica can help: when every
// replica that it or those in touch know of is empty, failed or forgotten. An
// empty primary that serves wipes whoever follows it.
func (m *Machine) settleData() {
	if m.announcedEmpty() != m.self.rec.Empty {
		m.describeSelf()
		m.publishSelf()
	}
	if !m.lacksData() || !m.askedAround() {
		return
	}
	for _, n := range m.order {
		if n != m.self && m.mayHaveData(n) && !n.rec.Empty && !n.fail {
			return
		}
	}
	m.dataKept.servesEmpty = true
	m.warn("The data of this primary's %d slots is gone and no replica has it: serving an EMPTY dataset.", m.self.nOwned)
	m.describeSelf()
	m.publishSelf()
	m.view.dirty = true
}

// mayHaveData reports whether n is a replica of this node, or is about to be: a
// primary of this shard that still claims what others own has yet to hear that
// it was replaced.
func (m *Machine) mayHaveData(n *member) bool {
	if n.rec.Replica {
		return n.rec.Primary == m.self.rec.ID
	}
	return n.rec.Shard == m.self.rec.Shard && n.claims() > n.nOwned
}

// askedAround reports whether a majority has been in touch for a while, and
// whoever of the electors is in touch has told all that it knows since. Of very
// many electors some are enough: they tell each other.
func (m *Machine) askedAround() bool {
	d := &m.dataKept
	if !m.heardMajority() {
		d.touched = 0
		return false
	}
	if d.touched == 0 {
		d.touched = max(m.now, 1)
	}
	// An answer that was on its way for longer may be from before.
	ask := d.touched + emptyWait/2
	if m.now < ask {
		return false
	}
	all, asked := m.now >= d.touched+emptyWait, 0
	for _, n := range m.claims.electors {
		if n == m.self || !n.reachable() || n.pfail || n.fail {
			continue
		}
		if n.toldAll < ask {
			all = false
			if m.spaced(n, emptyWait/4) {
				m.send(n.rec.ID, wantMsg{})
			}
		}
		if asked++; asked == fewLinks {
			break
		}
	}
	return all
}
