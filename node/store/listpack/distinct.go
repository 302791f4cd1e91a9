package listpack

import "strconv"

// Distinct reports whether the texts at from and at every step-th entry from
// there on differ from each other. hash is any hash of texts.
func Distinct(lp []byte, from, step int, hash func([]byte) uint64) bool {
	// An entry is found again by its offset, in a table that is never full.
	const small = 1 << 10
	var room [small]uint32
	table := room[:]
	if n := Len(lp)/step + 1; n > small/2 {
		size := small
		for size < 2*n {
			size *= 2
		}
		table = make([]uint32, size)
	}
	var digits, other [20]byte
	for pos := from; pos >= 0; {
		text, n, isInt, next := Entry(lp, pos)
		if isInt {
			text = strconv.AppendInt(digits[:0], n, 10)
		}
		at := hash(text) & uint64(len(table)-1)
		for ; table[at] != 0; at = (at + 1) & uint64(len(table)-1) {
			seen, n, isInt, _ := Entry(lp, int(table[at]))
			if isInt {
				seen = strconv.AppendInt(other[:0], n, 10)
			}
			if string(seen) == string(text) {
				return false
			}
		}
		table[at] = uint32(pos)
		for range step - 1 {
			if next >= 0 {
				next = Next(lp, next)
			}
		}
		pos = next
	}
	return true
}
