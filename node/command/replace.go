package command

import (
	"slotmesh/node/journal"
	"slotmesh/node/store"
	"slotmesh/slots"
)

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
	loaded.Settle()
	e.Exclusive(func() {
		e.touchDB(-1)
		e.store.Replace(loaded)
		e.touchDB(-1)
		adopt()
	})
}

// Apart returns an engine with a Sibling of this one's store, to load a keyspace
// with commands: it is made like this one, journals nothing, and nobody else
// uses it. Its lanes are for so many appliers at once.
func (e *Engine) Apart(lanes int) *Engine {
	a := NewEngine(EngineOptions{Table: e.table, Store: e.Sibling(), Journal: noJournal{}, Lanes: lanes, Now: e.now, Seed: e.random.Load()})
	a.routing.Store(e.routing.Load())
	a.replica.Store(e.replica.Load())
	a.maxBulk.Store(e.maxBulk.Load())
	a.limits.Store(e.limits.Load())
	return a
}

// noJournal keeps nothing.
type noJournal struct{}

// Active implements Journal.
func (noJournal) Active() bool { return false }

// Append implements Journal.
func (noJournal) Append(int, slots.Slot, [][]byte) int64 { return 0 }

// AppendGroup implements Journal.
func (noJournal) AppendGroup([]journal.Effect) int64 { return 0 }
