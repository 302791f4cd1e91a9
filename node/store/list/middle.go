package list

import (
	"encoding/binary"
	"math"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
)

// find returns the place of the block that element i is in, and the number of
// the element in it.
func (b *big) find(i int) (c tree.Cursor, k int) {
	c, start := find(&b.t.View, b.first, i)
	return c, int(b.first + uint64(i) - start)
}

// Set makes text element i, which exists.
func (l List) Set(i int, text []byte) {
	v := l.c.Value()
	need := listpack.EntrySize(text)
	if v.Roots == 0 {
		lp := v.Bytes
		pos := listpack.Seek(lp, i)
		old := listpack.Skip(lp, pos, 1) - pos
		if len(lp)+need-old <= packedMax {
			lp = l.c.Splice(pos, old, need)
			listpack.Put(lp[pos:], text)
			listpack.Fix(lp, 0)
			return
		}
		l.unpack(lp)
		v = l.c.Value()
	}
	var b big
	l.open(&b, v.Bytes)
	c, k := b.find(i)
	lp := packOf(c.Item())
	pos := listpack.Seek(lp, k)
	old := listpack.Skip(lp, pos, 1) - pos
	if n := binary.LittleEndian.Uint16(lp[4:]); n > 1 && usedBy(lp)+need-old > max(blockMax, usedBy(lp)) {
		// It gets a block of its own.
		b.fixHead()
		b.divide(i + 1)
		b.divide(i)
		c, _ = b.find(i)
		lp = packOf(c.Item())
		pos, old = listpack.HeaderSize, len(lp)-listpack.EmptySize
	}
	block := b.room(&c, need-old)
	lp = splice(block, pos, old, need)
	listpack.Put(lp[pos:], text)
	listpack.Fix(lp, 0)
	if len(block) > blockMax {
		b.tighten(&c) // it may have been a large element's
	}
	b.save(l.c)
}

// room returns the block at c, to be changed, with at least more bytes free.
func (b *big) room(c *tree.Cursor, more int) []byte {
	block := c.Item()
	used := usedBy(packOf(block))
	if need := used + more; need > len(block) {
		size := need
		if need <= blockMax {
			size = min(need+need/8, blockMax)
		}
		slide(b.t.Resize(c, len(block)), used-startSize, false)
		return b.t.Resize(c, size)
	}
	return b.t.Resize(c, len(block))
}

// divide makes a block begin with element i. The prefix of the first block is
// exact.
func (b *big) divide(i int) {
	if i == 0 || i == b.n {
		return
	}
	c, k := b.find(i)
	if k == 0 {
		return
	}
	block := b.t.Resize(&c, len(c.Item()))
	lp := packOf(block)
	pos := listpack.Seek(lp, k)
	tail := len(lp) - 1 - pos
	n := listpack.Len(lp)
	at := c.Rank()
	next := b.t.At(at + 1)
	// The new block comes first: the tree may move the other one for it.
	fresh := b.t.Insert(&next, b.first+uint64(i), startSize+listpack.EmptySize+tail)
	c = b.t.At(at)
	block = c.Item()
	lp = packOf(block)
	binary.LittleEndian.PutUint16(fresh, startSize)
	copy(fresh[startSize+listpack.HeaderSize:], lp[pos:pos+tail])
	header(fresh[startSize:], uint16(n-k))
	drop(block, lp, n-k, tail, false)
	b.tighten(&c)
}

// Insert adds text before element i, which may be one behind the last.
func (l List) Insert(i int, text []byte) {
	v := l.c.Value()
	need := listpack.EntrySize(text)
	r := Read(v)
	switch {
	case i == 0:
		l.Push(text, true)
		return
	case i == r.n:
		l.Push(text, false)
		return
	}
	if v.Roots == 0 {
		lp := v.Bytes
		if len(lp)+need <= packedMax {
			pos := listpack.Seek(lp, i)
			lp = l.c.SpliceRoom(pos, 0, need, len(lp)/8)
			listpack.Put(lp[pos:], text)
			listpack.Fix(lp, 1)
			return
		}
		l.unpack(lp)
		v = l.c.Value()
	}
	var b big
	l.open(&b, v.Bytes)
	b.fixHead()
	b.insert(i, text, need)
	b.save(l.c)
}

func (b *big) insert(i int, text []byte, need int) {
	c, k := b.find(i)
	if usedBy(packOf(c.Item()))+need > blockMax {
		// No room here: before or behind, or between the two halves.
		if k > 0 {
			b.divide(i)
		}
		c, k = b.find(i - 1)
		k++
		if used := usedBy(packOf(c.Item())); used+need > blockMax {
			after, _ := b.find(i)
			if usedBy(packOf(after.Item()))+need > blockMax {
				b.insertBlock(&after, b.first+uint64(i), text, need, false)
				b.n++
				b.renumber(after.Rank(), 1)
				return
			}
			c, k = after, 0
		}
	}
	block := b.room(&c, need)
	lp := packOf(block)
	pos := placeOf(lp, k)
	lp = splice(block, pos, 0, need)
	listpack.Put(lp[pos:], text)
	listpack.Fix(lp, 1)
	b.n++
	b.renumber(c.Rank(), 1)
}

// renumber makes the positions of the blocks true after more elements came to
// the block of a rank, or left it (more < 0): by those behind it or by it and
// those before, whichever are fewer. A rank of -1 is before all. The prefix of the
// first block is exact before and after.
func (b *big) renumber(rank, more int) {
	if behind := b.t.Len() - rank - 1; behind <= rank {
		b.shift(rank+1, b.t.Len(), uint64(more))
		return
	}
	b.shift(0, rank+1, -uint64(more))
	b.first -= uint64(more)
}

// shift adds to the positions of the blocks of ranks from to to-1.
func (b *big) shift(from, to int, by uint64) {
	c := b.t.At(from)
	for ; from < to; from++ {
		b.t.SetPrefix(&c, c.Prefix()+by)
		c.Next()
	}
}

// DeleteRange removes the elements from to to-1, which exist.
func (l List) DeleteRange(from, to int) {
	if from >= to {
		return
	}
	v := l.c.Value()
	if v.Roots == 0 {
		lp := v.Bytes
		pos, end := placeOf(lp, from), placeOf(lp, to)
		listpack.Fix(l.c.Splice(pos, end-pos, 0), from-to)
		return
	}
	var b big
	l.open(&b, v.Bytes)
	b.fixHead()
	b.deleteRange(from, to)
	if !b.settle(l.c) {
		b.save(l.c)
	}
}

func (b *big) deleteRange(from, to int) {
	n := to - from
	if n == b.n {
		b.t.Free()
		b.n = 0
		return
	}
	// What goes is the end of a block, whole blocks, and the beginning of one, or
	// something inside one block.
	last, m := b.find(to - 1)
	m++
	c, k := b.find(from)
	rank, lastRank := c.Rank(), last.Rank()
	switch {
	case rank < lastRank:
		if k > 0 {
			b.cut(&c, k, math.MaxInt)
			rank++
		}
		last = b.t.At(lastRank)
		if m == listpack.Len(packOf(last.Item())) {
			lastRank++
		} else {
			b.cut(&last, 0, m)
			b.t.SetPrefix(&last, last.Prefix()+uint64(m))
		}
		b.t.DeleteRange(rank, lastRank)
	case m-k == listpack.Len(packOf(c.Item())):
		b.t.Delete(&c)
	default:
		b.cut(&c, k, m)
		if k == 0 {
			b.t.SetPrefix(&c, c.Prefix()+uint64(m))
		}
	}
	b.n -= n
	b.closeGap(from, n)
}

// closeGap renumbers after n elements from index from on have gone: positions
// before the gap and behind it are still as they were.
func (b *big) closeGap(from, n int) {
	if from == 0 {
		b.first += uint64(n)
		b.fixHead()
		return
	}
	if from == b.n {
		return
	}
	// The first block whose elements lie behind the gap.
	c, _ := b.t.Find(b.first+uint64(from)+1, nil)
	rank := c.Rank()
	if b.t.Len()-rank <= rank {
		b.shift(rank, b.t.Len(), -uint64(n))
	} else {
		b.shift(0, rank, uint64(n))
		b.first += uint64(n)
	}
	b.merge(max(rank-1, 0))
}

// cut removes the entries k to m-1 of the block at c, but not all of them.
func (b *big) cut(c *tree.Cursor, k, m int) {
	block := b.t.Resize(c, len(c.Item()))
	lp := packOf(block)
	m = min(m, listpack.Len(lp))
	pos, end := placeOf(lp, k), placeOf(lp, m)
	lp = splice(block, pos, end-pos, 0)
	listpack.Fix(lp, k-m)
	b.tighten(c)
}

// merge joins the blocks of a rank and the next one if both are small.
func (b *big) merge(rank int) {
	if rank+1 >= b.t.Len() {
		return
	}
	c := b.t.At(rank)
	next := c
	next.Next()
	tail := packOf(next.Item())
	more := len(tail) - listpack.EmptySize
	if usedBy(packOf(c.Item()))+more > mergedMax {
		return
	}
	n := listpack.Len(tail)
	block := b.room(&c, more)
	lp := packOf(block)
	pos := listpack.End(lp)
	lp = splice(block, pos, 0, more)
	next = b.t.At(rank + 1)
	tail = packOf(next.Item())
	copy(lp[pos:], tail[listpack.HeaderSize:listpack.End(tail)])
	listpack.Fix(lp, n)
	b.t.Delete(&next)
}

// Remove takes out up to limit elements that equal text, from the front on or,
// with back, from the back on, and returns how many there were.
func (l List) Remove(text []byte, limit int, back bool) int {
	v := l.c.Value()
	if v.Roots == 0 {
		lp := v.Bytes
		if len(lp) == 0 {
			return 0
		}
		first := firstOf(lp, text, limit, back)
		if first < 0 {
			return 0
		}
		lp = l.c.Edit()
		size, removed := sift(lp, text, first, limit)
		l.c.Splice(size, len(lp)-size, 0)
		return removed
	}
	var b big
	l.open(&b, v.Bytes)
	b.fixHead()
	removed := b.remove(text, limit, back)
	if removed > 0 && b.n > 0 && b.settle(l.c) {
		return removed
	}
	b.save(l.c)
	return removed
}

func (b *big) remove(text []byte, limit int, back bool) (removed int) {
	rank, step := 0, 1
	if back {
		rank, step = b.t.Len()-1, -1
	}
	lowest, touched, emptied := b.t.Len(), 0, 0
	c := b.t.At(rank)
	for rank >= 0 && rank < b.t.Len() && removed < limit {
		lp := packOf(c.Item())
		first := firstOf(lp, text, limit-removed, back)
		if first < 0 {
			if rank += step; back {
				c.Prev()
			} else {
				c.Next()
			}
			continue
		}
		lowest = min(lowest, rank)
		touched++
		n := countFrom(lp, text, first, limit-removed)
		removed += n
		if n < listpack.Len(lp) {
			sift(packOf(b.t.Resize(&c, len(c.Item()))), text, first, n)
			b.tighten(&c)
			rank += step
		} else {
			b.t.Delete(&c)
			emptied++
			if back {
				rank--
			}
		}
		c = b.t.At(max(rank, 0))
	}
	b.n -= removed
	switch {
	case touched == 0 || b.n == 0:
	case touched == 1:
		// Of one block: the nearer side does.
		b.renumber(lowest-emptied, -removed)
		b.merge(lowest)
		b.merge(max(lowest-1, 0))
	default:
		b.recount(lowest)
	}
	return removed
}

// recount renumbers the blocks from a rank on, and joins small neighbours.
func (b *big) recount(rank int) {
	if b.t.Len() == 0 {
		return
	}
	position := b.first
	if rank = max(rank-1, 0); rank > 0 {
		c := b.t.At(rank)
		position = c.Prefix()
	}
	for rank < b.t.Len() {
		before := b.t.Len()
		b.merge(rank)
		if b.t.Len() < before {
			continue
		}
		c := b.t.At(rank)
		if c.Prefix() != position {
			b.t.SetPrefix(&c, position)
		}
		position += uint64(listpack.Len(packOf(c.Item())))
		rank++
	}
}
