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
