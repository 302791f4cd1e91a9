package command

import (
	"bytes"
	"math/big"
	"strings"
)

// This file does arithmetic as the reference does it with C's long double on
// x86: 64 bits of mantissa and 15 of exponent, printed with 17 decimals.

// extendedBits is the mantissa of an x87 extended number; the exponents are
// those of its greatest and of its smallest denormal number plus one, as
// big.Float counts them.
const (
	extendedBits   = 64
	extendedMaxExp = 16384
	extendedMinExp = -16444
	// extendedChars is the longest text that the reference reads as one.
	extendedChars = 5 * 1024
)

func newExtended() *big.Float { return new(big.Float).SetPrec(extendedBits) }

// parseExtended reads text as strtold does, all of it: decimal or hexadecimal,
// infinity by name. It refuses what is not a number or too large or too small
// for the format. Source: the reference's string2ld.
func parseExtended(text []byte) (*big.Float, bool) {
	if len(text) == 0 || len(text) >= extendedChars {
		return nil, false
	}
	digits := text
	negative := false
	if digits[0] == '+' || digits[0] == '-' {
		negative = digits[0] == '-'
		digits = digits[1:]
	}
	lower := strings.ToLower(string(digits))
	if lower == "inf" || lower == "infinity" {
		return newExtended().SetInf(negative), true
	}
	exact, ok := parseNumber(lower)
	if !ok {
		return nil, false
	}
	f := newExtended().SetRat(exact)
	if f.Sign() != 0 {
		if exp := f.MantExp(nil); exp > extendedMaxExp || exp < extendedMinExp {
			return nil, false
		}
	} else if exact.Sign() != 0 {
		return nil, false
	}
	if negative {
		f.Neg(f)
	}
	return f, true
}

// parseNumber reads an unsigned number of C's grammar, exactly.
func parseNumber(text string) (*big.Rat, bool) {
	mantissa, exponent, base := text, "", "0123456789"
	hexadecimal := strings.HasPrefix(text, "0x")
	mark := "e"
	if hexadecimal {
		mantissa, base, mark = text[2:], "0123456789abcdef", "p"
	}
	if i := strings.Index(mantissa, mark); i >= 0 {
		mantissa, exponent = mantissa[:i], mantissa[i+1:]
		if exponent == "" {
			return nil, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, base) != "" {
		return nil, false
	}
	exp, ok := parseExponent(exponent)
	if !ok {
		return nil, false
	}
	n, _ := new(big.Int).SetString(digits, len(base))
	if n.Sign() == 0 {
		return new(big.Rat), true
	}
	scale := big.NewInt(10)
	exp -= len(fraction)
	if hexadecimal {
		scale = big.NewInt(2)
		exp -= 3 * len(fraction)
	}
	// Beyond this every number of so few digits is too large or too small.
	const far = 4 * extendedMaxExp
	if exp > far || exp < -far {
		return nil, false
	}
	if exp < 0 {
		return new(big.Rat).SetFrac(n, scale.Exp(scale, big.NewInt(int64(-exp)), nil)), true
	}
	return new(big.Rat).SetInt(n.Mul(n, scale.Exp(scale, big.NewInt(int64(exp)), nil))), true
}

// parseExponent reads what follows the exponent's mark; it saturates.
func parseExponent(text string) (int, bool) {
	negative := strings.HasPrefix(text, "-")
	if text == "" {
		return 0, true
	}
	if text[0] == '-' || text[0] == '+' {
		text = text[1:]
	}
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	exp := 0
	for _, c := range text {
		exp = min(exp*10+int(c-'0'), 1<<30)
	}
	if negative {
		exp = -exp
	}
	return exp, true
}

// addExtended returns a+b; ok is false if that is no finite number.
func addExtended(a, b *big.Float) (sum *big.Float, ok bool) {
	if a.IsInf() || b.IsInf() {
		return nil, false
	}
	sum = newExtended().Add(a, b)
	return sum, sum.Sign() == 0 || sum.MantExp(nil) <= extendedMaxExp
}

// formatExtended prints f with at most 17 decimals and no zeros at the end.
func formatExtended(f *big.Float) []byte {
	text := f.Append(nil, 'f', 17)
	text = bytes.TrimRight(text, "0")
	text = bytes.TrimSuffix(text, []byte("."))
	if string(text) == "-0" || len(text) == 0 {
		return []byte("0")
	}
	return text
}
