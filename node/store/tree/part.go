package tree

import "slotmesh/node/store/arena"

// Part is some items that lie in one leaf, one behind the other. To walk over them takes
// less than to move a cursor. It is good until the tree changes.
type Part struct {
	memory *arena.Memory
	leaf   *node
	first  int
	n      int
}

// Part returns the items from rank on that lie in one leaf, n at most. There are none only
// if n is 0 or nothing is at rank.
func (v *View) Part(rank, n int) (p Part) {
	total, left := v.Root.Count, uint64(rank)
	if n <= 0 || left >= total {
		return p
	}
	leaf := v.node(v.Root.Node)
	for range v.Root.Height {
		children := leaf.children()
		var i int
		i, left = childAt(children, left, total)
		leaf, total = v.node(children[i].node), children[i].count
	}
	return Part{v.Memory, leaf, int(left), min(n, int(leaf.count)-int(left))}
}

// Len is the number of items.
func (p Part) Len() int { return p.n }

// Item and Prefix are those of item i.
func (p Part) Item(i int) []byte { return p.leaf.item(p.memory, p.first+i) }

func (p Part) Prefix(i int) uint64 { return p.leaf.prefix(p.first + i) }
