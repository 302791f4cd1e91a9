package command

import (
	"math/big"
	"math/bits"
	"strconv"
)

// This file does for ordinary numbers, which have few digits and no exponent,
// what numbers.go does for all: the same results, bit by bit, in machine words.

// extended is a number of C's long double. With a nil large it is mantissa times
// 2 to the exponent, the mantissa's top bit set or all of it zero.
type extended struct {
	mantissa uint64
	exponent int
	negative bool

	large *big.Float
}

// maxQuickDigits is how many decimal digits fit into a word, and how many may
// stand behind the point.
const maxQuickDigits = 19

// powersOfTen are those that a word holds.
var powersOfTen = [maxQuickDigits + 1]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// readExtended is parseExtended.
func readExtended(text []byte) (extended, bool) {
	if f, ok := readQuick(text); ok {
		return f, true
	}
	large, ok := parseExtended(text)
	return extended{large: large}, ok
}

// readQuick reads an optional sign and digits with at most one point. What it
// refuses may still be a number.
func readQuick(text []byte) (f extended, ok bool) {
	digits := text
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		f.negative = digits[0] == '-'
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 2*maxQuickDigits {
		return f, false
	}
	var n uint64
	seen, significant, point := 0, 0, -1
	for i, c := range digits {
		if c == '.' && point < 0 {
			point = i
			continue
		}
		if c < '0' || c > '9' {
			return f, false
		}
		seen++
		if significant > 0 || c != '0' {
			significant++
		}
		n = n*10 + uint64(c-'0')
	}
	places := 0
	if point >= 0 {
		places = len(digits) - point - 1
	}
	if seen == 0 || significant > maxQuickDigits || places > maxQuickDigits {
		return f, false
	}
	if n == 0 {
		return f, true
	}
	// n divided by 10^places, both with their top bits set, to 64 bits.
	shift := bits.LeadingZeros64(n)
	n <<= shift
	divisor := powersOfTen[places]
	divisorShift := bits.LeadingZeros64(divisor)
	divisor <<= divisorShift
	f.exponent = divisorShift - shift - 64
	high, low := n, uint64(0)
	if n >= divisor {
		high, low = n>>1, n<<63
		f.exponent++
	}
	var rest uint64
	f.mantissa, rest = bits.Div64(high, low, divisor)
	half := divisor - rest
	f.round(rest > half, rest == half)
	return f, true
}

// round adds one to the mantissa if what was cut off is above a half, or is a half
// and the mantissa is odd.
func (f *extended) round(above, half bool) {
	if !above && !(half && f.mantissa&1 != 0) {
		return
	}
	if f.mantissa++; f.mantissa == 0 {
		f.mantissa = 1 << 63
		f.exponent++
	}
}

func (f extended) isInf() bool { return f.large != nil && f.large.IsInf() }

// big returns f in the general form.
func (f extended) big() *big.Float {
	if f.large != nil {
		return f.large
	}
	large := newExtended().SetUint64(f.mantissa)
	large.SetMantExp(large, f.exponent)
	if f.negative {
		large.Neg(large)
	}
	return large
}

// plus is addExtended.
func (f extended) plus(g extended) (sum extended, ok bool) {
	if f.large != nil || g.large != nil {
		sum.large, ok = addExtended(f.big(), g.big())
		return sum, ok
	}
	switch {
	case f.mantissa == 0:
		return g, true
	case g.mantissa == 0:
		return f, true
	case f.exponent < g.exponent || f.exponent == g.exponent && f.mantissa < g.mantissa:
		f, g = g, f
	}
	// In 128 bits, one of them for a carry. The smaller number is moved to the right,
	// and keeps in its last bit whether anything was lost.
	high, low := f.mantissa>>1, f.mantissa<<63
	otherHigh, otherLow := g.mantissa>>1, g.mantissa<<63
	switch shift := uint(f.exponent - g.exponent); {
	case shift >= 128:
		otherHigh, otherLow = 0, 1
	case shift >= 64:
		lost := otherLow | otherHigh<<(128-shift)
		otherHigh, otherLow = 0, otherHigh>>(shift-64)
		if lost != 0 {
			otherLow |= 1
		}
	case shift > 0:
		lost := otherLow << (64 - shift)
		otherHigh, otherLow = otherHigh>>shift, otherLow>>shift|otherHigh<<(64-shift)
		if lost != 0 {
			otherLow |= 1
		}
	}
	var carry uint64
	if f.negative == g.negative {
		low, carry = bits.Add64(low, otherLow, 0)
		high, _ = bits.Add64(high, otherHigh, carry)
	} else {
		low, carry = bits.Sub64(low, otherLow, 0)
		high, _ = bits.Sub64(high, otherHigh, carry)
	}
	if high|low == 0 {
		return extended{}, true
	}
	shift := bits.LeadingZeros64(high)
	if high == 0 {
		shift = 64 + bits.LeadingZeros64(low)
		high, low = low<<(shift-64), 0
	} else {
		high, low = high<<shift|low>>(64-shift), low<<shift
	}
	sum = extended{mantissa: high, exponent: f.exponent + 1 - shift, negative: f.negative}
	sum.round(low > 1<<63, low == 1<<63)
	return sum, true
}

// decimals is how many the reference prints, before it takes zeros away.
const decimals = 17

// appendTo appends what formatExtended returns.
func (f extended) appendTo(dst []byte) []byte {
	if f.large != nil || f.exponent > 0 {
		return append(dst, formatExtended(f.big())...)
	}
	whole, fraction := uint64(0), f.mantissa
	shift := uint(-f.exponent)
	if shift < 64 {
		whole, fraction = f.mantissa>>shift, f.mantissa&(1<<shift-1)
	}
	// The fraction times 10^17, rounded to an integer, halves to the even one.
	high, low := bits.Mul64(fraction, 1e17)
	var above, half bool
	switch {
	case shift == 0:
		fraction = 0
	case shift < 64:
		rest := low & (1<<shift - 1)
		fraction = high<<(64-shift) | low>>shift
		above, half = rest > 1<<(shift-1), rest == 1<<(shift-1)
	case shift == 64:
		fraction = high
		above, half = low > 1<<63, low == 1<<63
	case shift < 128:
		rest := high & (1<<(shift-64) - 1)
		fraction = high >> (shift - 64)
		middle := uint64(1) << (shift - 65)
		above, half = rest > middle || rest == middle && low > 0, rest == middle && low == 0
	default:
		fraction = 0
	}
	if above || half && fraction&1 != 0 {
		fraction++
	}
	if fraction == 1e17 {
		whole++
		fraction = 0
	}
	if f.negative && whole|fraction != 0 {
		dst = append(dst, '-')
	}
	dst = strconv.AppendUint(dst, whole, 10)
	if fraction == 0 {
		return dst
	}
	var text [decimals + 1]byte
	text[0] = '.'
	end := 1
	for i := decimals; i > 0; i-- {
		text[i] = '0' + byte(fraction%10)
		if end == 1 && text[i] != '0' {
			end = i + 1
		}
		fraction /= 10
	}
	return append(dst, text[:end]...)
}
