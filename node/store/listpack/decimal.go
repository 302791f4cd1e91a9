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
