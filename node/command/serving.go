package command

import (
	"math"
	"slices"

	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// This file is the side of the write: noting which keys somebody waits for have
// changed, and serving those who wait when the write is over.

// noteReady puts the key on the list of those to be looked at when the call is over,
// if somebody waits for what it holds now. The slot is locked.
func (c *Call) noteReady(db int, slot slots.Slot, key []byte) {
	k := c.engine.blocking.find(db, slot, key)
	if k != nil && !k.readied && c.engine.worthALook(k) {
		k.readied = true
		c.readied = append(c.readied, k)
	}
}

// worthALook reports whether somebody waits for what k holds now. Who waits for
// a stream looks after every change.
func (e *Engine) worthALook(k *blockedKey) bool {
	if e.blocking.first(k, streamQueue) != nil {
		return true
	}
	ref := e.store.Find(k.db, k.slot, []byte(k.key))
	if !ref.OK() {
		return false
	}
	queue := queueOf(value.Kind(ref.Kind()))
	return queue >= 0 && e.blocking.first(k, queue) != nil
}

// changedOutside says that key changed by no command. The slot is locked, and
// what happened is journaled.
func (e *Engine) changedOutside(db int, slot slots.Slot, key []byte) {
	e.watches.touch(db, key)
	if e.blocking.clients.Load() == 0 {
		return
	}
	c := &Call{engine: e, Lane: e.Background(), DB: db}
	e.freeze(c)
	c.noteReady(db, slot, key)
	e.serveReadied(c, []slots.Slot{slot})
}

// noteAllReady is noteReady for all keys of the databases that choose accepts.
// The gate is closed.
func (c *Call) noteAllReady(choose func(db int) bool) {
	bs := &c.engine.blocking
	if bs.clients.Load() == 0 {
		return
	}
	var keys []*blockedKey
	for i := range bs.shards {
		shard := &bs.shards[i]
		shard.Lock()
		for _, k := range shard.keys {
			if choose(k.db) {
				keys = append(keys, k)
			}
		}
		shard.Unlock()
	}
	for _, k := range keys {
		if !k.readied && c.engine.worthALook(k) {
			k.readied = true
			c.readied = append(c.readied, k)
		}
	}
}

// serveReadied serves those who wait for keys that c made ready, in the order in
// which they became so; then those for whom that made keys ready, and so on. c
// is over and journaled, but its slots, held, are still locked.
func (e *Engine) serveReadied(c *Call, held []slots.Slot) {
	s := serving{e: e, by: c, held: held}
	defer s.unlock()
	for len(c.readied) > 0 {
		keys := c.readied
		c.readied = nil
		for _, k := range keys {
			k.readied = false
		}
		for _, k := range keys {
			s.serve(k)
		}
	}
}

// serving is the end of a write that made keys ready.
type serving struct {
	e    *Engine
	by   *Call
	held []slots.Slot
	// taken are slots that were locked besides, for clients that need them.
	taken []slots.Slot
}

// serve lets those who wait for k have what it holds.
func (s *serving) serve(k *blockedKey) {
	key := []byte(k.key)
	ref := s.e.store.Find(k.db, k.slot, key)
	if ref.OK() {
		if queue := queueOf(value.Kind(ref.Kind())); queue == listQueue || queue == zsetQueue {
			s.serveQueue(k, queue, key)
		}
	}
	for _, p := range s.e.blocking.everybody(k, streamQueue, math.MaxInt) {
		p.blocked.serve(s.by, key)
	}
}

// serveQueue serves one client after the other until there is nothing left for
// the next one.
func (s *serving) serveQueue(k *blockedKey, queue int, key []byte) {
	for {
		p := s.e.blocking.first(k, queue)
		if p == nil {
			return
		}
		b := p.blocked
		if !s.hold(b) {
			// Somebody is busy with a slot that b needs. It is waited for where nothing
			// is held; until then those who come may take what b was to have.
			go s.e.serveLater(k, b)
			return
		}
		if !b.serve(s.by, key) {
			return
		}
	}
}

// hold locks the slots that serving b needs, without waiting for any.
func (s *serving) hold(b *Blocked) bool {
	if s.by.exclusive {
		return true
	}
	for _, key := range b.wait.To {
		slot := slots.Of(key)
		if slices.Contains(s.held, slot) || slices.Contains(s.taken, slot) {
			continue
		}
		if !s.e.locks.tryLock(slot) {
			return false
		}
		s.taken = append(s.taken, slot)
	}
	return true
}

func (s *serving) unlock() {
	for _, slot := range s.taken {
		s.e.locks.unlock(slot)
	}
}

// serveLater looks at k again with everything locked that b needs.
func (e *Engine) serveLater(k *blockedKey, b *Blocked) {
	needed := []slots.Slot{k.slot}
	for _, key := range b.wait.To {
		needed = append(needed, slots.Of(key))
	}
	slices.Sort(needed)
	needed = slices.Compact(needed)
	for _, slot := range needed {
		e.locks.lock(slot)
	}
	c := &Call{engine: e, Lane: e.Background(), DB: k.db}
	lane := &e.gate.lanes[c.Lane]
	lane.RLock()
	e.freeze(c)
	defer func() {
		lane.RUnlock()
		for _, slot := range slices.Backward(needed) {
			e.locks.unlock(slot)
		}
	}()
	if !k.readied {
		k.readied = true
		c.readied = append(c.readied, k)
		e.serveReadied(c, needed)
	}
}

// Bounds of what widen looks at.
const (
	widenClients = 4
	widenSlots   = 16
)

// widen gives the locks of c up if those who have waited longest for its keys
// need slots of other keys besides, and adds these to its slots: c must then
// lock anew, and serving them needs no luck. It reports whether it did so.
func (e *Engine) widen(c *Call) bool {
	if e.blocking.moving.Load() == 0 || c.Applied {
		return false
	}
	var more []slots.Slot
	keys := slices.Clone(c.keys)
	for i := 0; i < len(keys) && len(more) < widenSlots; i++ {
		slot := slots.Of(keys[i])
		if _, held := slices.BinarySearch(c.slots, slot); !held {
			continue
		}
		k := e.blocking.find(c.DB, slot, keys[i])
		if k == nil {
			continue
		}
		for _, p := range e.blocking.everybody(k, listQueue, widenClients) {
			for _, to := range p.blocked.wait.To {
				slot := slots.Of(to)
				if _, held := slices.BinarySearch(c.slots, slot); held {
					// Who waits for this key in turn may need yet another.
					if len(keys) < widenSlots {
						keys = append(keys, to)
					}
				} else {
					more = append(more, slot)
				}
			}
		}
	}
	if len(more) == 0 {
		return false
	}
	e.release(c)
	for _, slot := range more {
		c.addSlot(slot)
	}
	return true
}
