// Package tree keeps ordered items in arena blocks. This first form is one array of
// references per tree, each item in a block of its own; a B+tree takes its place.
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

// RootSize is the length of an encoded Root.
const RootSize = 24

// Root is what the owner of a tree keeps of it. The zero Root is an empty tree
// with prefixes.
type Root struct {
	// Node is the top node, 0 for an empty tree.
	Node arena.Ref
	// Count is the number of items, Bytes the memory of all blocks of the tree.
	Count, Bytes uint64
	Height       uint8
	// Plain trees keep no prefixes: their items have an order by position only.
	Plain bool
}

// Put encodes r into b, RootSize bytes.
func (r Root) Put(b []byte) {
	word := uint64(r.Node) | uint64(r.Height)<<48
	if r.Plain {
		word |= 1 << 63
	}
	binary.LittleEndian.PutUint64(b, word)
	binary.LittleEndian.PutUint64(b[8:], r.Count)
	binary.LittleEndian.PutUint64(b[16:], r.Bytes)
}

// ParseRoot decodes what Put wrote.
func ParseRoot(b []byte) Root {
	word := binary.LittleEndian.Uint64(b)
	return Root{
		Node: arena.Ref(word & (1<<arena.RefBits - 1)), Height: uint8(word >> 48 & 0x7f), Plain: word>>63 != 0,
		Count: binary.LittleEndian.Uint64(b[8:]), Bytes: binary.LittleEndian.Uint64(b[16:]),
	}
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

// Cursor is a place in a tree: at an item, or behind the last one.
type Cursor struct {
	view View
	rank int
}

// The array: version u32, capacity in entries u32, then entries of prefix u64
// and Ref u64. An item's block: version u32, size u32, bytes.
const (
	headerSize = 8
	entrySize  = 16
)

// Len is the number of items.
func (v View) Len() int { return int(v.Root.Count) }

func (v View) entry(rank int) []byte {
	return v.Memory.Bytes(v.Root.Node, headerSize+(rank+1)*entrySize)[headerSize+rank*entrySize:]
}

func (v View) prefix(rank int) uint64 { return binary.LittleEndian.Uint64(v.entry(rank)) }

func (v View) block(rank int) arena.Ref {
	return arena.Ref(binary.LittleEndian.Uint64(v.entry(rank)[8:]))
}

func (v View) item(rank int) []byte {
	r := v.block(rank)
	n := int(binary.LittleEndian.Uint32(v.Memory.Bytes(r, headerSize)[4:]))
	return v.Memory.Bytes(r, headerSize+n)[headerSize:]
}

// Find returns the place of the first item that is not before what is looked
// for, and whether it is equal. Items are ordered by prefix, and under equal
// prefixes by compare, which says how item compares to what is looked for: -1,
// 0, 1. A nil compare finds the first item with that prefix or a greater one.
func (v View) Find(prefix uint64, compare func(item []byte) int) (Cursor, bool) {
	order := func(rank int) int {
		if !v.Root.Plain {
			if p := v.prefix(rank); p < prefix {
				return -1
			} else if p > prefix {
				return 1
			}
		}
		if compare == nil {
			return 0
		}
		return compare(v.item(rank))
	}
	low, high := 0, v.Len()
	for low < high {
		if mid := (low + high) / 2; order(mid) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return v.At(low), low < v.Len() && order(low) == 0
}

// At returns the place of item rank, 0 to Len; Len is behind the last one.
func (v View) At(rank int) Cursor { return Cursor{view: v, rank: rank} }

// Valid reports whether the cursor is at an item.
func (c *Cursor) Valid() bool { return c.rank >= 0 && c.rank < c.view.Len() }

// Rank is the number of items before the cursor.
func (c *Cursor) Rank() int { return c.rank }

// Item returns a view of the item's bytes.
func (c *Cursor) Item() []byte { return c.view.item(c.rank) }

// Prefix is the item's prefix, 0 in a plain tree.
func (c *Cursor) Prefix() uint64 { return c.view.prefix(c.rank) }

// Next moves to the following item and reports whether there is one.
func (c *Cursor) Next() bool {
	if c.rank < c.view.Len() {
		c.rank++
	}
	return c.Valid()
}

// Prev moves to the item before and reports whether there is one. From the
// first item it makes the cursor invalid (rank -1).
func (c *Cursor) Prev() bool {
	if c.rank >= 0 {
		c.rank--
	}
	return c.Valid()
}

func (t *Tree) alloc(n int) arena.Ref {
	r := t.Space.Heap.Alloc(n)
	t.Root.Bytes += uint64(t.Space.Heap.Size(r))
	binary.LittleEndian.PutUint32(t.Memory.Bytes(r, headerSize), t.Space.Version)
	return r
}

func (t *Tree) shared(r arena.Ref) bool {
	return t.Space.Frozen && int32(binary.LittleEndian.Uint32(t.Memory.Bytes(r, headerSize))-t.Space.Floor) <= 0
}

func (t *Tree) drop(r arena.Ref) {
	t.Root.Bytes -= uint64(t.Space.Heap.Size(r))
	if t.shared(r) {
		t.Space.Retirer.Retire(r)
	} else {
		t.Space.Heap.Free(r)
	}
}

// own makes the array one that may be changed, with room for n entries.
func (t *Tree) own(n int) {
	old := t.Root.Node
	if old != 0 && !t.shared(old) && int(binary.LittleEndian.Uint32(t.Memory.Bytes(old, headerSize)[4:])) >= n {
		return
	}
	room := max(n+n/4, t.Len(), 1)
	r := t.alloc(headerSize + room*entrySize)
	b := t.Memory.Bytes(r, headerSize+room*entrySize)
	binary.LittleEndian.PutUint32(b[4:], uint32(room))
	if old != 0 {
		copy(b[headerSize:], t.Memory.Bytes(old, headerSize+t.Len()*entrySize)[headerSize:])
		t.drop(old)
	}
	t.Root.Node = r
}

func (t *Tree) make(rank int, prefix uint64, size int) []byte {
	r := t.alloc(headerSize + size)
	b := t.Memory.Bytes(r, headerSize+size)
	binary.LittleEndian.PutUint32(b[4:], uint32(size))
	e := t.entry(rank)
	binary.LittleEndian.PutUint64(e, prefix)
	binary.LittleEndian.PutUint64(e[8:], uint64(r))
	return b[headerSize:]
}

// Insert makes room for an item of size bytes before the cursor, which is then
// at it, and returns the bytes to be filled. The caller sees to the order.
func (t *Tree) Insert(c *Cursor, prefix uint64, size int) []byte {
	if t.Root.Plain {
		prefix = 0
	}
	n := t.Len()
	t.own(n + 1)
	all := t.Memory.Bytes(t.Root.Node, headerSize+(n+1)*entrySize)[headerSize:]
	copy(all[(c.rank+1)*entrySize:], all[c.rank*entrySize:n*entrySize])
	t.Root.Count++
	b := t.make(c.rank, prefix, size)
	c.view = t.View
	return b
}

// Resize gives the item at the cursor size bytes and returns them to be
// filled: the first min(old, size) are kept. Resize to the same size is how an
// item is changed in place.
func (t *Tree) Resize(c *Cursor, size int) []byte {
	t.own(t.Len())
	old, item := t.block(c.rank), t.item(c.rank)
	b := item
	if len(item) != size || t.shared(old) {
		b = t.make(c.rank, t.prefix(c.rank), size)
		copy(b, item)
		t.drop(old)
	}
	c.view = t.View
	return b
}

// Delete removes the item at the cursor, which is then at the one that followed.
func (t *Tree) Delete(c *Cursor) {
	t.DeleteRange(c.rank, c.rank+1)
	c.view = t.View
}

// DeleteRange removes the items of ranks from to to-1.
func (t *Tree) DeleteRange(from, to int) {
	if from >= to {
		return
	}
	n := t.Len()
	t.own(n)
	for i := from; i < to; i++ {
		t.drop(t.block(i))
	}
	all := t.Memory.Bytes(t.Root.Node, headerSize+n*entrySize)[headerSize:]
	copy(all[from*entrySize:], all[to*entrySize:])
	if t.Root.Count -= uint64(to - from); t.Root.Count == 0 {
		t.drop(t.Root.Node)
		t.Root.Node = 0
	}
}

// Append adds an item behind the last one, filling nodes to the brim: the way
// to build a tree from ordered input, and to push to a queue.
func (t *Tree) Append(prefix uint64, size int) []byte {
	c := t.At(t.Len())
	return t.Insert(&c, prefix, size)
}

// Free gives all blocks back.
func (t *Tree) Free() {
	t.DeleteRange(0, t.Len())
}

// FreeSome frees about limit blocks and reports whether all are gone: a tree
// that nobody can reach any more is freed in such steps.
func (t *Tree) FreeSome(limit int) (done bool) {
	t.DeleteRange(max(t.Len()-limit, 0), t.Len())
	return t.Root.Count == 0
}

// Compact moves up to limit blocks from the rank on that lie in sparse pages,
// and returns the rank to go on at and whether the end was reached.
func (t *Tree) Compact(from, limit int) (next int, done bool) { return t.Len(), true }
