package tree

import (
	"unsafe"

	"slotmesh/node/store/arena"
)

const (
	// nodeHeader is the size of a node's header.
	nodeHeader = 16
	// maxLeaf is the greatest block of a leaf, minLeaf how many bytes in use
	// make one a candidate for merging, mergedLeaf how many the merged leaf may
	// have: less than maxLeaf, so that it is not split again at once.
	maxLeaf    = 4096
	minLeaf    = maxLeaf / 4
	mergedLeaf = maxLeaf * 3 / 4
	// The same for inner nodes, in children.
	childSize   = 24
	maxChildren = (3072 - nodeHeader) / childSize
	minInner    = maxChildren / 4
	mergedInner = maxChildren * 3 / 4
	// inlineLimit is the size of the greatest item that lies in the leaf. An
	// item above it has a block of its own. After a leaf was divided the item
	// that it was divided for always fits: half of maxLeaf is more than two of
	// these.
	inlineLimit = 512
)

// node is the header of a block. The bytes behind it depend on the kind.
//
// A leaf has count prefixes of 8 bytes (none in a plain tree), count offsets of
// 2 bytes, a gap, and from low to size the cells of its items, in the order in
// which they came. dead counts the bytes of cells that are left over. An inner
// node has count children.
type node struct {
	version   uint32
	height    uint8
	plain     bool
	count     uint16
	size      uint16
	low       uint16
	dead      uint16
	externals uint16
}

// child is an entry of an inner node: a node, the number of items under it and
// the prefix of the first of them.
type child struct {
	prefix uint64
	node   arena.Ref
	count  uint64
}

// external is the header of the block of a large item; the bytes follow.
type external struct {
	version uint32
	length  uint32
}

const externalHeader = 8

func (v *View) node(r arena.Ref) *node {
	return (*node)(unsafe.Pointer(unsafe.SliceData(v.Memory.Bytes(r, nodeHeader))))
}

func (v *View) external(r arena.Ref) *external { return externalIn(v.Memory, r) }

func externalIn(m *arena.Memory, r arena.Ref) *external {
	return (*external)(unsafe.Pointer(unsafe.SliceData(m.Bytes(r, externalHeader))))
}

func (e *external) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(e), externalHeader)), e.length)
}

// end is the first place in a node that has any, or the last one.
func (n *node) end(last bool) int {
	if last {
		return int(n.count) - 1
	}
	return 0
}

func (n *node) at(offset int) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(n), offset) }

// children returns the entries of an inner node.
func (n *node) children() []child {
	return unsafe.Slice((*child)(n.at(nodeHeader)), n.count)
}

// room is the number of children that the block has space for.
func (n *node) room() int { return min((int(n.size)-nodeHeader)/childSize, maxChildren) }

// slot is the number of bytes that an item takes beside its cell.
func (n *node) slot() int {
	if n.plain {
		return 2
	}
	return 10
}

func (n *node) prefixes() []uint64 {
	return unsafe.Slice((*uint64)(n.at(nodeHeader)), n.count)
}

func (n *node) prefix(i int) uint64 {
	if n.plain {
		return 0
	}
	return *(*uint64)(n.at(nodeHeader + 8*i))
}

// offsets returns where the cells begin.
func (n *node) offsets() []uint16 {
	at := nodeHeader
	if !n.plain {
		at += 8 * int(n.count)
	}
	return unsafe.Slice((*uint16)(n.at(at)), n.count)
}

// gap is the number of bytes between the offsets and the cells.
func (n *node) gap() int { return int(n.low) - nodeHeader - int(n.count)*n.slot() }

// live is the size of the leaf without its gap and dead cells.
func (n *node) live() int {
	return nodeHeader + int(n.count)*n.slot() + int(n.size) - int(n.low) - int(n.dead)
}

// wasteful reports whether a leaf deserves a smaller block.
func (n *node) wasteful() bool {
	return int(n.size)-n.live() > int(n.size)/8+64
}

// worn is wasteful for a leaf that loses items one by one. More of it may be unused:
// to pack it takes as long as to delete half a dozen items.
func (n *node) worn() bool {
	return int(n.size)-n.live() > int(n.size)/4+64
}

// A cell is the length in one byte up to 127, in two (the first with its top bit
// set) up to inlineLimit, and the bytes; or externalMark and a Ref.
const (
	externalMark = 0xff
	externalCell = 1 + 8
)

// cellSize is the size of the cell of an item of size bytes.
func cellSize(size int) int {
	switch {
	case size < 128:
		return 1 + size
	case size <= inlineLimit:
		return 2 + size
	}
	return externalCell
}

// cellAt returns the size of the cell at an offset.
func (n *node) cellAt(offset uint16) int {
	b := (*[2]byte)(n.at(int(offset)))
	switch {
	case b[0] < 128:
		return 1 + int(b[0])
	case b[0] == externalMark:
		return externalCell
	}
	return 2 + int(b[0]&0x7f)<<8 + int(b[1])
}

// externalAt returns the block that the cell at an offset refers to, 0 if the
// item is in the leaf.
func (n *node) externalAt(offset uint16) arena.Ref {
	if *(*byte)(n.at(int(offset))) != externalMark {
		return 0
	}
	return *(*arena.Ref)(n.at(int(offset) + 1))
}

// item returns the bytes of the item i of a leaf.
func (v *View) item(n *node, i int) []byte { return n.item(v.Memory, i) }

func (n *node) item(m *arena.Memory, i int) []byte {
	offset := int(n.offsets()[i])
	b := (*[2]byte)(n.at(offset))
	if b[0] < 128 {
		return unsafe.Slice((*byte)(n.at(offset+1)), b[0])
	}
	if b[0] != externalMark {
		return unsafe.Slice((*byte)(n.at(offset+2)), int(b[0]&0x7f)<<8+int(b[1]))
	}
	return externalIn(m, *(*arena.Ref)(n.at(offset + 1))).bytes()
}

// openSlot makes room for a slot before slot i. Everything behind the prefixes
// moves, the farthest first.
func (n *node) openSlot(i int) {
	old := n.offsets()
	n.count++
	offsets := n.offsets()
	copy(offsets[i+1:], old[i:])
	if !n.plain {
		copy(offsets[:i], old[:i])
		prefixes := n.prefixes()
		copy(prefixes[i+1:], prefixes[i:])
	}
}

// closeSlots removes the slots from i to j-1 and counts their cells as dead.
func (n *node) closeSlots(i, j int) {
	old := n.offsets()
	for _, offset := range old[i:j] {
		if size := n.cellAt(offset); offset == n.low {
			n.low += uint16(size)
		} else {
			n.dead += uint16(size)
		}
	}
	if !n.plain {
		prefixes := n.prefixes()
		copy(prefixes[i:], prefixes[j:])
	}
	n.count -= uint16(j - i)
	offsets := n.offsets()
	copy(offsets[:i], old[:i])
	copy(offsets[i:], old[j:])
	if n.count == 0 {
		n.low, n.dead = n.size, 0
	}
}

// newCell takes a cell for size bytes from the gap, which is large enough, and
// returns its offset and the bytes of the item.
func (t *Tree) newCell(n *node, size int) (offset uint16, item []byte) {
	n.low -= uint16(cellSize(size))
	b := (*[2]byte)(n.at(int(n.low)))
	switch {
	case size < 128:
		b[0] = byte(size)
		return n.low, unsafe.Slice((*byte)(n.at(int(n.low)+1)), size)
	case size <= inlineLimit:
		b[0], b[1] = 0x80|byte(size>>8), byte(size)
		return n.low, unsafe.Slice((*byte)(n.at(int(n.low)+2)), size)
	}
	b[0] = externalMark
	r := t.newExternal(size)
	*(*arena.Ref)(n.at(int(n.low) + 1)) = r
	n.externals++
	return n.low, t.external(r).bytes()
}

func (t *Tree) newExternal(size int) arena.Ref {
	r, _ := t.alloc(externalHeader + size)
	*t.external(r) = external{version: t.Space.Version, length: uint32(size)}
	return r
}

// insertSlot puts an item of size bytes before item i of a leaf with a gap large
// enough.
func (t *Tree) insertSlot(n *node, i int, prefix uint64, size int) []byte {
	n.openSlot(i)
	if !n.plain {
		n.prefixes()[i] = prefix
	}
	offset, item := t.newCell(n, size)
	n.offsets()[i] = offset
	return item
}

// newNode returns an empty node in a block of at least n bytes.
func (t *Tree) newNode(height uint8, n int) arena.Ref {
	r, size := t.alloc(n)
	*t.node(r) = node{version: t.Space.Version, height: height, plain: t.Root.Plain, size: uint16(size), low: uint16(size)}
	return r
}

// newLeaf returns an empty leaf with at least n bytes, n capped by maxLeaf.
func (t *Tree) newLeaf(n int) arena.Ref { return t.newNode(0, min(n, maxLeaf)) }

// newInner returns an inner node with these children and room for some more.
func (t *Tree) newInner(height uint8, children []child) arena.Ref {
	room := min(len(children)+len(children)/4+1, maxChildren)
	r := t.newNode(height, nodeHeader+room*childSize)
	n := t.node(r)
	n.count = uint16(len(children))
	copy(n.children(), children)
	return r
}

// addItems adds the items from to to-1 of leaf src behind those of dst, which has
// room for them. Item skip gets a slot but no cell.
func addItems(dst, src *node, from, to, skip int) {
	old, first := dst.offsets(), int(dst.count)
	dst.count += uint16(to - from)
	offsets := dst.offsets()
	if !dst.plain {
		copy(offsets, old)
		copy(dst.prefixes()[first:], src.prefixes()[from:to])
	}
	low := int(dst.low)
	if src.dead == 0 && to-from == int(src.count) && skip < 0 {
		// All cells at once, in the order they lie in.
		size := int(src.size) - int(src.low)
		low -= size
		copy(unsafe.Slice((*byte)(dst.at(low)), size), unsafe.Slice((*byte)(src.at(int(src.low))), size))
		for i, offset := range src.offsets() {
			offsets[first+i] = offset + uint16(low) - src.low
		}
		dst.low = uint16(low)
		dst.externals += src.externals
		return
	}
	for i, offset := range src.offsets()[from:to] {
		if from+i == skip {
			continue
		}
		size := src.cellAt(offset)
		low -= size
		copyCell(dst.at(low), src.at(int(offset)), size)
		offsets[first+i] = uint16(low)
		if *(*byte)(dst.at(low)) == externalMark {
			dst.externals++
		}
	}
	dst.low = uint16(low)
}

// copyCell copies size bytes. Most cells are short, and take less time by words that
// overlap than it takes to call what copies anything.
func copyCell(dst, src unsafe.Pointer, size int) {
	if size < 8 || size > 32 {
		copy(unsafe.Slice((*byte)(dst), size), unsafe.Slice((*byte)(src), size))
		return
	}
	*(*uint64)(dst) = *(*uint64)(src)
	if size > 16 {
		*(*uint64)(unsafe.Add(dst, 8)) = *(*uint64)(unsafe.Add(src, 8))
		*(*uint64)(unsafe.Add(dst, size-16)) = *(*uint64)(unsafe.Add(src, size-16))
	}
	*(*uint64)(unsafe.Add(dst, size-8)) = *(*uint64)(unsafe.Add(src, size-8))
}

// copyLeaf returns a copy of a leaf in a block of at least n bytes. Item skip
// (none if -1) gets a slot but no cell.
func (t *Tree) copyLeaf(src *node, n, skip int) arena.Ref {
	r := t.newLeaf(n)
	addItems(t.node(r), src, 0, int(src.count), skip)
	return r
}

// copyNode returns a copy of a node that may be changed.
func (t *Tree) copyNode(src *node) arena.Ref {
	r := t.newNode(src.height, int(src.size))
	dst := t.node(r)
	version, size := dst.version, dst.size
	if src.height == 0 && size != src.size {
		addItems(dst, src, 0, int(src.count), -1)
		return r
	}
	copy(unsafe.Slice((*byte)(dst.at(0)), size), unsafe.Slice((*byte)(src.at(0)), src.size))
	dst.version, dst.size = version, size
	return r
}

// sum returns the entry that an inner node keeps of r.
func (v *View) sum(r arena.Ref) child {
	n := v.node(r)
	if n.height == 0 {
		return child{prefix: n.prefix(0), node: r, count: uint64(n.count)}
	}
	s := child{node: r}
	children := n.children()
	s.prefix = children[0].prefix
	for i := range children {
		s.count += children[i].count
	}
	return s
}
