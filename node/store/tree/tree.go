package tree

import (
	"encoding/binary"

	"slotmesh/node/store/arena"
)

// Space is where the nodes of a tree come from, and which of them a snapshot may
// still read.
type Space struct {
	Heap *arena.Heap
	// Version is what new nodes are marked with.
	Version uint32
	// While Frozen, a node whose version is not after Floor may be read by an
	// open snapshot: it is copied instead of changed, and retired, not freed.
	Frozen  bool
	Floor   uint32
	Retirer Retirer
}

// Retirer frees blocks when no open snapshot can read them any more.
type Retirer interface{ Retire(arena.Ref) }

// TreeRetirer is a Retirer that takes whole trees, too: DeleteRange then hands over
// what lies under a large node that goes as a whole, instead of freeing it.
type TreeRetirer interface {
	Retirer
	// RetireTree frees a tree that nothing leads to any more, now or later. Its
	// Root.Bytes is an estimate.
	RetireTree(Tree)
}

// RootSize is the length of an encoded Root.
const RootSize = 24

// Root is what the owner of a tree keeps of it. The zero Root is an empty tree
// with prefixes.
type Root struct {
	// Node is the top node, 0 for an empty tree.
	Node arena.Ref
	// Count is the number of items, Bytes the memory of all blocks of the tree: about
	// that of a tree of which a TreeRetirer has taken parts.
	Count, Bytes uint64
	// Height is the number of levels above the leaves.
	Height uint8
	// Plain trees keep no prefixes: their items have an order by position only.
	Plain bool
}

// Put encodes r into b, RootSize bytes.
func (r *Root) Put(b []byte) {
	b = b[:RootSize]
	word := uint64(r.Node) | uint64(r.Height)<<48
	if r.Plain {
		word |= 1 << 63
	}
	binary.LittleEndian.PutUint64(b, word)
	binary.LittleEndian.PutUint64(b[8:], r.Count)
	binary.LittleEndian.PutUint64(b[16:], r.Bytes)
}

// ParseRoot decodes what Put wrote.
func ParseRoot(b []byte) (r Root) {
	r.Parse(b)
	return r
}

// Parse makes r what Put wrote, where r lies.
func (r *Root) Parse(b []byte) {
	b = b[:RootSize]
	word := binary.LittleEndian.Uint64(b)
	r.Node, r.Height, r.Plain = arena.Ref(word&(1<<arena.RefBits-1)), uint8(word>>48&0x7f), word>>63 != 0
	r.Count, r.Bytes = binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
}

// View reads a tree. Items and cursors that it gives are good until the tree
// changes.
type View struct {
	Memory *arena.Memory
	Root   Root
}

// Tree changes one. After changes the owner keeps t.Root.
type Tree struct {
	View
	Space Space
}

// Len is the number of items.
func (v View) Len() int { return int(v.Root.Count) }

// shared reports whether an open snapshot may read a block of that version.
// Versions are compared around the wrap.
func (t *Tree) shared(version uint32) bool {
	return t.Space.Frozen && int32(version-t.Space.Floor) <= 0
}

// alloc returns a block of at least n bytes, counted in Root.Bytes.
func (t *Tree) alloc(n int) (r arena.Ref, size int) {
	r = t.Space.Heap.Alloc(n)
	size = t.Space.Heap.Size(r)
	t.Root.Bytes += uint64(size)
	return r, size
}

// drop gives up a block that the tree does not refer to any more.
func (t *Tree) drop(r arena.Ref, version uint32, size int) {
	t.Root.Bytes -= min(uint64(size), t.Root.Bytes)
	if t.shared(version) {
		t.Space.Retirer.Retire(r)
	} else {
		t.Space.Heap.Free(r)
	}
}

func (t *Tree) dropNode(r arena.Ref) {
	n := t.node(r)
	t.drop(r, n.version, int(n.size))
}

func (t *Tree) dropExternal(r arena.Ref) {
	t.drop(r, t.external(r).version, t.Space.Heap.Size(r))
}
