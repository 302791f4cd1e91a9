package stream

// This file tells how far a group has come. Source: the reference's
// streamEstimateDistanceFromFirstEverEntry and streamReplyWithCGLag.

// CountUpTo returns how many entries were ever added up to the one with this id,
// or NotKnown.
func (r *Reader) CountUpTo(id ID) int64 {
	m := &r.meta
	switch {
	case m.added == 0:
		return 0
	case m.length == 0 && !m.last.Less(id):
		return int64(m.added)
	case id == m.last:
		return int64(m.added)
	case m.last.Less(id):
		return NotKnown
	}
	if m.maxDeleted.IsZero() || m.maxDeleted.Less(m.first) {
		// No entry behind the first one was deleted.
		switch {
		case id.Less(m.first):
			return int64(m.added - m.length)
		case id == m.first:
			return int64(m.added-m.length) + 1
		}
	}
	return NotKnown
}

// Gaps reports whether entries from id on may have been deleted, behind the
// first one that is there.
func (r *Reader) Gaps(from ID) bool {
	m := &r.meta
	return m.length > 0 && !m.maxDeleted.IsZero() && !m.maxDeleted.Less(m.first) && !m.maxDeleted.Less(from)
}

// Lag returns how many entries a group has not read yet; ok is false if nobody
// can tell.
func (r *Reader) Lag(g Group) (lag int64, ok bool) {
	if r.meta.added == 0 {
		return 0, true
	}
	read := g.EntriesRead
	if read == NotKnown || r.Gaps(g.LastID) {
		read = r.CountUpTo(g.LastID)
	}
	return int64(r.meta.added) - read, read != NotKnown
}

// Advance moves a group on to an entry that is delivered to it.
func (r *Reader) Advance(g *Group, id ID) {
	if !g.LastID.Less(id) {
		return
	}
	if g.EntriesRead != NotKnown && !r.Gaps(id) {
		g.EntriesRead++
	} else if r.meta.added > 0 {
		g.EntriesRead = r.CountUpTo(id)
	}
	g.LastID = id
}
