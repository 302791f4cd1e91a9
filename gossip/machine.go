package gossip

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"slotmesh/slots"
)

// Options is what a Machine starts from.
type Options struct {
	Config Config
	// Saved is the content of the cluster config file, or nil for a new node.
	Saved []byte
	// Rand is the machine's only source of chance: ids, jitter. The caller
	// seeds it and uses it nowhere else.
	Rand *rand.Rand
	// Now is the instant of the start.
	Now Instant
	// Empty is true when the node starts without the data that it had: see
	// Replication.Empty. It is needed before the first event, so that no lease
	// is asked for slots whose keys are gone.
	Empty bool
	// Recovered is what it was started with instead, if it loaded files: nil when
	// there were none. Its replicas may have more.
	Recovered *Recovery
	// Faults are for the simulation of package sim.
	Faults Faults
}

// ErrVersion marks bytes of another version of the wire or file format. The
// error's text names both versions.
var ErrVersion = errors.New("version not spoken here")

// Identity is the content of a Meta record: what a node says of itself.
type Identity struct {
	ID          slots.NodeID
	Shard       slots.ShardID
	Address     Address // IP is the announced one, or ""
	IsReplica   bool
	Primary     slots.NodeID // of a replica
	ConfigEpoch uint64
	// Seq numbers what the node says of itself, its claims included: who knows
	// an older number asks.
	Seq uint64
	// Empty tells that the node started without the data of its slots.
	Empty bool
	// NoFailover is cluster-replica-no-failover.
	NoFailover bool
}

// Machine is the cluster state of one node. It is not safe for concurrent use.
//
// Invariants, between two calls:
//   - owner[s] is the greatest claim on s among the members' windows, but for
//     masked and assumed slots (see claims.go).
//   - self's windows hold no slot that another member owns.
//   - what self.Seq numbers has been put into Ready.Save.
type Machine struct {
	cfg    Config
	faults Faults
	rng    *rand.Rand
	now    Instant

	started  Instant
	restored bool // from a cluster config file: promises may have been forgotten
	// startedWithSlots is true when that file gave this node slots.
	startedWithSlots bool

	self         *member
	members      map[slots.NodeID]*member
	order        []*member // ascending by id
	tombstones   map[slots.NodeID]tombstone
	currentEpoch uint64

	// aloof is true while this node knows nobody: it is then let into a cluster
	// by MEET only, and not by a stranger's gossip.
	aloof bool
	meets []*meeting

	claims   claimState
	failure  failureState
	lease    leaseState
	election electionState
	handover handoverState
	data     Replication
	synced   bool // a replica's: the stream of its present primary has flowed
	dataKept dataState
	view     viewState

	out      Ready
	save     bool // the next Ready saves
	saveOwed bool // the next grant saves, see saveBeforeGrant
	saveSoft bool // the next Ready saves, softly, see saveSoftly
	// softSaves counts them since the last save that was not soft.
	softSaves int
	saveBy    Instant // save then at the latest, for what is no promise; 0 when clean
	lastTick  Instant
}

// New builds the machine of a new node, or of the node that Saved describes.
// Damaged, foreign or other-version bytes are an error that names the offset.
func New(opts Options) (*Machine, error) {
	if opts.Rand == nil {
		return nil, errors.New("cluster state: no source of randomness")
	}
	m := &Machine{
		cfg: opts.Config, faults: opts.Faults, rng: opts.Rand, now: opts.Now, started: opts.Now, lastTick: opts.Now,
		members:    map[slots.NodeID]*member{},
		tombstones: map[slots.NodeID]tombstone{},
	}
	m.claims.init()
	m.failure.init()
	m.lease.init()
	m.election.init()
	if opts.Saved == nil {
		m.addMember(m.newID())
		m.self = m.order[0]
		m.self.rec.Shard = slots.ShardID(m.newID())
	} else if err := m.restore(opts.Saved); err != nil {
		return nil, fmt.Errorf("cluster config file: %w", err)
	}
	m.self.heard = opts.Now
	if opts.Saved != nil {
		m.self.rec.Seq += seqLeap
	}
	m.aloof = len(m.members) == 1
	m.data.Empty = opts.Empty
	if m.startedWithSlots && !opts.Empty && !m.faults.ServeOldFiles {
		m.dataKept.recovered = opts.Recovered
	}
	m.describeSelf()
	m.claims.selfDirty = true // a start is a new statement: its Seq orders this life after the last
	m.dataKept.firstSeq = m.self.rec.Seq + 1
	m.view.start(opts.Now)
	m.settle()
	return m, nil
}

func (m *Machine) newID() slots.NodeID {
	var id slots.NodeID
	for i := range id {
		id[i] = byte(m.rng.Uint32())
	}
	return id
}

// Self returns this node's id.
func (m *Machine) Self() slots.NodeID { return m.self.rec.ID }

// ConfigEpoch returns this node's config epoch: what CLUSTER BUMPEPOCH answers.
func (m *Machine) ConfigEpoch() uint64 { return m.self.rec.Epoch }

// Step takes in what happened. A CommandError is an operator's command that
// cannot be done; then nothing has changed. Other errors are about bytes.
func (m *Machine) Step(ev Event, now Instant) error {
	if now > m.now {
		m.now = now
	}
	err := m.apply(ev)
	m.settle()
	return err
}

func (m *Machine) apply(ev Event) error {
	switch ev := ev.(type) {
	case Tick:
		m.tick(ev)
	case Received:
		return m.received(ev)
	case Member:
		return m.memberSeen(ev)
	case Answered:
		if n := m.members[ev.Node]; n != nil && n != m.self {
			m.hear(n)
			n.pongReceived = m.now
		}
	case LinkUp:
		m.linkUp(ev.Node)
	case LinkDown:
		m.linkDown(ev)
	case Suspected:
		if n := m.members[ev.Node]; n != nil && n != m.self {
			// Links may be up again long before the membership is whole.
			n.lost = true
			m.probe(n)
		}
	case Replication:
		m.replicated(ev)
	case Reconfigure:
		if ev.Config.NodeTimeout != m.cfg.NodeTimeout {
			m.askAnew()
		}
		m.cfg = ev.Config
		m.describeSelf()
		// The table names endpoints as the configuration prefers them, and says
		// whether reads are served while the cluster is down.
		m.claims.tableDirty, m.view.dirty = true, true
	default:
		return m.command(ev)
	}
	return nil
}

// tick drives everything that depends on time.
func (m *Machine) tick(ev Tick) {
	// A process that was stopped, or starved, has heard nobody in the
	// meantime, and that is nobody's fault but its own: silence counts only
	// while this node was listening.
	if gap := m.now - m.lastTick; gap > tickCalm+250*time.Millisecond {
		m.failure.forgive(m, gap)
	}
	m.lastTick = m.now
	m.tickMembers()
	m.tickClaims()
	m.tickFailure()
	m.tickLease(ev.Served)
	m.tickHandover()
	m.tickElection()
}

// settle draws the conclusions from what changed, in an order in which each
// only depends on those before it.
func (m *Machine) settle() {
	m.settleRole()
	m.settleEpoch()
	m.settleAwaited()
	m.publishSelf()
	m.settleElectors()
	m.settleData()
	m.settleLease()
	m.settleState()
}

// Ready returns what the caller must carry out before the next Step.
func (m *Machine) Ready(now Instant) Ready {
	if now > m.now {
		m.now = now
	}
	r := m.out
	m.out = Ready{}
	if m.save || m.saveSoft || (m.saveBy != 0 && m.now >= m.saveBy) {
		r.Save, r.SaveSoftly = m.encodeConfig(), !m.save
		if m.save {
			m.softSaves, m.saveOwed = 0, false
		}
		m.save, m.saveSoft, m.saveBy = false, false, 0
	}
	r.View = m.takeView()
	r.Lease = m.leaseUntil()
	return r
}

// saveBeforeGrant asks for a save of what a lease may rest on: who owns which
// slot. A majority must know a claim, and go on knowing it, before anything is
// acknowledged under it; until this node grants a lease nothing rests on it.
func (m *Machine) saveBeforeGrant() {
	m.saveOwed = true
	m.saveSoon()
}

// saveSoftly asks for a save that need not outlast a crash of the machine: of
// the slots that are open. Such a crash can set this node's Seq back by as many
// saves as were soft since the last other one, which is why a restored node
// leaps over them: see seqLeap.
func (m *Machine) saveSoftly() {
	m.saveSoft = true
	if m.softSaves++; m.softSaves >= seqLeap {
		m.save = true
	}
}

// seqLeap is how far a restored node's Seq is ahead of the saved one.
const seqLeap = 1000

// saveSoon asks for a save of what would only be a convenience after a
// restart: addresses and other nodes' records that no promise rests on.
func (m *Machine) saveSoon() {
	if m.saveBy == 0 {
		m.saveBy = m.now + time.Second
	}
}

func (m *Machine) log(format string, args ...any) {
	m.out.Log = append(m.out.Log, LogLine{Text: fmt.Sprintf(format, args...)})
}

func (m *Machine) warn(format string, args ...any) {
	m.out.Log = append(m.out.Log, LogLine{Warning: true, Text: fmt.Sprintf(format, args...)})
}

// send queues a message for the link to a node.
func (m *Machine) send(to slots.NodeID, b body) {
	m.out.Send = append(m.out.Send, Outbound{To: to, Message: encode(m.self.rec.ID, b)})
}

// broadcast queues a message for everybody. Key replaces an older one.
func (m *Machine) broadcast(key string, b body) {
	message := encode(m.self.rec.ID, b)
	if len(message) > MaxBroadcast {
		panic(fmt.Sprintf("gossip: broadcast of kind %d has %d bytes", b.kind(), len(message)))
	}
	m.out.Broadcast = append(m.out.Broadcast, Broadcast{Key: key, Message: message})
}

// fewLinks is up to how many members hear urgent news over links too, which is
// faster than gossip and grows with the square of the cluster.
const fewLinks = 40

// spread sends b by broadcast and, in a small cluster, over every link.
func (m *Machine) spread(key string, b body) {
	m.broadcast(key, b)
	if len(m.order) > fewLinks {
		return
	}
	for _, n := range m.order {
		if n != m.self && n.reachable() {
			m.send(n.rec.ID, b)
		}
	}
}

// Meta returns this node's identity record, at most 512 bytes.
func (m *Machine) Meta() []byte { return putMeta(&m.self.rec) }

// ParseMeta reads an identity record.
func ParseMeta(meta []byte) (Identity, error) {
	r, err := parseMeta(meta)
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		ID: r.ID, Shard: r.Shard, Address: r.Address, IsReplica: r.Replica, Primary: r.Primary,
		ConfigEpoch: r.Epoch, Seq: r.Seq, Empty: r.Empty, NoFailover: r.NoFailover,
	}, nil
}

// LocalState returns all that this node knows, for push/pull. Others take it
// as Received{Way: ByRepair}.
func (m *Machine) LocalState() []byte {
	return encode(m.self.rec.ID, m.state())
}

func (m *Machine) state() stateMsg {
	s := stateMsg{CurrentEpoch: m.currentEpoch, Tombstones: m.sortedTombstones()}
	for _, n := range m.order {
		if n.rec.Seq > 0 {
			s.Records = append(s.Records, n.copyRecord(allWindows))
		}
	}
	return s
}

// received decodes bytes from outside and hands them on. A forgotten sender,
// or one that is not who its link says, is not listened to.
func (m *Machine) received(ev Received) error {
	sender, b, err := decode(ev.Message)
	if err != nil {
		return err
	}
	if sender == m.self.rec.ID {
		return nil
	}
	if ev.Way == ByLink && !ev.From.IsZero() && sender != ev.From {
		return fmt.Errorf("bus message: sender %s came over the link of %s", sender, ev.From)
	}
	if meet, ok := b.(meetMsg); ok && ev.Way == ByLink {
		m.met(sender, meet.Record)
		return nil
	}
	if t := m.tombstones[sender]; t.Forgotten {
		if ev.Way == ByLink {
			m.out.Drop = append(m.out.Drop, sender)
		}
		return nil
	}
	n := m.members[sender]
	if n == nil {
		// Gossip of one that nobody here has met: it may introduce itself, and
		// a node that stands alone does not even take that.
		if r, ok := b.(recordMsg); ok && !m.aloof && r.Record.ID == sender {
			m.applyRecord(r.Record, nil, ev.Way)
		}
		return nil
	}
	if ev.Way == ByLink {
		m.hear(n)
		m.endMeeting(sender)
	}
	m.message(n, b, ev.Way)
	return nil
}

func (m *Machine) message(n *member, b body, way Way) {
	switch b := b.(type) {
	case recordMsg:
		m.applyRecord(b.Record, n, way)
	case stateMsg:
		m.applyState(b, n, way)
	case tombstoneMsg:
		m.applyTombstones(b.Tombstones)
	case reportMsg:
		m.applyReport(n, b)
	case failMsg:
		m.applyFail(n, b)
	case progressMsg:
		m.setOffset(n, b.Offset)
	default:
		// The rest is said face to face.
		if way == ByLink {
			m.direct(n, b)
		}
	}
}

func (m *Machine) direct(n *member, b body) {
	switch b := b.(type) {
	case wantMsg:
		m.answerWant(n, b)
	case pingMsg:
		m.answerPing(n, b)
	case pongMsg:
		m.pong(n, b)
	case renewMsg:
		m.answerRenew(n, b)
	case renewedMsg:
		m.renewed(n, b)
	case voteRequestMsg:
		m.answerVoteRequest(n, b)
	case voteMsg:
		m.voted(n, b)
	case handoverMsg:
		m.handoverStep(n, b)
	case comparedMsg:
		n.compared, n.ahead = b.Seq, b.Ahead
	}
}

func (m *Machine) raiseEpoch(epoch uint64) {
	if epoch > m.currentEpoch {
		m.currentEpoch = epoch
		m.saveSoon()
	}
}
