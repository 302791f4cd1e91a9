package gossip

import (
	"slices"
	"time"

	"slotmesh/slots"
)

// member is what this node knows of one node, itself included.
type member struct {
	rec record // Windows unused: see win
	win [windows]held

	owned  slots.Set // the slots whose owner it is
	nOwned int
	// heirless is true after an elector became a replica, until the claim of
	// who has its seat is known: see settleElectors. left are the slots that it
	// had; nil after a restart of this node.
	heirless bool
	left     *slots.Set
	ip       string // where it was seen, when it does not announce an address
	offset   int64
	wanted   Instant // when its record was last asked for
	updated  Instant // when it was last told of a greater claim
	toldAll  Instant // when it last told all that it knows

	// Liveness, see failure.go.
	linked       bool
	everHeard    bool
	heard        Instant
	pingSent     Instant // of the ping that is not answered, or 0
	lastPing     Instant
	pongReceived Instant
	hinted       bool
	lost         bool // membership gave it up and has not had it back
	refusals     int
	refusedAt    Instant
	pfail, fail  bool
	failSince    Instant
	reports      map[slots.NodeID]report
	nextDial     Instant
	dials        int

	grant grant // of a lease, to this node

	// compared is the Seq of this node's record at which n, a replica, compared
	// its data with what this node recovered; ahead is what it found.
	compared uint64
	ahead    bool

	// As a voter sees it, see lease.go.
	promised  Instant // a lease granted to it runs until then
	promiseOf uint64  // under its record of this Seq
	promiseAt uint64  // the greatest current epoch that it named when asking
	seizing   bool    // its record took slots without consent, and is not complete yet
	holdUntil Instant // it took slots that another holds under a lease until then
	contested Instant // a forced election is under way: no renewal until then

	shown *Node  // the last View's, nil when it must be made anew
	aged  bool   // shown has old times and offsets
	index uint16 // in the last table's Nodes
}

// held is one window of a claim as this node holds it: the slots, the record's
// Seq at which the window last changed, and the epoch at which the claim on
// these slots is known to stand. The window's epoch follows the record's only
// while its content is known to be current: a greater epoch must not lend its
// weight to slots that its node has given up meanwhile.
type held struct {
	seq   uint64
	epoch uint64
	bits  windowBits
}

const allWindows = 1<<windows - 1

// copyRecord returns the record with the windows of mask that are current and
// not empty. An empty window rides only if masked explicitly by its change, so
// that absence can be told: the receiver compares WinSeq.
func (n *member) copyRecord(mask int) *record {
	r := n.rec
	r.Address.IP = n.IP()
	r.Windows = nil
	for w := range windows {
		if mask&(1<<w) != 0 && n.win[w].seq == n.rec.WinSeq[w] && n.win[w].seq > 0 {
			r.Windows = append(r.Windows, window{w, n.win[w].bits})
		}
	}
	return &r
}

// complete reports whether all of n's claim is known.
func (n *member) complete() bool {
	for w := range windows {
		if n.win[w].seq != n.rec.WinSeq[w] {
			return false
		}
	}
	return n.rec.Seq > 0
}

// claims is how many slots n claims, whoever owns them.
func (n *member) claims() int {
	count := 0
	for w := range windows {
		count += n.win[w].bits.count()
	}
	return count
}

// IP is where to reach n: what it announces, or where it was seen.
func (n *member) IP() string {
	if n.rec.Address.IP != "" {
		return n.rec.Address.IP
	}
	return n.ip
}

func (n *member) reachable() bool { return n.linked || n.everHeard && !n.pfail && !n.fail }

// touch says that something of n changed that the next View must show.
func (n *member) touch() { n.shown = nil }

// age says that only times, counts and offsets of n changed: see statsEvery.
func (m *Machine) age(n *member) {
	n.aged = true
	m.view.stats = true
}

// addMember makes room for a node of which only the id is known.
func (m *Machine) addMember(id slots.NodeID) *member {
	if n := m.members[id]; n != nil {
		return n
	}
	n := &member{reports: map[slots.NodeID]report{}, heard: m.now}
	n.rec.ID = id
	m.members[id] = n
	at, _ := slices.BinarySearchFunc(m.order, id, func(n *member, id slots.NodeID) int { return n.rec.ID.Compare(id) })
	m.order = slices.Insert(m.order, at, n)
	m.view.dirty = true
	return n
}

// removeMember forgets all about a node but its tombstone.
func (m *Machine) removeMember(n *member) {
	for w := range windows {
		m.setWindow(n, w, windowBits{}, 0)
	}
	delete(m.members, n.rec.ID)
	m.order = slices.DeleteFunc(m.order, func(o *member) bool { return o == n })
	for _, o := range m.order {
		delete(o.reports, n.rec.ID)
	}
	m.dropOpenWith(n.rec.ID)
	m.lease.forget(n.rec.ID)
	m.claims.electorsDirty = true
	m.view.dirty = true
	m.save = true
}

// meeting is a MEET under way.
type meeting struct {
	ip       string
	busPort  int
	next     Instant
	until    Instant
	answered slots.NodeID // who turned out to be there
}

// Meetings, and known nodes without a link, are tried this often.
const (
	meetEvery = 500 * time.Millisecond
	dialFirst = 500 * time.Millisecond
	dialMost  = 5 * time.Second
	// dialsPerTick bounds the burst after the start of a large cluster.
	dialsPerTick = 16
)

func (m *Machine) meet(ip string, busPort int) {
	for _, t := range m.meets {
		if t.ip == ip && t.busPort == busPort {
			t.until = m.now + m.meetFor()
			return
		}
	}
	t := &meeting{ip: ip, busPort: busPort, next: m.now, until: m.now + m.meetFor()}
	m.meets = append(m.meets, t)
	m.tryMeeting(t)
}

// meetFor is how long a MEET goes on trying: the operator may be quicker than
// the node that starts, or a cable.
func (m *Machine) meetFor() time.Duration { return max(m.cfg.NodeTimeout, 30*time.Second) }

// endMeeting is called when the node that was met talks back.
func (m *Machine) endMeeting(id slots.NodeID) {
	if len(m.meets) > 0 {
		m.meets = slices.DeleteFunc(m.meets, func(t *meeting) bool { return t.answered == id })
	}
}

func (m *Machine) tryMeeting(t *meeting) {
	t.next = m.now + meetEvery
	if t.answered.IsZero() {
		m.out.Dial = append(m.out.Dial, Dial{IP: t.ip, BusPort: t.busPort})
		return
	}
	m.send(t.answered, meetMsg{m.self.copyRecord(allWindows)})
}

// tickMembers carries on handshakes and tries known nodes to which there is no
// link. That one is heard does not count: what it says comes on its own link, and
// whoever has no link to it shows it as disconnected.
func (m *Machine) tickMembers() {
	m.meets = slices.DeleteFunc(m.meets, func(t *meeting) bool { return m.now >= t.until })
	for _, t := range m.meets {
		if m.now >= t.next {
			m.tryMeeting(t)
		}
	}
	dialled := 0
	for _, n := range m.order {
		if n == m.self || m.now < n.nextDial || dialled == dialsPerTick {
			continue
		}
		if n.linked && !n.lost {
			continue
		}
		if n.IP() == "" || n.rec.Address.BusPort == 0 {
			continue
		}
		n.nextDial = m.now + min(dialFirst<<min(n.dials, 8), dialMost) + m.jitter(100*time.Millisecond)
		n.dials++
		dialled++
		m.out.Dial = append(m.out.Dial, Dial{IP: n.IP(), BusPort: n.rec.Address.BusPort, Expect: n.rec.ID})
	}
}

func (m *Machine) jitter(limit time.Duration) time.Duration {
	return time.Duration(m.rng.Int64N(int64(limit)))
}

// memberSeen takes in an identity record that membership or a handshake
// brought, with the address at which the node was seen.
func (m *Machine) memberSeen(ev Member) error {
	r, err := parseMeta(ev.Meta)
	if err != nil {
		return err
	}
	if r.ID == m.self.rec.ID {
		if ev.IP != "" && m.cfg.Address.IP == "" && m.self.ip == "" {
			m.self.ip = ev.IP
			m.self.touch()
			m.view.dirty = true
		}
		return nil
	}
	met := ev.Met
	for _, t := range m.meets {
		if t.ip == ev.IP && t.busPort == r.Address.BusPort && t.answered.IsZero() {
			met = true
			t.answered = r.ID
			m.letIn(r.ID)
			m.aloof = false
			m.tryMeeting(t)
		}
	}
	if met {
		m.aloof = false
		m.letIn(r.ID)
	}
	if m.tombstones[r.ID].Forgotten {
		m.out.Drop = append(m.out.Drop, r.ID)
		return nil
	}
	if m.aloof {
		return nil
	}
	known := m.members[r.ID] != nil
	m.applyRecord(r, nil, ByLink)
	n := m.members[r.ID]
	if n == nil {
		return nil
	}
	n.lost = false
	if ev.IP != "" && n.ip != ev.IP {
		n.ip = ev.IP
		n.dials, n.nextDial = 0, m.now
		n.touch()
		m.view.dirty = true
		m.saveSoon()
	}
	if !known || met {
		m.introduce(n)
	}
	return nil
}

// introduce tells a node all that this one knows, and asks for the same.
func (m *Machine) introduce(n *member) {
	m.send(n.rec.ID, m.state())
	m.send(n.rec.ID, wantMsg{})
}

// met is the answer to a node that an operator told to MEET this one.
func (m *Machine) met(sender slots.NodeID, r *record) {
	if r.ID != sender {
		return
	}
	m.letIn(sender)
	m.aloof = false
	m.applyRecord(r, nil, ByLink)
	if n := m.members[sender]; n != nil {
		m.hear(n)
		m.introduce(n)
	}
}

// letIn lifts the tombstone of id, here and, by gossip, everywhere. It goes two
// steps up, above a FORGET that others have heard of and this node has not yet.
func (m *Machine) letIn(id slots.NodeID) {
	if m.tombstones[id].Forgotten {
		m.log("Node %s was forgotten and is let in again by a MEET", id)
	}
	m.setTombstone(tombstone{ID: id, Stamp: m.tombstones[id].Stamp + 2})
}

// forget removes a node for good. Source: the reference's CLUSTER FORGET,
// whose ban ends after a minute; this one ends with a MEET.
func (m *Machine) forget(id slots.NodeID) {
	m.setTombstone(tombstone{ID: id, Stamp: m.tombstones[id].Stamp + 1, Forgotten: true})
}

// maxTombstones bounds what is remembered of forgotten nodes.
const maxTombstones = 4096

func (m *Machine) setTombstone(t tombstone) {
	old, had := m.tombstones[t.ID]
	if had && (t.Stamp < old.Stamp || t.Stamp == old.Stamp && (old.Forgotten || !t.Forgotten)) {
		return
	}
	if t.ID == m.self.rec.ID || !had && len(m.tombstones) >= maxTombstones && !m.dropLifted() {
		return
	}
	if t.Forgotten && m.self.rec.Replica && m.self.rec.Primary == t.ID {
		// A replica cannot forget its primary, whoever says so. Gossip comes
		// back to it when it has another one.
		return
	}
	m.tombstones[t.ID] = t
	m.save = true
	if t.Forgotten {
		m.log("Node %s is forgotten", t.ID)
		n := m.members[t.ID]
		m.meets = slices.DeleteFunc(m.meets, func(k *meeting) bool {
			return k.answered == t.ID || n != nil && k.ip == n.IP() && k.busPort == n.rec.Address.BusPort
		})
		if n != nil {
			m.removeMember(n)
		}
		m.out.Drop = append(m.out.Drop, t.ID)
	}
	m.spread("tombstone/"+t.ID.String(), tombstoneMsg{[]tombstone{t}})
}

// dropLifted makes room among the tombstones by what matters least.
func (m *Machine) dropLifted() bool {
	for _, t := range m.sortedTombstones() {
		if !t.Forgotten {
			delete(m.tombstones, t.ID)
			return true
		}
	}
	return false
}

func (m *Machine) applyTombstones(all []tombstone) {
	for _, t := range all {
		m.setTombstone(t)
	}
}

func (m *Machine) sortedTombstones() []tombstone {
	out := make([]tombstone, 0, len(m.tombstones))
	for _, t := range m.tombstones {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b tombstone) int { return a.ID.Compare(b.ID) })
	return out
}

// answerWant sends what the asker does not know.
func (m *Machine) answerWant(n *member, want wantMsg) {
	if len(want.Known) == 0 {
		m.send(n.rec.ID, m.state())
		return
	}
	for _, k := range want.Known {
		if o := m.members[k.ID]; o != nil && o.rec.Seq > 0 && o.rec.Seq >= k.Seq {
			m.send(n.rec.ID, recordMsg{o.copyRecord(allWindows)})
		}
	}
}

// want asks for the record of n: n itself, and whoever mentioned it.
func (m *Machine) want(n, mentionedBy *member) {
	if n.wanted != 0 && m.now-n.wanted < 100*time.Millisecond {
		return
	}
	n.wanted = m.now
	ask := wantMsg{[]knownSeq{{n.rec.ID, n.rec.Seq}}}
	m.send(n.rec.ID, ask)
	if mentionedBy != nil && mentionedBy != n {
		m.send(mentionedBy.rec.ID, ask)
	}
}

func (m *Machine) applyState(s stateMsg, n *member, way Way) {
	m.raiseEpoch(s.CurrentEpoch)
	m.applyTombstones(s.Tombstones)
	if m.members[n.rec.ID] != n {
		return
	}
	for _, r := range s.Records {
		m.applyRecord(r, n, way)
	}
	n.toldAll = m.now
}
