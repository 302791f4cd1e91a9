package sim

import "time"

// history is one line of writes: a primary's journal under one replication id.
// A promotion, or a start without all of the data, begins a new history at the
// point where it left the old one. Positions count from the very beginning, as
// replication offsets do.
type history struct {
	// name is what the nodes know it by.
	name   uint64
	parent *history
	forkAt int64
	// born tells how this history began, and before what there was when the one
	// before it was cut off.
	born   birth
	before dataset
	// owner is the host that writes it and at is when it began.
	owner int
	at    time.Duration
	// acked is the greatest position whose write was acknowledged to a client.
	acked int64
}

type birth uint8

const (
	bornFresh     birth = iota // a new node
	bornPromoted               // a replica became primary
	bornEmpty                  // a primary came back without its data
	bornRestarted              // a node came back with all that it had written
	bornTruncated              // a node came back with less than it had
)

// newHistory gives a history its name.
func (w *world) newHistory(h history) *history {
	w.histories++
	h.name = w.histories
	return &h
}

// dataset is what a node holds: a history up to a length.
type dataset struct {
	history *history
	length  int64
}

// holds reports whether d contains the first length writes of h.
func (d dataset) holds(h *history, length int64) bool {
	if length == 0 {
		return true
	}
	limit := d.length
	for at := d.history; at != nil; at = at.parent {
		if at == h {
			return limit >= length
		}
		// What at has of its parent ends where it forked, or where d ends.
		limit = min(limit, at.forkAt)
	}
	// h may be a fork of what d holds, and the writes older than the fork.
	if h.parent != nil && length <= h.forkAt {
		return d.holds(h.parent, length)
	}
	return false
}

// prefixOf reports whether a stream of d's successor can go on from where d
// ends: everything d holds is in other.
func (d dataset) prefixOf(other dataset) bool {
	return d.length > 0 && other.holds(d.history, d.length)
}

// missingIn returns an acknowledged write of d that other does not hold;
// missing is false when other holds all.
func (d dataset) missingIn(other dataset) (h *history, position int64, missing bool) {
	limit := d.length
	for at := d.history; at != nil; at = at.parent {
		acked := min(at.acked, limit)
		if acked > at.forkAt && !other.holds(at, acked) {
			return at, acked, true
		}
		limit = min(limit, at.forkAt)
	}
	return nil, 0, false
}
