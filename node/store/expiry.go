package store

import (
	"math"

	"slotmesh/slots"
)

// deadline is one key's expiry. The deadlines of a space form a binary heap,
// the earliest first, so that expired keys are found without looking at live
// ones; it holds no pointers.
type deadline struct {
	at  int64
	pos uint32
}

func (sp *space) deadlineOf(rec *record) int64 {
	if rec.ttl == 0 {
		return 0
	}
	return sp.heap[rec.ttl-1].at
}

// setDeadline sets or, with 0, ends the expiry of the record at pos.
func (sp *space) setDeadline(pos uint32, at int64) {
	rec := sp.at(pos)
	first := sp.firstDue()
	switch {
	case rec.ttl == 0 && at == 0:
		return
	case rec.ttl == 0:
		sp.home.expires.Add(1)
		sp.addDeadline(at)
		sp.heap = append(sp.heap, deadline{at, pos})
		rec.ttl = uint32(len(sp.heap))
		sp.siftUp(len(sp.heap) - 1)
	case at == 0:
		i := int(rec.ttl - 1)
		sp.home.expires.Add(-1)
		sp.addDeadline(-sp.heap[i].at)
		last := len(sp.heap) - 1
		sp.swapDeadlines(i, last)
		sp.heap = sp.heap[:last]
		rec.ttl = 0
		if i < last {
			sp.siftUp(i)
			sp.siftDown(i)
		}
	default:
		i := int(rec.ttl - 1)
		sp.addDeadline(at - sp.heap[i].at)
		sp.heap[i].at = at
		sp.siftUp(i)
		sp.siftDown(int(rec.ttl - 1))
	}
	if due := sp.firstDue(); due != first {
		sp.home.due[sp.slot].Store(due)
	}
}

// addDeadline adds to the sums of deadlines.
func (sp *space) addDeadline(by int64) {
	sp.deadlines += by
	sp.home.deadlines.Add(by)
}

// firstDue is when the first key of sp expires.
func (sp *space) firstDue() int64 {
	if len(sp.heap) == 0 {
		return math.MaxInt64
	}
	return sp.heap[0].at
}

func (sp *space) swapDeadlines(i, j int) {
	sp.heap[i], sp.heap[j] = sp.heap[j], sp.heap[i]
	sp.at(sp.heap[i].pos).ttl = uint32(i + 1)
	sp.at(sp.heap[j].pos).ttl = uint32(j + 1)
}

func (sp *space) siftUp(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if sp.heap[parent].at <= sp.heap[i].at {
			return
		}
		sp.swapDeadlines(i, parent)
		i = parent
	}
}

func (sp *space) siftDown(i int) {
	for {
		child := 2*i + 1
		if child >= len(sp.heap) {
			return
		}
		if child+1 < len(sp.heap) && sp.heap[child+1].at < sp.heap[child].at {
			child++
		}
		if sp.heap[i].at <= sp.heap[child].at {
			return
		}
		sp.swapDeadlines(i, child)
		i = child
	}
}

// NextDue returns the first slot from on that has a key which expired at now or
// before. It needs no lock, so that what it finds must be looked at again.
func (s *Store) NextDue(from slots.Slot, now int64) (slots.Slot, bool) {
	first := int(slots.Count)
	for db := range s.dbs {
		d := s.dbs[db].Load()
		if d == nil || d.expires.Load() == 0 {
			continue
		}
		for slot := int(from); slot < first; slot++ {
			if d.due[slot].Load() <= now {
				first = slot
			}
		}
	}
	return slots.Slot(first), first < slots.Count
}

// FirstExpired returns a key of slot that expired at now or before, if there
// is one. The caller is expected to delete it and ask again.
func (s *Store) FirstExpired(slot slots.Slot, now int64) (Ref, bool) {
	for db := range s.dbs {
		if sp := s.space(db, slot); sp != nil && sp.firstDue() <= now {
			return Ref{s, sp, sp.heap[0].pos}, true
		}
	}
	return Ref{}, false
}

// DB returns the database that the key is in.
func (r Ref) DB() int { return r.space.home.number }
