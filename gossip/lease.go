package gossip

import (
	"cmp"
	"slices"
	"time"

	"slotmesh/slots"
)

// The fence. A primary may acknowledge only while a majority of the electors
// has granted it a lease for the claim that it stands on. Why no two nodes
// acknowledge for one slot at the same time:
//
//   - A voter grants to X only when no greater claim on X's slots is known to
//     it, when X's whole record is, and, if X took slots without consent, when
//     what it promised to their last owner is over (holdUntil).
//   - Both sides counted the same electors (the digest), and a grant by an
//     elector that another grantor has voted against is not counted
//     (Excluded): so that, whether the electorate changed by one node's coming
//     or going or by one replacing another, two majorities share a voter. Who
//     was replaced keeps its place until its heir is known (settleElectors), so
//     that a node that hears of many changes at once counts no fewer seats.
//   - The holder counts from its asking, the voter from its answering.
//   - A grant belongs to a record's Seq. After slots were gained only grants
//     for the record that names them count: a majority knows a claim before
//     anything is acknowledged under it.
//
// A node that comes to its first slots, or that took its primary's by TAKEOVER,
// which asks nobody, becomes an elector when the electors before it have granted
// its first lease. Each TAKEOVER so takes a seat away until then, and of two
// majorities that differ by one seat less, one voter is common. (Several at once
// can make a majority of those that a lost site has left over. That is what
// they are for, and why nobody may order them while the site lives.)
type leaseState struct {
	barred  []slots.NodeID // and asked: scratch of countGrants
	asked   []Instant
	until   Instant
	needSeq uint64 // grants for an older record do not count
	// epochKnown is true while a majority knows this node's current epoch: see
	// mayBump.
	epochKnown bool
	askedAt    Instant
	ask        bool // ask at the next opportunity
	// What was asked before countFrom was for another length than what is asked
	// now, and does not count.
	countFrom Instant
	servedAt  Instant // when clients were last seen to be served
	calmFrom  Instant // what is asked from then on is for a calm lease; 0 when busy
	digest    uint64
	staleAt   Instant // since when there has been no valid lease, or 0

	// votedEpoch is the greatest epoch of a vote against this node that a
	// voter told it of; votedAt is when it first did.
	votedEpoch uint64
	votedAt    Instant

	// promisedMost is the longest lease that this node granted, rounded up. It
	// is saved, so that after a restart it knows how long to keep promises
	// that it has forgotten.
	promisedMost time.Duration
	// inherited is until when the seat's promises of before this node may run.
	inherited Instant

	synced map[slots.NodeID]Instant
}

type grant struct {
	given    bool
	asked    Instant
	seq      uint64
	current  uint64
	electors uint64
	excluded []slots.NodeID
}

func (l *leaseState) init() {
	l.synced = map[slots.NodeID]Instant{}
}

func (l *leaseState) forget(id slots.NodeID) {
	delete(l.synced, id)
}

const (
	leaseLeast     = 300 * time.Millisecond
	leasePerVoter  = 10 * time.Millisecond
	leaseMost      = 30 * time.Second
	leaseBounds    = 2 * leaseMost // what a voter believes at most
	leaseAskFastly = 20 * time.Millisecond
	// A primary that has served nobody for calmAfter asks for leases that are
	// longer by calmFactor: renewing is most of what it does. It takes so much
	// longer to replace it.
	calmAfter  = 2 * time.Second
	calmFactor = 2.5
)

// leaseFor is the length of a lease among so many electors. It grows with
// them so that a node's traffic, two messages to each per two fifths of a lease,
// stays what it is among thirty.
func (m *Machine) leaseFor(electors int) time.Duration {
	d := min(max(leaseLeast, time.Duration(electors)*leasePerVoter), leaseMost)
	return max(min(d, m.cfg.NodeTimeout/2), 60*time.Millisecond)
}

// calmLeaseFor is the length of the longest lease that a node asks for among so
// many electors.
func (m *Machine) calmLeaseFor(electors int) time.Duration {
	d := m.leaseFor(electors)
	return max(d, min(time.Duration(calmFactor*float64(d)), leaseMost, m.cfg.NodeTimeout/2))
}

// askedLength is the length of the lease that was asked for at an instant, or less.
func (m *Machine) askedLength(at Instant) time.Duration {
	if l := &m.lease; l.calmFrom != 0 && at >= l.calmFrom {
		return m.calmLeaseFor(len(m.claims.electors))
	}
	return m.leaseFor(len(m.claims.electors))
}

// askAnew has nothing count that was asked for until now. The lease that it was
// granted for stands.
func (m *Machine) askAnew() {
	m.dropGrants()
	m.lease.countFrom, m.lease.ask = m.now+1, true
}

// leaseMargin is for the drift of two monotonic clocks.
func leaseMargin(d time.Duration) time.Duration { return d / 50 }

// leaseUntil is what Ready.Lease says.
func (m *Machine) leaseUntil() Instant {
	if !m.holdsSlots() || m.handover.consented() {
		return 0
	}
	return m.lease.until
}

// holdsSlots reports whether this node serves slots of its own, so that it
// needs a lease.
func (m *Machine) holdsSlots() bool {
	return !m.self.rec.Replica && m.self.nOwned > 0 && m.mayServe()
}

// votedAgainst reports whether this node itself voted for another one to
// replace n. A vote for n's own reclaim counts too until it is won: it may have
// come after one for a candidate that won.
func (m *Machine) votedAgainst(n *member) bool {
	v, ok := m.election.votes[n.rec.Shard]
	return ok && v.Epoch > n.rec.Epoch
}

// settleLease brings the lease up to what the grants say.
func (m *Machine) settleLease() {
	l := &m.lease
	if m.self.nOwned == 0 || m.self.rec.Replica {
		m.claims.gained = false
	}
	if !m.holdsSlots() || m.handover.consented() || m.votedAgainst(m.self) {
		l.until = 0
		m.dropGrants()
		l.digest = 0
		return
	}
	others := len(m.claims.electors)
	if m.elector(m.self) {
		others--
	}
	if others == 0 {
		l.until, l.digest, l.staleAt = Forever, m.claims.electorsDigest, 0
		m.claims.gained = false
		if !m.self.rec.Elector {
			m.becomeElector()
		}
		return
	}
	if l.until == Forever {
		// Others have come: nobody waits for a lease that nobody could have
		// granted yet.
		l.until = m.now + m.leaseFor(others)
	}
	if m.claims.gained {
		m.claims.gained = false
		l.until, l.needSeq, l.ask = 0, m.self.rec.Seq, true
	}
	if l.digest != m.claims.electorsDigest {
		l.digest, l.ask = m.claims.electorsDigest, true
	}
	if l.ask {
		m.askLease()
	}
	m.countGrants()
}

// mayBump reports whether this node may take a config epoch one above the
// current one without asking anybody, as SETSLOT NODE and the repair of equal
// epochs do.
//
// A replica that replaces this node must end up above it, or a return of this
// node would take back slots that were acknowledged elsewhere. So a majority
// must know the current epoch from this node's own renewals (promiseAt), a
// candidate stands at two above, and a voter refuses less. Without slots there
// is nothing to take back.
func (m *Machine) mayBump() bool {
	l := &m.lease
	return m.self.nOwned == 0 || l.until == Forever || m.now < l.until && l.epochKnown && !m.handover.consented()
}

// takeSeat makes this node keep what the one before it in its seat may have
// promised: for the length of a lease from now on it votes against nobody and
// grants nothing to who took slots by votes. It need not be longer: whoever
// counted a grant of the old seat counted one of a voter too that has given this
// node its seat, and gave that grant before.
func (m *Machine) takeSeat() {
	d := m.calmLeaseFor(len(m.claims.electors) + 2) // others may count some more
	m.lease.inherited = m.now + d
	// After a restart the same is owed: see promiseUntil.
	m.lease.promisedMost = max(m.lease.promisedMost, roundUp(d))
	m.save = true
}

func (m *Machine) becomeElector() {
	m.self.rec.Elector = true
	m.takeSeat()
	m.claims.selfDirty = true
	m.publishSelf()
	m.settleElectors()
}

// dropGrants forgets what was granted to this node.
func (m *Machine) dropGrants() {
	for _, n := range m.order {
		n.grant = grant{}
	}
}

// countGrants finds the instant until which a majority stands by this node.
func (m *Machine) countGrants() {
	l := &m.lease
	l.barred, l.asked = l.barred[:0], l.asked[:0]
	for _, e := range m.claims.electors {
		if e != m.self && m.votedAgainst(e) {
			l.barred = append(l.barred, e.rec.ID)
		}
		l.barred = append(l.barred, e.grant.excluded...)
	}
	known := 0
	for _, e := range m.claims.electors {
		if e == m.self {
			l.asked = append(l.asked, m.now)
			known++
			continue
		}
		g := &e.grant
		if g.given && g.seq >= l.needSeq && g.electors == m.claims.electorsDigest && !slices.Contains(l.barred, e.rec.ID) {
			l.asked = append(l.asked, g.asked)
			if g.current >= m.currentEpoch {
				known++
			}
		}
	}
	need := m.majority()
	l.epochKnown = known >= need
	if asked := l.asked; len(asked) >= need {
		slices.SortFunc(asked, func(a, b Instant) int { return cmp.Compare(b, a) })
		d := m.askedLength(asked[need-1])
		if until := asked[need-1] + d - leaseMargin(d); until > l.until {
			l.until = until
		}
	}
	switch {
	case m.now < l.until:
		l.staleAt = 0
		if !m.self.rec.Elector {
			m.becomeElector()
		}
	case l.staleAt == 0:
		l.staleAt = max(m.now, 1)
	}
}

// tickLease asks for renewal, and for how long from now on.
func (m *Machine) tickLease(served bool) {
	l := &m.lease
	switch {
	case served:
		l.servedAt, l.calmFrom = m.now, 0
	case l.calmFrom == 0 && m.now-l.servedAt >= calmAfter:
		l.calmFrom = m.now + 1
	}
	if m.needsRenewals() && m.now-l.askedAt >= m.renewEvery() {
		l.ask = true
	}
}

// needsRenewals reports whether this node needs the others for its lease.
func (m *Machine) needsRenewals() bool {
	return m.holdsSlots() && !m.handover.consented() && m.lease.until != Forever
}

// renewEvery is how long after one asking the next is due.
func (m *Machine) renewEvery() time.Duration {
	if m.now >= m.lease.until {
		return max(m.leaseFor(len(m.claims.electors))*2/25, leaseAskFastly)
	}
	return m.askedLength(m.lease.askedAt) * 2 / 5
}

// renewTogether asks a little early when another primary has just asked: then all
// of them ask at one time, and each process is woken once and not once for each.
func (m *Machine) renewTogether() {
	if m.needsRenewals() && m.now-m.lease.askedAt >= m.renewEvery()*2/3 {
		m.lease.ask = true
	}
}

func (m *Machine) askLease() {
	l := &m.lease
	l.ask, l.askedAt = false, m.now
	b := renewMsg{
		Asked: m.now, Duration: m.askedLength(m.now),
		Seq: m.self.rec.Seq, Current: m.currentEpoch, Electors: m.claims.electorsDigest,
	}
	for _, e := range m.claims.electors {
		if e != m.self && (e.linked || !e.fail) {
			m.send(e.rec.ID, b)
		}
	}
}

// answerRenew is the voter's side.
func (m *Machine) answerRenew(n *member, b renewMsg) {
	answer := renewedMsg{Asked: b.Asked, Seq: b.Seq, Electors: m.claims.electorsDigest, Verdict: m.judgeRenew(n, b), Epoch: b.Current}
	switch answer.Verdict {
	case granted:
		if m.saveOwed {
			m.save = true
		}
		n.promised = max(n.promised, m.now+b.Duration)
		n.promiseOf = b.Seq
		n.promiseAt = max(n.promiseAt, b.Current)
		if b.Current > m.currentEpoch {
			m.raiseEpoch(b.Current)
			m.save = true
		}
		if b.Duration > m.lease.promisedMost {
			m.lease.promisedMost = roundUp(b.Duration)
			m.save = true
		}
		answer.Excluded = m.excluded(m.self.rec.Shard)
		m.renewTogether()
	case refusedVoted:
		answer.Epoch = m.election.votes[n.rec.Shard].Epoch
	case refusedClaim:
		m.correct(n)
	}
	m.send(n.rec.ID, answer)
}

// excluded are the electors, but for those of one shard, in whose seats somebody
// else may sit by this node's own vote.
func (m *Machine) excluded(but slots.ShardID) []slots.NodeID {
	var ids []slots.NodeID
	for _, e := range m.claims.electors {
		if e.rec.Shard != but && m.votedAgainst(e) {
			ids = append(ids, e.rec.ID)
		}
	}
	return ids
}

// roundUp returns the least power of two of milliseconds that is not less.
func roundUp(d time.Duration) time.Duration {
	up := time.Millisecond
	for up < d {
		up *= 2
	}
	return up
}

func (m *Machine) judgeRenew(n *member, b renewMsg) verdict {
	switch {
	case !m.elector(m.self) || b.Duration <= 0 || b.Duration > leaseBounds || n.rec.Replica:
		return refusedState
	case n.rec.Seq != b.Seq || !n.complete():
		if n.rec.Seq <= b.Seq {
			m.want(n, nil)
		}
		return refusedClaim
	case m.beaten(n):
		return refusedClaim
	case b.Electors != m.claims.electorsDigest:
		return refusedElectors
	case m.votedAgainst(n):
		return refusedVoted
	case n.fail || m.now < n.contested || n.yields():
		return refusedState
	case m.now < n.holdUntil:
		return refusedPromise
	}
	return granted
}

// beaten reports whether a greater claim on a slot of n's is known.
func (m *Machine) beaten(n *member) bool {
	if n.claims() == n.nOwned && len(m.claims.assumed) == 0 {
		return false // it owns what it claims: only an assumption gives more
	}
	for w := range windows {
		for i, word := range n.win[w].bits {
			if word == 0 {
				continue
			}
			base := w*windowSlots + i*64
			for bit := range 64 {
				if word&(1<<bit) == 0 {
					continue
				}
				o := m.claims.owner[base+bit]
				if o != nil && o != n && greater(o, n, slots.Slot(base+bit)) {
					return true
				}
			}
		}
	}
	return false
}

// promiseUntil is when nothing granted to n can be running any more. A voter
// that was restarted does not know what it granted before, and one that came to
// its seat what was granted from there.
func (m *Machine) promiseUntil(n *member) Instant {
	until := max(n.promised, m.lease.inherited)
	if m.restored {
		until = max(until, m.started+m.lease.promisedMost)
	}
	return until
}

// renewed is the holder's side.
func (m *Machine) renewed(n *member, b renewedMsg) {
	l := &m.lease
	m.raiseEpoch(b.Epoch)
	if b.Asked > m.now {
		return
	}
	switch b.Verdict {
	case granted:
		if b.Asked < l.countFrom {
			return
		}
		if n.grant.given && n.grant.asked >= b.Asked {
			return
		}
		n.grant = grant{true, b.Asked, b.Seq, b.Epoch, b.Electors, b.Excluded}
	case refusedElectors:
		m.syncWith(n)
	case refusedClaim:
		if b.Seq == m.self.rec.Seq && m.spaced(n, 50*time.Millisecond) {
			m.send(n.rec.ID, recordMsg{m.self.copyRecord(allWindows)})
		}
	case refusedVoted:
		if b.Epoch > m.self.rec.Epoch && b.Epoch > l.votedEpoch {
			l.votedEpoch = b.Epoch
			l.votedAt = m.now
		}
	}
}

// syncWith exchanges all knowledge with n, not too often.
func (m *Machine) syncWith(n *member) {
	if m.spaced(n, 100*time.Millisecond) {
		m.introduce(n)
	}
}

// spaced reports whether n was not sent anything of this kind for so long.
func (m *Machine) spaced(n *member, every time.Duration) bool {
	if at, had := m.lease.synced[n.rec.ID]; had && m.now-at < every {
		return false
	}
	m.lease.synced[n.rec.ID] = m.now
	return true
}
