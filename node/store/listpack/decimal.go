package listpack

import "math/bits"

// IntLen is the length of n written in decimal.
func IntLen(n int64) int {
	if n < 0 {
		return 1 + Digits(-uint64(n))
	}
	return Digits(uint64(n))
}

// Digits is how many decimal digits n has.
func Digits(n uint64) int {
	// 1233/4096 is a little more than the logarithm of 2.
	digits := bits.Len64(n|1) * 1233 >> 12
	if n >= powers[digits] {
		digits++
	}
	return digits
}

// powers are those of ten, but the first one: zero has a digit too.
var powers = [20]uint64{
	0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// Eight are the differences of eight bytes of a text and the digit 0, the first byte in
// the lowest place: what reads decimal numbers without a loop.
type Eight uint64

const (
	zeros = 0x3030303030303030
	ones  = 0x0101010101010101
)

// EightOf returns those of the bytes of b.
func EightOf(b uint64) Eight { return Eight(b ^ zeros) }

// EightAt returns those at text[at:].
func EightAt(text []byte, at int) Eight { return EightOf(word(text, at)) }

// Point returns which byte, counted from the lowest, is the first point.
func (w Eight) Point() (at int, found bool) {
	w ^= ('.' ^ '0') * ones
	// Above a byte that is one, others may look like it.
	hits := uint64(w-ones) &^ uint64(w) & (0x80 * ones)
	return bits.TrailingZeros64(hits) / 8, hits != 0
}

// Without takes byte at out: what is before it moves up to what is behind it, and a 0
// comes to the lowest place.
func (w Eight) Without(at int) Eight {
	before := Eight(1)<<(8*at&63) - 1
	return w&^(before<<8|0xff) | w&before<<8
}

// Valid reports whether all are digits.
func (w Eight) Valid() bool {
	// Six more than nine do not fit into half a byte.
	return (w|(w+6*ones))&(0xf0*ones) == 0
}

// Number returns what eight digits are.
func (w Eight) Number() uint64 {
	// Neighbours become numbers of two digits, those of four, and those one.
	w = w*10 + w>>8
	const pairs = 0x000000ff000000ff
	return uint64(w&pairs*(100+1e6<<32)+w>>16&pairs*(1+1e4<<32)) >> 32
}
