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

// Trim cuts entries off. Source: the reference's streamTrim, whose every turn
// shows in what later commands answer.
func (s *Stream) Trim(trim Trim) (done Trimmed) {
	whole := 0
	p := s.firstBlock()
	partly := false
	for ; p.valid() && (trim.ByID || s.meta.length > trim.MaxLen); p.next() {
		b := p.block()
		count, _, _ := counts(b.lp)
		if trim.Limit > 0 && done.Entries+count > trim.Limit {
			break
		}
		var goes bool
		if trim.ByID {
			last := b.entryAt(b.before(listpack.End(b.lp)))
			goes = last.ID.Less(trim.MinID)
		} else {
			goes = s.meta.length-uint64(count) >= trim.MaxLen
		}
		if !goes {
			partly = !trim.Whole
			break
		}
		whole++
		s.meta.length -= uint64(count)
		done.Entries += count
		done.LastEmpty = count == 0
	}
	if whole > 0 {
		done.Blocks = true
		s.dropBlocks(whole)
	}
	if partly {
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

// dropBlocks removes the first n blocks.
func (s *Stream) dropBlocks(n int) {
	if n == s.Blocks() {
		t := s.tree(treeBlocks)
		t.DeleteRange(0, t.Len())
		s.roots[treeBlocks] = t.Root
		if s.tail != nil {
			s.resizeTail(0)
		}
		s.meta.nodes = 1
		return
	}
	for range n {
		p := s.firstBlock()
		o := s.opened(p.id())
		o.drop(s)
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
