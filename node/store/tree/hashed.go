package tree

import (
	"math/bits"
	"slices"
)

// Hashed stands for an item on its way into a tree whose prefixes are hashes.
// What At means is the caller's business.
type Hashed struct{ Hash, At uint64 }

// SortHashed returns list in the order of hashes, and among equal ones in that of
// less, which compares what the caller's At stand for. As hashes are spread
// evenly, their first bits tell about where each one belongs, and little is left
// to sort.
func SortHashed(list []Hashed, less func(a, b uint64) bool) []Hashed {
	return new(Sorter).Sort(list, less)
}

// Sorter is SortHashed in memory that it keeps from one list to the next.
type Sorter struct {
	sorted []Hashed
	// ends are where those of each beginning end.
	ends []int32
}

// Sort is SortHashed. What it returns is good until the next call.
func (s *Sorter) Sort(list []Hashed, less func(a, b uint64) bool) []Hashed {
	width := bits.Len(uint(len(list)))
	shift := 64 - width
	s.ends = slices.Grow(s.ends[:0], 1<<width)[:1<<width]
	ends := s.ends
	clear(ends)
	for i := range list {
		ends[list[i].Hash>>shift]++
	}
	sum := int32(0)
	for i, n := range ends {
		ends[i] = sum
		sum += n
	}
	s.sorted = slices.Grow(s.sorted[:0], len(list))[:len(list)]
	sorted := s.sorted
	for i := range list {
		at := &ends[list[i].Hash>>shift]
		sorted[*at] = list[i]
		*at++
	}
	for i := 1; i < len(sorted); i++ {
		h := sorted[i]
		j := i
		for ; j > 0; j-- {
			before := sorted[j-1]
			if h.Hash > before.Hash || h.Hash == before.Hash && !less(h.At, before.At) {
				break
			}
			sorted[j] = before
		}
		sorted[j] = h
	}
	return sorted
}
