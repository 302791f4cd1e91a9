package listpack

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrCorrupt is what Validate finds wrong.
var ErrCorrupt = errors.New("listpack: bytes are not a listpack")

// Validate checks that lp, whole, is a listpack: that entries follow each other
// up to the end byte, that the lengths behind them agree with them, and that
// their number is that of the header. Afterwards no function of this package
// reads outside lp.
func Validate(lp []byte) error {
	if !Framed(lp) {
		return ErrCorrupt
	}
	next, n := CheckEntries(lp, HeaderSize, math.MaxInt)
	if next < 0 || !LenFits(lp, n) {
		return ErrCorrupt
	}
	return nil
}

// Framed reports whether lp, whole, has the header and the end of a listpack. It is what
// Validate begins with, for who checks the entries as it reads them.
func Framed(lp []byte) bool {
	return len(lp) >= EmptySize && uint64(binary.LittleEndian.Uint32(lp)) == uint64(len(lp)) && lp[len(lp)-1] == endByte
}

// LenFits reports whether the header of lp allows for n entries.
func LenFits(lp []byte, n int) bool {
	have := int(binary.LittleEndian.Uint16(lp[4:]))
	return have == UnknownLen || have == n
}

// CheckEntries checks as many as most entries from pos on of lp, which is Framed. It
// returns where the next one is, or the end, and how many there were; next < 0 if they
// are not a listpack's.
func CheckEntries(lp []byte, pos, most int) (next, n int) {
	end := len(lp) - 1
	for ; pos < end && n < most; n++ {
		// Nearly all are integers and short texts.
		e := lp[pos]
		if tagText6 <= e && e < tagInt13 {
			next := pos + int(e) - (tagText6 - 2)
			if next > end || lp[next-1] != e-(tagText6-1) {
				return -1, 0
			}
			pos = next
			continue
		}
		size := int(wholeSizes[e])
		if size > 0 {
			next := pos + size
			if next > end || lp[next-1] != byte(size-1) {
				return -1, 0
			}
			pos = next
			continue
		}
		size, ok := checkedSize(lp[pos:end])
		if !ok {
			return -1, 0
		}
		back := backSize(size)
		if back > end-pos-size {
			return -1, 0
		}
		// Only the one form that putBack writes: a walk backwards must meet the same
		// entries.
		var want [5]byte
		putBack(want[:], size)
		if pos += size; string(lp[pos:pos+back]) != string(want[:back]) {
			return -1, 0
		}
		pos += back
	}
	return pos, n
}

// CheckedText is ShortText for an entry of which nothing is known but that it begins
// before the end: ok is false, too, if it is broken.
func CheckedText(lp []byte, pos int) (text []byte, end int, ok bool) {
	e := lp[pos]
	end = pos + int(e) - (tagText6 - 2)
	if e < tagText6 || e >= tagInt13 || end >= len(lp) || lp[end-1] != e-(tagText6-1) {
		return nil, 0, false
	}
	return lp[pos+1 : end-1 : end-1], end, true
}

// CheckedInt is CheckedText for integers. pos may be the end, where none is.
func CheckedInt(lp []byte, pos int) (number int64, end int, ok bool) {
	e := lp[pos]
	return int64(e), pos + 2, e < tagText6 && lp[pos+1] == 1
}

// CheckInt is CheckEntries for one entry, which must be there and an integer. What is at
// the end is neither a small integer nor the length of one.
func CheckInt(lp []byte, pos int) (number int64, next int) {
	if e := lp[pos]; e < tagText6 && lp[pos+1] == 1 {
		return int64(e), pos + 2
	}
	return checkLongInt(lp, pos)
}

// CheckInts is CheckInt for n entries, of which the numbers are not asked for.
func CheckInts(lp []byte, pos, n int) (next int) {
	for end := len(lp) - 1; n > 0; n-- {
		size := 1
		switch e := lp[pos]; {
		case e < tagText6:
		case tagInt13 <= e && e < tagText12:
			size = 2
		case tagInt16 <= e && e <= tagInt32:
			size = 3 + int(e-tagInt16)
		case e == tagInt64:
			size = 9
		default:
			return -1
		}
		if pos += size; pos >= end || lp[pos] != byte(size) {
			return -1
		}
		pos++
	}
	return pos
}

func checkLongInt(lp []byte, pos int) (number int64, next int) {
	next, n := CheckEntries(lp, pos, 1)
	if next < 0 || n == 0 {
		return 0, -1
	}
	_, number, isInt, _ := parse(lp, pos)
	if !isInt {
		return 0, -1
	}
	return number, next
}

// checkedSize is bodySize for bytes that may be anything: ok is false if the
// entry does not fit into b.
func checkedSize(b []byte) (size int, ok bool) {
	switch e := b[0]; {
	case e > tagInt64:
		return 0, false
	case tagText12 <= e && e < tagText32 && len(b) < 2, e == tagText32 && len(b) < 5:
		return 0, false
	}
	size = bodySize(b)
	return size, size <= len(b)
}
