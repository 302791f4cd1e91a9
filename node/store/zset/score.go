package zset

import (
	"encoding/binary"
	"math"
	"strconv"
)

// order returns bits that order as scores do. Both zeros are one number.
func order(score float64) uint64 {
	if score == 0 {
		return 1 << 63
	}
	bits := math.Float64bits(score)
	if bits>>63 != 0 {
		return ^bits
	}
	return bits | 1<<63
}

// scoreOf is the inverse of order.
func scoreOf(bits uint64) float64 {
	if bits>>63 != 0 {
		return math.Float64frombits(bits &^ (1 << 63))
	}
	return math.Float64frombits(^bits)
}

func getScore(item []byte) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(item))
}

func putScore(item []byte, score float64) {
	binary.LittleEndian.PutUint64(item, math.Float64bits(score))
}

// isNegativeZero reports whether score is the zero with a sign.
func isNegativeZero(score float64) bool { return score == 0 && math.Signbit(score) }

// integral returns score as an integer, if it is one that the packed form keeps
// as such. Source: the reference's double2ll.
func integral(score float64) (int64, bool) {
	const bound = math.MaxInt64 / 2
	if !(score >= -bound && score <= bound) {
		return 0, false
	}
	n := int64(score)
	return n, float64(n) == score
}

// maxScoreText is the longest text of AppendScore.
const maxScoreText = 24

// AppendScore appends the text of a score: 17 significant digits without zeros
// at the end, as printf's %.17g writes them.
func AppendScore(dst []byte, score float64) []byte {
	// Up to here all digits of a whole number are printed.
	const whole = 1e17
	switch {
	case score > -whole && score < whole && score == math.Trunc(score) && !isNegativeZero(score):
		return strconv.AppendInt(dst, int64(score), 10)
	case math.IsInf(score, 1):
		return append(dst, "inf"...)
	case math.IsInf(score, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(score):
		return append(dst, "nan"...)
	}
	return strconv.AppendFloat(dst, score, 'g', 17, 64)
}

// ParseScore reads text as a score: all of it, as C's strtod does, decimal or
// hexadecimal or infinity by name. It refuses what is not a number, and what is
// too large or too small for one. Source: the reference's string2d.
func ParseScore(text []byte) (float64, bool) {
	f, rest, lost := parseFloat(text)
	return f, rest == 0 && !lost && len(text) > 0
}

// ParseBound reads the number of a range's end, which is looser: blanks before
// it, nothing at all (zero), and numbers out of range (infinite, or zero) are
// taken; a zero byte ends it. Source: the reference's zslParseRange.
func ParseBound(text []byte) (float64, bool) {
	if f, ok := smallNumber(text); ok {
		return f, true
	}
	for i, c := range text {
		if c == 0 {
			text = text[:i]
			break
		}
	}
	if len(text) == 0 {
		return 0, true
	}
	for len(text) > 0 && (text[0] == ' ' || '\t' <= text[0] && text[0] <= '\r') {
		text = text[1:]
	}
	f, rest, _ := parseFloat(text)
	return f, rest == 0 && len(text) > 0
}

// parseFloat reads text. rest is not 0 if it is no number or not one to its
// end; lost is set if the number is too large or too small.
func parseFloat(text []byte) (f float64, rest int, lost bool) {
	if f, ok := smallNumber(text); ok {
		return f, 0, false
	}
	digits := text
	negative := false
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	if isName(digits, "inf") || isName(digits, "infinity") {
		if negative {
			return math.Inf(-1), 0, false
		}
		return math.Inf(1), 0, false
	}
	hexadecimal := len(digits) > 2 && digits[0] == '0' && digits[1]|0x20 == 'x'
	zero, hasExponent := true, false
	for i, c := range digits {
		switch {
		case c == '.' || c == '+' || c == '-':
		case hexadecimal && i == 1:
		case hexadecimal && c|0x20 == 'p', !hexadecimal && c|0x20 == 'e':
			hasExponent = true
		case '0' <= c && c <= '9', hexadecimal && 'a' <= c|0x20 && c|0x20 <= 'f':
			zero = zero && (c == '0' || hasExponent)
		default:
			return 0, 1, false
		}
	}
	var err error
	if hexadecimal && !hasExponent {
		f, err = strconv.ParseFloat(string(text)+"p0", 64)
	} else {
		f, err = strconv.ParseFloat(string(text), 64)
	}
	if err != nil {
		if err.(*strconv.NumError).Err != strconv.ErrRange {
			return 0, 1, false
		}
		return f, 0, true
	}
	return f, 0, f == 0 && !zero
}

func isName(text []byte, name string) bool {
	if len(text) != len(name) {
		return false
	}
	for i, c := range text {
		if c|0x20 != name[i] {
			return false
		}
	}
	return true
}

// appendPackedScore appends the text of a score as the reference's listpack
// holds it: that of AppendScore, but for whole numbers that are kept as such.
func appendPackedScore(dst []byte, score float64) []byte {
	if n, ok := integral(score); ok {
		return strconv.AppendInt(dst, n, 10)
	}
	return AppendScore(dst, score)
}
