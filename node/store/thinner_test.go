package store

import (
	"math/rand/v2"

	"slotmesh/node/store/arena"
	"slotmesh/slots"
)

// Thinner keeps blocks among those of a store, and gives most of them back: so
// pages get sparse.
type Thinner struct {
	Memory *arena.Memory
	Random *rand.Rand
	// Slots are those that the store uses.
	Slots []slots.Slot
	// Most is the greatest size of a block.
	Most int
	kept []kept
}

type kept struct {
	heap  *arena.Heap
	block arena.Ref
}

// Fill takes n blocks of one size next to each other.
func (t *Thinner) Fill(n int) {
	heap := t.Memory.Heap(int(t.Slots[t.Random.IntN(len(t.Slots))]))
	size := 16 + t.Random.IntN(t.Most)
	for range n {
		t.kept = append(t.kept, kept{heap, heap.Alloc(size)})
	}
}

// Thin gives all but a few of them back.
func (t *Thinner) Thin(keepPercent int) {
	n := 0
	for _, b := range t.kept {
		if t.Random.IntN(100) < keepPercent {
			t.kept[n] = b
			n++
			continue
		}
		b.heap.Free(b.block)
	}
	t.kept = t.kept[:n]
}
