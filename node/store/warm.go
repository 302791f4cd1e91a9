package store

import (
	"slotmesh/node/store/arena"
	"slotmesh/slots"
)

// WarmKeys is how many keys Warm looks at at most.
const WarmKeys = 16

// warmProbes is how many entries of an index Warm looks at for one key.
const warmProbes = 4

// Warm touches the memory that looking up the keys of db at places will touch, so that a
// processor waits for all of it at once and not for each key in turn. It takes
// no lock and promises nothing: what it reads may be changing. The result means
// nothing either, but has to be used, for the reading to happen at all.
func (s *Store) Warm(db int, places []Place) (used uint64) {
	d := s.dbs[db].Load()
	if d == nil {
		return 0
	}
	places = places[:min(len(places), WarmKeys)]
	var hints, entries [WarmKeys]uint64
	for i, p := range places {
		hint := &d.hints[p.Slot]
		hints[i] = hint.table.Load()
		if sp := hint.space.Load(); sp != nil && sp.heap != nil {
			// The heap never changes, and lies beside what does.
			used++
		}
	}
	m := s.memory
	for i, p := range places {
		size := hints[i] >> arena.RefBits
		if size == 0 {
			continue
		}
		at := arena.Ref(hints[i]&refMask) + arena.Ref(uint64(p.hash)*size>>hashBits)
		for j := range arena.Ref(warmProbes) {
			if entry := m.Peek(at + j); hashOf(entry) == p.hash {
				entries[i] = entry
				break
			}
		}
	}
	for i := range places {
		if entries[i] != 0 {
			// A short record lies on two lines of a cache at most.
			at := refOf(entries[i])
			used += m.Peek(at) + m.Peek(at+8)
		}
	}
	return used
}

// WarmChange is Warm for what else is touched when the keys of db at places come or go,
// which Warm has been asked for: the rest of what their slots' indexes know, and the
// counts of keys.
func (s *Store) WarmChange(db int, places []Place) (used uint64) {
	d := s.dbs[db].Load()
	if d == nil {
		return 0
	}
	for _, p := range places {
		if sp := d.hints[p.Slot].space.Load(); sp != nil && sp.index.heap != nil {
			// It never changes either, and lies beside the number of entries.
			used++
		}
		used += uint64(d.keys.of(p.Slot))
	}
	return used
}

// smallHomes is how many homes the tables have that WarmSlots goes through.
const smallHomes = 32

// WarmSlots is Warm for a walk that is going to visit all keys of these slots, of
// which few have more than a handful.
func (s *Store) WarmSlots(db int, next []slots.Slot) {
	d := s.dbs[db].Load()
	if d == nil {
		return
	}
	next = next[:min(len(next), WarmKeys)]
	used := uint64(0)
	var hints, firsts [WarmKeys]uint64
	for i, slot := range next {
		hint := &d.hints[slot]
		hints[i] = hint.table.Load()
		if sp := hint.space.Load(); sp != nil && sp.heap != nil {
			used++
		}
	}
	m := s.memory
	for i := range next {
		at, homes := arena.Ref(hints[i]&refMask), arena.Ref(hints[i]>>arena.RefBits)
		if homes == 0 || homes > smallHomes {
			continue
		}
		for j := range homes {
			if entry := m.Peek(at + j); entry != 0 {
				firsts[i] = entry
				break
			}
		}
	}
	for i := range next {
		if firsts[i] != 0 {
			at := refOf(firsts[i])
			used += m.Peek(at) + m.Peek(at+8)
		}
	}
	s.use(used)
}
