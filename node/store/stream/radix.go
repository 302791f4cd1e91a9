package stream

import (
	"encoding/binary"
	"math/bits"
)

// The reference keeps its blocks in a radix tree of bytes, keyed by the 16 bytes
// of the block's id, and XINFO tells the number of its nodes. That number
// follows from the ids alone: the tree has a node for each key's end, one for
// each place where keys part, and one for each run of bytes between two such
// places or before the first. So it is kept up as blocks come and go, from the
// neighbours of the block in question.

// radixDepth is the length of a key.
const radixDepth = 16

// common is the number of bytes that two keys have in common at the beginning.
func common(a, b ID) int {
	if x := a.Ms ^ b.Ms; x != 0 {
		return bits.LeadingZeros64(x) / 8
	}
	if x := a.Seq ^ b.Seq; x != 0 {
		return 8 + bits.LeadingZeros64(x)/8
	}
	return radixDepth
}

// prefixBounds returns the least and the greatest id whose first n bytes are
// those of id.
func prefixBounds(id ID, n int) (least, greatest ID) {
	var b [radixDepth]byte
	binary.BigEndian.PutUint64(b[:], id.Ms)
	binary.BigEndian.PutUint64(b[8:], id.Seq)
	clear(b[n:])
	least = ID{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
	for i := n; i < radixDepth; i++ {
		b[i] = 0xff
	}
	return least, ID{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
}

// blockFrom returns the id of the first block that is not before id, blockBefore
// that of the last one that is.
func (r *Reader) blockFrom(id ID) (ID, bool) {
	if c, _ := r.view(treeBlocks).Find(id.Ms, blockCompare(id.Seq)); c.Valid() {
		return ID{c.Prefix(), itemSeq(c.Item())}, true
	}
	return r.tailID, r.tail != nil && !r.tailID.Less(id)
}

func (r *Reader) blockBefore(id ID) (ID, bool) {
	if r.tail != nil && r.tailID.Less(id) {
		return r.tailID, true
	}
	c, _ := r.view(treeBlocks).Find(id.Ms, blockCompare(id.Seq))
	if !c.Prev() {
		return ID{}, false
	}
	return ID{c.Prefix(), itemSeq(c.Item())}, true
}

// radixGain is the number of nodes that a block with this id adds to the tree
// of those that are there, which do not include it.
func (r *Reader) radixGain(id ID) uint64 {
	before, hasBefore := r.blockBefore(id)
	after, hasAfter := r.blockFrom(id)
	if !hasBefore && !hasAfter {
		// The root, which was an empty node, leads to the key's end.
		return 1
	}
	// The key parts from the others at depth d, which those that share its first d
	// bytes, from first to last, pass.
	d := -1
	if hasBefore {
		d = common(before, id)
	}
	if hasAfter {
		d = max(d, common(after, id))
	}
	least, greatest := prefixBounds(id, d)
	first, _ := r.blockFrom(least)
	last := greatest
	// The keys part for the last time before that where this one parts from those
	// outside.
	above := -1
	if outside, ok := r.blockBefore(least); ok {
		above = common(outside, id)
	}
	if next, ok := greatest.Next(); ok {
		last, _ = r.blockBefore(next)
		if outside, ok := r.blockFrom(next); ok {
			above = max(above, common(outside, id))
		}
	} else if last, ok = r.blockFrom(greatest); !ok {
		last, _ = r.blockBefore(greatest)
	}

	gain := uint64(1) // the key's end
	if d+1 < radixDepth {
		gain++ // the run of bytes before it
	}
	below := common(first, last)
	if below == d {
		return gain // keys part here already
	}
	// A run from the place above to the one below is cut in two, or shortened,
	// by the new place.
	gain++
	if d > above+1 {
		gain++
	}
	if below > d+1 {
		gain++
	}
	return gain - 1
}

// radixWithout is the number of nodes that are left without the first n blocks.
// It looks at the blocks that go or at those that stay, whichever are fewer:
// the last one first, so that each comes to the front of those behind it.
func (r *Reader) radixWithout(n int) uint64 {
	blocks := r.Blocks()
	if blocks == 0 || n > blocks/2 {
		return r.radixOfLast(blocks - n)
	}
	f := r.frontAt(n)
	return r.meta.nodes - r.radixGains(&f, n-1, n)
}

// radixOfLast is the number of nodes of a tree of the last n blocks.
func (r *Reader) radixOfLast(n int) uint64 {
	// The root, which leads to the key's end.
	if n <= 1 {
		return 1 + uint64(n)
	}
	blocks := r.Blocks()
	last := r.blockAt(blocks - 1)
	f := radixFront{first: last.id()}
	return 2 + r.radixGains(&f, blocks-2, n-1)
}

// radixGains adds n blocks to the front, the one of that rank first and then those
// before it.
func (r *Reader) radixGains(f *radixFront, rank, n int) (gain uint64) {
	p := r.blockAt(rank)
	for range n {
		gain += f.add(p.id())
		p.prev()
	}
	return gain
}

// radixFront is what is to be known of a tree in order to add keys before its
// first one.
type radixFront struct {
	first ID
	// parted has a bit for each depth at which another key parts from the first.
	parted uint32
}

// frontAt returns the front of the tree of the blocks from a rank on.
func (r *Reader) frontAt(rank int) radixFront {
	p := r.blockAt(rank)
	f := radixFront{first: p.id()}
	// The keys behind it, of those that part at one depth the first only.
	for after, ok := f.first.Next(); ok; {
		id, there := r.blockFrom(after)
		if !there {
			break
		}
		d := common(f.first, id)
		f.parted |= 1 << d
		_, greatest := prefixBounds(f.first, d)
		after, ok = greatest.Next()
	}
	return f
}

// add adds a key before all others and returns how many nodes that takes.
func (f *radixFront) add(id ID) uint64 {
	d := common(id, f.first)
	gain := uint64(1) // the key's end
	if d+1 < radixDepth {
		gain++ // the run of bytes before it
	}
	above, below := f.parted&(1<<d-1), f.parted>>(d+1)
	if f.parted>>d&1 == 0 {
		// The place where the key parts from the others cuts a run of bytes in two, or
		// shortens it.
		if bits.Len32(above) < d {
			gain++
		}
		if below&1 == 0 && d+1 < radixDepth {
			gain++
		}
	}
	f.first, f.parted = id, above|1<<d
	return gain
}
