package set

import (
	"encoding/binary"
	"math"
)

// intset is the bytes of an intset; none at all stand for an empty one.
type intset []byte

const intsetHeader = 8

func (s intset) width() int {
	if len(s) == 0 {
		return 2
	}
	return int(binary.LittleEndian.Uint32(s))
}

func (s intset) len() int {
	if len(s) == 0 {
		return 0
	}
	return int(binary.LittleEndian.Uint32(s[4:]))
}

// widthOf is the least width that holds n.
func widthOf(n int64) int {
	switch {
	case n == int64(int16(n)):
		return 2
	case n == int64(int32(n)):
		return 4
	}
	return 8
}

func (s intset) at(i int) int64 { return intAt(s[intsetHeader:], s.width(), i) }

// intAt reads, putInt writes integer i of those that b consists of.
func intAt(b []byte, width, i int) int64 {
	switch width {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b[2*i:])))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return int64(binary.LittleEndian.Uint64(b[8*i:]))
}

func putInt(b []byte, width, i int, n int64) {
	switch width {
	case 2:
		binary.LittleEndian.PutUint16(b[2*i:], uint16(n))
	case 4:
		binary.LittleEndian.PutUint32(b[4*i:], uint32(n))
	default:
		binary.LittleEndian.PutUint64(b[8*i:], uint64(n))
	}
}

func (s intset) putHeader(width, n int) {
	binary.LittleEndian.PutUint32(s, uint32(width))
	binary.LittleEndian.PutUint32(s[4:], uint32(n))
}

// reachSteps is how many integers reach passes before it searches.
const reachSteps = 8

// reach goes on from a place, before which all integers are less than n, to the first
// that is not, and reports whether that is n.
func (s intset) reach(from int, n int64) (i int, found bool) {
	if len(s) == 0 {
		return 0, false
	}
	b, width, size := s[intsetHeader:], s.width(), s.len()
	for i = from; i < size && i < from+reachSteps; i++ {
		if has := intAt(b, width, i); has >= n {
			return i, has == n
		}
	}
	if i == size {
		return i, false
	}
	return s.search(n)
}

// search returns the place of n, or the place where it belongs.
func (s intset) search(n int64) (i int, found bool) {
	low, high := 0, s.len()
	if high == 0 {
		return 0, false
	}
	// Integers often come in ascending order.
	if last := s.at(high - 1); n >= last {
		if n > last {
			return high, false
		}
		return high - 1, true
	}
	switch s.width() {
	case 2:
		for b := s[intsetHeader:]; low < high; {
			middle := int(uint(low+high) >> 1)
			if int64(int16(binary.LittleEndian.Uint16(b[2*middle:]))) < n {
				low = middle + 1
			} else {
				high = middle
			}
		}
	case 4:
		for b := s[intsetHeader:]; low < high; {
			middle := int(uint(low+high) >> 1)
			if int64(int32(binary.LittleEndian.Uint32(b[4*middle:]))) < n {
				low = middle + 1
			} else {
				high = middle
			}
		}
	default:
		for b := s[intsetHeader:]; low < high; {
			middle := int(uint(low+high) >> 1)
			if int64(binary.LittleEndian.Uint64(b[8*middle:])) < n {
				low = middle + 1
			} else {
				high = middle
			}
		}
	}
	return low, s.at(low) == n
}

// ValidIntset reports whether b is an intset: a width and a number that agree
// with its length, members ascending, at least one. It is for what comes from
// outside.
func ValidIntset(b []byte) bool {
	if len(b) < intsetHeader {
		return false
	}
	width := binary.LittleEndian.Uint32(b)
	n := uint64(binary.LittleEndian.Uint32(b[4:]))
	if width != 2 && width != 4 && width != 8 || n == 0 || n > math.MaxInt32 {
		return false
	}
	if uint64(len(b)-intsetHeader) != n*uint64(width) {
		return false
	}
	b = b[intsetHeader:]
	last := intAt(b, int(width), 0)
	switch width {
	case 2:
		for b = b[2:]; len(b) >= 2; b = b[2:] {
			next := int64(int16(binary.LittleEndian.Uint16(b)))
			if next <= last {
				return false
			}
			last = next
		}
	case 4:
		for b = b[4:]; len(b) >= 4; b = b[4:] {
			next := int64(int32(binary.LittleEndian.Uint32(b)))
			if next <= last {
				return false
			}
			last = next
		}
	default:
		for b = b[8:]; len(b) >= 8; b = b[8:] {
			next := int64(binary.LittleEndian.Uint64(b))
			if next <= last {
				return false
			}
			last = next
		}
	}
	return true
}
