package store

import (
	"math"
	"sync/atomic"

	"slotmesh/slots"
)

// database is the content of one database with its counters. Everything that
// is known of a database is in here, so that flushing, swapping or replacing it
// is the change of one pointer, however many keys and slots there are.
type database struct {
	// number is the database's number, which SWAPDB changes under Exclusive. It
	// is read with a slot locked.
	number int

	keys    counts
	expires atomic.Int64
	// fielded counts hashes with fields that expire.
	fielded atomic.Int64
	// deadlines is the sum of all expiry times, for the average.
	deadlines atomic.Int64

	// expected is how large the index of a slot is made at once: see Expect.
	expected atomic.Int32

	// spaces hold the keys of each slot, nil where nothing was stored, guarded
	// by the slot's lock. They are for who wants all of them: who looks for one
	// finds it in hints, which Warm has touched.
	spaces [slots.Count]*space
	// hints are what is looked at for one slot: written under the slot's lock, and
	// read by Warm without.
	hints [slots.Count]hint
	// due is when the first key of each slot expires: math.MaxInt64 for never.
	// It is written under the slot's lock and read without, which is how the
	// active cycle finds work.
	due [slots.Count]atomic.Int64
}

// hint is what may be known of a slot without its lock.
type hint struct {
	// table is where the slot's index is, see table.hint; 0 for nowhere.
	table atomic.Uint64
	// space is that of database.spaces.
	space atomic.Pointer[space]
}

func newDatabase(number int) *database {
	d := &database{number: number}
	for i := range d.due {
		d.due[i].Store(math.MaxInt64)
	}
	return d
}

// space returns the space of db in slot, or nil.
func (s *Store) space(db int, slot slots.Slot) *space {
	if d := s.dbs[db].Load(); d != nil {
		return d.hints[slot].space.Load()
	}
	return nil
}

// makeDatabase returns database db, made if need be.
func (s *Store) makeDatabase(db int) *database {
	d := s.dbs[db].Load()
	if d == nil {
		// The first writes of two slots may meet here.
		s.dbs[db].CompareAndSwap(nil, newDatabase(db))
		d = s.dbs[db].Load()
	}
	return d
}

// makeSpace returns the space of db in slot, made if need be.
func (s *Store) makeSpace(db int, slot slots.Slot) *space {
	d := s.makeDatabase(db)
	sp := d.hints[slot].space.Load()
	if sp == nil {
		sp = newSpace(s, d, slot)
		d.spaces[slot] = sp
		d.hints[slot].space.Store(sp)
	}
	return sp
}

// Flush removes every key of db, or of all databases if db is negative. The
// caller has all slots. Open snapshots keep what they need of it. The time it
// takes does not depend on how many keys and slots there are.
func (s *Store) Flush(db int) {
	for i := range s.dbs {
		if db < 0 || i == db {
			s.exchange(i, nil)
		}
	}
}

// exchange puts d in the place of database i. The caller has all slots.
func (s *Store) exchange(i int, d *database) {
	old := s.dbs[i].Swap(d)
	if old == nil {
		return
	}
	if open := s.open.Load(); open != nil {
		for _, sn := range *open {
			sn.detach(i, old.spaces[:])
		}
	}
	s.discard(garbage{spaces: old.spaces[:]})
}

// Swap exchanges the content of two databases. The caller has all slots.
func (s *Store) Swap(a, b int) {
	if a == b {
		return
	}
	s.dbs[a].Store(s.dbs[b].Swap(s.dbs[a].Load()))
	for _, i := range []int{a, b} {
		if d := s.dbs[i].Load(); d != nil {
			d.number = i
		}
	}
	if open := s.open.Load(); open != nil {
		for _, sn := range *open {
			sn.was[a], sn.was[b] = sn.was[b], sn.was[a]
		}
	}
}
