package tree

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"slotmesh/node/store/arena"
)

// maxHeight bounds the levels of a tree. Two neighbours hold more than minInner
// children together whenever something was deleted there, so ten levels are
// more than an arena can fill.
const maxHeight = 10

// Cursor is a place in a tree: at an item, or behind the last one. Its zero value
// is no place.
type Cursor struct {
	view View
	// rank may be unknown until somebody asks; before is the place that Prev
	// reaches from the first item.
	rank int
	// path leads from the root to the leaf. The place in the leaf is below its
	// count except behind the last item.
	path Path
}

const (
	before  = -1
	unknown = -2
)

// Path leads to an item. It is for the tree only to read.
type Path [maxHeight]step

// step is a node and a place in it, in the low 16 bits.
type step uint64

func newStep(r arena.Ref, at int) step { return step(r)<<16 | step(at) }

func (s step) node() arena.Ref { return arena.Ref(s >> 16) }
func (s step) at() int         { return int(s & 0xffff) }

// Find returns the place of the first item that is not before what is looked
// for, and whether it is equal. Items are ordered by prefix, and under equal
// prefixes by compare, which says how item compares to what is looked for: -1,
// 0, 1. A nil compare finds the first item with that prefix or a greater one.
// In a plain tree compare alone decides.
func (v View) Find(prefix uint64, compare func(item []byte) int) (c Cursor, found bool) {
	c.view = v
	c.rank, found = v.trace(&c.path, prefix, compare)
	return c, found
}

// Seek is Find into a cursor that the caller has, which saves carrying it about.
func (v *View) Seek(c *Cursor, prefix uint64, compare func(item []byte) int) (found bool) {
	c.view = *v
	c.rank, found = v.trace(&c.path, prefix, compare)
	return found
}

// trace is Find of a path. The rank is known in an empty tree only.
func (v *View) trace(path *Path, prefix uint64, compare func(item []byte) int) (rank int, found bool) {
	if v.Root.Node == 0 {
		path[0] = 0
		return 0, false
	}
	if v.Root.Plain {
		prefix = 0
	}
	r, height := v.Root.Node, int(v.Root.Height)
	near := unknown
	for level := range height {
		n := v.node(r)
		i := v.findChild(n, prefix, compare)
		path[level] = newStep(r, i)
		children := n.children()
		if level == height-1 {
			near = v.approach(children, i, prefix)
		}
		r = children[i].node
	}
	n := v.node(r)
	i, found := v.findItem(n, near, prefix, compare)
	path[height] = newStep(r, i)
	if i == int(n.count) && v.forward(path) {
		n = v.node(path[height].node())
		found = n.prefix(0) == prefix && (compare == nil || compare(v.item(n, 0)) == 0)
	}
	return unknown, found
}

// Lookup returns the first item with a prefix: Find for who looks at that one item
// only, in a tree that has prefixes.
func (v *View) Lookup(prefix uint64) (item []byte, found bool) {
	if v.Root.Node == 0 {
		return nil, false
	}
	r, near := v.Root.Node, unknown
	for level := int(v.Root.Height); level > 0; level-- {
		n := v.node(r)
		i := v.findChild(n, prefix, nil)
		children := n.children()
		if level == 1 {
			near = v.approach(children, i, prefix)
		}
		r = children[i].node
	}
	n := v.node(r)
	i, found := v.findItem(n, near, prefix, nil)
	switch {
	case found:
		return v.item(n, i), true
	case i < int(n.count):
		return nil, false
	}
	// It may begin the next leaf.
	c, found := v.Find(prefix, nil)
	if !found {
		return nil, false
	}
	return c.Item(), true
}

// findChild returns the child that what is looked for is in or directly behind.
func (v *View) findChild(n *node, prefix uint64, compare func(item []byte) int) int {
	children := n.children()
	low, size := 0, len(children)
	for size > 1 {
		half := size >> 1
		low += half & -below(children[low+half-1].prefix, prefix)
		size -= half
	}
	if children[low].prefix < prefix {
		return low
	}
	if compare != nil && children[low].prefix == prefix {
		// Of the children that begin with this prefix, the last whose first
		// item is before what is looked for.
		high := len(children)
		if children[high-1].prefix != prefix {
			for high = low + 1; children[high].prefix == prefix; {
				high++
			}
		}
		for low < high {
			middle := int(uint(low+high) >> 1)
			if compare(v.first(children[middle].node)) < 0 {
				low = middle + 1
			} else {
				high = middle
			}
		}
	}
	return max(low-1, 0)
}

// below is 1 if a is less than b, else 0. Which half of a node something is in is a
// matter of luck for a processor that guesses which way a branch goes: there is none in
// this.
func below(a, b uint64) int {
	_, borrow := bits.Sub64(a, b, 0)
	return int(borrow)
}

// first returns the first item under a node.
func (v *View) first(r arena.Ref) []byte {
	n := v.node(r)
	for n.height > 0 {
		n = v.node(n.children()[0].node)
	}
	return v.item(n, 0)
}

// guess returns about where a prefix is in the leaf that is child i: as far between
// the first of its prefixes and that of the next leaf as the prefix is, or unknown.
// Prefixes are often hashes, and then it is nearly right. Nothing of the leaf is
// read for it.
func guess(children []child, i int, prefix uint64) int {
	if i+1 == len(children) {
		return unknown
	}
	// Halves, for signed numbers are made floating ones by one instruction.
	first, next := children[i].prefix>>1, children[i+1].prefix>>1
	if at := prefix >> 1; first < at && at < next {
		return int(float64(int64(at-first)) / float64(int64(next-first)) * float64(int64(children[i].count)))
	}
	return unknown
}

// approach is guess that asks for the memory in which the offset of that item is: else
// the processor would ask for it when the prefixes have come.
func (v *View) approach(children []child, i int, prefix uint64) int {
	near := guess(children, i, prefix)
	if near != unknown {
		touch(v.node(children[i].node).at(nodeHeader + 8*int(children[i].count) + 2*near))
	}
	return near
}

// touch asks for the memory at p. Nothing waits for it.
func touch(p unsafe.Pointer) {
	atomic.LoadUint32((*uint32)(unsafe.Add(p, -int(uintptr(p)&3))))
}

// nearSteps is how far a guess is expected to be wrong.
const nearSteps = 8

// around returns a part of ascending prefixes in which the first that is not below
// prefix is, or directly behind which it is, found from the one at near on.
func around(prefixes []uint64, near int, prefix uint64) (low, size int) {
	steps := nearSteps
	if prefixes[near] < prefix {
		for low = near + 1; low+steps <= len(prefixes) && prefixes[low+steps-1] < prefix; steps *= 2 {
			low += steps
		}
		return low, min(steps, len(prefixes)-low)
	}
	high := near
	for ; high >= steps && prefixes[high-steps] >= prefix; steps *= 2 {
		high -= steps
	}
	low = max(high-steps, 0)
	return low, high - low
}

// findItem returns the first item of a leaf that is not before what is looked
// for, the leaf's count if all are. near is where it may be, or unknown. A large tree
// is not in a processor's cache: halving all of a leaf's prefixes waits for memory
// four times, looking around a guess once or twice.
func (v *View) findItem(n *node, near int, prefix uint64, compare func(item []byte) int) (at int, found bool) {
	low, high := 0, int(n.count)
	if !n.plain {
		prefixes := n.prefixes()
		size := len(prefixes)
		if uint(near) < uint(len(prefixes)) {
			low, size = around(prefixes, near, prefix)
		}
		for size > 1 {
			half := size >> 1
			low += half & -below(prefixes[low+half-1], prefix)
			size -= half
		}
		if low < len(prefixes) && prefixes[low] < prefix {
			low++
		}
		if low == len(prefixes) || prefixes[low] != prefix {
			return low, false
		}
		if compare == nil {
			return low, true
		}
		if low+1 == high || prefixes[low+1] != prefix {
			high = low + 1
		} else if prefixes[high-1] != prefix {
			for high = low + 2; prefixes[high] == prefix; {
				high++
			}
		}
	} else if compare == nil {
		return 0, true
	}
	for low < high {
		middle := int(uint(low+high) >> 1)
		order := compare(v.item(n, middle))
		if order < 0 {
			low = middle + 1
		} else {
			high, found = middle, order == 0
		}
	}
	return low, found
}

// At returns the place of item rank, 0 to Len; Len is behind the last one.
func (v View) At(rank int) Cursor { return v.at(rank, v.Root.Count) }

// SeekAt is At into a cursor that the caller has.
func (v *View) SeekAt(c *Cursor, rank int) {
	c.view, c.rank = *v, rank
	v.walk(&c.path, rank, v.Root.Count)
}

// at is At in a tree of total items.
func (v *View) at(rank int, total uint64) (c Cursor) {
	c.view, c.rank = *v, rank
	v.walk(&c.path, rank, total)
	return c
}

// walk leads a path to item rank. Children are counted from the end that is nearer:
// pushes and pops at both ends of a list come by here.
func (v *View) walk(path *Path, rank int, total uint64) {
	if v.Root.Node == 0 {
		path[0] = 0
		return
	}
	r, height := v.Root.Node, int(v.Root.Height)
	left := uint64(rank)
	for level := range height {
		children := v.node(r).children()
		var i int
		i, left = childAt(children, left, total)
		path[level] = newStep(r, i)
		r, total = children[i].node, children[i].count
	}
	path[height] = newStep(r, int(left))
}

// childAt returns the child that item rank of those below children, total in all, is in,
// and which one of it that is.
func childAt(children []child, rank, total uint64) (i int, left uint64) {
	if rank <= total/2 {
		for rank >= children[i].count {
			rank -= children[i].count
			i++
		}
		return i, rank
	}
	i = len(children) - 1
	right := total - rank
	for right > children[i].count {
		right -= children[i].count
		i--
	}
	return i, children[i].count - right
}

// End returns a view of the first item, or with last of the last one, of a tree that has
// any.
func (v *View) End(last bool) []byte {
	n := v.node(v.Root.Node)
	for range v.Root.Height {
		n = v.node(n.children()[n.end(last)].node)
	}
	return v.item(n, n.end(last))
}

func (c *Cursor) leaf() *node { return c.view.node(c.path[c.view.Root.Height].node()) }

// Valid reports whether the cursor is at an item.
func (c *Cursor) Valid() bool {
	if c.view.Root.Node == 0 || c.rank == before {
		return false
	}
	s := c.path[c.view.Root.Height]
	return s.at() < int(c.view.node(s.node()).count)
}

// Rank is the number of items before the cursor.
func (c *Cursor) Rank() int {
	if c.rank == unknown {
		height := int(c.view.Root.Height)
		c.rank = c.path[height].at()
		for level := range height {
			s := c.path[level]
			children := c.view.node(s.node()).children()[:s.at()]
			for i := range children {
				c.rank += int(children[i].count)
			}
		}
	}
	return c.rank
}

// Item returns a view of the item's bytes.
func (c *Cursor) Item() []byte {
	s := c.path[c.view.Root.Height]
	return c.view.item(c.view.node(s.node()), s.at())
}

// Place is where an item is, for as long as the tree does not change: a cursor
// in one word, without pointers, whose top bit is not set.
type Place step

// Place returns the place of the cursor's item.
func (c *Cursor) Place() Place { return Place(c.path[c.view.Root.Height]) }

// ItemAt is Cursor.Item of a cursor at a place.
func (v *View) ItemAt(p Place) []byte { return v.item(v.node(step(p).node()), step(p).at()) }

// PrefixAt is Cursor.Prefix of a cursor at a place.
func (v *View) PrefixAt(p Place) uint64 { return v.node(step(p).node()).prefix(step(p).at()) }

// Prefix is the item's prefix, 0 in a plain tree.
func (c *Cursor) Prefix() uint64 {
	s := c.path[c.view.Root.Height]
	return c.view.node(s.node()).prefix(s.at())
}

// Below counts the items from the cursor on whose prefixes are below high, in a tree
// that has prefixes. It counts no more than most.
func (c *Cursor) Below(high uint64, most int) (n int) {
	if !c.Valid() {
		return 0
	}
	at := c.path[c.view.Root.Height].at()
	prefixes := c.leaf().prefixes()[at:]
	for n < most && n < len(prefixes) && prefixes[n] < high {
		n++
	}
	if n == most || n < len(prefixes) {
		return n
	}
	next := *c
	next.path[c.view.Root.Height] += step(len(prefixes) - 1)
	next.rank = unknown
	next.Next()
	return n + next.Below(high, most-n)
}

// Next moves to the following item and reports whether there is one.
func (c *Cursor) Next() bool {
	if c.rank == before {
		c.rank = 0
		return c.Valid()
	}
	if c.view.Root.Node == 0 {
		return false
	}
	height := c.view.Root.Height
	s := c.path[height]
	count := int(c.view.node(s.node()).count)
	if s.at() == count {
		return false
	}
	if c.rank != unknown {
		c.rank++
	}
	c.path[height]++
	return s.at()+1 < count || c.forward()
}

// Prev moves to the item before and reports whether there is one. From the
// first item it makes the cursor invalid (rank -1).
func (c *Cursor) Prev() bool {
	if c.rank == before {
		return false
	}
	if c.view.Root.Node == 0 {
		c.rank = before
		return false
	}
	height := int(c.view.Root.Height)
	if c.path[height].at() > 0 {
		c.path[height]--
		if c.rank != unknown {
			c.rank--
		}
		return true
	}
	level := height - 1
	for level >= 0 && c.path[level].at() == 0 {
		level--
	}
	if level < 0 {
		c.rank = before
		return false
	}
	if c.rank != unknown {
		c.rank--
	}
	c.path[level]--
	for ; level < height; level++ {
		s := c.path[level]
		r := c.view.node(s.node()).children()[s.at()].node
		c.path[level+1] = newStep(r, int(c.view.node(r).count)-1)
	}
	return true
}

// forward moves from behind the last item of a leaf to the first one of the next
// leaf, and does nothing if there is none.
func (c *Cursor) forward() bool { return c.view.forward(&c.path) }

func (v *View) forward(path *Path) bool {
	height := int(v.Root.Height)
	for level := height - 1; level >= 0; level-- {
		s := path[level]
		if s.at()+1 == int(v.node(s.node()).count) {
			continue
		}
		path[level]++
		for ; level < height; level++ {
			s := path[level]
			path[level+1] = newStep(v.node(s.node()).children()[s.at()].node, 0)
		}
		return true
	}
	return false
}

// isFirst reports whether the cursor is at the first item.
func (c *Cursor) isFirst() bool {
	for level := range int(c.view.Root.Height) + 1 {
		if c.path[level].at() != 0 {
			return false
		}
	}
	return true
}
