package hash

import (
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Iter walks over the items of a hash that are not hidden:
//
//	it := r.All()
//	for it.Next() {
//		use(it.Item)
//	}
type Iter struct {
	Item
	now int64

	// Of a packed hash: next is where the next item is, -1 for none.
	lp          []byte
	width, next int

	// Of a tree: the items that are left.
	isTree bool
	items  tree.Items
}

// All returns an iterator over all items: in the order of their first setting
// while the hash is small, then in an order of their own.
func (r *Reader) All() Iter {
	if r.isTree() {
		return Iter{now: r.now, isTree: true, items: r.v.Tree(fieldTree).Items()}
	}
	it := Iter{now: r.now}
	it.lp, it.width = unpack(r.v.Bytes)
	it.next = listpack.First(it.lp)
	return it
}

// Next moves to the next item and reports whether there is one.
func (it *Iter) Next() bool {
	if it.isTree {
		for item, ok := it.items.Next(); ok; item, ok = it.items.Next() {
			if it.Item = treeItem(item); live(it.Deadline, it.now) {
				return true
			}
		}
		return false
	}
	for it.next >= 0 {
		it.Item, it.next = packedItem(it.lp, it.width, it.next)
		if live(it.Deadline, it.now) {
			return true
		}
	}
	return false
}

// scanShift makes a place out of a hash: 52 bits, which clients that read a
// cursor into a floating point number keep. Items whose hashes agree in those
// bits are returned together.
const scanShift = 12

// scanWhole is how many items are returned at once, whatever the count, if the
// hash is one that the reference keeps packed: there they always come at once.
const scanWhole = 4096

// Scan shows the items from cursor on, at least count if there are so many, and
// returns the cursor to go on at, 0 at the end. A walk from 0 to 0 shows each
// field that is there all the while, once. Source: the guarantees of SCAN.
func (r *Reader) Scan(cursor uint64, count int, show func(Item)) uint64 {
	if !r.isTree() || r.v.Enc == value.EncListpack && r.Size() <= scanWhole {
		it := r.All()
		for it.Next() {
			show(it.Item)
		}
		return 0
	}
	if cursor >= 1<<(64-scanShift) {
		return 0
	}
	c, _ := r.v.Tree(fieldTree).Find(cursor<<scanShift, nil)
	last := uint64(0)
	for n := 0; c.Valid(); n++ {
		place := c.Prefix() >> scanShift
		if n >= count && place != last {
			return place
		}
		last = place
		if item := treeItem(c.Item()); live(item.Deadline, r.now) {
			show(item)
		}
		c.Next()
	}
	return 0
}
