package listpack

import (
	"encoding/binary"
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

// TestCheckDistinct damages listpacks and asks whether they are judged in one walk as
// they are by Validate and by Distinct.
func TestCheckDistinct(t *testing.T) {
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 1))
	key := maphash.MakeSeed()
	hash := func(b []byte) uint64 { return maphash.Bytes(key, b) }
	valid, twice := 0, 0
	for range 30_000 {
		lp := Empty()
		most := 12
		if dice.IntN(50) == 0 {
			most = 3 * FewTexts
		}
		for range dice.IntN(most) {
			switch dice.IntN(8) {
			case 0:
				lp = PushInt(lp, int64(dice.Uint64())>>dice.IntN(64))
			case 1:
				lp = Push(lp, make([]byte, dice.IntN(200)))
			default:
				lp = Push(lp, fmt.Append(nil, "m", dice.IntN(40*most)))
			}
		}
		for range dice.IntN(3) {
			lp[dice.IntN(len(lp))] ^= 1 << dice.IntN(8)
		}
		if dice.IntN(8) == 0 {
			lp = append(lp[:dice.IntN(len(lp))], endByte)
			if len(lp) > 4 {
				binary.LittleEndian.PutUint32(lp, uint32(len(lp)))
			}
		}
		for step := 1; step <= 3; step++ {
			got, err := CheckDistinct(lp, step, hash)
			if bad := Validate(lp); bad != err {
				t.Fatalf("seed %d: %x is %v, but for CheckDistinct %v", seed, lp, bad, err)
			}
			if err != nil {
				continue
			}
			valid++
			want := Distinct(lp, HeaderSize, step, hash)
			if got != want {
				t.Fatalf("seed %d: every %d of %x: distinct %v, but for CheckDistinct %v", seed, step, lp, want, got)
			}
			if !want {
				twice++
			}
		}
	}
	if valid < 10_000 || twice < 1000 {
		t.Errorf("only %d were valid, %d with texts that come twice", valid, twice)
	}
}
