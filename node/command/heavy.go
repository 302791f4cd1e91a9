package command

import (
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// This file judges on an event loop, before a call has its locks, whether it is
// too long for one, by the sizes of what it is going to look at. They may change
// until it runs; then one turn of the loop is longer than it should be.

// exceeds reports whether the values of keys are larger than limit together, as
// size measures them, or cannot be measured now. It is for Spec.Heavy.
func (c *Call) exceeds(keys [][]byte, limit int, size func(v value.Value) int) bool {
	e := c.engine
	if e == nil || c.InExec {
		// Nobody knows yet, or the locks are held by the transaction.
		return e == nil
	}
	for _, key := range keys {
		slot := slots.Of(key)
		if !e.locks.tryLock(slot) {
			return true
		}
		lane := &e.gate.lanes[c.Lane]
		lane.RLock()
		if ref := e.store.Find(c.DB, slot, key); ref.OK() {
			limit -= size(ref.Value())
		}
		lane.RUnlock()
		e.locks.unlock(slot)
		if limit < 0 {
			return true
		}
	}
	return false
}

// loopBytes is how long strings may be that are read from end to end on a loop.
const loopBytes = 1 << 20

func textSize(v value.Value) int {
	if v.Kind != value.KindString {
		return 0
	}
	return len(v.Bytes)
}

// heavyString is the Heavy of commands that look through the string of their
// first key.
func heavyString(c *Call) bool {
	return len(c.Args) > 1 && c.exceeds(c.Args[1:2], loopBytes, textSize)
}
