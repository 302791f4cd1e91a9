package tree

import "slotmesh/node/store/arena"

// Many reports whether DeleteIf removes n items that do not lie side by side sooner
// than Delete does. To look an item up and to delete it takes as long as to show
// some thirty of them.
func (t *Tree) Many(n int) bool { return n > t.Len()/32 }

// DeleteIf removes the items for which gone returns true. It is asked once of
// each item, in order, and is shown a view that is good until it returns. The
// whole tree is gone through; what loses nothing stays where it is.
func (t *Tree) DeleteIf(gone func(prefix uint64, item []byte) bool) {
	if t.Root.Node == 0 {
		return
	}
	top, left := t.thin(t.Root.Node, gone)
	if !left {
		t.Root = Root{Plain: t.Root.Plain}
		return
	}
	t.Root.Node, t.Root.Count = top.node, top.count
	for t.Root.Height > 0 && t.node(t.Root.Node).count == 1 {
		old := t.Root.Node
		t.Root.Node = t.node(old).children()[0].node
		t.Root.Height--
		t.dropNode(old)
	}
}

// thin does it under a node and returns what is to be known of the node that is
// in its place, if anything is left.
func (t *Tree) thin(r arena.Ref, gone func(prefix uint64, item []byte) bool) (by child, left bool) {
	n := t.node(r)
	if n.height == 0 {
		return t.thinLeaf(r, gone)
	}
	// Items under the node itself stay what they are while gone looks at those of
	// one child after the other: nothing is written before all are done.
	var space [maxChildren]child
	kept := space[:0]
	changed := false
	for _, kid := range n.children() {
		by, left := t.thin(kid.node, gone)
		if !left {
			changed = true
			continue
		}
		if by != kid {
			changed = true
		}
		if last := len(kept) - 1; changed && last >= 0 && t.mergeable(kept[last].node, by.node) {
			a, b := kept[last].node, by.node
			kept[last] = t.sum(t.joined(a, b))
			t.dropNode(a)
			t.dropNode(b)
			continue
		}
		kept = append(kept, by)
	}
	if !changed {
		return t.sum(r), true
	}
	if len(kept) > 0 && !t.shared(n.version) {
		n.count = uint16(len(kept))
		copy(n.children(), kept)
		return t.sum(r), true
	}
	if left = len(kept) > 0; left {
		by = t.sum(t.newInner(n.height, kept))
	}
	t.dropNode(r)
	return by, left
}

// marks are items of a leaf, of which the smallest take three bytes.
type marks [(maxLeaf/3 + 63) / 64]uint64

func (m *marks) set(i int) { m[i/64] |= 1 << (i % 64) }

func (m *marks) has(i int) bool { return m[i/64]>>(i%64)&1 != 0 }

// thinLeaf is thin for a leaf, which is written anew if anything goes.
func (t *Tree) thinLeaf(r arena.Ref, gone func(prefix uint64, item []byte) bool) (by child, left bool) {
	n := t.node(r)
	var goes marks
	count, cells := 0, 0
	for i, offset := range n.offsets() {
		if gone(n.prefix(i), t.item(n, i)) {
			goes.set(i)
			count++
			cells += n.cellAt(offset)
		}
	}
	if count == 0 {
		return t.sum(r), true
	}
	if left = count < int(n.count); left {
		size := n.live() - cells - count*n.slot()
		thinned := t.newLeaf(size + size/16)
		addLeft(t.node(thinned), n, &goes, count)
		by = t.sum(thinned)
	}
	if n.externals > 0 {
		for i, offset := range n.offsets() {
			if block := n.externalAt(offset); block != 0 && goes.has(i) {
				t.dropExternal(block)
			}
		}
	}
	t.dropNode(r)
	return by, left
}

// addLeft fills dst, an empty leaf, with the items of src but for count that go.
func addLeft(dst, src *node, goes *marks, count int) {
	dst.count = src.count - uint16(count)
	offsets := dst.offsets()
	low, at := int(dst.low), 0
	for i, offset := range src.offsets() {
		if goes.has(i) {
			continue
		}
		size := src.cellAt(offset)
		low -= size
		copyCell(dst.at(low), src.at(int(offset)), size)
		offsets[at] = uint16(low)
		if !dst.plain {
			dst.prefixes()[at] = src.prefix(i)
		}
		if *(*byte)(dst.at(low)) == externalMark {
			dst.externals++
		}
		at++
	}
	dst.low = uint16(low)
}

// Abandon gives back what a tree has of its own that was changed while it was
// Frozen and is not wanted: all that no snapshot may read. The tree is good for
// nothing then.
func (t *Tree) Abandon() {
	if t.Root.Node != 0 {
		t.abandon(t.Root.Node)
	}
	t.Root = Root{Plain: t.Root.Plain}
}

func (t *Tree) abandon(r arena.Ref) {
	n := t.node(r)
	if t.shared(n.version) {
		return // and so is everything under it
	}
	if n.height > 0 {
		for _, kid := range n.children() {
			t.abandon(kid.node)
		}
	} else if n.externals > 0 {
		for _, offset := range n.offsets() {
			if block := n.externalAt(offset); block != 0 && !t.shared(t.external(block).version) {
				t.dropExternal(block)
			}
		}
	}
	t.dropNode(r)
}
