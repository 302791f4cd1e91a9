package store

import (
	"slotmesh/node/store/arena"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// Cursor is a place in a walk over a database: a slot, and the hash in it that
// the walk goes on at. The zero Cursor is the beginning, and what the end is
// called as well.
//
// A walk goes slot by slot upwards and, in a slot, in the order of the hashes of
// the keys: every key that is there from the first step to the last is visited
// exactly once, whatever is added and deleted meanwhile.
type Cursor uint64

// At returns the cursor at the beginning of slot.
func At(slot slots.Slot) Cursor { return Cursor(slot) << 32 }

// Slot returns the slot that the walk goes on in. ok is false for a number that
// no walk can have returned.
func (c Cursor) Slot() (slot slots.Slot, ok bool) {
	return slots.Slot(c >> 32), c>>32 < slots.Count
}

// Scan visits about limit keys of db in the slot of from, and more only where
// keys have the same hash. It returns where to go on, and how many keys it
// visited. It skips nothing but stops at the end of the slot: done is then true,
// and the next slot is the caller's to choose. The slot is locked; visit must
// not change it.
func (s *Store) Scan(db int, from Cursor, limit int, visit func(Ref)) (next Cursor, visited int, done bool) {
	slot, ok := from.Slot()
	if !ok {
		return 0, 0, true
	}
	sp := s.space(db, slot)
	if sp == nil {
		return At(slot), 0, true
	}
	hash := sp.index.each(uint32(from), limit, func(at arena.Ref) {
		visited++
		visit(sp.ref(at))
	})
	return At(slot) | Cursor(hash), visited, hash == hashEnd
}

// Records is Scan that appends the places of the records: see RecordKey and RecordRef.
func (s *Store) Records(db int, from Cursor, limit int, records []arena.Ref) (all []arena.Ref, next Cursor, done bool) {
	slot, ok := from.Slot()
	if !ok {
		return records, 0, true
	}
	sp := s.space(db, slot)
	if sp == nil {
		return records, At(slot), true
	}
	records, hash := sp.index.appendRecords(uint32(from), limit, records)
	return records, At(slot) | Cursor(hash), hash == hashEnd
}

// GlanceRecords is how many records one Glance finds at most, and GlanceKey how long
// their keys are.
const (
	GlanceRecords = WarmKeys * (smallHomes + smallSlack)
	GlanceKey     = value.ShortKey
)

// Glance returns the places of all records of db in some slots, no more than WarmKeys,
// in room: it is for a walk over slots that have a handful of keys each. ok is false if
// one of them has many, or keys longer than GlanceKey, or is being resized; Records then
// does for all. The caller has the whole store for itself.
func (s *Store) Glance(db int, some []slots.Slot, room *[GlanceRecords]arena.Ref) (records []arena.Ref, ok bool) {
	d := s.dbs[db].Load()
	if d == nil {
		return nil, false
	}
	m := s.memory
	n := 0
	for _, slot := range some[:min(len(some), WarmKeys)] {
		hint := d.hints[slot].table.Load()
		homes := int(hint >> arena.RefBits)
		if homes == 0 || homes > smallHomes {
			return nil, false
		}
		entries := entriesAt(m, arena.Ref(hint&refMask), homes+smallSlack)
		// Which places are taken cannot be foreseen, so nothing is made to depend on
		// it: all are read, whatever is in them.
		count := d.keys.of(slot)
		if count == 1 {
			only := uint64(0)
			for _, entry := range entries {
				only |= entry
			}
			room[n] = refOf(only)
			if n++; only == 0 {
				return nil, false
			}
			continue
		}
		end := n + count
		for _, entry := range entries {
			room[n] = refOf(entry)
			if entry != 0 {
				n++
			}
		}
		if n != end {
			return nil, false
		}
	}
	records = room[:n]
	short := true
	for _, at := range records {
		short = short && value.HasShortKey(m, at)
	}
	return records, short
}

// RecordKey returns a view of the key of a record, RecordExpires whether it expires,
// and RecordRef the key with its value. The slot, which is locked, has not changed
// since Records found it.
func (s *Store) RecordKey(at arena.Ref) []byte { return value.Key(s.memory, at) }

func (s *Store) RecordExpires(at arena.Ref) bool { return value.Expires(s.memory, at) }

func (s *Store) RecordRef(db int, slot slots.Slot, at arena.Ref) Ref {
	return s.space(db, slot).ref(at)
}

// AppendUsed appends slots in which db has keys to list, from from on and as many as it
// has room for. It needs no lock.
func (s *Store) AppendUsed(list []slots.Slot, db, from int) []slots.Slot {
	d := s.dbs[db].Load()
	if d == nil {
		return list
	}
	return d.keys.appendUsed(list, from)
}

// NextUsed returns the first slot from on in which db has keys. It needs no
// lock.
func (s *Store) NextUsed(db int, from int) (slots.Slot, bool) {
	d := s.dbs[db].Load()
	if d == nil {
		return 0, false
	}
	return d.keys.next(from)
}

// RandomSlot returns a slot of db, each as likely as it has keys; random is
// uniform. It needs no lock. ok is false if there are no keys.
func (s *Store) RandomSlot(db int, random uint64) (slot slots.Slot, ok bool) {
	d := s.dbs[db].Load()
	if d == nil {
		return 0, false
	}
	return d.keys.pick(random)
}

// RandomInSlot returns a key of db in slot, each equally likely; random is
// uniform.
func (s *Store) RandomInSlot(db int, slot slots.Slot, random func() uint32) Ref {
	sp := s.space(db, slot)
	if sp == nil || sp.index.n == 0 {
		return Ref{}
	}
	return sp.ref(sp.index.random(random))
}
