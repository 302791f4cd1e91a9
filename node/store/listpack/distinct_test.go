package listpack

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"testing"
)

// TestDistinct looks for texts that come twice among different ones, each
// followed by values that do not count, with good hashes and with bad ones.
func TestDistinct(t *testing.T) {
	seed := maphash.MakeSeed()
	for name, hash := range map[string]func([]byte) uint64{
		"good": func(b []byte) uint64 { return maphash.Bytes(seed, b) },
		"bad":  func(b []byte) uint64 { return uint64(len(b)) },
	} {
		for _, n := range []int{0, 1, 2, 20, 300, 900, 3000} {
			for step := 1; step <= 3; step++ {
				lp := Empty()
				add := func(format string, i int) {
					lp = Push(lp, fmt.Appendf(nil, format, i))
					for range step - 1 {
						lp = Push(lp, []byte("value"))
					}
				}
				formats := []string{"%d", "field%d", "-%dx", "a field with a long name: %d"}
				for i := range n {
					add(formats[i%len(formats)], i)
				}
				if !Distinct(lp, First(lp), step, hash) {
					t.Errorf("%s hash: %d entries, every %d: not different", name, n, step)
				}
				if n > 0 {
					i := rand.IntN(n)
					add(formats[i%len(formats)], i)
					if Distinct(lp, First(lp), step, hash) {
						t.Errorf("%s hash: %d entries, every %d: the second %d is not seen", name, n, step, i)
					}
				}
			}
		}
	}
}
