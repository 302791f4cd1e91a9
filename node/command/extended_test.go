package command

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestExtendedIsLongDouble compares the arithmetic in words with the general one.
func TestExtendedIsLongDouble(t *testing.T) {
	digits := func(t *rapid.T, most int) string {
		n := rapid.IntRange(0, most).Draw(t, "digits")
		var b strings.Builder
		for range n {
			b.WriteByte("0123456789"[rapid.IntRange(0, 9).Draw(t, "digit")])
		}
		return b.String()
	}
	number := func(t *rapid.T) string {
		text := rapid.SampledFrom([]string{"", "", "-", "+"}).Draw(t, "sign") + digits(t, 22)
		if rapid.IntRange(0, 3).Draw(t, "point") > 0 {
			text += "." + digits(t, 21)
		}
		return text
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := number(t), number(t)
		if rapid.IntRange(0, 4).Draw(t, "opposite") == 0 {
			b = "-" + strings.TrimLeft(a, "+-")
		}
		x, ok := readExtended([]byte(a))
		wantX, wantOK := parseExtended([]byte(a))
		if ok != wantOK {
			t.Fatalf("%q: %v, want %v", a, ok, wantOK)
		}
		y, ok2 := readExtended([]byte(b))
		wantY, _ := parseExtended([]byte(b))
		if !ok || !ok2 {
			return
		}
		if x.big().Cmp(wantX) != 0 {
			t.Fatalf("%q: %v, want %v", a, x.big(), wantX)
		}
		if got, want := string(x.appendTo(nil)), string(formatExtended(wantX)); got != want {
			t.Fatalf("%q: %s, want %s", a, got, want)
		}
		sum, ok := x.plus(y)
		wantSum, wantOK := addExtended(wantX, wantY)
		if ok != wantOK || ok && sum.big().Cmp(wantSum) != 0 {
			t.Fatalf("%q + %q: %v, want %v", a, b, sum.big(), wantSum)
		}
		if got, want := string(sum.appendTo(nil)), string(formatExtended(wantSum)); got != want {
			t.Fatalf("%q + %q: %s, want %s", a, b, got, want)
		}
	})
}

// TestExtendedRounds has numbers on both sides of a half, and sums whose parts are
// far apart.
func TestExtendedRounds(t *testing.T) {
	texts := []string{
		"0", "-0", "0.0000000000000000001", "0.000000000000000005", "0.000000000000000015", "0.99999999999999999", "9.999999999999999999",
		"9999999999999999999", "9223372036854775808", "9223372036854775807.5", "4611686018427387904.25", "0.5", "-0.5", "1", "-1", "0.1", "3.3",
		"18446744073709551615", "18446744073709551616", "9232379253289385984", "36893488147419103232", "1e30", "-1e30", "0x1p-60", "0.000000000000000000001", "5.", ".5", ".", "", "1.2.3", "- 1",
	}
	for _, a := range texts {
		for _, b := range texts {
			x, ok1 := readExtended([]byte(a))
			y, ok2 := readExtended([]byte(b))
			wantX, want1 := parseExtended([]byte(a))
			wantY, want2 := parseExtended([]byte(b))
			if ok1 != want1 || ok2 != want2 {
				t.Fatalf("%q %q: %v %v", a, b, ok1, ok2)
			}
			if !ok1 || !ok2 {
				continue
			}
			sum, _ := x.plus(y)
			wantSum, _ := addExtended(wantX, wantY)
			if got, want := string(sum.appendTo(nil)), string(formatExtended(wantSum)); got != want {
				t.Errorf("%s + %s: %s, want %s", a, b, got, want)
			}
		}
	}
}

func BenchmarkExtended(b *testing.B) {
	for _, text := range []string{"10.5", "1e3"} {
		b.Run(fmt.Sprint(text), func(b *testing.B) {
			b.ReportAllocs()
			var out []byte
			by := []byte("0.1")
			for b.Loop() {
				x, _ := readExtended([]byte(text))
				y, _ := readExtended(by)
				sum, _ := x.plus(y)
				out = sum.appendTo(out[:0])
			}
		})
	}
}
