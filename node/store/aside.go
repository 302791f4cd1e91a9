package store

import (
	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/slots"
)

// Aside returns where a tree that sn keeps may be changed without the slot, as long
// as sn is open: what sn may read is copied, and given up to retirer. The changed
// tree can take the place of the one that it was made of if the value is unchanged
// since sn; only then is what was given up to be retired, see RetireAll. The slot is
// locked.
func (sn *Snapshot) Aside(slot slots.Slot, retirer tree.Retirer) tree.Space {
	s := sn.store
	return tree.Space{Heap: s.memory.Heap(int(slot)), Version: s.version, Frozen: true, Floor: sn.cut, Retirer: retirer}
}

// RetireAll frees blocks of slot that no value leads to any more, when no open
// snapshot can read them. The slot is locked.
func (s *Store) RetireAll(slot slots.Slot, blocks []arena.Ref) {
	heap := s.memory.Heap(int(slot))
	for _, block := range blocks {
		s.retire(heap, block)
	}
}
