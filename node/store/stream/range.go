package stream

import (
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
)

// Range walks the entries between two ids, either inclusive.
type Range struct {
	// Entry is the one that Next went to.
	Entry Entry

	cursor     tree.Cursor
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
		it.cursor = r.blockOf(last)
	} else if it.cursor = r.blockOf(first); !it.cursor.Valid() {
		it.cursor = r.view(treeBlocks).At(0)
	}
	it.open()
	return it
}

func (it *Range) open() {
	if !it.cursor.Valid() {
		it.pos = -1
		return
	}
	it.block = blockAt(&it.cursor)
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
		it.cursor.Next()
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
		it.cursor.Prev()
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
	c := r.blockOf(id)
	if !c.Valid() {
		return Entry{}, false
	}
	b := blockAt(&c)
	pos, ok := b.find(id)
	if !ok {
		return Entry{}, false
	}
	return b.entryAt(pos), true
}
