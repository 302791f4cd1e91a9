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
type Few struct{ table [1 << fewBits]uint16 }

// fewBits makes a table that is nearly empty, so that different texts seldom meet.
const fewBits = 11

// Add adds the text of the entry at pos and reports whether there was none like it.
func (f *Few) Add(lp []byte, pos int, text []byte) bool {
	sum := upTo7(text)
	if n := len(text); n >= 8 {
		sum = bits.RotateLeft64(binary.LittleEndian.Uint64(text[n-8:]), 31) ^ binary.LittleEndian.Uint64(text)
	}
	at := fewSlot(sum, len(text))
	if f.table[at] != 0 {
		return f.addBehind(at, lp, pos, text)
	}
	f.table[at] = uint16(pos)
	return true
}

// AddRising adds texts from pos on of a listpack that is Framed and of which nothing else
// is known, each with a number behind it that is greater than the one before, the first
// one than above: an integer that a float64 is exactly, or a decimal fraction of at most
// eight bytes that is no zero with a sign, which stands for the float64 nearest to it. It
// stops at the first pair that is something else, or broken, or that Add is better for, or
// after most pairs, and returns where that is, where the last pair begins, its number, and
// how many pairs there were. What it takes for a number is RisingSize long at most.
//
// There are no calls in here, around which the loop would have to put away what it knows.
func (f *Few) AddRising(lp []byte, pos int, above float64, most int) (next, last int, number float64, pairs int) {
	number = above
	for ; pairs < most; pairs++ {
		n := int(lp[pos]) - tagText6
		at := pos + n + 2
		if n <= 0 || n >= 1<<6 || at+3 > len(lp) {
			break
		}
		// The length behind the text, what the number begins with, and what follows that.
		told, behind := 0.0, at+2
		switch w := binary.LittleEndian.Uint32(lp[at-1 : at+3 : at+3]); {
		case int(w&0xff) != n+1:
			return pos, last, number, pairs
		case w>>8&0xff80 == 1<<8:
			// What is guessed by a branch is not waited for.
			told = float64(int64(w >> 8 & 0x7f))
		case w>>8&0xff-tagText6-1 < 8:
			size := int(w>>8&0xff) - tagText6
			behind = at + size + 2
			if behind >= len(lp) || int(lp[behind-1]) != size+1 {
				return pos, last, number, pairs
			}
			if lp[at+1] == '-' {
				size--
			}
			// The last byte in the uppermost place, nothing before the first digit.
			unused := (64 - 8*size) & 63
			digits := EightAt(lp, behind-9) >> unused << unused
			point, found := digits.Point()
			digits = digits.Without(point)
			if !found || size <= 1 || !digits.Valid() {
				return pos, last, number, pairs
			}
			told = float64(int64(digits.Number())) / exactPowers[7-point]
			if lp[at+1] == '-' {
				if told == 0 {
					return pos, last, number, pairs
				}
				told = -told
			}
		default:
			first := byte(w >> 8)
			behind = at + int(wholeSizes[first])
			integer := int64(0)
			switch {
			case tagInt16 <= first && first <= tagInt64 && at+9 <= len(lp):
				unused := intUnused[first-tagInt16] & 63
				integer = int64(word(lp, at+1)<<unused) >> unused
			case tagInt13 <= first && first < tagText12:
				integer = int64(w>>8&0x1f)<<59>>51 | int64(w>>16&0xff)
			default:
				return pos, last, number, pairs
			}
			if behind >= len(lp) || int(lp[behind-1]) != behind-at-1 || integer<<10>>10 != integer {
				return pos, last, number, pairs
			}
			told = float64(integer)
		}
		if told <= number {
			break
		}
		sum := word(lp, at-9)
		if n >= 8 {
			sum = bits.RotateLeft64(sum, 31) ^ word(lp, pos+1)
		} else {
			sum >>= (64 - 8*n) & 63
		}
		slot := fewSlot(sum, n)
		if f.table[slot] != 0 {
			break
		}
		f.table[slot] = uint16(pos)
		last, number, pos = pos, told, behind
	}
	return pos, last, number, pairs
}

// RisingSize is the length of the longest entry that AddRising takes for a number.
const RisingSize = 10

// exactPowers are those of ten that a fraction of eight bytes is divided by.
var exactPowers = [8]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}

// intUnused is how many bits of eight bytes the integers leave: those of tagInt16, tagInt24,
// tagInt32 and tagInt64.
var intUnused = [...]uint8{48, 40, 32, 0}

// fewSlot returns where a text of n bytes is looked for: sum is its beginning and its end.
func fewSlot(sum uint64, n int) uint64 {
	return (sum + uint64(n)) * 0x9e3779b97f4a7c15 >> (64 - fewBits)
}

// word returns eight bytes as a number.
func word(lp []byte, at int) uint64 { return binary.LittleEndian.Uint64(lp[at : at+8 : at+8]) }

// addBehind is Add for a text that meets others, from at on.
func (f *Few) addBehind(at uint64, lp []byte, pos int, text []byte) bool {
	for ; f.table[at] != 0; at = (at + 1) % uint64(len(f.table)) {
		if Equal(lp, int(f.table[at]), text) {
			return false
		}
	}
	f.table[at] = uint16(pos)
	return true
}

// upTo7 returns up to seven bytes as a number, and what does not matter of more.
func upTo7(b []byte) uint64 {
	switch n := len(b); {
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<(8*n-32)
	case n > 0:
		return uint64(b[0]) | uint64(b[n/2])<<(n/2*8) | uint64(b[n-1])<<(8*n-8)
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
