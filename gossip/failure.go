package gossip

import (
	"time"

	"slotmesh/slots"
)

// failureState is this node's side of failure detection.
//
// PFAIL is its own evidence: silence for NodeTimeout although asked, or
// refused connections from a node that was alive before, once no lease
// granted to it is running. A stopped process accepts connections and says
// nothing: that is silence.
//
// FAIL is PFAIL plus fresh reports by a majority of the electors, or the word
// of a node that saw that majority.
type failureState struct {
	stamp      uint64 // of the last report sent
	reportedAt Instant
	progressAt Instant
	toldOffset int64
	mateAt     Instant
	mateOffset int64
}

func (f *failureState) init() {}

// report is what one elector last said about one node.
type report struct {
	stamp   uint64
	at      Instant
	failing bool
}

const (
	refusalsNeeded = 2
	refusalSpacing = 30 * time.Millisecond
)

func (m *Machine) reportEvery() time.Duration {
	return min(max(m.cfg.NodeTimeout/4, 100*time.Millisecond), time.Second)
}

// reportLife is how long a report counts. It is repeated several times in it.
func (m *Machine) reportLife() time.Duration { return max(m.cfg.NodeTimeout, time.Second) }

// forgive moves all that was last heard by a gap in which this node did not run.
func (f *failureState) forgive(m *Machine, gap time.Duration) {
	for _, n := range m.order {
		n.heard = min(n.heard+gap, m.now)
		if n.pingSent != 0 {
			n.pingSent = min(n.pingSent+gap, m.now)
		}
	}
}

// hear notes a sign of life of n.
func (m *Machine) hear(n *member) {
	n.heard, n.everHeard = m.now, true
	n.refusals, n.hinted, n.dials = 0, false, 0
	m.age(n)
	if n.pfail {
		n.pfail = false
		n.touch()
		m.view.dirty = true
		m.tellReports([]reportEntry{{n.rec.ID, false}})
	}
	m.tryClearFail(n)
}

// tryClearFail ends FAIL for a node that answers: at once when it owns
// nothing, and for an owner when the reports that made it are withdrawn. A
// majority that still cannot reach an owner must be able to replace it, so
// that one node's hearing it is not enough.
func (m *Machine) tryClearFail(n *member) {
	if !n.fail || n.pfail || n.heard < n.failSince {
		return
	}
	if n.nOwned > 0 && m.countReports(n) >= m.majority() {
		return
	}
	n.fail = false
	n.touch()
	m.view.dirty = true
	m.log("Clear FAIL state for node %s: it is reachable again.", n.rec.ID)
}

func (m *Machine) linkUp(id slots.NodeID) {
	n := m.members[id]
	if n == nil || n == m.self {
		return
	}
	n.linked = true
	n.touch()
	m.view.dirty = true
	m.hear(n)
	m.send(id, recordMsg{m.self.copyRecord(allWindows)})
	m.ping(n)
}

func (m *Machine) linkDown(ev LinkDown) {
	n := m.members[ev.Node]
	if n == nil || n == m.self {
		return
	}
	if n.linked {
		n.linked = false
		n.nextDial = m.now + dialFirst // the bus dials once by itself
		n.touch()
		m.view.dirty = true
	}
	if ev.Refused && (n.refusals == 0 || m.now-n.refusedAt >= refusalSpacing) {
		n.refusals++
		n.refusedAt = m.now
	}
	m.probe(n)
}

// probe asks n for a sign of life soon and repeatedly, until it gives one.
func (m *Machine) probe(n *member) {
	n.hinted = true
	if m.now-n.lastPing >= refusalSpacing {
		m.ping(n)
	}
	m.judge(n)
}

func (m *Machine) ping(n *member) {
	n.lastPing = m.now
	if n.pingSent == 0 {
		n.pingSent = m.now
	}
	m.age(n)
	m.send(n.rec.ID, m.pingBody(uint64(m.now)))
}

func (m *Machine) pingBody(nonce uint64) pingMsg {
	return pingMsg{Nonce: nonce, Seq: m.self.rec.Seq, CurrentEpoch: m.currentEpoch, Offset: m.data.Offset}
}

func (m *Machine) answerPing(n *member, b pingMsg) {
	m.takePing(n, b)
	m.send(n.rec.ID, pongMsg{m.pingBody(b.Nonce), n.IP()})
}

func (m *Machine) pong(n *member, b pongMsg) {
	m.takePing(n, b.pingMsg)
	n.pongReceived = m.now
	n.pingSent = 0
	if b.YourIP != "" && m.cfg.Address.IP == "" && m.self.ip == "" {
		m.self.ip = b.YourIP
		m.self.touch()
		m.claims.tableDirty, m.view.dirty = true, true
	}
}

func (m *Machine) takePing(n *member, b pingMsg) {
	m.raiseEpoch(b.CurrentEpoch)
	m.setOffset(n, b.Offset)
	if b.Seq > n.rec.Seq {
		m.want(n, nil)
	}
}

func (m *Machine) setOffset(n *member, offset int64) {
	if n.offset == offset {
		return
	}
	if (n.offset == 0) != (offset == 0) {
		n.touch()
		m.view.dirty = true
	}
	n.offset = offset
	m.age(n)
}

// tickFailure asks those who are silent, judges them, and repeats reports.
func (m *Machine) tickFailure() {
	half := m.cfg.NodeTimeout / 2
	again := min(max(m.cfg.NodeTimeout/8, 50*time.Millisecond), time.Second)
	for _, n := range m.order {
		if n == m.self {
			continue
		}
		switch since := m.now - n.lastPing; {
		case n.hinted && since >= refusalSpacing+10*time.Millisecond && (m.now-n.heard < m.cfg.NodeTimeout || since >= again):
			m.ping(n)
		case m.now-n.heard > half && since >= again:
			m.ping(n)
		}
		m.judge(n)
		m.tryClearFail(n)
		if n.pfail && !n.fail {
			m.checkFail(n)
		}
	}
	if m.elector(m.self) && m.now-m.failure.reportedAt >= m.reportEvery() {
		m.failure.reportedAt = m.now
		var entries []reportEntry
		for _, n := range m.order {
			if n.pfail && len(entries) < maxReports {
				entries = append(entries, reportEntry{n.rec.ID, true})
			}
		}
		m.tellReports(entries)
	}
	m.tellProgress()
}

// maxReports fit one broadcast.
const maxReports = 50

// judge decides PFAIL for n.
func (m *Machine) judge(n *member) {
	if n.pfail {
		return
	}
	silent := m.now-n.heard > m.cfg.NodeTimeout && n.pingSent != 0 && m.now-n.pingSent > m.cfg.NodeTimeout/4
	refused := n.everHeard && n.refusals >= refusalsNeeded && m.now >= n.promised
	if !silent && !refused {
		return
	}
	n.pfail = true
	n.touch()
	m.view.dirty = true
	m.log("*** NODE %s possibly failing", n.rec.ID)
	m.tellReports([]reportEntry{{n.rec.ID, true}})
	if m.self.rec.Replica && m.self.rec.Primary == n.rec.ID {
		m.tellMates()
	}
	m.checkFail(n)
}

// tellReports spreads this node's evidence, when it counts, and to the
// replicas of the accused in any case over links: they are in a hurry.
func (m *Machine) tellReports(entries []reportEntry) {
	if len(entries) == 0 || !m.elector(m.self) {
		return
	}
	m.failure.stamp = max(m.failure.stamp+1, m.self.rec.Seq<<16)
	b := reportMsg{Stamp: m.failure.stamp, Entries: entries}
	m.spread("report/"+m.self.rec.ID.String()+"/"+entries[0].Node.String(), b)
	if len(m.order) <= fewLinks {
		return
	}
	for _, n := range m.order {
		if n.rec.Replica && n.linked && n.rec.Primary == entries[0].Node {
			m.send(n.rec.ID, b)
		}
	}
}

func (m *Machine) applyReport(from *member, b reportMsg) {
	for _, e := range b.Entries {
		n := m.members[e.Node]
		if n == nil || n == from || n == m.self {
			continue
		}
		// An older word than the last one is a late copy, not news.
		if r, had := n.reports[from.rec.ID]; had && (b.Stamp <= r.stamp || m.faults.StaleReports && r.failing) {
			continue
		}
		n.reports[from.rec.ID] = report{b.Stamp, m.now, e.Failing}
		m.age(n)
		if e.Failing {
			m.checkFail(n)
		} else {
			m.tryClearFail(n)
		}
	}
}

// countReports counts the electors whose fresh word is that n fails, this node
// included.
func (m *Machine) countReports(n *member) int {
	count := 0
	for id, r := range n.reports {
		if r.failing && (m.now-r.at <= m.reportLife() || m.faults.StaleReports) {
			if o := m.members[id]; o != nil && m.elector(o) {
				count++
			}
		}
	}
	if n.pfail && m.elector(m.self) {
		count++
	}
	return count
}

func (m *Machine) checkFail(n *member) {
	if n.fail || !n.pfail || m.countReports(n) < m.majority() || len(m.claims.electors) == 0 {
		return
	}
	m.log("Marking node %s as failing (quorum reached).", n.rec.ID)
	m.markFail(n)
	m.spread("fail/"+n.rec.ID.String(), failMsg{n.rec.ID, n.rec.Seq})
}

// sees reports whether n is in touch with this node beyond doubt.
func (m *Machine) sees(n *member) bool {
	return n.linked && !n.pfail && !n.hinted && m.now-n.heard < m.leaseFor(len(m.claims.electors))
}

func (m *Machine) markFail(n *member) {
	n.fail = true
	n.failSince = m.now
	n.touch()
	m.view.dirty = true
}

// applyFail believes a node that saw the majority, unless the accused has
// spoken anew since, or lives before this node's eyes while no majority says
// otherwise any more: a message that was long on its way must not have a primary
// replaced that is back.
func (m *Machine) applyFail(from *member, b failMsg) {
	n := m.members[b.Node]
	if n == nil || n == m.self || n == from || n.fail || b.Seq < n.rec.Seq {
		return
	}
	if m.sees(n) && m.countReports(n) < m.majority() {
		return
	}
	m.log("FAIL message received from %s about %s", from.rec.ID, n.rec.ID)
	m.markFail(n)
}

// tellProgress spreads this node's offset now and then: CLUSTER SLOTS and the
// replicas' ranks need it.
func (m *Machine) tellProgress() {
	f := &m.failure
	if m.data.Offset != f.toldOffset && m.now-f.progressAt >= max(time.Second, time.Duration(len(m.order))*10*time.Millisecond) ||
		m.data.Offset != f.toldOffset && (m.data.Offset == 0 || f.toldOffset == 0) {
		f.progressAt, f.toldOffset = m.now, m.data.Offset
		m.broadcast("offset/"+m.self.rec.ID.String(), progressMsg{m.data.Offset})
	}
	if m.data.Offset != f.mateOffset && m.now-f.mateAt >= 250*time.Millisecond {
		m.tellMates()
	}
}

// tellMates tells the rest of the shard this node's offset.
func (m *Machine) tellMates() {
	m.failure.mateAt, m.failure.mateOffset = m.now, m.data.Offset
	for _, n := range m.order {
		if n != m.self && n.rec.Shard == m.self.rec.Shard && n.reachable() {
			m.send(n.rec.ID, progressMsg{m.data.Offset})
		}
	}
}

func (m *Machine) replicated(ev Replication) {
	m.data = ev
	if (ev.LinkUp || ev.Synced) && m.self.rec.Replica {
		m.synced, m.dataKept.foreign = true, false
	}
	m.self.offset = ev.Offset
	m.age(m.self)
	m.describeSelf()
	m.tickHandover()
	m.tickElection()
}
