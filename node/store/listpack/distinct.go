package listpack

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// Distinct reports whether the texts at from and at every step-th entry from
// there on differ from each other. hash is a hash of texts that who made them does
// not know.
func Distinct(lp []byte, from, step int, hash func([]byte) uint64) bool {
	n := Len(lp)/step + 1
	if len(lp) < 1<<16 {
		switch {
		case n <= FewTexts:
			return fewDistinct(lp, from, step)
		case n <= manyTexts:
			var table [2 * manyTexts]uint16
			return manyDistinct(lp, from, step, table[:], hash)
		}
	}
	size := 2 * manyTexts
	for size < 2*n {
		size *= 2
	}
	return manyDistinct(lp, from, step, make([]uint32, size), hash)
}

// manyTexts is how many texts are compared without memory of Go's heap.
const manyTexts = 1 << 10

// manyDistinct is Distinct with a table of offsets that is never full, and whose
// length is a power of two.
func manyDistinct[T uint16 | uint32](lp []byte, from, step int, table []T, hash func([]byte) uint64) bool {
	var digits, other [20]byte
	secret, mask := hash(nil), uint64(len(table)-1)
	for pos := from; pos >= 0 && lp[pos] != endByte; {
		text, _, ok := ShortText(lp, pos)
		if !ok {
			text, _ = textAt(lp, pos, &digits)
		}
		var at uint64
		if len(text) <= 16 {
			at = shortHash(text, secret)
		} else {
			at = hash(text)
		}
		at &= mask
		for ; table[at] != 0; at = (at + 1) & mask {
			if seen, _ := textAt(lp, int(table[at]), &other); string(seen) == string(text) {
				return false
			}
		}
		table[at] = T(pos)
		pos = Skip(lp, pos, step)
	}
	return true
}

// shortHash mixes all of a text of 16 bytes at most with a secret.
func shortHash(b []byte, secret uint64) uint64 {
	var first, last uint64
	switch n := len(b); {
	case n >= 8:
		first, last = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		first, last = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		first = uint64(b[0])<<16 | uint64(b[n/2])<<8 | uint64(b[n-1])
	}
	high, low := bits.Mul64(first^secret, last^bits.RotateLeft64(secret, 32)^uint64(len(b))*0x9e3779b97f4a7c15)
	return high ^ low
}

// FewTexts is how many texts may be compared all with all, if it comes to that.
const FewTexts = 128

// fewDistinct is Distinct with a table, and a hash, that cost little.
func fewDistinct(lp []byte, from, step int) bool {
	var few Few
	var digits [20]byte
	for pos := from; pos >= 0 && lp[pos] != endByte; {
		text, next, ok := ShortText(lp, pos)
		if !ok {
			text, _ = textAt(lp, pos, &digits)
			next = Skip(lp, pos, 1)
		}
		if !few.Add(lp, pos, text) {
			return false
		}
		for between := step - 1; between > 0 && lp[next] != endByte; between-- {
			if _, end, ok := ShortText(lp, next); ok {
				next = end
			} else {
				next = Skip(lp, next, 1)
			}
		}
		pos = next
	}
	return true
}

// CheckDistinct is Validate and Distinct, from the first entry on, of bytes of which
// nothing is known.
func CheckDistinct(lp []byte, step int, hash func([]byte) uint64) (distinct bool, err error) {
	if !Framed(lp) {
		return false, ErrCorrupt
	}
	told := int(binary.LittleEndian.Uint16(lp[4:]))
	if told > step*FewTexts || len(lp) >= 1<<16 {
		if err := Validate(lp); err != nil {
			return false, err
		}
		return Distinct(lp, HeaderSize, step, hash), nil
	}
	distinct = true
	var few Few
	var digits [20]byte
	n := 0
	for pos, end := HeaderSize, End(lp); pos < end; n++ {
		text, next, ok := CheckedText(lp, pos)
		if !ok {
			if next, _ = CheckEntries(lp, pos, 1); next < 0 {
				return false, ErrCorrupt
			}
			text, _ = textAt(lp, pos, &digits)
		}
		if n >= told {
			return false, ErrCorrupt
		}
		distinct = distinct && few.Add(lp, pos, text)
		if _, after, ok := CheckedText(lp, next); ok && step == 2 {
			pos = after
			n++
			continue
		}
		between := 0
		if pos, between = CheckEntries(lp, next, step-1); pos < 0 {
			return false, ErrCorrupt
		}
		n += between
	}
	if n != told {
		return false, ErrCorrupt
	}
	return distinct, nil
}

// Few tells whether texts of one listpack of less than 64 KiB differ from each other,
// for FewTexts of them at most: who knows the hash can make all texts meet in it, which
// is no harm as long as they are few.
type Few struct{ table [16 * FewTexts]uint16 }

// Add adds the text of the entry at pos and reports whether there was none like it.
func (f *Few) Add(lp []byte, pos int, text []byte) bool {
	// A hash of the length, the beginning and the end.
	sum := uint64(len(text))
	if n := len(text); n >= 8 {
		sum += binary.LittleEndian.Uint64(text) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(text[n-8:]), 31)
	} else {
		sum += upTo7(text)
	}
	high, low := bits.Mul64(sum, 0x9e3779b97f4a7c15)
	at := (high ^ low) % uint64(len(f.table))
	for ; f.table[at] != 0; at = (at + 1) % uint64(len(f.table)) {
		if Equal(lp, int(f.table[at]), text) {
			return false
		}
	}
	f.table[at] = uint16(pos)
	return true
}

// upTo7 returns up to seven bytes as a number.
func upTo7(b []byte) uint64 {
	switch n := len(b); {
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<32
	case n > 0:
		return uint64(b[0])<<8 | uint64(b[n/2])<<16 | uint64(b[n-1])<<24
	}
	return 0
}

// textAt returns the text of the entry at pos, a number written into digits, and
// where the next entry is, or -1.
func textAt(lp []byte, pos int, digits *[20]byte) (text []byte, next int) {
	text, n, isInt, next := Entry(lp, pos)
	if isInt {
		text = strconv.AppendInt(digits[:0], n, 10)
	}
	return text, next
}
