package gossip

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"slotmesh/slots"
)

func refuse(format string, args ...any) error {
	return CommandError("ERR " + fmt.Sprintf(format, args...))
}

// NotNowError refuses a command that may well be accepted in a moment, when
// the lease has been granted anew. Nothing has changed; whoever ordered it may
// order it again.
type NotNowError string

func (e NotNowError) Error() string { return string(e) }

// command runs an operator's command. Every one checks all before it changes
// anything. The texts are the reference's.
func (m *Machine) command(ev Event) error {
	switch ev := ev.(type) {
	case AddSlots:
		return m.addSlots(ev.Slots)
	case DelSlots:
		return m.delSlots(ev.Slots)
	case FlushSlots:
		if ev.HasKeys {
			return refuse("DB must be empty to perform CLUSTER FLUSHSLOTS.")
		}
		m.flushSlots()
	case SetSlot:
		return m.setSlot(ev)
	case Meet:
		busPort := ev.BusPort
		if busPort == 0 {
			busPort = ev.Port + 10000
		}
		if ev.Port <= 0 || ev.Port > 65535 || busPort > 65535 || ev.IP == "" {
			return refuse("Invalid node address specified: %s:%d", ev.IP, ev.Port)
		}
		m.meet(ev.IP, busPort)
	case Forget:
		return m.forgetNode(ev.Node)
	case Replicate:
		return m.replicate(ev)
	case BumpEpoch:
		return m.bumpEpoch()
	case SetConfigEpoch:
		return m.setConfigEpoch(ev.Epoch)
	case Failover:
		return m.failover(ev.Kind)
	case Reset:
		return m.reset(ev)
	default:
		return fmt.Errorf("cluster state: unknown event %T", ev)
	}
	return nil
}

func (m *Machine) addSlots(list []slots.Slot) error {
	var seen slots.Set
	for _, slot := range list {
		if m.claims.owner[slot] != nil {
			return refuse("Slot %d is already busy", slot)
		}
		if seen.Has(slot) {
			return refuse("Slot %d specified multiple times", slot)
		}
		seen.Add(slot)
	}
	for _, slot := range list {
		if o, open := m.claims.open[slot]; open && o.Importing {
			delete(m.claims.open, slot)
		}
		if m.self.rec.Replica {
			// The reference lets a replica do this; what it then shows is
			// overruled by its primary's next word. Nothing to do here.
			continue
		}
		m.take(slot)
	}
	return nil
}

func (m *Machine) delSlots(list []slots.Slot) error {
	var seen slots.Set
	for _, slot := range list {
		if m.claims.owner[slot] == nil {
			if m.self.rec.Replica {
				continue
			}
			return refuse("Slot %d is already unassigned", slot)
		}
		if seen.Has(slot) {
			return refuse("Slot %d specified multiple times", slot)
		}
		seen.Add(slot)
	}
	for _, slot := range list {
		m.disown(slot)
	}
	return nil
}

// maskFor is how long CLUSTER DELSLOTS hides a claim that its node upholds.
const maskFor = time.Second

// disown makes slot unassigned here: the own claim is given up, another's is
// masked until that node says something new.
func (m *Machine) disown(slot slots.Slot) {
	delete(m.claims.assumed, slot)
	delete(m.claims.awaited, slot)
	for range len(m.order) {
		n := m.claims.owner[slot]
		if n == nil {
			return
		}
		if n == m.self {
			m.unclaim(slot)
			delete(m.claims.open, slot)
		} else {
			m.claims.masked[slot] = mask{n.rec.ID, n.rec.Seq, m.now + maskFor}
		}
		if m.decide(slot); m.claims.owner[slot] != nil {
			// A lesser claim behind it would come up: the slot shows empty.
			m.setOwner(slot, nil)
			return
		}
	}
}

func (m *Machine) flushSlots() {
	for slot := range slots.Count {
		if m.claims.owner[slot] != nil {
			m.disown(slots.Slot(slot))
		}
	}
	m.claims.successor = nil
}

func (m *Machine) setSlot(ev SetSlot) error {
	if m.self.rec.Replica {
		return refuse("Please use SETSLOT only with masters.")
	}
	c := &m.claims
	owner := c.owner[ev.Slot]
	n := m.members[ev.Node]
	switch ev.To {
	case Migrating:
		switch {
		case owner != m.self:
			return refuse("I'm not the owner of hash slot %d", ev.Slot)
		case n == nil:
			return refuse("I don't know about node %s", ev.Node)
		case n.rec.Replica:
			return refuse("Target node is not a master")
		}
		m.open(openSlot{ev.Slot, false, ev.Node})
	case Importing:
		switch {
		case owner == m.self:
			return refuse("I'm already the owner of hash slot %d", ev.Slot)
		case n == nil:
			return refuse("I don't know about node %s", ev.Node)
		case n.rec.Replica:
			return refuse("Target node is not a master")
		}
		m.open(openSlot{ev.Slot, true, ev.Node})
	case Stable:
		m.closeSlot(ev.Slot)
	case OwnedBy:
		switch {
		case n == nil:
			return refuse("Unknown node %s", ev.Node)
		case n.rec.Replica:
			return refuse("Target node is not a master")
		case owner == m.self && n != m.self && ev.KeysInSlot > 0:
			return refuse("Can't assign hashslot %d to a different node while I still hold keys for this hash slot.", ev.Slot)
		case owner != m.self && n == m.self && (!m.inTouch() || !m.mayTake(ev.Slot)):
			// The source is about to give the slot up: without a claim that
			// others hear it would be left to whoever comes along.
			return NotNowError(refuse("This node is not in touch with a majority of the primaries: it can't take hash slot %d now.", ev.Slot).Error())
		}
		m.giveSlot(ev.Slot, n)
	}
	return nil
}

func (m *Machine) open(o openSlot) {
	delete(m.claims.awaited, o.Slot)
	m.claims.open[o.Slot] = o
	m.claims.openDirty, m.view.dirty = true, true
	m.self.touch()
}

func (m *Machine) closeSlot(slot slots.Slot) {
	delete(m.claims.awaited, slot)
	if _, open := m.claims.open[slot]; open {
		delete(m.claims.open, slot)
		m.claims.openDirty, m.view.dirty = true, true
		m.self.touch()
	}
}

// assumeFor is how long an operator's word on another's slot stands alone.
const assumeFor = 2 * time.Second

// giveSlot is SETSLOT NODE.
func (m *Machine) giveSlot(slot slots.Slot, n *member) {
	c := &m.claims
	if n == m.self {
		m.takeImported(slot)
		return
	}
	m.closeSlot(slot)
	if c.owner[slot] == n {
		return
	}
	local := c.owner[slot] == m.self
	m.unclaim(slot)
	if !m.claiming(n, slot) || c.owner[slot] != nil && c.owner[slot] != m.self {
		c.assumed[slot] = assumption{n, m.now + assumeFor}
	}
	m.decide(slot)
	if local {
		// Emptied by its own operator, it stays a primary.
		c.successor = nil
	}
}

// inTouch reports whether a majority hears what this node claims.
func (m *Machine) inTouch() bool {
	if m.holdsSlots() {
		return m.now < m.lease.until
	}
	return m.heardMajority()
}

// importing reports whether slot is on its way to this node.
func (m *Machine) importing(slot slots.Slot) bool {
	o, open := m.claims.open[slot]
	return open && o.Importing
}

// mayTake reports whether takeImported will do now what it is there for. A claim
// on an imported slot that a greater one beats would cost this node its leases,
// and the OK would be a lie: so it must be free to take an epoch (see mayBump).
func (m *Machine) mayTake(slot slots.Slot) bool {
	return !m.importing(slot) || m.mayBump() || m.claims.owner[slot] == nil
}

// takeImported makes this node the owner of slot, which mayTake allowed. An
// importing node comes out on top without asking anybody, under the next config
// epoch when its own is not the greatest: the source has agreed. Without the
// import nothing says that the owner has agreed, and a greater claim stands until
// the owner itself gives the slot up. That is the operator's next word, so this
// node waits for it: an OK without effect would leave the slot to nobody.
func (m *Machine) takeImported(slot slots.Slot) {
	c := &m.claims
	o := c.owner[slot]
	switch {
	case o == m.self:
		m.closeSlot(slot)
	case m.importing(slot):
		if m.mayBump() && !m.greatestEpoch() {
			m.setSelfEpoch(m.currentEpoch + 1)
			m.log("New configEpoch set to %d", m.self.rec.Epoch)
		}
		m.take(slot)
	case o != nil && m.beats(o, m.self, slot):
		c.awaited[slot] = awaiting{o, o.win[int(slot)/windowSlots].epoch, m.now + assumeFor}
	default:
		m.take(slot)
	}
}

// settleAwaited takes the awaited slots that have been given up. The claim of
// one who was replaced before and has not been heard since may come up from under
// the one that was withdrawn; it is beaten as that one would have been.
func (m *Machine) settleAwaited() {
	c := &m.claims
	if len(c.awaited) == 0 {
		return
	}
	for _, slot := range slices.Sorted(maps.Keys(c.awaited)) {
		w, o := c.awaited[slot], c.owner[slot]
		switch {
		case m.self.rec.Replica || m.now >= w.until || o == m.self:
			delete(c.awaited, slot)
		case o == nil:
			delete(c.awaited, slot)
			m.take(slot)
		case o != w.owner && o.win[int(slot)/windowSlots].epoch < w.epoch && m.mayBump():
			delete(c.awaited, slot)
			if !m.greatestEpoch() {
				m.setSelfEpoch(m.currentEpoch + 1)
			}
			m.take(slot)
		}
	}
}

// greatestEpoch reports whether no other node's config epoch reaches this
// one's. Source: the reference's clusterBumpConfigEpochWithoutConsensus.
func (m *Machine) greatestEpoch() bool {
	if m.self.rec.Epoch == 0 {
		return false
	}
	for _, n := range m.order {
		if n != m.self && n.rec.Epoch >= m.self.rec.Epoch {
			return false
		}
	}
	return true
}

// bumpEpoch takes the next config epoch for the slots that this node has. Above a
// vote against it that would be a reclaim by nobody's votes, so it waits until it
// may (see mayBump).
func (m *Machine) bumpEpoch() error {
	if m.self.rec.Replica || m.greatestEpoch() {
		return nil
	}
	if !m.mayBump() {
		return NotNowError(refuse("This node is not in touch with a majority of the primaries: it can't take a config epoch now.").Error())
	}
	m.self.rec.SeizedEpoch = m.currentEpoch + 1
	m.setSelfEpoch(m.currentEpoch + 1)
	m.claims.gained = m.claims.gained || m.self.nOwned > 0
	m.log("New configEpoch set to %d", m.self.rec.Epoch)
	return nil
}

func (m *Machine) setConfigEpoch(epoch uint64) error {
	switch {
	case epoch > maxEpoch/2:
		return refuse("Invalid config epoch specified: %d", epoch)
	case len(m.members) > 1:
		return refuse("The user can assign a config epoch only when the node does not know any other node.")
	case m.self.rec.Epoch != 0:
		return refuse("Node config epoch is already non-zero")
	}
	m.log("configEpoch set to %d via CLUSTER SET-CONFIG-EPOCH", epoch)
	m.setSelfEpoch(epoch)
	return nil
}

func (m *Machine) forgetNode(id slots.NodeID) error {
	n := m.members[id]
	switch {
	case n == nil && m.tombstones[id].Forgotten:
		return nil
	case n == nil:
		return refuse("Unknown node %s", id)
	case n == m.self:
		return refuse("I tried hard but I can't forget myself...")
	case m.self.rec.Replica && m.self.rec.Primary == id:
		return refuse("Can't forget my master!")
	}
	m.forget(id)
	return nil
}

func (m *Machine) replicate(ev Replicate) error {
	n := m.members[ev.Primary]
	switch {
	case n == nil || n.rec.Seq == 0:
		return refuse("Unknown node %s", ev.Primary)
	case n == m.self:
		return refuse("Can't replicate myself")
	case n.rec.Replica:
		return refuse("I can only replicate a master, not a replica.")
	case !m.self.rec.Replica && (m.self.nOwned > 0 || ev.HasKeys):
		return refuse("To set a master the node must be empty and without assigned slots.")
	}
	if n.rec.Shard != m.self.rec.Shard {
		m.dataKept.foreign = true
	}
	m.becomeReplica(n)
	return nil
}

func (m *Machine) failover(kind FailoverKind) error {
	if !m.self.rec.Replica {
		return refuse("You should send CLUSTER FAILOVER to a replica")
	}
	p := m.members[m.self.rec.Primary]
	switch {
	case p == nil:
		return refuse("I'm a replica but my master is unknown to me")
	case kind == FailoverAgreed && (p.fail || p.pfail):
		return refuse("Master is down or failed, please use CLUSTER FAILOVER FORCE")
	}
	switch kind {
	case FailoverTakeover:
		m.log("Taking over the master (user request).")
		m.promote(p, m.currentEpoch+2)
	case FailoverForce:
		m.startHandover(true)
	default:
		m.startHandover(false)
	}
	return nil
}

func (m *Machine) reset(ev Reset) error {
	if !m.self.rec.Replica && ev.HasKeys {
		return refuse("CLUSTER RESET can't be called with master nodes containing keys")
	}
	wasReplica := m.self.rec.Replica
	m.handover = handoverState{}
	m.election.running, m.election.why = nil, 0
	for _, n := range append([]*member(nil), m.order...) {
		if n != m.self {
			m.removeMember(n)
		}
	}
	clear(m.claims.open)
	clear(m.claims.masked)
	clear(m.claims.assumed)
	clear(m.claims.awaited)
	m.flushSlots()
	m.meets = nil
	m.aloof = true
	r := &m.self.rec
	r.Replica, r.Primary, r.Elector = false, slots.NodeID{}, false
	if wasReplica || ev.Hard {
		r.Shard = slots.ShardID(m.newID())
	}
	m.startedWithSlots = false
	m.dataKept = dataState{}
	if ev.Hard {
		m.hardReset()
	}
	m.claims.selfDirty, m.claims.electorsDirty, m.claims.tableDirty = true, true, true
	m.describeSelf()
	m.out.NewIdentity = true
	m.save, m.view.dirty = true, true
	return nil
}

// hardReset gives this node a new name and no memory.
func (m *Machine) hardReset() {
	old := m.self
	delete(m.members, old.rec.ID)
	m.order = nil
	m.currentEpoch = 0
	clear(m.tombstones)
	m.election.init()
	m.lease = leaseState{}
	m.lease.init()
	m.failure = failureState{}
	m.claims.selfWin = [windows]bool{}
	shard, address := old.rec.Shard, old.rec.Address
	m.self = m.addMember(m.newID())
	m.self.rec.Shard, m.self.rec.Address = shard, address
	m.self.ip, m.self.everHeard = old.ip, true
	m.log("Node hard reset, now I'm %s", m.self.rec.ID)
}
