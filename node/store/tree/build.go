package tree

import (
	"unsafe"

	"slotmesh/node/store/arena"
)

// Builder makes a tree of items that come in order, a whole leaf at a time: no
// leaf is looked for, and none grows step by step. Until Close nobody may look
// at the tree.
type Builder struct {
	t Tree
	// leaf is the block that is being filled, 0 for none, and count the number of
	// its items. It has the greatest size, and until it is finished each prefix
	// is followed by the offset, for where the offsets are to begin is not known.
	leaf  arena.Ref
	count int
}

// Build returns a builder of the tree t, which is empty.
func Build(t Tree) Builder { return Builder{t: t} }

// Len is the number of items so far.
func (b *Builder) Len() int { return int(b.t.Root.Count) + b.count }

// Append adds an item of size bytes behind the last one and returns the bytes to
// be filled, which are good until the next call. The caller sees to the order.
func (b *Builder) Append(prefix uint64, size int) []byte {
	var n *node
	if b.leaf != 0 {
		n = b.t.node(b.leaf)
		if int(n.low)-nodeHeader-b.count*n.slot() < n.slot()+cellSize(size) {
			b.finish()
		}
	}
	if b.leaf == 0 {
		b.leaf, b.count = b.t.newLeaf(maxLeaf), 0
		n = b.t.node(b.leaf)
	}
	offset, item := b.t.newCell(n, size)
	slot := n.at(nodeHeader + b.count*n.slot())
	if !n.plain {
		*(*uint64)(slot) = prefix
		slot = unsafe.Add(slot, 8)
	}
	*(*uint16)(slot) = offset
	b.count++
	return item
}

// finish makes the leaf that is being filled the last one of the tree.
func (b *Builder) finish() {
	t := &b.t
	n := t.node(b.leaf)
	n.count = uint16(b.count)
	if !n.plain {
		var offsets [(maxLeaf - nodeHeader) / 10]uint16
		for i, prefixes := 0, n.prefixes(); i < b.count; i++ {
			slot := n.at(nodeHeader + 10*i)
			prefixes[i], offsets[i] = *(*uint64)(slot), *(*uint16)(unsafe.Add(slot, 8))
		}
		copy(n.offsets(), offsets[:b.count])
	}
	if n.wasteful() {
		small := t.copyLeaf(n, n.live()+n.live()/16, -1)
		t.dropNode(b.leaf)
		b.leaf = small
	}
	if t.Root.Node == 0 {
		t.Root.Node, t.Root.Height = b.leaf, 0
	} else {
		c := t.At(t.Len())
		old := c.path[t.Root.Height].node()
		t.replace(&c, int(t.Root.Height)-1, 1, []child{t.sum(old), t.sum(b.leaf)}, backEdge)
	}
	t.Root.Count += uint64(b.count)
	b.leaf, b.count = 0, 0
}

// Close returns the tree. The builder is not to be used again.
func (b *Builder) Close() Tree {
	if b.leaf != 0 {
		b.finish()
	}
	return b.t
}

// Clone makes t, which has a memory and a space, a copy of the tree of that memory with
// this root. It copies node by node and does not look at the items.
func (t *Tree) Clone(root Root) {
	t.Root = Root{Plain: root.Plain}
	if root.Node != 0 {
		t.Root.Node = t.clone(root.Node)
		t.Root.Height, t.Root.Count = root.Height, root.Count
	}
}

// clone returns a copy of a node of whatever tree and of all that is under it.
func (t *Tree) clone(r arena.Ref) arena.Ref {
	src := t.node(r)
	if src.height > 0 {
		r = t.newInner(src.height, src.children())
		children := t.node(r).children()
		for i := range children {
			children[i].node = t.clone(children[i].node)
		}
		return r
	}
	r = t.copyLeaf(src, src.live()+src.live()/16, -1)
	n := t.node(r)
	if n.externals == 0 {
		return r
	}
	for _, offset := range n.offsets() {
		if block := n.externalAt(offset); block != 0 {
			old := t.external(block).bytes()
			by := t.newExternal(len(old))
			copy(t.external(by).bytes(), old)
			*(*arena.Ref)(n.at(int(offset) + 1)) = by
		}
	}
	return r
}
