package tree

import (
	"unsafe"

	"slotmesh/node/store/arena"
)

// Insert makes room for an item of size bytes before the cursor, which is then
// at it, and returns the bytes to be filled. The caller sees to the order.
func (t *Tree) Insert(c *Cursor, prefix uint64, size int) []byte {
	if t.Root.Plain {
		prefix = 0
	}
	t.expect(c)
	if c.rank == before {
		c.rank = 0
	}
	if t.Root.Node == 0 {
		n := nodeHeader + 10 + cellSize(size)
		t.Root.Node = t.newLeaf(n + n/8)
		t.Root.Height = 0
		c.path[0], c.rank = newStep(t.Root.Node, 0), 0
	}
	c.view = t.View
	n, edge := t.makeRoom(c, cellSize(size))
	if n == nil {
		return t.insertLeaf(c, edge, prefix, size)
	}
	height := int(t.Root.Height)
	at := c.path[height].at()
	item := t.insertSlot(n, at, prefix, size)
	t.Root.Count++
	t.count(c, 1)
	if at == 0 {
		t.fixPrefix(c)
	}
	c.view = t.View
	return item
}

// expect panics if the tree was changed since the cursor was taken, as far as the
// root tells: going on would destroy the tree.
func (t *Tree) expect(c *Cursor) {
	if c.view.Root != t.Root {
		panic("tree: change at a cursor of another state of the tree")
	}
}

// count adds to what the path's inner nodes count. They are owned.
func (t *Tree) count(c *Cursor, change int) {
	for level := range int(t.Root.Height) {
		s := c.path[level]
		t.node(s.node()).children()[s.at()].count += uint64(change)
	}
}

// fixPrefix tells the inner nodes the prefix of the leaf's first item.
func (t *Tree) fixPrefix(c *Cursor) {
	height := int(t.Root.Height)
	prefix := t.node(c.path[height].node()).prefix(0)
	for level := height - 1; level >= 0; level-- {
		s := c.path[level]
		t.node(s.node()).children()[s.at()].prefix = prefix
		if s.at() > 0 {
			break
		}
	}
}

// An item that comes at an end of the tree when the leaf there is full begins a
// new leaf, so that ordered input fills the leaves.
const (
	noEdge = iota
	frontEdge
	backEdge
)

// makeRoom sees that the cursor's leaf may be changed and has room for one more
// slot with a cell of that size. The cursor may come to lie in another leaf. The
// answer is nil and the edge if the item is to begin a leaf of its own.
func (t *Tree) makeRoom(c *Cursor, cell int) (n *node, edge int) {
	for {
		height := int(t.Root.Height)
		t.own(c, height)
		r, at := c.path[height].node(), c.path[height].at()
		n := t.node(r)
		need := n.slot() + cell
		shared := t.shared(n.version)
		if !shared && n.gap() >= need {
			return n, noEdge
		}
		edge = noEdge
		if at == int(n.count) {
			edge = backEdge
		} else if at == 0 && c.isFirst() {
			edge = frontEdge
		}
		// A leaf that is full but for a few dead bytes is better split than
		// packed again and again.
		want := n.live() + need
		if want <= maxLeaf-maxLeaf/32 || want <= maxLeaf && (n.dead == 0 || n.count < 4) {
			switch {
			case edge != noEdge && height > 0:
				want *= 2
			case edge != noEdge:
				want += want / 8
			default:
				want += want / 16
			}
			t.replaceLeaf(c, t.copyLeaf(n, want, -1))
			return t.node(c.path[height].node()), noEdge
		}
		if edge != noEdge {
			return nil, edge
		}
		rank := c.Rank()
		t.split(c)
		*c = t.At(rank)
	}
}

// own makes the first levels of the path nodes that may be changed.
func (t *Tree) own(c *Cursor, levels int) {
	if !t.Space.Frozen {
		return
	}
	for level := range levels {
		r := c.path[level].node()
		n := t.node(r)
		if !t.shared(n.version) {
			continue
		}
		t.link(c, level, t.copyNode(n))
		t.dropNode(r)
	}
}

// link puts r in the place of the path's node of a level, whose parent is owned.
func (t *Tree) link(c *Cursor, level int, r arena.Ref) {
	c.path[level] = newStep(r, c.path[level].at())
	if level == 0 {
		t.Root.Node = r
		return
	}
	s := c.path[level-1]
	t.node(s.node()).children()[s.at()].node = r
}

// replaceLeaf puts a copy of the cursor's leaf in its place and gives up the
// leaf. The levels above are owned.
func (t *Tree) replaceLeaf(c *Cursor, r arena.Ref) {
	height := int(t.Root.Height)
	old := c.path[height].node()
	t.link(c, height, r)
	t.dropNode(old)
}

// insertLeaf puts an item into a new leaf at an edge of the tree.
func (t *Tree) insertLeaf(c *Cursor, edge int, prefix uint64, size int) []byte {
	height, rank := int(t.Root.Height), c.Rank()
	old := t.sum(c.path[height].node())
	r := t.newLeaf(nodeHeader + 10 + cellSize(size) + 500)
	item := t.insertSlot(t.node(r), 0, prefix, size)
	t.Root.Count++
	if edge == backEdge {
		t.replace(c, height-1, 1, []child{old, t.sum(r)}, edge)
	} else {
		t.replace(c, height-1, 1, []child{t.sum(r), old}, edge)
	}
	*c = t.At(rank)
	return item
}

// split divides the cursor's leaf into two of about the same size. The levels
// above are owned.
func (t *Tree) split(c *Cursor) {
	height := int(t.Root.Height)
	r := c.path[height].node()
	n := t.node(r)
	half := (n.live() - nodeHeader) / 2
	k, left := 0, 0
	for offsets := n.offsets(); left < half && k < len(offsets)-1; k++ {
		left += n.cellAt(offsets[k]) + n.slot()
	}
	count, right := int(n.count), n.live()-nodeHeader-left
	a := t.newLeaf(nodeHeader + left + left/16)
	addItems(t.node(a), n, 0, k, -1)
	b := t.newLeaf(nodeHeader + right + right/16)
	addItems(t.node(b), n, k, count, -1)
	t.replace(c, height-1, 1, []child{t.sum(a), t.sum(b)}, noEdge)
	t.dropNode(r)
}

// replace puts children in the place of gone children from the path's place in
// the node of a level on; level -1 is what is above the root. The levels are
// owned and their counts brought up to date; below that level the path is not
// good any more. The children replaced are the caller's to give up. edge says
// where a node that overflows is divided.
func (t *Tree) replace(c *Cursor, level, gone int, by []child, edge int) {
	if level < 0 {
		t.Root.Node = by[0].node
		if len(by) > 1 {
			height := t.node(by[0].node).height + 1
			if int(height) >= maxHeight {
				panic("tree: too high")
			}
			t.Root.Node = t.newInner(height, by)
			t.Root.Height = height
		}
		return
	}
	r, at := c.path[level].node(), c.path[level].at()
	n := t.node(r)
	count := int(n.count) - gone + len(by)
	if count > maxChildren {
		t.divide(c, level, gone, by, edge)
		return
	}
	if count > n.room() {
		var all [maxChildren]child
		copy(all[:], n.children())
		old := r
		r = t.newInner(n.height, all[:n.count])
		n = t.node(r)
		t.link(c, level, r)
		t.dropNode(old)
	}
	tail := n.children()[at+gone:]
	n.count = uint16(count)
	children := n.children()
	copy(children[at+len(by):], tail)
	copy(children[at:], by)
	t.refresh(c, level)
}

// refresh brings what the levels above a node say of it up to date.
func (t *Tree) refresh(c *Cursor, level int) {
	for ; level > 0; level-- {
		s := c.path[level-1]
		t.node(s.node()).children()[s.at()] = t.sum(c.path[level].node())
	}
}

// divide is replace for a node that would overflow: two nodes take its place.
func (t *Tree) divide(c *Cursor, level, gone int, by []child, edge int) {
	r, at := c.path[level].node(), c.path[level].at()
	n := t.node(r)
	var space [maxChildren + 4]child
	all := append(space[:0], n.children()[:at]...)
	all = append(all, by...)
	all = append(all, n.children()[at+gone:]...)
	k := len(all) / 2
	switch edge {
	case frontEdge:
		k = 1
	case backEdge:
		k = len(all) - 1
	}
	a, b := t.newInner(n.height, all[:k]), t.newInner(n.height, all[k:])
	t.replace(c, level-1, 1, []child{t.sum(a), t.sum(b)}, edge)
	t.dropNode(r)
}

// Append adds an item behind the last one, filling nodes to the brim: the way
// to build a tree from ordered input, and to push to a queue.
func (t *Tree) Append(prefix uint64, size int) []byte {
	c := t.At(t.Len())
	return t.Insert(&c, prefix, size)
}

// Resize gives the item at the cursor size bytes and returns them to be
// filled: the first min(old, size) are kept. Resize to the same size is how an
// item is changed in place.
func (t *Tree) Resize(c *Cursor, size int) []byte {
	t.expect(c)
	t.own(c, int(t.Root.Height)+1)
	n, at := c.leaf(), c.path[t.Root.Height].at()
	offset := n.offsets()[at]
	block, old := n.externalAt(offset), t.item(n, at)
	if len(old) == size && (block == 0 || !t.shared(t.external(block).version)) {
		c.view = t.View
		return old
	}
	switch {
	case block != 0 && size > inlineLimit:
		t.resizeExternal(n, offset, size)
	case block == 0 && size < len(old):
		t.shrinkCell(n, at, size)
	default:
		t.recell(c, size)
	}
	if t.leafOf(c).wasteful() {
		t.repack(c)
	}
	c.view = t.View
	return c.Item()
}

func (t *Tree) leafOf(c *Cursor) *node { return t.node(c.path[t.Root.Height].node()) }

// repack gives the cursor's leaf a smaller block. The levels above are owned.
func (t *Tree) repack(c *Cursor) {
	n := t.leafOf(c)
	t.replaceLeaf(c, t.copyLeaf(n, n.live()+n.live()/16, -1))
}

// resizeExternal changes the size of the item in a block of its own that the
// cell at an offset refers to.
func (t *Tree) resizeExternal(n *node, offset uint16, size int) {
	r := n.externalAt(offset)
	e := t.external(r)
	if !t.shared(e.version) {
		has := t.Space.Heap.Size(r)
		if int(e.length) == size || externalHeader+size <= has && externalHeader+size > has-has/4 {
			e.length = uint32(size)
			return
		}
	}
	t.replaceExternal(n, offset, size)
}

// replaceExternal gives the item that the cell at an offset refers to another
// block, of size bytes.
func (t *Tree) replaceExternal(n *node, offset uint16, size int) {
	r := n.externalAt(offset)
	by := t.newExternal(size)
	copy(t.external(by).bytes(), t.external(r).bytes())
	*(*arena.Ref)(n.at(int(offset) + 1)) = by
	t.dropExternal(r)
}

// shrinkCell makes an item in the leaf smaller where it is. What its cell leaves
// over is dead.
func (t *Tree) shrinkCell(n *node, at, size int) {
	item, offset := t.item(n, at), n.offsets()[at]
	has := n.cellAt(offset)
	b := (*[2]byte)(n.at(int(offset)))
	if size < 128 {
		copy(unsafe.Slice((*byte)(n.at(int(offset)+1)), size), item)
		b[0] = byte(size)
	} else {
		b[0], b[1] = 0x80|byte(size>>8), byte(size)
	}
	n.dead += uint16(has - n.cellAt(offset))
}

// recell gives an item a new cell. The leaf may be divided for it.
func (t *Tree) recell(c *Cursor, size int) {
	need := cellSize(size)
	for {
		n, at := t.leafOf(c), c.path[t.Root.Height].at()
		offset := n.offsets()[at]
		has, block := n.cellAt(offset), n.externalAt(offset)
		want := n.live() - has + need
		switch {
		case want > maxLeaf:
			rank := c.Rank()
			t.split(c)
			*c = t.At(rank)
			continue
		case n.gap() >= need:
			old := t.item(n, at)
			by, item := t.newCell(n, size)
			copy(item, old)
			n.offsets()[at] = by
			n.dead += uint16(has)
			if block != 0 {
				n.externals--
			}
		default:
			r := t.copyLeaf(n, want+want/16, at)
			m := t.node(r)
			by, item := t.newCell(m, size)
			copy(item, t.item(n, at))
			m.offsets()[at] = by
			t.replaceLeaf(c, r)
		}
		if block != 0 {
			t.dropExternal(block)
		}
		return
	}
}
