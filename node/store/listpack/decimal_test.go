package listpack

import (
	"math"
	"strconv"
	"testing"
)

func TestIntLen(t *testing.T) {
	check := func(n int64) {
		if got, want := IntLen(n), len(strconv.FormatInt(n, 10)); got != want {
			t.Errorf("IntLen(%d) = %d, want %d", n, got, want)
		}
	}
	for n := int64(1); ; n *= 10 {
		for _, near := range []int64{n - 1, n, n + 1} {
			check(near)
			check(-near)
		}
		if n > math.MaxInt64/10 {
			break
		}
	}
	check(math.MaxInt64)
	check(math.MinInt64)
	if got := Digits(math.MaxUint64); got != 20 {
		t.Errorf("Digits of the greatest number: %d", got)
	}
}
