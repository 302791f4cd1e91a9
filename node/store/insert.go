package store

import (
	"slotmesh/slots"
)

// Insert puts e into the store, over an older value if there is one. It is the
// way in for files and full syncs: the caller holds e.Slot, or has the store
// for itself.
func (s *Store) Insert(e Entry, now int64) {
	s.InsertAll([]Entry{e}, now)
}

// Expect says that about so many keys are going to be inserted into db, of any
// slots: the indexes of slots are then made large enough at once. It costs memory
// if it is not so: eleven bytes for each key, at most.
func (s *Store) Expect(db int, keys int64) {
	const most = 1 << 20
	perSlot := min(keys/slots.Count, most)
	// Slots do not have the same number of keys.
	s.makeDatabase(db).expected.Store(int32((perSlot + perSlot/8) * fullDen / fullNum))
}

// insertAhead is for how many keys memory is asked for at once.
const insertAhead = 16

// InsertAll is Insert for many, in their order. It first touches the memory that
// it is going to need for several of them, so that a processor waits for all of
// it at once: a load is made of such waiting.
func (s *Store) InsertAll(entries []Entry, now int64) {
	for len(entries) > 0 {
		n := min(len(entries), insertAhead)
		s.insertSome(entries[:n], now)
		entries = entries[n:]
	}
}

func (s *Store) insertSome(entries []Entry, now int64) {
	var hashes [insertAhead]uint32
	var spaces [insertAhead]*space
	for i := range entries {
		e := &entries[i]
		hashes[i] = s.hash(e.Key)
		spaces[i] = s.makeSpace(e.DB, e.Slot)
	}
	touched := uint64(0)
	for i, sp := range spaces[:len(entries)] {
		touched += sp.touch(hashes[i])
		if entries[i].ExpireAtMs > 0 {
			touched += sp.keys.touch()
		}
	}
	for i := range entries {
		spaces[i].insert(hashes[i], &entries[i], now)
	}
	s.use(touched)
}

// touch reads what inserting a key with that hash needs.
func (sp *space) touch(hash uint32) (touched uint64) {
	t := sp.index.in(hash)
	if home := t.home(hash); home < len(t.entries) {
		touched = t.entries[home]
	}
	return touched + uint64(sp.index.n)
}

// WarmOwn is Warm for a caller who holds the slots of all keys and is about to
// write them.
func (s *Store) WarmOwn(db int, keys [][]byte) {
	d := s.dbs[db].Load()
	if d == nil {
		return
	}
	keys = keys[:min(len(keys), insertAhead)]
	var spaces [insertAhead]*space
	for i, key := range keys {
		spaces[i] = d.hints[slots.Of(key)].space.Load()
	}
	touched := uint64(0)
	for i, key := range keys {
		if sp := spaces[i]; sp != nil {
			touched += sp.touch(s.hash(key))
		}
	}
	s.use(touched)
}

// use is given what was read only to be read.
//
//go:noinline
func (s *Store) use(uint64) {}

// insert puts e into the space and reports whether the key is new.
func (sp *space) insert(hash uint32, e *Entry, now int64) {
	if e.Draft != nil {
		e.Value = e.Draft.Value()
		defer e.Draft.Close()
	}
	at := sp.set(hash, e.Key, &e.Value, max(e.ExpireAtMs, 0), now)
	if e.IdleSec >= 0 || e.Freq >= 0 {
		sp.ref(at).SetAccess(e.IdleSec, e.Freq, now)
	}
}
