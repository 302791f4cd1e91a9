package sim

import (
	"errors"
	"time"

	"slotmesh/gossip"
	"slotmesh/slots"
)

// nextOperation draws what the operator does next.
func (w *world) nextOperation() {
	if !w.war {
		return
	}
	switch w.rng.IntN(12) {
	case 0, 1, 2, 3:
		w.migrateSome()
	case 4, 5:
		w.failoverSome(gossip.FailoverAgreed)
	case 6:
		w.failoverSome(gossip.FailoverForce)
	case 7:
		w.failoverSome(gossip.FailoverTakeover)
	case 8:
		w.repairSlots()
	case 9:
		w.forgetSome()
	case 10:
		w.bumpSome()
	default:
		w.moveReplica()
	}
	w.after(w.spread(200*time.Millisecond, 2500*time.Millisecond), w.nextOperation)
}

// serving draws a host that runs and serves slots, or nil.
func (w *world) serving() *host {
	from := w.rng.IntN(len(w.hosts))
	for i := range w.hosts {
		h := w.hosts[(from+i)%len(w.hosts)]
		if h.alive() && h.view != nil && h.own != 0 && !h.view.Self.IsReplica {
			return h
		}
	}
	return nil
}

// replica draws a replica that runs, or nil.
func (w *world) replica() *host {
	from := w.rng.IntN(len(w.hosts))
	for i := range w.hosts {
		h := w.hosts[(from+i)%len(w.hosts)]
		if h.alive() && h.view != nil && h.view.Self.IsReplica && !w.forgotten[h.index] {
			return h
		}
	}
	return nil
}

// migration is one run of the operator's tool: the three SETSLOTs of a handful
// of slots and the moving of their keys in between.
type migration struct {
	w              *world
	source, target *host
	slots          []slots.Slot
	bits           uint64
	// dies is the step before which the tool is killed; 0 for never.
	dies int
	step int
}

func (w *world) migrateSome() {
	source, target := w.serving(), w.serving()
	if w.spare && w.rng.IntN(4) == 0 {
		target = w.hosts[len(w.hosts)-1]
	}
	if source == nil || target == nil || source == target || !target.alive() || target.view == nil || target.view.Self.IsReplica {
		return
	}
	m := &migration{w: w, source: source, target: target}
	free := source.own &^ source.open
	skip := w.rng.IntN(watchedSlots)
	for i := range watchedSlots {
		bit := (i + skip) % watchedSlots
		if free&(1<<bit) == 0 {
			continue
		}
		// The watched slot, and a few neighbours for company.
		for slot := w.slots[bit]; slot < slots.Count && len(m.slots) < 3; slot++ {
			if source.view.Self.Slots.Has(slot) {
				m.slots = append(m.slots, slot)
				if other, ok := w.watched[slot]; ok {
					m.bits |= 1 << other
				}
			}
		}
		break
	}
	if m.bits == 0 {
		return
	}
	if w.rng.IntN(4) == 0 {
		m.dies = 1 + w.rng.IntN(5)
		w.stats.Interrupted++
	}
	w.stats.Migrations++
	w.tracef("migration of %v from %s to %s, dies at %d", m.slots, source.name(), target.name(), m.dies)
	m.next()
}

// next takes the tool's next step; each step waits for the answers of the one
// before, and an error ends the tool.
func (m *migration) next() {
	m.step++
	if m.step == m.dies {
		return
	}
	w := m.w
	w.after(w.jitter(20*time.Millisecond), func() {
		switch m.step {
		case 1:
			m.setSlots(m.target, gossip.Importing, m.source.id)
		case 2:
			m.setSlots(m.source, gossip.Migrating, m.target.id)
		case 3:
			w.after(w.spread(10*time.Millisecond, 200*time.Millisecond), m.drain)
		case 4:
			if m.sourceStands() {
				for bit := range watchedSlots {
					if m.bits&(1<<bit) != 0 {
						w.check.moves[bit] = move{m.source, m.target, m.source.claim(), w.now}
					}
				}
				m.setSlots(m.target, gossip.OwnedBy, m.target.id)
			}
		case 5:
			w.stats.Moved += len(m.slots)
			m.setSlots(m.source, gossip.OwnedBy, m.target.id)
		case 6:
			for _, h := range w.hosts {
				if h != m.source && h != m.target && h.own != 0 {
					for _, slot := range m.slots {
						h.request(h.ownedBy(slot, m.target.id), nil)
					}
				}
			}
		}
	})
}

// ownedBy is SETSLOT NODE with the count of keys that the host has of its own: it
// refuses to give those away. A slot whose migration was overtaken by a failover
// and another migration has some.
func (h *host) ownedBy(slot slots.Slot, id slots.NodeID) gossip.SetSlot {
	keys := 0
	if bit, watched := h.w.watched[slot]; watched && h.own&^h.drained&(1<<bit) != 0 {
		keys = 1
	}
	return gossip.SetSlot{Slot: slot, To: gossip.OwnedBy, Node: id, KeysInSlot: keys}
}

// setSlots gives one node the same command for all slots, one after the other.
func (m *migration) setSlots(h *host, to gossip.SlotState, node slots.NodeID) {
	m.setSlot(h, m.slots, to, node, m.w.now+commandPatience)
}

// commandPatience and commandRetry are package node's: a command that the machine
// refuses only for now is tried again for a while.
const (
	commandPatience = 3 * time.Second
	commandRetry    = 10 * time.Millisecond
)

func (m *migration) setSlot(h *host, left []slots.Slot, to gossip.SlotState, node slots.NodeID, deadline time.Duration) {
	w := m.w
	if len(left) == 0 {
		m.next()
		return
	}
	h.request(gossip.SetSlot{Slot: left[0], To: to, Node: node}, func(err error) {
		var notNow gossip.NotNowError
		if errors.As(err, &notNow) && w.now < deadline {
			w.after(commandRetry, func() { m.setSlot(h, left, to, node, deadline) })
			return
		}
		w.tracef("migration of %d, step %d at %s: %v", left[0], m.step, h.name(), err)
		if err == nil {
			m.setSlot(h, left[1:], to, node, w.now+commandPatience)
		}
	})
}

// sourceStands reports whether the source still is who may give the slots away:
// MIGRATE's deletions are writes, and are acknowledged like any other.
func (m *migration) sourceStands() bool {
	s := m.source
	return s.alive() && s.view != nil && s.own&m.bits == m.bits && s.open&m.bits == m.bits && s.clock() < s.lease && s.view.MayServe
}

// drain moves the keys.
func (m *migration) drain() {
	if !m.sourceStands() || m.source.view.HoldWrites {
		return
	}
	m.source.drained |= m.bits
	m.next()
}

// repairSlots is what `--cluster fix` does with open slots: finishes what had
// moved all keys, and closes the rest.
func (w *world) repairSlots() {
	for _, h := range w.hosts {
		if !h.alive() || h.view == nil {
			continue
		}
		for _, slot := range sortedSlots(h.view.Self.Migrating) {
			target := w.hostOf(h.view.Self.Migrating[slot])
			w.stats.Repairs++
			bit, watched := w.watched[slot]
			if watched && h.drained&(1<<bit) != 0 && target >= 0 && w.hosts[target].alive() && w.hosts[target].view != nil && !w.hosts[target].view.Self.IsReplica {
				m := &migration{w: w, source: h, target: w.hosts[target], slots: []slots.Slot{slot}, bits: 1 << bit, step: 3}
				m.next()
				continue
			}
			w.tracef("repair: slot %d migrating at %s is closed", slot, h.name())
			if watched {
				w.check.repaired[bit] = w.now
			}
			h.request(gossip.SetSlot{Slot: slot, To: gossip.Stable}, nil)
		}
		for _, slot := range sortedSlots(h.view.Self.Importing) {
			source := w.hostOf(h.view.Self.Importing[slot])
			if source >= 0 && w.hosts[source].view != nil {
				if _, open := w.hosts[source].view.Self.Migrating[slot]; open {
					continue
				}
			}
			w.stats.Repairs++
			w.tracef("repair: slot %d importing at %s is closed", slot, h.name())
			h.request(gossip.SetSlot{Slot: slot, To: gossip.Stable}, nil)
		}
	}
}

// repairCoverage is what `--cluster fix` does with slots that nobody owns: a
// migration to a target that was being deposed can leave some.
func (w *world) repairCoverage() {
	by := w.serving()
	if by == nil {
		return
	}
	var lost []slots.Slot
	for slot := range slots.Count {
		unowned := true
		for _, h := range w.hosts {
			unowned = unowned && (h.table == nil || h.table.Owner[slot] == slots.None)
		}
		if unowned {
			lost = append(lost, slots.Slot(slot))
		}
	}
	if len(lost) == 0 {
		return
	}
	w.stats.Uncovered += len(lost)
	w.tracef("operator: %s takes the slots %v that nobody owns", by.name(), lost)
	for _, slot := range lost {
		if bit, watched := w.watched[slot]; watched {
			w.check.moves[bit] = move{nil, by, w.check.latest[bit].claim, w.now}
		}
	}
	by.request(gossip.AddSlots{Slots: lost}, nil)
}

// failoverSome orders one replica to take over.
func (w *world) failoverSome(kind gossip.FailoverKind) {
	h := w.replica()
	if h == nil {
		return
	}
	p := w.hostOf(h.view.Self.Primary)
	if p < 0 {
		return
	}
	if kind == gossip.FailoverTakeover && (w.hosts[p].running || h.empty) {
		// TAKEOVER asks nobody and promises nothing while the old primary
		// lives: a careful operator uses it on the dead.
		return
	}
	if kind == gossip.FailoverForce && h.empty {
		return
	}
	w.tracef("operator: failover kind %d of %s", kind, h.name())
	h.request(gossip.Failover{Kind: kind}, func(err error) {
		if err != nil {
			w.tracef("failover of %s refused: %v", h.name(), err)
			return
		}
		w.stats.Failovers++
	})
}

// forgetSome removes a replica from everybody's list and meets it again later.
func (w *world) forgetSome() {
	h := w.replica()
	if h == nil || len(w.forgotten) > 1 || w.believedOwner(h) {
		return
	}
	w.tracef("operator: forget %s", h.name())
	w.stats.Forgets++
	w.forgotten[h.index] = true
	for _, other := range w.hosts {
		if other != h {
			other.request(gossip.Forget{Node: h.id}, nil)
		}
	}
	w.after(w.spread(2*time.Second, 6*time.Second), func() { w.meet(h) })
}

// believedOwner reports whether somebody who has not heard otherwise still
// takes h for an owner of slots. To forget such a node would take a vote from
// the majorities on one side of a partition only: no careful operator does.
func (w *world) believedOwner(h *host) bool {
	for _, other := range w.hosts {
		if other.view == nil {
			continue
		}
		if n := other.view.Node(h.id); n != nil && !n.Slots.Empty() {
			return true
		}
	}
	return false
}

// meet introduces a forgotten node again.
func (w *world) meet(h *host) {
	by := w.serving()
	if !w.forgotten[h.index] || by == nil || by == h || !h.alive() {
		return
	}
	delete(w.forgotten, h.index)
	// It takes a while until everybody has heard of it.
	h.faultEnded = w.now + 2*time.Second
	w.tracef("operator: meet %s at %s", h.name(), by.name())
	by.request(gossip.Meet{IP: h.ip(), Port: clientPort, BusPort: busPort}, nil)
}

// meetForgotten meets whoever is still forgotten by somebody, as an operator
// does who looks whether the first MEET had an effect.
func (w *world) meetForgotten() {
	for _, h := range w.hosts {
		for _, other := range w.hosts {
			if other.machine != nil && other.machine.Forgotten(h.id) {
				w.forgotten[h.index] = true
			}
		}
		w.meet(h)
	}
}

// bumpSome gives epochs away: often to two primaries at once.
func (w *world) bumpSome() {
	for range 1 + w.rng.IntN(2) {
		if h := w.serving(); h != nil {
			h.request(gossip.BumpEpoch{}, nil)
		}
	}
}

// moveReplica gives a replica to another primary that has fewer.
func (w *world) moveReplica() {
	h, p := w.replica(), w.serving()
	if h == nil || p == nil || w.hostOf(h.view.Self.Primary) == p.index || w.replicas < 2 {
		return
	}
	if rest := w.replicasOf(h.view.Self.Primary); rest < 2 {
		return
	}
	w.tracef("operator: %s becomes replica of %s", h.name(), p.name())
	h.request(gossip.Replicate{Primary: p.id}, func(err error) {
		if err == nil {
			h.moved = true
		}
	})
}

func (w *world) replicasOf(primary slots.NodeID) int {
	n := 0
	for _, h := range w.hosts {
		if h.view != nil && h.view.Self.IsReplica && h.view.Self.Primary == primary {
			n++
		}
	}
	return n
}
