package store

import (
	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// space is one database's part of one slot: the index of its records, and the
// heaps of their deadlines. It is the Home of its records.
//
// There may be one for each slot, and a key that is cold waits for it. It is four
// lines of a cache, with what is read to look a key up in the first one (see Warm) and
// what is needed to add or delete one in the second: processors fetch lines in pairs.
type space struct {
	heap  *arena.Heap
	store *Store
	index

	// keys are the deadlines of keys, fields those of the first fields of hashes.
	keys, fields deadlines
	// untold is what the database has not been told of the sum of deadlines: see
	// Settle.
	untold int64
	random uint32
}

func newSpace(s *Store, d *database, slot slots.Slot) *space {
	heap := s.memory.Heap(int(slot))
	sp := &space{store: s, heap: heap, random: uint32(slot)*2654435761 | 1}
	sp.index = index{heap: heap, home: d, slot: slot, least: d.expected.Load()}
	sp.keys = deadlines{heap: heap}
	sp.fields = deadlines{heap: heap, ofFields: true}
	return sp
}

// find returns the record of key, whose hash is given, or 0.
func (sp *space) find(hash uint32, key []byte) arena.Ref {
	return sp.index.find(sp.store.memory, hash, key)
}

// cell opens the record at at.
func (sp *space) cell(at arena.Ref) value.Cell { return value.Open(sp, sp.heap, at) }

// Preserve hands the record at at, which is about to change, to the snapshots
// that it belongs to. The slot is locked.
func (sp *space) Preserve(at arena.Ref) {
	s := sp.store
	version := value.Version(s.memory, at)
	if version == s.version {
		return
	}
	if open := s.open.Load(); open != nil {
		s.hand(*open, nil, sp, at, version)
	}
	value.SetVersion(s.memory, at, s.version)
}

// Moved enters the new place of a record everywhere.
func (sp *space) Moved(from, to arena.Ref) {
	c := sp.cell(to)
	sp.index.replace(sp.store.hash(c.Key()), from, to)
	h := c.Header()
	sp.keys.moved(h.Deadline, to)
	sp.fields.moved(h.FieldDeadline, to)
}

// Retire frees a block as soon as no open snapshot can read it.
func (sp *space) Retire(block arena.Ref) { sp.store.retire(sp.heap, block) }

// RetireTree frees a part of a tree that was cut off, later.
func (sp *space) RetireTree(t tree.Tree) { sp.store.discard(garbage{tree: t}) }

// Space is where the nodes of trees come from.
func (sp *space) Space() (t tree.Space) {
	sp.spaceOf(&t)
	return t
}

// spaceOf is Space into where it is needed: what is put together and then copied is waited
// for.
func (sp *space) spaceOf(t *tree.Space) {
	s := sp.store
	t.Heap, t.Version, t.Retirer = sp.heap, s.version, sp
	if open := s.open.Load(); open != nil {
		t.Frozen, t.Floor = true, (*open)[len(*open)-1].cut
	}
}

// next is a random number (xorshift); the slot is locked.
func (sp *space) next() uint32 {
	x := sp.random
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	sp.random = x
	return x
}
