package store

import "slotmesh/slots"

// siblingAhead is how far a sibling's version is ahead of the store's: more cuts
// than can be made while it is being filled.
const siblingAhead = 1 << 20

// Sibling returns an empty store whose content can later take the place of
// this one's: a full sync is loaded into it while this store goes on. Until it is
// counted or abandoned its memory is got in a hurry: see arena.Memory.Hurry. The
// caller has the store for itself, or holds Engine.Exclusive.
func (s *Store) Sibling() *Store {
	o := New(Options{Databases: len(s.dbs), Memory: s.memory})
	o.version = s.version + siblingAhead
	o.aged = s.version
	o.clock.follow(&s.clock)
	o.unsettled = true
	o.hurried = s.memory.Hurry()
	return o
}

// Settle counts what is in a Sibling that has been filled. Until then it does not
// know how many keys there are, nor when one expires: the workers that fill it
// would wait for each other's counts. The caller has the store for itself. Replace
// and Cut do it if it was not done; the time that it takes depends on how many
// slots there are.
func (s *Store) Settle() {
	if !s.unsettled {
		return
	}
	s.unsettled = false
	s.hurried()
	for i := range s.dbs {
		d := s.dbs[i].Load()
		if d == nil {
			continue
		}
		var expires, deadlines int64
		for slot, sp := range d.spaces {
			if sp == nil {
				continue
			}
			expires += int64(sp.keys.n)
			deadlines += sp.untold
			sp.untold = 0
			d.keys.set(slots.Slot(slot), sp.index.n)
			d.due[slot].Store(sp.firstDue())
		}
		d.expires.Store(expires)
		d.deadlines.Store(deadlines)
	}
}

// Replace puts the content of loaded, a Sibling of this store, in the place of
// everything here. loaded is of no use afterwards. The caller has all slots.
// Open snapshots keep what they need of the old content. The time it takes does
// not depend on how many keys there are.
func (s *Store) Replace(loaded *Store) {
	loaded.Settle()
	for db := range s.dbs {
		d := loaded.dbs[db].Swap(nil)
		if d != nil {
			for _, sp := range d.spaces {
				if sp != nil {
					sp.store = s
				}
			}
		}
		s.exchange(db, d)
	}
	s.inherit(loaded)
	// Every record of loaded is later than every open cut.
	s.version, s.aged = loaded.version, loaded.aged
}

// inherit takes over what loaded has still to give back: it was deleted or
// flushed while loaded was being filled.
func (s *Store) inherit(loaded *Store) {
	r := &loaded.reaper
	r.mu.Lock()
	left := r.heap
	r.heap = nil
	r.mu.Unlock()
	for _, g := range left {
		for _, sp := range g.spaces {
			if sp != nil {
				sp.store = s
			}
		}
		s.discard(g)
	}
}

// Abandon gives back what is in loaded, a Sibling that will not replace
// anything. Nobody else uses it any more.
func (s *Store) Abandon(loaded *Store) {
	if loaded.unsettled {
		loaded.unsettled = false
		loaded.hurried()
	}
	s.inherit(loaded)
	for db := range loaded.dbs {
		d := loaded.dbs[db].Swap(nil)
		if d == nil {
			continue
		}
		for _, sp := range d.spaces {
			if sp != nil {
				sp.store = s
			}
		}
		s.discard(garbage{spaces: d.spaces[:]})
	}
}
