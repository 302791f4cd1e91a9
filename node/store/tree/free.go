package tree

// Free gives all blocks back.
func (t *Tree) Free() {
	for !t.FreeSome(1 << 30) {
	}
}

// FreeSome frees about limit blocks and reports whether all are gone: a tree
// that nobody can reach any more is freed in such steps. Root tells what is left
// and may be kept between steps; it is good for nothing else than the next one.
//
// The blocks go from the end. No node is changed, which would mean to copy it for
// a snapshot: Root.Count alone says how far the tree is gone, and inner nodes go
// with the first child.
func (t *Tree) FreeSome(limit int) (done bool) {
	for freed := 0; t.Root.Count > 0 && freed < limit; {
		// What the nodes count is not true any more of the whole.
		c := t.at(int(t.Root.Count)-1, 1<<63)
		level := int(t.Root.Height)
		at := c.path[level].at()
		n := t.node(c.path[level].node())
		if n.externals > 0 {
			for ; at >= 0 && freed < limit; at-- {
				if block := n.externalAt(n.offsets()[at]); block != 0 {
					t.dropExternal(block)
					freed++
				}
				t.Root.Count--
			}
			if at >= 0 {
				break
			}
		} else {
			t.Root.Count -= uint64(at + 1)
		}
		for ; level >= 0; level-- {
			t.dropNode(c.path[level].node())
			freed++
			if level > 0 && c.path[level-1].at() > 0 {
				break
			}
		}
	}
	if t.Root.Count > 0 {
		return false
	}
	t.Root = Root{Plain: t.Root.Plain}
	return true
}

// lookPerMove is how many leaves Compact looks at for each block that it may move.
const lookPerMove = 16

// Compact moves up to limit blocks from the rank on that lie in sparse pages,
// and returns the rank to go on at, how many it moved and whether the end was
// reached. It also
// returns when it has looked at lookPerMove leaves for each block. Blocks that a
// snapshot may read stay, as moving them frees nothing.
func (t *Tree) Compact(from, limit int) (next, moved int, done bool) {
	c := t.At(min(from, t.Len()))
	most := limit
	for range most * lookPerMove {
		if limit <= 0 || !c.Valid() {
			break
		}
		height := int(t.Root.Height)
		for level := height - 1; level >= 0 && c.path[level+1].at() == 0; level-- {
			limit -= t.move(&c, level)
		}
		limit -= t.move(&c, height)
		n := t.leafOf(&c)
		at := c.path[height].at()
		if n.externals > 0 {
			for ; at < int(n.count) && limit > 0; at++ {
				limit -= t.moveExternal(&c, at)
				n = t.leafOf(&c)
			}
		} else {
			at = int(n.count)
		}
		c.view = t.View
		c.rank += at - c.path[height].at()
		c.path[height] = newStep(c.path[height].node(), at)
		if at == int(n.count) {
			c.forward()
		}
	}
	return c.rank, most - limit, !c.Valid()
}

// move gives the path's node of a level another block if that helps to free a
// page, and returns the number of blocks moved.
func (t *Tree) move(c *Cursor, level int) int {
	old := c.path[level].node()
	n := t.node(old)
	if t.shared(n.version) || !t.Space.Heap.Sparse(old) {
		return 0
	}
	t.own(c, level)
	t.link(c, level, t.copyNode(n))
	t.dropNode(old)
	return 1
}

// moveExternal does the same for the block of the item at.
func (t *Tree) moveExternal(c *Cursor, at int) int {
	n := t.leafOf(c)
	old := n.externalAt(n.offsets()[at])
	if old == 0 || t.shared(t.external(old).version) || !t.Space.Heap.Sparse(old) {
		return 0
	}
	t.own(c, int(t.Root.Height)+1)
	n = t.leafOf(c)
	t.replaceExternal(n, n.offsets()[at], len(t.external(old).bytes()))
	return 1
}
