package zset

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"

	"slotmesh/node/store/listpack"
)

// maxSmall is the longest text of a point and digits that are a number of 64 bits.
const maxSmall = 20

// smallNumber reads the numbers that most scores are: up to 19 digits, with or without
// a point, and a sign. What it returns is the float64 that is nearest.
func smallNumber(text []byte) (float64, bool) {
	digits := text
	negative := len(digits) > 1 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	var n uint64
	var places int
	var ok bool
	switch size := len(digits); {
	case size == 0 || size > maxSmall:
		return 0, false
	case size <= 8:
		n, places, ok = upTo8(digits)
	default:
		n, places, ok = upTo19(digits)
	}
	if !ok {
		return 0, false
	}
	f := float64(n)
	switch {
	case places == 0:
	case n < 1<<53:
		f = float64(int64(n)) / exactPowers[places]
	default:
		f = quotient(n, powers[places])
	}
	if negative {
		f = -f
	}
	return f, true
}

// powers and exactPowers are those of ten that numbers of up to 19 digits are made of and
// divided by.
var (
	powers = [maxSmall]uint64{
		1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
	}
	exactPowers = [maxSmall]float64{
		1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
	}
)

// upTo8 reads up to eight digits, or up to seven and a point, all at once. places is how
// many stand behind the point.
func upTo8(text []byte) (n uint64, places int, ok bool) {
	var b uint64
	size := len(text)
	if size >= 4 {
		b = uint64(binary.LittleEndian.Uint32(text)) | uint64(binary.LittleEndian.Uint32(text[size-4:]))<<((8*size-32)&63)
	} else {
		b = uint64(text[0]) | uint64(text[size/2])<<(size/2*8) | uint64(text[size-1])<<(8*size-8)
	}
	// The last digit in the uppermost byte, nothing before the first one.
	w := listpack.EightOf(b) << ((64 - 8*size) & 63)
	if at, found := w.Point(); found {
		w = w.Without(at)
		places = 7 - at
		ok = size > 1
	} else {
		ok = true
	}
	return w.Number(), places, ok && w.Valid()
}

// upTo19 reads up to 19 digits, with or without a point among them: nine bytes at least
// and maxSmall at most.
func upTo19(text []byte) (n uint64, places int, ok bool) {
	w := listpack.EightAt(text, 0)
	at, found := w.Point()
	switch {
	case found:
		w <<= (64 - 8*at) & 63
		if ok = w.Valid(); at > 0 {
			n = w.Number()
		}
		ok = ok || at == 0
	default:
		if at = 8 + bytes.IndexByte(text[8:], '.'); at < 8 {
			n, ok = digits(text, 0)
			return n, 0, ok && len(text) < maxSmall
		}
		n, ok = digits(text[:at], 0)
	}
	places = len(text) - 1 - at
	behind, valid := digits(text, at+1)
	return n*powers[places] + behind, places, ok && valid
}

// digits reads text[from:], of which text[:8] is not all that is there before its end.
func digits(text []byte, from int) (n uint64, ok bool) {
	ok = true
	for ; from+8 <= len(text); from += 8 {
		w := listpack.EightAt(text, from)
		n = n*1e8 + w.Number()
		ok = ok && w.Valid()
	}
	if rest := len(text) - from; rest > 0 {
		w := listpack.EightAt(text, len(text)-8)
		w &^= 1<<((64-8*rest)&63) - 1
		n = n*powers[rest] + w.Number()
		ok = ok && w.Valid()
	}
	return n, ok
}

// quotient returns the float64 nearest to n/by, both of which are not 0.
func quotient(n, by uint64) float64 {
	up, upBy := bits.LeadingZeros64(n), bits.LeadingZeros64(by)
	// Between a half and two, times 2^63: at least 62 bits, of which a float64 has 53. What
	// remains counts as one more bit, which decides between two that are as near.
	n <<= up
	q, rest := bits.Div64(n>>1, n<<63, by<<upBy)
	if rest != 0 {
		q |= 1
	}
	return float64(q) * math.Float64frombits(uint64(1023-63+upBy-up)<<52)
}
