package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store/hash"
	lists "slotmesh/node/store/list"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
)

// This file is what keeps long commands off the event loops. What the arguments
// show to be long is found out by Spec.Heavy before anything is locked. What
// only the values show is found out by the handler, which has looked them up
// anyway: it asks Call.tooLong and gives up before it has done anything. The
// owner then runs the same call where it may take its time.

// ErrLong is the Err of a call, or of a transaction, with OnLoop that did not
// run because it would take too long for a loop. Nothing was changed or
// answered; it is to be given to ExecuteWait, or without OnLoop to ExecuteAll.
const ErrLong resp.Error = "ERR too long for an event loop"

// tooLong reports whether the handler is to return ErrLong rather than go
// through something of this size. It must have changed and answered nothing.
func (c *Call) tooLong(size, limit int) bool { return size > limit && c.OnLoop }

// loopBytes is how long strings may be that are read from end to end on a loop.
const loopBytes = 1 << 20

// share is how much of a turn of a loop it takes to go through v.
func share(v value.Value) float64 {
	switch v.Kind {
	case value.KindString:
		return float64(len(v.Bytes)) / loopBytes
	case value.KindSet:
		return float64(elementsOf(v)) / loopMembers
	case value.KindZSet:
		return float64(elementsOf(v)) / zsetTurn
	case value.KindHash:
		r := hash.Read(v, 0)
		return float64(r.Bytes()) / loopHash
	case value.KindList:
		r := lists.Read(v)
		return float64(r.Bytes()) / loopList
	default:
		return float64(stream.Len(v)) / heavyEntries
	}
}

// loopCells is how large a table may be that is filled on a loop.
const loopCells = 1 << 20

// long reports whether tx may take too long for a loop: one of its commands may
// go through values, and those of all its keys are large together. What its
// commands would find each cannot be told before they run, and then it is too
// late to begin anew. The caller holds the slots.
func (tx *Transaction) long(e *Engine) bool {
	sized, moves := false, false
	for _, q := range tx.Commands {
		sized = sized || q.Spec.Sized
		moves = moves || q.Spec.Name == "select"
		if q.Spec.Squared {
			return true
		}
	}
	if !sized || moves {
		// After a SELECT it is not known yet where the keys are.
		return sized
	}
	total := 0.0
	for _, key := range tx.all.keys {
		if ref := e.store.Find(tx.DB, tx.all.slotOf(key), key); ref.OK() {
			total += share(ref.Value())
		}
	}
	return total > 1
}
