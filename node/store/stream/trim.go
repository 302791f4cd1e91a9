package stream

import "slotmesh/node/store/listpack"

// Trim says what is to be cut off at the beginning of a stream.
type Trim struct {
	// ByID cuts the entries before MinID, else the stream is cut to MaxLen
	// entries.
	ByID   bool
	MinID  ID
	MaxLen uint64
	// Whole leaves a block alone that would not go as a whole.
	Whole bool
	// Limit is how many entries may go at most, 0 for any number.
	Limit int64
}

// Trimmed is what a Trim did.
type Trimmed struct {
	// Entries is how many entries went. Blocks tells whether blocks did, which may
	// have been without entries; LastEmpty whether the last one of them was.
	Entries   int64
	Blocks    bool
	LastEmpty bool
}

// cut is where a Trim parts a stream.
type cut struct {
	// blocks go as a whole, and with them so many entries. empty tells whether the
	// last of these blocks has none.
	blocks  int
	entries int64
	empty   bool
	// partly is set if entries of the block that follows may go, too.
	partly bool
}

// Trim cuts entries off. Source: the reference's streamTrim, whose every turn
// shows in what later commands answer.
func (s *Stream) Trim(trim Trim) Trimmed { return s.TrimAt(trim, s.FindCut(trim)) }

// Cut is what a Trim has to find out before it changes anything. That takes a time
// that grows with the blocks that go or those that stay; the change does not.
type Cut struct {
	at cut
	// nodes is what the stream's number of radix nodes becomes.
	nodes uint64
}

// Blocks is how many blocks go as a whole.
func (c Cut) Blocks() int { return c.at.blocks }

// FindCut finds where trim parts the stream.
func (r *Reader) FindCut(trim Trim) (c Cut) {
	if c.at = r.findCut(trim); c.at.blocks > 0 {
		c.nodes = r.radixWithout(c.at.blocks)
	}
	return c
}

// TrimAt is Trim for whoever has the cut, which FindCut found in the stream as it is.
func (s *Stream) TrimAt(trim Trim, c Cut) (done Trimmed) {
	at := c.at
	if at.blocks > 0 {
		s.meta.length -= uint64(at.entries)
		s.meta.nodes = c.nodes
		s.dropBlocks(at.blocks)
		done = Trimmed{Entries: at.entries, Blocks: true, LastEmpty: at.empty}
	}
	if at.partly {
		done.Entries += s.trimFirst(trim)
	}
	switch {
	case s.meta.length == 0:
		s.meta.first = ID{}
	case done.Entries > 0:
		r := s.View()
		s.meta.first, _ = r.Edge(false, true)
	}
	return done
}

// findCut looks at the blocks that go or at those that stay, whichever are fewer.
func (r *Reader) findCut(trim Trim) cut {
	switch {
	case !trim.ByID && r.meta.length <= trim.MaxLen:
		return cut{}
	case trim.Limit > 0:
		return r.cutFromFront(trim)
	case trim.ByID:
		return r.cutByID(trim)
	case trim.MaxLen < r.meta.length/2:
		return r.cutFromBack(trim)
	}
	return r.cutFromFront(trim)
}

// cutFromFront goes from block to block as the reference does.
func (r *Reader) cutFromFront(trim Trim) (at cut) {
	left := r.meta.length
	for p := r.firstBlock(); p.valid() && (trim.ByID || left > trim.MaxLen); p.next() {
		count := p.count()
		if trim.Limit > 0 && at.entries+count > trim.Limit {
			break
		}
		if trim.ByID && !p.endsBefore(trim.MinID) || !trim.ByID && left-uint64(count) < trim.MaxLen {
			at.partly = !trim.Whole
			break
		}
		left -= uint64(count)
		at.blocks++
		at.entries += count
		at.empty = count == 0
	}
	return at
}

// cutFromBack finds the same for a length: the block is cut with which more than
// that would stay. Of blocks without entries all stay that may.
func (r *Reader) cutFromBack(trim Trim) (at cut) {
	stay := uint64(0)
	at.blocks = r.Blocks()
	for p := r.blockAt(at.blocks - 1); at.blocks > 0; p.prev() {
		count := p.count()
		if stay > trim.MaxLen || stay == trim.MaxLen && count > 0 {
			at.empty = count == 0
			break
		}
		stay += uint64(count)
		at.blocks--
	}
	at.entries = int64(r.meta.length - stay)
	at.partly = stay > trim.MaxLen && !trim.Whole
	return at
}

// cutByID finds the same for an id: all blocks go before the last one that does not
// begin behind it.
func (r *Reader) cutByID(trim Trim) (at cut) {
	p := r.blockOf(trim.MinID)
	if !p.valid() {
		return at
	}
	at.blocks = p.rank()
	if p.endsBefore(trim.MinID) {
		at.blocks++
	} else {
		at.partly = !trim.Whole
	}
	if at.blocks == 0 {
		return at
	}
	if n := r.Blocks(); at.blocks <= n/2 {
		p = r.firstBlock()
		for range at.blocks {
			at.entries += p.count()
			p.next()
		}
	} else {
		at.entries = int64(r.meta.length)
		p = r.blockAt(n - 1)
		for range n - at.blocks {
			at.entries -= p.count()
			p.prev()
		}
	}
	p = r.blockAt(at.blocks - 1)
	at.empty = p.count() == 0
	return at
}

// dropBlocks removes the first n blocks.
func (s *Stream) dropBlocks(n int) {
	t := s.tree(treeBlocks)
	if n < s.Blocks() {
		t.DeleteRange(0, n)
		s.roots[treeBlocks] = t.Root
		return
	}
	t.DeleteRange(0, t.Len())
	s.roots[treeBlocks] = t.Root
	if s.tail != nil {
		s.resizeTail(0)
	}
}

// trimFirst marks entries of the first block as deleted.
func (s *Stream) trimFirst(trim Trim) (marked int64) {
	p := s.firstBlock()
	o := s.opened(p.id())
	o.resize(s, len(o.lp))
	b := openBlock(o.id, o.lp)
	for pos := b.entries; pos < listpack.End(b.lp); {
		e := b.entryAt(pos)
		if trim.ByID && !e.ID.Less(trim.MinID) || !trim.ByID && s.meta.length <= trim.MaxLen {
			break
		}
		if !e.deleted {
			b.lp[pos] |= flagDeleted
			s.meta.length--
			marked++
		}
		pos = e.end()
	}
	if marked > 0 {
		count, deleted, _ := counts(b.lp)
		o.setCounts(s, count, deleted, count-marked, deleted+marked, 0)
		listpack.Fix(o.lp, 0)
	}
	o.end(s)
	return marked
}
