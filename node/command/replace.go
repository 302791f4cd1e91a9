package command

import "slotmesh/node/store"

// Sibling returns an empty store to load a keyspace into that Replace can put
// in the place of this one.
func (e *Engine) Sibling() (s *store.Store) {
	e.Exclusive(func() { s = e.store.Sibling() })
	return s
}

// Discard gives back what is in loaded, which Sibling made and Replace does not
// want.
func (e *Engine) Discard(loaded *store.Store) { e.store.Abandon(loaded) }

// Replace puts the content of loaded, which Sibling made, in the place of the
// keyspace. adopt runs while nothing else does. Watched keys that were there
// or are there now count as changed.
func (e *Engine) Replace(loaded *store.Store, adopt func()) {
	e.Exclusive(func() {
		e.touchDB(-1)
		e.store.Replace(loaded)
		e.touchDB(-1)
		adopt()
	})
}
