package slots

import (
	"fmt"
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// Set is a set of slots, one bit each (2 KiB). The zero Set is empty. A Set is
// a value: assignment copies it.
type Set [Count / 64]uint64

// Range is the slots from First to Last, both included. First <= Last.
type Range struct{ First, Last Slot }

// Len returns how many slots the range holds.
func (r Range) Len() int { return int(r.Last-r.First) + 1 }

// String returns "5" for one slot and "5-9" for several.
func (r Range) String() string { return string(r.Append(nil)) }

// Append appends what String returns.
func (r Range) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, int64(r.First), 10)
	if r.First != r.Last {
		dst = strconv.AppendInt(append(dst, '-'), int64(r.Last), 10)
	}
	return dst
}

// ParseRange reads "5" or "5-9".
func ParseRange(text string) (Range, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err := Parse(first)
	if err != nil {
		return Range{}, err
	}
	to, err := Parse(last)
	if err != nil {
		return Range{}, err
	}
	if to < from {
		return Range{}, fmt.Errorf("slot range %q ends before it begins", text)
	}
	return Range{from, to}, nil
}

// SetOf returns the set of the given ranges.
func SetOf(ranges ...Range) Set {
	var s Set
	for _, r := range ranges {
		s.AddRange(r)
	}
	return s
}

// Has reports whether slot is in s.
func (s *Set) Has(slot Slot) bool { return s[slot/64]&(1<<(slot%64)) != 0 }

// Add puts slot into s.
func (s *Set) Add(slot Slot) { s[slot/64] |= 1 << (slot % 64) }

// Remove takes slot out of s.
func (s *Set) Remove(slot Slot) { s[slot/64] &^= 1 << (slot % 64) }

// AddRange puts every slot of r into s.
func (s *Set) AddRange(r Range) {
	for slot := int(r.First); slot <= int(r.Last); slot++ {
		s.Add(Slot(slot))
	}
}

// Len returns how many slots s holds.
func (s *Set) Len() int {
	n := 0
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// Empty reports whether s holds no slot.
func (s *Set) Empty() bool { return *s == Set{} }

// Union returns the slots that are in s or in other.
func (s Set) Union(other Set) Set {
	for i := range s {
		s[i] |= other[i]
	}
	return s
}

// Minus returns the slots of s that are not in other.
func (s Set) Minus(other Set) Set {
	for i := range s {
		s[i] &^= other[i]
	}
	return s
}

// Intersect returns the slots that are in both.
func (s Set) Intersect(other Set) Set {
	for i := range s {
		s[i] &= other[i]
	}
	return s
}

// All yields the slots of s, ascending.
func (s *Set) All() iter.Seq[Slot] {
	return func(yield func(Slot) bool) {
		for i, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(Slot(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// Ranges returns s as maximal ranges, ascending. No two of them touch.
func (s *Set) Ranges() []Range { return s.AppendRanges(nil) }

// AppendRanges appends what Ranges returns.
func (s *Set) AppendRanges(ranges []Range) []Range {
	for first := s.next(0, 0); first < Count; {
		end := s.next(first, ^uint64(0))
		ranges = append(ranges, Range{Slot(first), Slot(end - 1)})
		first = s.next(end, 0)
	}
	return ranges
}

// next returns the first slot from from on that is in s, or with all bits of flip
// set, that is not; Count if there is none.
func (s *Set) next(from int, flip uint64) int {
	for from < Count {
		if word := (s[from/64] ^ flip) >> (from % 64); word != 0 {
			return from + bits.TrailingZeros64(word)
		}
		from = (from/64 + 1) * 64
	}
	return Count
}

// String returns the ranges of s joined by blanks: "0-5460 5462".
func (s Set) String() string {
	ranges := s.Ranges()
	words := make([]string, len(ranges))
	for i, r := range ranges {
		words[i] = r.String()
	}
	return strings.Join(words, " ")
}
