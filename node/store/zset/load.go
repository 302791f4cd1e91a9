package zset

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Loader fills a new set with members that come in any order, and are to be
// different. It gathers them before it puts them where they belong: what they would
// have to be compared with and moved for on their way there is left out. Until Close
// nobody else may look at the cell.
type Loader struct {
	cell   *value.Cell
	limits Limits
	// texts are the members one after the other, list their scores and where they are
	// there.
	texts []byte
	list  []scored
	// longest is the length of the longest member, signed are members whose score is
	// the zero with a sign.
	longest int
	signed  [][]byte
	// direct is set when more has come than is gathered.
	direct bool
	room   tree.Sorter
}

// scored is a member with its score in the form that orders.
type scored struct {
	order    uint64
	negative bool // a zero with a sign
	size     uint32
	at       int
}

// gathered is how many bytes a Loader has at most, of members and of what it keeps
// beside each: that of an empty one counts, too, however often it comes.
const gathered = 2 << 20

// Begin makes l a loader of the set in c, which is an empty draft's. It keeps the
// memory that it had before unless that is much. About n members are expected, which
// is not quite believed.
func (l *Loader) Begin(c *value.Cell, limits Limits, n uint64) {
	const keep = 64 << 10
	if cap(l.texts) > keep || cap(l.list) > keep/24 {
		*l = Loader{}
	}
	l.cell, l.limits, l.longest, l.signed, l.direct = c, limits, 0, nil, false
	n = min(n, 1024)
	l.texts = slices.Grow(l.texts[:0], int(16*n))
	l.list = slices.Grow(l.list[:0], int(n))
}

// Add adds a member. It returns false if it is known by now that one came twice.
func (l *Loader) Add(member []byte, score float64) bool {
	l.longest = max(l.longest, len(member))
	negative := isNegativeZero(score)
	if negative && len(l.signed) <= l.limits.Entries {
		l.signed = append(l.signed, bytes.Clone(member))
	}
	if l.direct {
		z := Open(l.cell, l.limits)
		_, outcome := z.Add(member, score, OnlyNew)
		return outcome == Added
	}
	l.list = append(l.list, scored{order(score), negative, uint32(len(member)), len(l.texts)})
	l.texts = append(l.texts, member...)
	if len(l.texts)+24*len(l.list) < gathered {
		return true
	}
	l.direct = true
	return l.flush(value.EncSkiplist)
}

func (l *Loader) member(s scored) []byte { return l.texts[s.at:][:s.size] }

func (l *Loader) compare(a, b scored) int {
	if a.order != b.order {
		return cmp.Compare(a.order, b.order)
	}
	return bytes.Compare(l.member(a), l.member(b))
}

// Close ends the loading and returns whether all members were different. If they were
// not, the set is in no defined state, to be discarded. As in the reference, only a
// set that becomes a large one keeps the sign of a zero.
func (l *Loader) Close() bool {
	enc := value.EncListpack
	n := len(l.list)
	if l.direct {
		z := Open(l.cell, l.limits)
		n = z.Len()
	}
	if n > l.limits.Entries || l.longest > l.limits.Value {
		enc = value.EncSkiplist
	}
	if !l.direct {
		return l.flush(enc)
	}
	if enc == value.EncListpack {
		l.cell.SetEncoding(enc)
		z := Open(l.cell, l.limits)
		for _, member := range l.signed {
			z.Remove(member)
			z.Add(member, 0, OnlyNew)
		}
	}
	return true
}

// flush makes a set with this encoding of what was gathered.
func (l *Loader) flush(enc value.Encoding) bool {
	if !l.sort() {
		return false
	}
	l.cell.SetEncoding(enc)
	b := NewBuilder(l.cell, Limits{Entries: math.MaxInt, Value: math.MaxInt})
	b.room = &l.room
	b.Expect(len(l.list), len(l.texts))
	for _, s := range l.list {
		score := scoreOf(s.order)
		if s.negative {
			score = math.Copysign(0, -1)
		}
		b.Append(l.member(s), score)
	}
	l.texts, l.list = l.texts[:0], l.list[:0]
	if different := b.close(); !different || l.cell.Roots() > 0 {
		return different
	}
	lp := l.cell.Payload()
	return len(lp) == 0 || listpack.Distinct(lp, listpack.HeaderSize, 2, l.cell.Memory().Hash)
}

// sort puts what was gathered into order and reports whether no two are the same. Most
// often it comes in order, or from the last one to the first as the reference tells
// it.
func (l *Loader) sort() bool {
	ascending, descending := true, true
	for i := 1; i < len(l.list) && (ascending || descending); i++ {
		order := l.compare(l.list[i-1], l.list[i])
		ascending, descending = ascending && order < 0, descending && order > 0
	}
	switch {
	case ascending:
		return true
	case descending:
		slices.Reverse(l.list)
		return true
	}
	slices.SortFunc(l.list, l.compare)
	for i := 1; i < len(l.list); i++ {
		if l.compare(l.list[i-1], l.list[i]) == 0 {
			return false
		}
	}
	return true
}
