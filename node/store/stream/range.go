package stream

import (
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
)

// place is a place among the blocks: in the tree, or at the tail, which comes
// behind all of the tree.
type place struct {
	cursor tree.Cursor
	// tail is nil when there is none, or the place is behind it.
	tail   []byte
	tailID ID
	atTail bool
}

// blockCompare orders blocks of equal milliseconds.
func blockCompare(seq uint64) func([]byte) int {
	return func(item []byte) int {
		switch s := itemSeq(item); {
		case s < seq:
			return -1
		case s > seq:
			return 1
		}
		return 0
	}
}

// firstBlock is the place of the first block.
func (r *Reader) firstBlock() place {
	p := place{cursor: r.view(treeBlocks).At(0), tail: r.tail, tailID: r.tailID}
	p.atTail = p.tail != nil && !p.cursor.Valid()
	return p
}

// blockOf returns the place of the block that has the entry id if any has: the
// last one whose own id is not after it. It is not valid if there is none.
func (r *Reader) blockOf(id ID) place {
	p := place{tail: r.tail, tailID: r.tailID}
	if p.tail != nil && !id.Less(p.tailID) {
		p.cursor = r.view(treeBlocks).At(int(r.roots[treeBlocks].Count))
		p.atTail = true
		return p
	}
	found := false
	if p.cursor, found = r.view(treeBlocks).Find(id.Ms, blockCompare(id.Seq)); !found {
		p.cursor.Prev()
	}
	return p
}

func (p *place) valid() bool { return p.atTail || p.cursor.Valid() }

// rank is how many blocks come before the place, -1 if it is before the first.
func (p *place) rank() int {
	if !p.valid() {
		return -1
	}
	return p.cursor.Rank()
}

func (p *place) next() {
	if p.atTail {
		p.tail, p.atTail = nil, false
		return
	}
	p.atTail = !p.cursor.Next() && p.tail != nil
}

func (p *place) prev() {
	p.atTail = false
	p.cursor.Prev()
}

// id returns the block's id, listpack a view of its bytes.
func (p *place) id() ID {
	if p.atTail {
		return p.tailID
	}
	return ID{p.cursor.Prefix(), itemSeq(p.cursor.Item())}
}

func (p *place) listpack() []byte {
	if p.atTail {
		return p.tail
	}
	return p.cursor.Item()[seqSize:]
}

func (p *place) block() block {
	if p.atTail {
		return openBlock(p.tailID, p.tail)
	}
	item := p.cursor.Item()
	return openBlock(ID{p.cursor.Prefix(), itemSeq(item)}, item[seqSize:])
}

// blockAt is the place of the block of a rank, of which there is one.
func (r *Reader) blockAt(rank int) place {
	p := place{cursor: r.view(treeBlocks).At(max(rank, 0)), tail: r.tail, tailID: r.tailID}
	p.atTail = p.tail != nil && !p.cursor.Valid()
	return p
}

// count is the number of entries in the block.
func (p *place) count() int64 {
	n, _ := integer(p.listpack(), listpack.HeaderSize)
	return n
}

// endsBefore reports whether the block's last entry, deleted or not, is before id.
func (p *place) endsBefore(id ID) bool {
	b := p.block()
	e := b.entryAt(b.before(listpack.End(b.lp)))
	return e.ID.Less(id)
}

// Estimate is about how many entries there are from first to last: those of whole
// blocks, as if all had equally many.
func (r *Reader) Estimate(first, last ID) int {
	blocks := r.Blocks()
	if blocks == 0 || last.Less(first) {
		return 0
	}
	from, to := r.blockOf(first), r.blockOf(last)
	n := to.rank() - max(from.rank(), 0) + 1
	return int(r.Len()) * max(n, 0) / blocks
}

// Range walks the entries between two ids, either inclusive.
type Range struct {
	// Entry is the one that Next went to.
	Entry Entry

	place      place
	block      block
	first, end ID
	// pos is where the next entry begins, or ends if reverse; -1 when the block
	// is done.
	pos     int
	reverse bool
	// tombstones are entries marked as deleted, which only Edge wants to see.
	tombstones bool
}

// Range returns the entries from first to last, the last one first if reverse.
func (r *Reader) Range(first, last ID, reverse bool) Range {
	it := Range{first: first, end: last, reverse: reverse, pos: -1}
	if r.Blocks() == 0 || last.Less(first) {
		return it
	}
	if reverse {
		it.place = r.blockOf(last)
	} else if it.place = r.blockOf(first); !it.place.valid() {
		it.place = r.firstBlock()
	}
	it.open()
	return it
}

func (it *Range) open() {
	if !it.place.valid() {
		it.pos = -1
		return
	}
	it.block = it.place.block()
	it.pos = it.block.entries
	if it.reverse {
		it.pos = listpack.End(it.block.lp)
	}
}

// Next goes to the next entry and reports whether there is one.
func (it *Range) Next() bool {
	for it.pos >= 0 {
		if it.reverse {
			it.back()
		} else {
			it.forward()
		}
		if it.pos < 0 {
			continue
		}
		id := it.Entry.ID
		if it.Entry.deleted && !it.tombstones {
			continue
		}
		if it.reverse {
			if id.Less(it.first) {
				it.pos = -1
				return false
			}
			if !it.end.Less(id) {
				return true
			}
		} else {
			if it.end.Less(id) {
				it.pos = -1
				return false
			}
			if !id.Less(it.first) {
				return true
			}
		}
	}
	return false
}

func (it *Range) forward() {
	if it.pos >= listpack.End(it.block.lp) {
		it.place.next()
		if it.open(); it.pos < 0 {
			return
		}
	}
	it.Entry = it.block.entryAt(it.pos)
	it.pos = it.Entry.end()
}

func (it *Range) back() {
	pos := it.block.before(it.pos)
	for pos < 0 {
		it.place.prev()
		if it.open(); it.pos < 0 {
			return
		}
		pos = it.block.before(it.pos)
	}
	it.Entry = it.block.entryAt(pos)
	it.pos = pos
}

// Edge returns the id of the first entry, or of the last one. Unless live,
// entries that are only marked as deleted count too. Without any the result is
// the greatest id for the first one, and 0-0 for the last one.
func (r *Reader) Edge(last, live bool) (ID, bool) {
	it := r.Range(ID{}, MaxID, last)
	it.tombstones = !live
	if it.Next() {
		return it.Entry.ID, true
	}
	if last {
		return ID{}, false
	}
	return MaxID, false
}

// LastValidID is the id of the last entry that is there, 0-0 without any.
func (r *Reader) LastValidID() ID {
	id, _ := r.Edge(true, true)
	return id
}

// Exists reports whether the stream has the entry id.
func (r *Reader) Exists(id ID) bool {
	_, ok := r.Get(id)
	return ok
}

// Get returns the entry id.
func (r *Reader) Get(id ID) (Entry, bool) {
	p := r.blockOf(id)
	if !p.valid() {
		return Entry{}, false
	}
	b := p.block()
	pos, ok := b.find(id)
	if !ok {
		return Entry{}, false
	}
	return b.entryAt(pos), true
}
