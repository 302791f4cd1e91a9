package command

import "slotmesh/slots"

// DeleteMoved removes a key that another node has confirmed to hold, journals
// that, and tells watchers. It reports false, and leaves the key alone, on a
// replica: then the primary decides what becomes of it.
func (e *Engine) DeleteMoved(db int, slot slots.Slot, key []byte) bool {
	done := false
	e.WithSlot(slot, func() {
		if e.replica.Load() {
			return
		}
		done = true
		if !e.store.Delete(db, slot, key) {
			return
		}
		e.watches.touch(db, key)
		e.gate.lanes[0].dirty.Add(1)
		if e.journal.Active() {
			e.journal.Append(db, slot, [][]byte{wordDel, key})
		}
	})
	return done
}

// DropSlot removes the keys of a slot that another primary owns now, a few at
// a time, each journaled for the replicas. It ends early when the slot is this
// node's again or the node became a replica.
func (e *Engine) DropSlot(slot slots.Slot) {
	const batch = 100
	for {
		var keys [][]byte
		e.WithSlot(slot, func() { keys = e.store.KeysInSlot(0, slot, batch) })
		for _, key := range keys {
			if t := e.routing.Load(); t == nil || t.Owner[slot] == t.Self || !e.DeleteMoved(0, slot, key) {
				return
			}
		}
		if len(keys) < batch {
			return
		}
	}
}
