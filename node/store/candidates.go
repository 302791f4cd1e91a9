package store

import (
	"math"

	"slotmesh/slots"
)

// NextExpiring returns the first slot from on, around the end, in which db has
// keys, or fields, that expire. It needs no lock.
func (s *Store) NextExpiring(db int, from slots.Slot) (slots.Slot, bool) {
	d := s.dbs[db].Load()
	if d == nil || d.expires.Load() == 0 {
		return 0, false
	}
	for i := range slots.Slot(slots.Count) {
		slot := (from + i) % slots.Count
		if d.due[slot].Load() != math.MaxInt64 {
			return slot, true
		}
	}
	return 0, false
}

// RandomExpiring returns a key of db in slot that expires, each equally likely;
// random is uniform.
func (s *Store) RandomExpiring(db int, slot slots.Slot, random uint32) Ref {
	sp := s.space(db, slot)
	if sp == nil || sp.keys.n == 0 {
		return Ref{}
	}
	return sp.ref(sp.keys.get(int(random % uint32(sp.keys.n))).record)
}

// FirstExpiring returns the key of db in slot that expires first.
func (s *Store) FirstExpiring(db int, slot slots.Slot) Ref { return s.RandomExpiring(db, slot, 0) }

// Used is the memory of everything in the store, in bytes, less what is being
// given back. It needs no lock.
func (s *Store) Used() int64 { return s.memory.Used() - s.reaper.pending.Load() }
