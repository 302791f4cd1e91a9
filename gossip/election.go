package gossip

import (
	"slices"
	"time"

	"slotmesh/slots"
)

// electionState is this node as voter and as candidate.
//
// A vote is given once for an epoch and shard, and saved before it is told.
// From then on this node grants no lease to the shard's owner as long as that
// stands at a lesser epoch: either the candidate's claim comes, or the owner
// has itself confirmed by votes of a yet greater epoch (becauseReclaim). So an
// election that came to nothing blocks nobody for long, and of the candidate
// that won late and the owner that reclaimed only one finds a majority that
// grants it leases.
type electionState struct {
	votes   map[slots.ShardID]vote
	running *candidacy
	// since is when the present reason to stand arose, at when to stand.
	why   reason
	since Instant
	at    Instant
}

type vote struct {
	Epoch     uint64
	Candidate slots.NodeID
}

type candidacy struct {
	epoch    uint64
	owner    *member
	why      reason
	ownerSeq uint64
	digest   uint64
	votes    map[slots.NodeID]bool
	barred   map[slots.NodeID]bool // by what the voters voted before
	deadline Instant
	sentAt   Instant
}

func (e *electionState) init() { e.votes = map[slots.ShardID]vote{} }

const (
	rankDelay     = 200 * time.Millisecond
	electionLast  = 500 * time.Millisecond
	electionPause = 300 * time.Millisecond
	reclaimAfter  = 300 * time.Millisecond
)

// reasonToStand says whether this node should seek to be the owner of its
// primary's slots (or of its own, to reclaim them), and of whose.
func (m *Machine) reasonToStand() (reason, *member) {
	self := m.self
	if !self.rec.Replica {
		against := m.votedAgainst(self) || m.lease.votedEpoch > self.rec.Epoch
		if against && self.nOwned > 0 && m.mayServe() && !m.handover.consented() {
			return becauseReclaim, self
		}
		return 0, nil
	}
	p := m.members[self.rec.Primary]
	if p == nil || p == self || p.nOwned == 0 || p.rec.Replica {
		return 0, nil
	}
	switch {
	case m.handover.forced:
		return becauseForced, p
	case m.data.LinkUp && m.handover.agreedAt(m.data.Offset):
		// Without the link the offset may be one of another history.
		return becauseConsent, p
	case m.announcedEmpty() || m.cfg.ReplicaNoFailover:
		return 0, nil
	case p.yields() && p.complete() && (p.rec.Empty || m.ahead(p)):
		return becauseLacking, p
	case p.fail && m.dataFresh():
		return becauseFail, p
	}
	return 0, nil
}

// dataFresh applies cluster-replica-validity-factor.
func (m *Machine) dataFresh() bool {
	if m.cfg.ReplicaValidityFactor == 0 || m.data.LinkUp {
		return true
	}
	const pingPeriod = 10 * time.Second
	return m.data.SinceHeard <= pingPeriod+time.Duration(m.cfg.ReplicaValidityFactor)*m.cfg.NodeTimeout
}

// rank counts the replicas of the same primary that are better placed. A former
// primary that has yet to sync from its successor has an offset of another
// history: all others go first.
func (m *Machine) rank(p *member) int {
	rank := 0
	for _, n := range m.order {
		if n == m.self || !n.rec.Replica || n.rec.Primary != p.rec.ID || n.pfail || n.fail || n.rec.NoFailover || n.rec.Empty {
			continue
		}
		if !m.synced || n.offset > m.data.Offset || n.offset == m.data.Offset && n.rec.ID.Compare(m.self.rec.ID) < 0 {
			rank++
		}
	}
	return rank
}

// tickElection stands when there is reason to, and gives up when there is not.
func (m *Machine) tickElection() {
	e := &m.election
	why, owner := m.reasonToStand()
	if why != e.why {
		e.why, e.running = why, nil
		e.since, e.at = m.now, m.now
		switch why {
		case becauseReclaim:
			e.at += reclaimAfter + m.jitter(reclaimAfter)
		case becauseFail, becauseLacking:
			if rank := m.rank(owner); rank > 0 {
				e.at += time.Duration(rank)*rankDelay + m.jitter(50*time.Millisecond)
				m.log("Start of election delayed for %d milliseconds (rank #%d, offset %d).", (e.at-m.now)/time.Millisecond, rank, m.data.Offset)
			}
		}
	}
	if why == 0 {
		return
	}
	c := e.running
	if c != nil && (m.now >= c.deadline || c.digest != m.claims.electorsDigest || c.owner != owner) {
		e.running, c = nil, nil
		e.at = m.now + m.jitter(electionPause)
	}
	if c == nil {
		if m.now < e.at {
			return
		}
		c = m.stand(why, owner)
	}
	// Requests are repeated: a voter may have to wait for a promise to end.
	if m.now-c.sentAt >= max(40*time.Millisecond, time.Duration(len(m.claims.electors))*5*time.Millisecond) || c.sentAt == 0 {
		m.askVotes(c)
	}
	m.countVotes()
}

func (m *Machine) stand(why reason, owner *member) *candidacy {
	e := &m.election
	m.raiseEpoch(m.currentEpoch + 2) // two: see mayBump
	m.save = true
	wait := electionLast
	if why == becauseForced || why == becauseFail {
		wait += m.calmLeaseFor(len(m.claims.electors))
	}
	e.running = &candidacy{
		epoch: m.currentEpoch, owner: owner, why: why, ownerSeq: owner.rec.Seq, digest: m.claims.electorsDigest,
		votes: map[slots.NodeID]bool{}, barred: map[slots.NodeID]bool{}, deadline: m.now + wait + m.jitter(wait/2),
	}
	if why == becauseConsent {
		e.running.ownerSeq = m.handover.consentSeq
	}
	m.log("Starting a failover election for epoch %d.", m.currentEpoch)
	if owner == m.self && m.elector(m.self) {
		e.votes[m.self.rec.Shard] = vote{m.currentEpoch, m.self.rec.ID}
	}
	return e.running
}

func (m *Machine) askVotes(c *candidacy) {
	first := c.sentAt == 0
	c.sentAt = max(m.now, 1)
	b := voteRequestMsg{
		Epoch: c.epoch, Shard: c.owner.rec.Shard, Owner: c.owner.rec.ID, OwnerSeq: c.ownerSeq,
		Claim: hashSet(&c.owner.owned), Electors: c.digest, Why: c.why, Offset: m.data.Offset,
	}
	for _, n := range m.claims.electors {
		if n == m.self || c.votes[n.rec.ID] || n == c.owner && c.why == becauseFail {
			continue
		}
		if first && c.why == becauseFail {
			m.send(n.rec.ID, failMsg{c.owner.rec.ID, c.owner.rec.Seq})
		}
		m.send(n.rec.ID, b)
	}
}

// answerVoteRequest is the voter's side. The vote goes into Save of the same
// Ready that sends it.
func (m *Machine) answerVoteRequest(n *member, b voteRequestMsg) {
	answer := voteMsg{Epoch: b.Epoch, Shard: b.Shard, Verdict: m.judgeVote(n, b)}
	switch answer.Verdict {
	case granted:
		if v := (vote{b.Epoch, n.rec.ID}); m.election.votes[b.Shard] != v {
			m.election.votes[b.Shard] = v
			m.raiseEpoch(b.Epoch)
			m.save = true
			m.log("Failover auth granted to %s for epoch %d", n.rec.ID, b.Epoch)
		}
		answer.Excluded = m.excluded(b.Shard)
	case refusedElectors, refusedClaim:
		m.syncWith(n)
	}
	answer.Current = m.currentEpoch
	m.send(n.rec.ID, answer)
}

func (m *Machine) judgeVote(n *member, b voteRequestMsg) verdict {
	p := m.members[b.Owner]
	if p == nil || !m.elector(m.self) || p.rec.Shard != b.Shard {
		return refusedState
	}
	if b.Electors != m.claims.electorsDigest {
		return refusedElectors
	}
	if p.nOwned == 0 || hashSet(&p.owned) != b.Claim || b.Epoch <= p.rec.Epoch || b.Epoch <= m.floor(p) && n != p {
		return refusedClaim
	}
	if v := m.election.votes[b.Shard]; b.Epoch <= v.Epoch && !m.faults.VoteTwice {
		if v == (vote{b.Epoch, n.rec.ID}) {
			return granted
		}
		return refusedVoted
	}
	if n != p && (!n.rec.Replica || n.rec.Primary != p.rec.ID) {
		return refusedState
	}
	switch b.Why {
	case becauseReclaim:
		if n != p {
			return refusedState
		}
		return granted
	case becauseConsent:
		if b.OwnerSeq != p.rec.Seq || b.OwnerSeq < p.promiseOf {
			return refusedState
		}
		if p == m.self && !m.handover.consented() {
			return refusedState
		}
		p.promised = 0
		return granted
	case becauseLacking:
		if !p.yields() || p == m.self && m.mayServe() {
			return refusedState
		}
		p.promised = 0
		return granted
	case becauseForced:
		if p == m.self {
			// Its own lease ends with this very vote: see settleLease.
			return granted
		}
		p.contested = m.now + 2*m.calmLeaseFor(len(m.claims.electors))
	case becauseFail:
		if !p.fail || p == m.self {
			return refusedState
		}
	}
	if m.now < m.promiseUntil(p) {
		return refusedPromise
	}
	return granted
}

// floor is the greatest config epoch that p may have given itself unheard.
func (m *Machine) floor(p *member) uint64 {
	if p == m.self {
		return m.self.rec.Epoch
	}
	if p.promiseAt == 0 {
		return 0
	}
	return p.promiseAt + 1
}

// voted is the candidate's side.
func (m *Machine) voted(n *member, b voteMsg) {
	m.raiseEpoch(b.Current)
	c := m.election.running
	if c == nil || b.Epoch != c.epoch || b.Shard != c.owner.rec.Shard {
		return
	}
	switch b.Verdict {
	case granted:
		c.votes[n.rec.ID] = true
		for _, id := range b.Excluded {
			c.barred[id] = true
		}
		m.countVotes()
	case refusedVoted:
		// Another epoch is ahead: stand again above it.
		if b.Current > c.epoch {
			c.deadline = min(c.deadline, m.now+m.jitter(100*time.Millisecond))
		}
	case refusedElectors, refusedClaim:
		m.syncWith(n)
	}
}

// needs is how many votes decide. A reclaim is decided by the others alone: the
// seat of this node is what the election was about, and whoever won it unheard
// counts itself in that seat for its leases. With at least half of the others,
// rounded up, here, and half of the electors besides its own seat there, one
// of them is asked by both, and serves only the first.
func (c *candidacy) needs(m *Machine) int {
	if c.owner == m.self {
		return (len(m.claims.electors) + 1) / 2
	}
	return m.majority()
}

// countVotes ends an election that is won. As with leases, a vote does not count
// when its giver, or another voter, voted for somebody else to have the giver's
// seat: who won that may sit in it in another majority, and after this election
// replaced a seat too the two would share no voter. A reclaim replaces nobody,
// and is what ends such doubts: it counts all, or many of them would block each
// other for ever.
func (m *Machine) countVotes() {
	c := m.election.running
	if c == nil || c.digest != m.claims.electorsDigest {
		return
	}
	count := 0
	for _, n := range m.claims.electors {
		if c.votes[n.rec.ID] && (c.owner == m.self || !c.barred[n.rec.ID]) {
			count++
		}
	}
	if count < c.needs(m) {
		return
	}
	if why, owner := m.reasonToStand(); why != c.why || owner != c.owner {
		// The reason went while the votes came: the primary that had failed is
		// back, say, with writes that this node may not have.
		return
	}
	if c.owner == m.self {
		m.log("A majority confirmed this primary under epoch %d.", c.epoch)
		m.self.rec.SeizedEpoch = c.epoch
		m.setSelfEpoch(c.epoch)
		m.claims.gained = true
		m.endElection()
		return
	}
	m.log("Failover election won: I'm the new master.")
	m.log("configEpoch set to %d after successful failover", c.epoch)
	m.promote(c.owner, c.epoch)
	m.self.rec.Elector = true
	m.takeSeat()
}

func (m *Machine) endElection() {
	m.election.running, m.election.why = nil, 0
	m.handover = handoverState{}
}

// promote makes this node the owner of all slots of p under epoch. It takes the
// slots and not p's seat among the electors: that comes with the votes of a
// majority, one of whom each other majority of p's time shares, or else, after
// TAKEOVER, with the first lease (see lease.go). A seat that a node gives itself
// would be a voter that has forgotten what p voted for and granted: on the wrong
// side of a partition it would make a majority for this node, or for a third
// one that p has helped to depose.
func (m *Machine) promote(p *member, epoch uint64) {
	m.endElection()
	r := &m.self.rec
	r.Replica, r.Primary, r.Elector, r.SeizedEpoch = false, slots.NodeID{}, false, epoch
	m.dataKept.foreign = false
	m.setSelfEpoch(epoch)
	clear(m.claims.open)
	for _, o := range p.rec.Open {
		if o.Peer != r.ID && m.members[o.Peer] != nil && p.owned.Has(o.Slot) != o.Importing {
			m.claims.open[o.Slot] = o
		}
	}
	taken := p.owned
	for slot := range taken.All() {
		m.take(slot)
	}
	m.lease.votedEpoch = 0
	m.claims.gained, m.claims.electorsDirty, m.claims.tableDirty = true, true, true
	m.save = true
}

// becomeReplica makes this node a replica of p.
func (m *Machine) becomeReplica(p *member) {
	m.endElection()
	r := &m.self.rec
	wasPrimary := !r.Replica
	r.Replica, r.Primary, r.Shard, r.Elector = true, p.rec.ID, p.rec.Shard, false
	clear(m.claims.open)
	for slot := range slots.Count {
		m.unclaim(slots.Slot(slot))
		if m.claims.owner[slot] == m.self {
			m.decide(slots.Slot(slot))
		}
	}
	m.claims.successor = nil
	m.synced, m.data.LinkUp, m.dataKept.recovered = false, false, nil
	m.claims.selfDirty, m.claims.tableDirty, m.claims.electorsDirty = true, true, true
	if wasPrimary {
		m.startedWithSlots = false
	}
	m.describeSelf()
	m.save = true
}

// settleRole follows the owner of the shard's slots. Source: the reference's
// clusterUpdateSlotsConfigWith; a primary whose slots were moved to another
// shard stays an empty primary here.
func (m *Machine) settleRole() {
	self := m.self
	heir, torn := m.claims.successor, m.claims.torn
	m.claims.successor, m.claims.torn = nil, false
	if !self.rec.Replica {
		if torn && self.nOwned > 0 {
			// What is left after another took over the rest: slots that were
			// imported when the election ran. A shard has one owner of slots,
			// so that votes within it are about one.
			self.rec.Shard = slots.ShardID(m.newID())
			m.claims.selfDirty = true
			return
		}
		if heir == nil || self.nOwned > 0 || m.members[heir.rec.ID] != heir {
			return
		}
		if heir.rec.Shard == self.rec.Shard && !heir.rec.Replica {
			m.log("Configuration change detected. Reconfiguring myself as a replica of %s", heir.rec.ID)
			m.becomeReplica(heir)
		}
		return
	}
	p := m.members[self.rec.Primary]
	if p == nil {
		return
	}
	if !p.rec.Replica && p.rec.Seq > 0 && p.rec.Shard != self.rec.Shard {
		self.rec.Shard = p.rec.Shard
		m.claims.selfDirty = true
	}
	var next *member
	switch {
	case p.rec.Replica:
		next = m.members[p.rec.Primary]
	case p.nOwned == 0:
		for _, n := range m.order {
			if n != p && n != self && n.nOwned > 0 && !n.rec.Replica && n.rec.Shard == self.rec.Shard && (next == nil || n.rec.Epoch > next.rec.Epoch) {
				next = n
			}
		}
	}
	if next != nil && next != self && next != p && !next.rec.Replica {
		m.log("Configuration change detected. Reconfiguring myself as a replica of %s", next.rec.ID)
		m.becomeReplica(next)
	}
}

// sortedVotes are the votes in an order that does not change by chance.
func (m *Machine) sortedVotes() []slots.ShardID {
	var shards []slots.ShardID
	for shard := range m.election.votes {
		shards = append(shards, shard)
	}
	slices.SortFunc(shards, func(a, b slots.ShardID) int { return slots.NodeID(a).Compare(slots.NodeID(b)) })
	return shards
}
