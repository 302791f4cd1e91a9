package gossip

import "time"

// dataState is about a node that was started, or given another primary, without
// the data that its place asks for.
//
// A primary that came back without its data, or with files that may be older than
// what its replicas have, neither serves nor asks for a lease before they had
// their chance: one of them that has more takes over with its consent, which is
// its record's Empty or Recovered. A replica that was given to another shard has
// nothing of it until it has synced there, and says so with Empty too.
type dataState struct {
	servesEmpty bool // nobody has the data: it serves what it has

	// recovered is what this primary was started with, until its replicas have
	// compared theirs with it.
	recovered *Recovery
	firstSeq  uint64  // the first Seq of this life: what answers an older one is no answer
	yieldsTo  Instant // until when it waits for one that has more; 0 when none said so

	// comparedSeq and comparedAt are a replica's: what it answered last, and when.
	comparedSeq uint64
	comparedAt  Instant

	// foreign is true for a replica whose data are of another shard.
	foreign bool

	// touched is since when a majority has been in touch without a break, or 0.
	touched Instant
}

// lacksData reports whether this primary had slots, and lost their keys.
func (m *Machine) lacksData() bool {
	return m.startedWithSlots && !m.self.rec.Replica && m.self.nOwned > 0 && m.data.Empty && !m.dataKept.servesEmpty
}

func (m *Machine) mayServe() bool { return !m.lacksData() && m.dataKept.recovered == nil }

// announcedEmpty is what the own record says.
func (m *Machine) announcedEmpty() bool {
	return m.lacksData() || m.self.rec.Replica && (m.data.Empty || m.dataKept.foreign)
}

// yields reports whether n waits for a replica with more data to take over.
func (n *member) yields() bool { return !n.rec.Replica && (n.rec.Empty || n.rec.Recovered != nil) }

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

// settleData lets a primary that waits serve when no replica can help.
func (m *Machine) settleData() {
	if m.announcedEmpty() != m.self.rec.Empty {
		m.describeSelf()
		m.publishSelf()
	}
	m.settleEmpty()
	m.settleRecovered()
	m.compare()
}

// settleEmpty ends the wait of an empty primary when every replica that it or
// those in touch know of is empty, failed or forgotten: an empty primary that
// serves wipes whoever follows it.
func (m *Machine) settleEmpty() {
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
	m.serveNow()
}

// settleRecovered ends the wait of a primary with files when every replica that
// is in touch has compared its data with them and none has more. Who has more is
// waited for, and not for ever: its chance is as long as a node may be silent
// before it counts as failed.
func (m *Machine) settleRecovered() {
	d := &m.dataKept
	if d.recovered == nil {
		return
	}
	if m.self.nOwned == 0 {
		d.recovered = nil
		m.serveNow()
		return
	}
	asked := m.askedAround()
	for _, n := range m.order {
		if n == m.self || !m.mayHaveData(n) || n.fail {
			continue
		}
		switch {
		case !n.rec.Replica || n.compared < d.firstSeq:
			// What its record said before this start, Empty say, may be over.
			if !asked {
				return
			}
		case n.ahead && !n.rec.NoFailover:
			if d.yieldsTo == 0 {
				d.yieldsTo = m.now + m.cfg.NodeTimeout
				m.log("Replica %s has data that this primary was started without: it may take over.", n.rec.ID)
			}
			if m.now < d.yieldsTo {
				return
			}
			m.warn("Replica %s has data that this primary was started without, and did not take over: serving without them.", n.rec.ID)
		}
	}
	d.recovered = nil
	m.serveNow()
}

// serveNow publishes that a wait is over.
func (m *Machine) serveNow() {
	m.describeSelf()
	m.publishSelf()
	m.view.dirty = true
}

// compareAgain is how often a replica repeats its answer: messages get lost.
const compareAgain = 50 * time.Millisecond

// compare tells the primary that was started from files whether this replica
// has more than it.
func (m *Machine) compare() {
	d := &m.dataKept
	p := m.members[m.self.rec.Primary]
	if !m.self.rec.Replica || p == nil || p.rec.Recovered == nil || d.comparedSeq == p.rec.Seq && m.now-d.comparedAt < compareAgain {
		return
	}
	d.comparedSeq, d.comparedAt = p.rec.Seq, m.now
	m.send(p.rec.ID, comparedMsg{p.rec.Seq, m.ahead(p)})
}

// ahead reports whether this replica's data go on from what p recovered. If p
// recovered another history than the one that this replica followed p in, it has
// files of a time before.
func (m *Machine) ahead(p *member) bool {
	r, own := p.rec.Recovered, &m.data
	switch {
	case r == nil || m.announcedEmpty():
		return false
	case own.History == r.History, own.Past == r.History && own.Shared >= r.Offset:
		return own.Offset > r.Offset
	default:
		return m.synced
	}
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
