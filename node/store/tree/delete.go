package tree

import "slotmesh/node/store/arena"

// Delete removes the item at the cursor, which is then at the one that followed.
func (t *Tree) Delete(c *Cursor) { t.DeleteRun(c, 1) }

// DeleteRun removes the n items from the cursor on, which are few and all there. It is
// then at the one that followed. Those of one leaf go at once.
func (t *Tree) DeleteRun(c *Cursor, n int) {
	for n > 0 {
		n -= t.deleteHere(c, n)
	}
}

// deleteHere is DeleteRun for those of them that are in the cursor's leaf. It returns
// how many are.
func (t *Tree) deleteHere(c *Cursor, most int) int {
	t.expect(c)
	height := int(t.Root.Height)
	t.own(c, height+1)
	n, at := t.leafOf(c), c.path[height].at()
	gone := min(most, int(n.count)-at)
	if n.externals > 0 {
		for _, offset := range n.offsets()[at : at+gone] {
			if block := n.externalAt(offset); block != 0 {
				t.dropExternal(block)
				n.externals--
			}
		}
	}
	if int(n.count) == gone {
		rank := c.Rank()
		n.closeSlots(at, at+gone)
		t.Root.Count -= uint64(gone)
		t.remove(c, height)
		t.mend(rank)
		*c = t.At(rank)
		return gone
	}
	n.closeSlots(at, at+gone)
	t.Root.Count -= uint64(gone)
	t.count(c, -gone)
	if at == 0 {
		t.fixPrefix(c)
	}
	if t.mendable(c, n) {
		rank := c.Rank()
		t.mend(rank)
		*c = t.At(rank)
		return gone
	}
	if n.worn() && !t.leaves(c, n) {
		// Without room for more: what loses items is rather about to lose others.
		t.replaceLeaf(c, t.copyLeaf(n, n.live(), -1))
	}
	c.view = t.View
	if n := c.leaf(); at == int(n.count) {
		c.forward()
	}
	return gone
}

// mendable reports whether the cursor's leaf n is too small and can be merged with a
// neighbour.
func (t *Tree) mendable(c *Cursor, n *node) bool {
	height := int(t.Root.Height)
	if height == 0 || n.live() >= minLeaf {
		return false
	}
	s := c.path[height-1]
	siblings, at := t.node(s.node()).children(), s.at()
	return at > 0 && t.mergeable(siblings[at-1].node, siblings[at].node) ||
		at+1 < len(siblings) && t.mergeable(siblings[at].node, siblings[at+1].node)
}

// leaves reports whether n, in which an item was deleted at the cursor, is about to
// go: an end of a tree from which items are taken one after the other. It then stays
// as it is until half of it is unused, rather than be packed again and again.
func (t *Tree) leaves(c *Cursor, n *node) bool {
	height := int(t.Root.Height)
	if height == 0 || n.live() < int(n.size)/2 {
		return false
	}
	if c.path[height].at() == 0 {
		return c.isFirst()
	}
	if c.path[height].at() < int(n.count) {
		return false
	}
	for level := range height {
		s := c.path[level]
		if s.at()+1 < int(t.node(s.node()).count) {
			return false
		}
	}
	return true
}

// remove takes an empty node out of the tree, and the nodes above that are empty
// without it.
func (t *Tree) remove(c *Cursor, level int) {
	t.dropNode(c.path[level].node())
	if level == 0 {
		t.Root.Node, t.Root.Height = 0, 0
		return
	}
	s := c.path[level-1]
	n := t.node(s.node())
	children := n.children()
	copy(children[s.at():], children[s.at()+1:])
	n.count--
	if n.count == 0 {
		t.remove(c, level-1)
		return
	}
	t.refresh(c, level-1)
}

// mend merges nodes at the item rank and the one before with their neighbours as
// long as they are too small, and takes away roots of one child.
func (t *Tree) mend(rank int) {
	for t.Root.Height > 0 {
		c := t.At(min(rank, t.Len()-1))
		if t.mendPath(&c) {
			continue
		}
		if rank == 0 || rank > t.Len() {
			return
		}
		c = t.At(rank - 1)
		if !t.mendPath(&c) {
			return
		}
	}
}

// mendPath does one step of mending on a path and reports whether there was one
// to do.
func (t *Tree) mendPath(c *Cursor) bool {
	top := t.node(t.Root.Node)
	if top.count == 1 {
		t.Root.Node = top.children()[0].node
		t.dropNode(c.path[0].node())
		t.Root.Height--
		return true
	}
	for level := int(t.Root.Height); level > 0; level-- {
		n := t.node(c.path[level].node())
		if n.height == 0 && n.live() >= minLeaf || n.height > 0 && n.count >= minInner {
			continue
		}
		s := c.path[level-1]
		siblings := t.node(s.node()).children()
		if at := s.at(); at > 0 && t.mergeable(siblings[at-1].node, siblings[at].node) {
			t.merge(c, level, at-1)
			return true
		} else if at+1 < len(siblings) && t.mergeable(siblings[at].node, siblings[at+1].node) {
			t.merge(c, level, at)
			return true
		}
	}
	return false
}

func (t *Tree) mergeable(a, b arena.Ref) bool {
	left, right := t.node(a), t.node(b)
	if left.height == 0 {
		return left.live()+right.live()-nodeHeader <= mergedLeaf
	}
	return left.count+right.count <= mergedInner
}

// merge makes one node of the children at and at+1 of the path's node above a
// level.
func (t *Tree) merge(c *Cursor, level, at int) {
	t.own(c, level)
	parent := c.path[level-1].node()
	siblings := t.node(parent).children()
	a, b := siblings[at].node, siblings[at+1].node
	r := t.joined(a, b)
	c.path[level-1] = newStep(parent, at)
	t.replace(c, level-1, 2, []child{t.sum(r)}, noEdge)
	t.dropNode(a)
	t.dropNode(b)
}

// joined returns a node with what is in a and in b, its right neighbour.
func (t *Tree) joined(a, b arena.Ref) arena.Ref {
	left, right := t.node(a), t.node(b)
	if left.height > 0 {
		var space [maxChildren]child
		all := append(space[:0], left.children()...)
		return t.newInner(left.height, append(all, right.children()...))
	}
	size := left.live() + right.live() - nodeHeader
	r := t.newLeaf(size + size/16)
	addItems(t.node(r), left, 0, int(left.count), -1)
	addItems(t.node(r), right, 0, int(right.count), -1)
	return r
}

// DeleteRange removes the items of ranks from to to-1.
func (t *Tree) DeleteRange(from, to int) {
	if from < 0 || to > t.Len() {
		panic("tree: range beyond the items")
	}
	if from >= to {
		return
	}
	perItem := float64(t.Root.Bytes) / float64(t.Root.Count)
	if from == 0 && to == t.Len() {
		if t.handOver(t.sum(t.Root.Node), perItem) {
			t.Root = Root{Plain: t.Root.Plain}
		}
		t.Free()
		return
	}
	t.Root.Node = t.cut(t.Root.Node, from, to, perItem)
	t.Root.Count -= uint64(to - from)
	t.mend(from)
}

// cut removes the items from to to-1 under a node, but not all of them, and
// returns the node that is in its place. perItem is what an item takes on average.
func (t *Tree) cut(r arena.Ref, from, to int, perItem float64) arena.Ref {
	n := t.node(r)
	if t.shared(n.version) {
		old := r
		r = t.copyNode(n)
		n = t.node(r)
		t.dropNode(old)
	}
	if n.height == 0 {
		t.dropExternals(n, from, to, perItem)
		n.closeSlots(from, to)
		if n.wasteful() {
			old := r
			r = t.copyLeaf(n, n.live()+n.live()/16, -1)
			t.dropNode(old)
		}
		return r
	}
	children := n.children()
	kept, begin := 0, 0
	var space [maxChildren]child
	gone := space[:0]
	for _, kid := range children {
		end := begin + int(kid.count)
		a, b := max(from, begin)-begin, min(to, end)-begin
		begin = end
		switch {
		case a >= b:
		case b-a == int(kid.count):
			gone = append(gone, kid)
			continue
		default:
			kid = t.sum(t.cut(kid.node, a, b, perItem))
		}
		children[kept] = kid
		kept++
	}
	t.giveUp(n.height, gone, perItem)
	n.count = uint16(kept)
	return r
}

// giveUp gives up children of a node of that height with everything under them:
// together, if they are many.
func (t *Tree) giveUp(height uint8, gone []child, perItem float64) {
	if len(gone) >= fewBlocks && t.taker() != nil {
		t.handOver(t.sum(t.newInner(height, gone)), perItem)
		return
	}
	for _, kid := range gone {
		if !t.handOver(kid, perItem) {
			t.dropAll(kid.node)
		}
	}
}

// fewBlocks are so few that they are freed at once.
const fewBlocks = 8

// taker returns who takes whole trees, nil if nobody does.
func (t *Tree) taker() TreeRetirer {
	taker, _ := t.Space.Retirer.(TreeRetirer)
	return taker
}

// handOver gives a node that goes with everything under it to a TreeRetirer, and
// reports whether there is one and it is worth while.
func (t *Tree) handOver(kid child, perItem float64) bool {
	taker, n := t.taker(), t.node(kid.node)
	if taker == nil || n.height == 0 && n.externals < fewBlocks {
		return false
	}
	bytes := min(uint64(perItem*float64(kid.count)), t.Root.Bytes)
	t.Root.Bytes -= bytes
	part := Tree{View: t.View, Space: t.Space}
	part.Root = Root{Node: kid.node, Count: kid.count, Bytes: bytes, Height: n.height, Plain: t.Root.Plain}
	taker.RetireTree(part)
	return true
}

// dropExternals gives up the blocks of the items from to to-1 of a leaf: if they
// are many, in a leaf of their own that a TreeRetirer takes.
func (t *Tree) dropExternals(n *node, from, to int, perItem float64) {
	if n.externals == 0 {
		return
	}
	if to-from >= fewBlocks && t.taker() != nil {
		size := nodeHeader + (to-from)*n.slot()
		for _, offset := range n.offsets()[from:to] {
			size += n.cellAt(offset)
		}
		part := t.newLeaf(size)
		addItems(t.node(part), n, from, to, -1)
		if externals := t.node(part).externals; t.handOver(t.sum(part), perItem) {
			n.externals -= externals
			return
		}
		t.dropNode(part)
	}
	for _, offset := range n.offsets()[from:to] {
		if block := n.externalAt(offset); block != 0 {
			t.dropExternal(block)
			n.externals--
		}
	}
}

// dropAll gives up a node and everything under it, changing none of it.
func (t *Tree) dropAll(r arena.Ref) {
	n := t.node(r)
	if n.height > 0 {
		for _, kid := range n.children() {
			t.dropAll(kid.node)
		}
	} else if n.externals > 0 {
		for _, offset := range n.offsets() {
			if block := n.externalAt(offset); block != 0 {
				t.dropExternal(block)
			}
		}
	}
	t.dropNode(r)
}
