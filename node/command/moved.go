package command

import "slotmesh/slots"

// DeleteMoved removes a key that another node has confirmed to hold, journals
// that, and tells watchers. It reports false, and leaves the key alone, on a
// replica: then the primary decides what becomes of it.
func (e *Engine) DeleteMoved(db int, slot slots.Slot, key []byte) bool {
	done := false
	e.WithSlot(slot, func() {
		if done = !e.replica.Load(); done {
			e.deleteMoved(db, slot, key)
		}
	})
	return done
}

// deleteMoved is DeleteMoved for who holds the slot's lock.
func (e *Engine) deleteMoved(db int, slot slots.Slot, key []byte) {
	if !e.store.Delete(db, slot, key) {
		return
	}
	e.gate.lanes[0].dirty.Add(1)
	if e.journal.Active() {
		e.journal.Append(db, slot, [][]byte{wordDel, key})
	}
	e.changedOutside(db, slot, key)
}

// DropSlot removes the keys of a slot that another primary owns now, a few at
// a time, each journaled for the replicas. It ends early when the slot is this
// node's again or the node became a replica, which is looked at under the lock
// that a write to the slot needs. The caller sees to it that the node does not
// import the slot meanwhile.
func (e *Engine) DropSlot(slot slots.Slot) {
	const batch = 100
	for more := true; more; {
		e.WithSlot(slot, func() {
			t := e.routing.Load()
			if more = t != nil && t.Owner[slot] != t.Self && !e.replica.Load(); !more {
				return
			}
			keys := e.store.KeysInSlot(0, slot, batch)
			for _, key := range keys {
				e.deleteMoved(0, slot, key)
			}
			more = len(keys) == batch
		})
	}
}
