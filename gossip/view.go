package gossip

import (
	"time"

	"slotmesh/slots"
)

// viewState is what has been published and what has changed since.
type viewState struct {
	dirty bool // something that commands or routing show changed: publish now
	stats bool // only times and offsets changed: publish with the next batch

	last   *View
	lastAt Instant
	epoch  uint64 // of tables

	ok        bool
	reason    string
	checkedAt Instant

	// vacant are the slots that another node gave up and nobody has claimed
	// yet: see vacate.
	vacant map[slots.Slot]vacancy
}

// vacancy is who had a slot, and until when it is still shown there.
type vacancy struct {
	last  *member
	until Instant
}

// vacateFor is how long a slot that was given up is shown at its last owner.
const vacateFor = time.Second

// vacate shows slot at n, which gave it up, until its next owner's claim has
// come or a while is over. A slot that moves is given up by its source and
// claimed by its target in two records, which may come in any order: without
// this the cluster would be down in between. The last owner knows where to
// send whoever still asks it.
func (m *Machine) vacate(slot slots.Slot, n *member) {
	if m.claims.owner[slot] != nil || n == m.self {
		return
	}
	if m.view.vacant == nil {
		m.view.vacant = map[slots.Slot]vacancy{}
	}
	m.view.vacant[slot] = vacancy{n, m.now + vacateFor}
	n.touch()
}

// occupy ends the vacancy of slot, if there is one.
func (m *Machine) occupy(slot slots.Slot) {
	if v, vacant := m.view.vacant[slot]; vacant {
		delete(m.view.vacant, slot)
		v.last.touch()
		m.claims.tableDirty, m.view.dirty = true, true
	}
}

// settleVacancies ends what has lasted too long, or whose last owner is gone.
func (m *Machine) settleVacancies() {
	for slot, v := range m.view.vacant {
		if m.now >= v.until || m.members[v.last.rec.ID] != v.last {
			m.occupy(slot)
		}
	}
}

// statsEvery is how old offsets and times in a View may be.
const statsEvery = 250 * time.Millisecond

func (v *viewState) start(Instant) { v.dirty = true }

// graceMost bounds how long a failed owner's slots count as covered while one
// of its replicas can take over: the other shards must not notice.
const graceMost = 5 * time.Second

func (m *Machine) grace() time.Duration { return min(m.cfg.NodeTimeout, graceMost) }

// settleState computes cluster_state. Source: the reference's
// clusterUpdateState, but for the grace and that a start does not linger: the
// state is ok as soon as a majority has been heard.
func (m *Machine) settleState() {
	v := &m.view
	m.settleVacancies()
	if !v.dirty && v.last != nil && m.now-v.checkedAt < 10*time.Millisecond {
		return
	}
	v.checkedAt = m.now
	ok, reason := m.judgeState()
	if ok == v.ok && v.last != nil {
		if reason != v.reason {
			v.reason, v.dirty = reason, true
		}
		return
	}
	if ok != v.ok {
		word := "fail"
		if ok {
			word = "ok"
		}
		m.log("Cluster state changed: %s", word)
	}
	v.ok, v.reason, v.dirty = ok, reason, true
	m.claims.tableDirty = true
}

func (m *Machine) judgeState() (bool, string) {
	assigned, failing := 0, 0
	for _, n := range m.order {
		assigned += n.nOwned
		if n.nOwned > 0 && n.fail && (m.now-n.failSince > m.grace() || !m.hasHeir(n)) {
			failing += n.nOwned
		}
	}
	if m.cfg.RequireFullCoverage {
		if assigned+len(m.view.vacant) < slots.Count {
			return false, "slots without an owner"
		}
		if failing > 0 {
			return false, "slots whose owner has failed"
		}
	}
	if assigned == 0 {
		return false, "slots without an owner"
	}
	reached := 0
	for _, n := range m.claims.electors {
		if n == m.self || m.elector(n) && n.everHeard && !n.pfail && !n.fail {
			reached++
		}
	}
	if len(m.claims.electors) > 0 && reached < m.majority() {
		return false, "a majority of primaries is out of reach"
	}
	if m.holdsSlots() && m.lease.staleAt != 0 && m.now-m.lease.staleAt > m.cfg.NodeTimeout {
		return false, "no lease from a majority of primaries"
	}
	return true, ""
}

// hasHeir reports whether a replica of n can take over.
func (m *Machine) hasHeir(n *member) bool {
	for _, o := range m.order {
		if o.rec.Replica && o.rec.Primary == n.rec.ID && !o.pfail && !o.fail && !o.rec.NoFailover && !o.rec.Empty {
			return true
		}
	}
	return false
}

// takeView returns a new View when there is something new to show.
func (m *Machine) takeView() *View {
	v := &m.view
	every := max(statsEvery, time.Duration(len(m.order))*time.Millisecond)
	if !v.dirty && (!v.stats || m.now-v.lastAt < every) && v.last != nil {
		return nil
	}
	v.dirty = false
	batch := v.stats && m.now-v.lastAt >= every || v.last == nil
	if batch {
		v.stats, v.lastAt = false, m.now
	}
	view := &View{
		CurrentEpoch: m.currentEpoch, OK: v.ok, Reason: v.reason,
		HoldWrites: m.handover.draining(), MayServe: m.mayServe(),
		Nodes: make([]*Node, len(m.order)),
	}
	for i, n := range m.order {
		if n.shown == nil || batch && n.aged {
			n.shown, n.aged = m.show(n), false
		}
		view.Nodes[i] = n.shown
		if n == m.self {
			view.Self = n.shown
		}
		if n.nOwned > 0 {
			view.Size++
		}
	}
	if v.last == nil || m.claims.tableDirty || m.openDiffers() || len(v.last.Nodes) != len(view.Nodes) {
		m.claims.tableDirty = false
		view.Table = m.buildTable()
	} else {
		view.Table = v.last.Table
	}
	v.last = view
	return view
}

func (m *Machine) openDiffers() bool {
	t := m.view.last.Table
	if len(t.Migrating)+len(t.Importing) != len(m.claims.open) {
		return true
	}
	for slot, o := range m.claims.open {
		open := t.Migrating
		if o.Importing {
			open = t.Importing
		}
		if i, ok := open[slot]; !ok || t.Nodes[i].ID != o.Peer {
			return true
		}
	}
	return false
}

func (m *Machine) show(n *member) *Node {
	node := &Node{
		ID: n.rec.ID, Shard: n.rec.Shard, Address: n.rec.Address,
		IsReplica: n.rec.Replica, Primary: n.rec.Primary, Slots: n.owned, ConfigEpoch: n.rec.Epoch,
		NoFailover: n.rec.NoFailover, Handshake: n.rec.Seq == 0,
		PFail: n.pfail && !n.fail, Fail: n.fail, Linked: n.linked || n == m.self,
		Offset: n.offset, PingSent: n.pingSent, PongReceived: max(n.pongReceived, n.heard), Reports: m.countReports(n),
	}
	for slot, v := range m.view.vacant {
		if v.last == n {
			node.Slots.Add(slot)
		}
	}
	node.Address.IP = n.IP()
	node.NoAddress = n != m.self && (node.Address.IP == "" || node.Address.Port == 0 && node.Address.TLSPort == 0)
	if n == m.self {
		node.PingSent, node.PongReceived = 0, 0
		node.Offset = m.data.Offset
		node.Migrating, node.Importing = map[slots.Slot]slots.NodeID{}, map[slots.Slot]slots.NodeID{}
		for slot, o := range m.claims.open {
			if o.Importing {
				node.Importing[slot] = o.Peer
			} else {
				node.Migrating[slot] = o.Peer
			}
		}
	}
	if !n.everHeard && n != m.self {
		node.PongReceived = 0
	}
	return node
}

func (m *Machine) buildTable() *slots.Table {
	m.view.epoch++
	t := &slots.Table{
		Epoch: m.view.epoch, Up: m.view.ok, ReadsWhenDown: m.cfg.AllowReadsWhenDown,
		Replica: m.self.rec.Replica, Primary: slots.None,
		Nodes: make([]slots.Endpoint, len(m.order)),
	}
	for i, n := range m.order {
		n.index = uint16(i)
		t.Nodes[i] = slots.Endpoint{ID: n.rec.ID, Host: m.host(n), Port: n.rec.Address.Port, TLSPort: n.rec.Address.TLSPort}
	}
	t.Self = m.self.index
	if t.Replica {
		if p := m.members[m.self.rec.Primary]; p != nil {
			t.Primary = p.index
		}
	}
	for slot, n := range m.claims.owner {
		if n == nil {
			t.Owner[slot] = slots.None
		} else {
			t.Owner[slot] = n.index
		}
	}
	for slot, v := range m.view.vacant {
		t.Owner[slot] = v.last.index
	}
	for slot, o := range m.claims.open {
		peer := m.members[o.Peer]
		if peer == nil {
			continue
		}
		open := &t.Migrating
		if o.Importing {
			open = &t.Importing
		}
		if *open == nil {
			*open = map[slots.Slot]uint16{}
		}
		(*open)[slot] = peer.index
	}
	return t
}

// host is what MOVED and ASK name. Source: the reference's
// getPreferredEndpoint, with "?" for a host name that is not known.
func (m *Machine) host(n *member) string {
	switch m.cfg.Endpoint {
	case EndpointHostname:
		if n.rec.Address.Host == "" {
			return "?"
		}
		return n.rec.Address.Host
	case EndpointUnknown:
		return ""
	}
	return n.IP()
}
