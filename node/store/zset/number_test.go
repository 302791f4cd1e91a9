package zset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestNumbersBetween reads numbers that lie between two of float64, or next to that, and
// numbers that are printed with more digits than matter.
func TestNumbersBetween(t *testing.T) {
	texts := []string{
		"4503599627370496.5", "4503599627370497.5", "4503599627370496.501", "4503599627370497.499", "9007199254740993", "9007199254740993.0",
		"9007199254740992.999", "9007199254740993.001", "9999999999999999999", "999999999999999999.9", "0.000000000000000001", ".9999999999999999999",
		"1.000000000000000001", "0000000000000000000", "000000000000000000.", "0.00000000000000000", "12345678.", "1234567.", ".12345678", ".1234567",
	}
	dice := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		text := fmt.Sprint(dice.Uint64() >> (1 + dice.IntN(60)))
		text = text[:min(len(text), 19)]
		at := dice.IntN(len(text) + 1)
		texts = append(texts, text, text[:at]+"."+text[at:], strconv.FormatFloat(dice.Float64()*100, 'g', 17, 64))
	}
	for _, text := range texts {
		if len(text) > maxSmall || strings.Contains(text, "e") {
			continue
		}
		for _, text := range []string{text, "-" + text} {
			want, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := smallNumber([]byte(text)); !ok || math.Float64bits(f) != math.Float64bits(want) {
				t.Fatalf("%s is %v, %v, want %v", text, f, ok, want)
			}
		}
	}
	for _, text := range []string{"", ".", "-", "-.", "1..2", "1.2.", "12345678..", "1234567.12345678.1", "..12345678", "12345678x", "1234567:.5", "1234/678", "12345678901234567890", "1e5", "+1", " 1"} {
		if f, ok := smallNumber([]byte(text)); ok {
			t.Errorf("%q was taken as %v", text, f)
		}
	}
	// No other byte is a digit, wherever it stands.
	for size := 1; size <= maxSmall; size++ {
		for i := range size {
			for c := range 256 {
				text := []byte("31415926535897932384"[:size])
				text[i] = byte(c)
				digit := '0' <= c && c <= '9' && size < maxSmall
				if _, ok := smallNumber(text); ok != (digit || c == '.' && size > 1 || c == '-' && i == 0 && size > 1) {
					t.Fatalf("%q is taken: %v", text, ok)
				}
			}
		}
	}
}
