package zset

import (
	"bytes"
	"sort"

	"slotmesh/node/store/listpack"
)

// ScoreRange is the scores from Min to Max, each without itself if so said.
type ScoreRange struct {
	Min, Max               float64
	WithoutMin, WithoutMax bool
}

func (s *ScoreRange) empty() bool {
	return s.Min > s.Max || s.Min == s.Max && (s.WithoutMin || s.WithoutMax)
}

// ends returns the range as prefixes: from low up to, without it, high.
func (s *ScoreRange) ends() (low, high uint64) {
	low, high = order(s.Min), order(s.Max)
	if s.WithoutMin {
		low++
	}
	if !s.WithoutMax {
		high++
	}
	return low, high
}

func (s *ScoreRange) afterMin(score float64) bool {
	return score > s.Min || score == s.Min && !s.WithoutMin
}

func (s *ScoreRange) beforeMax(score float64) bool {
	return score < s.Max || score == s.Max && !s.WithoutMax
}

// LexBound is one end of a LexRange.
type LexBound struct {
	Member []byte
	// Without leaves the member itself out.
	Without bool
	// End is -1 for the end before all members, 1 for the one behind all.
	End int8
}

// compare says how member stands to the bound: -1 before, 0 at, 1 behind it.
func (b *LexBound) compare(member []byte) int {
	if b.End != 0 {
		return int(-b.End)
	}
	return bytes.Compare(member, b.Member)
}

// LexRange is the members from Min to Max in the order of their bytes. It makes
// sense for a set in which all scores are equal.
type LexRange struct{ Min, Max LexBound }

// empty reports whether no member can be in the range.
func (l *LexRange) empty() bool {
	if l.Min.End < 0 || l.Max.End > 0 {
		return l.Min.End > 0 || l.Max.End < 0
	}
	if l.Min.End > 0 || l.Max.End < 0 {
		return true
	}
	c := bytes.Compare(l.Min.Member, l.Max.Member)
	return c > 0 || c == 0 && (l.Min.Without || l.Max.Without)
}

func (l *LexRange) afterMin(member []byte) bool {
	c := l.Min.compare(member)
	return c > 0 || c == 0 && !l.Min.Without
}

func (l *LexRange) beforeMax(member []byte) bool {
	c := l.Max.compare(member)
	return c < 0 || c == 0 && !l.Max.Without
}

// RanksByScore returns the ranks of the members whose scores are in s: from the
// first one up to, without it, the other.
func (r *Reader) RanksByScore(s ScoreRange) (from, to int) {
	if s.empty() {
		return 0, 0
	}
	if r.packed() {
		return r.packedRanks(&s, nil, false)
	}
	v := r.v.Tree(byScore)
	low, high := s.ends()
	first, _ := v.Find(low, nil)
	end, _ := v.Find(high, nil)
	return first.Rank(), end.Rank()
}

// RanksByLex returns the ranks of the members in l. In a set whose scores
// differ no such range is defined; it is then looked for from the end if
// backward is set, else from the beginning.
func (r *Reader) RanksByLex(l LexRange, backward bool) (from, to int) {
	if l.empty() {
		return 0, 0
	}
	if r.packed() {
		n := r.Len()
		if n == 0 {
			return 0, 0
		}
		first, last := r.At(0), r.At(n-1)
		if !l.afterMin(last.Member()) || !l.beforeMax(first.Member()) {
			return 0, 0
		}
		return r.packedRanks(nil, &l, backward)
	}
	from = r.lexRank(func(member []byte) bool { return l.afterMin(member) })
	to = r.lexRank(func(member []byte) bool { return !l.beforeMax(member) })
	return from, max(from, to)
}

// packedRanks finds the run of members that are in a range of one kind or the
// other.
func (r *Reader) packedRanks(s *ScoreRange, l *LexRange, backward bool) (from, to int) {
	n := r.Len()
	if backward {
		rank, c := n, r.At(n-1)
		for ; c.Valid() && !beforeMax(&c, s, l); rank-- {
			c.Prev()
		}
		to = rank
		for ; c.Valid() && afterMin(&c, s, l); rank-- {
			c.Prev()
		}
		return rank, to
	}
	rank, c := 0, r.At(0)
	for ; c.Valid() && !afterMin(&c, s, l); rank++ {
		c.Next()
	}
	from = rank
	for ; c.Valid() && beforeMax(&c, s, l); rank++ {
		c.Next()
	}
	return from, rank
}

// A function value in place of these two would move the cursor to the heap.

func afterMin(c *Cursor, s *ScoreRange, l *LexRange) bool {
	if s != nil {
		return s.afterMin(c.Score())
	}
	return l.afterMin(c.Member())
}

func beforeMax(c *Cursor, s *ScoreRange, l *LexRange) bool {
	if s != nil {
		return s.beforeMax(c.Score())
	}
	return l.beforeMax(c.Member())
}

// lexRank returns the rank of the first member for which in is true, which is
// then true for all behind it.
func (r *Reader) lexRank(in func(member []byte) bool) int {
	v := r.v.Tree(byScore)
	n := v.Len()
	if n == 0 {
		return 0
	}
	first, last := v.At(0), v.At(n-1)
	if first.Prefix() == last.Prefix() {
		c, _ := v.Find(first.Prefix(), func(item []byte) int {
			if in(item) {
				return 1
			}
			return -1
		})
		return c.Rank()
	}
	return sort.Search(n, func(i int) bool {
		c := v.At(i)
		return in(c.Item())
	})
}

// skipPacked returns the offset of rank, which may be the number of members.
func skipPacked(lp []byte, rank int) int { return listpack.Skip(lp, listpack.HeaderSize, 2*rank) }
