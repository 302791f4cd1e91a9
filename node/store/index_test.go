package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slotmesh/node/store/value"
)

// TestManyKeysInOneSlot grows and shrinks one slot through many resizes of its
// index and checks every key on the way.
func TestManyKeysInOneSlot(t *testing.T) {
	s := New(Options{})
	random := rand.New(rand.NewPCG(1, 2))
	there := map[string]bool{}
	for phase, chance := range []int{90, 10, 60, 5} {
		for i := range 40_000 {
			key := fmt.Sprint("key", random.IntN(20_000))
			if random.IntN(100) < chance {
				s.Set(0, 5, []byte(key), value.IntValue(int64(i)), false, 0)
				there[key] = true
			} else if s.Delete(0, 5, []byte(key)) != there[key] {
				t.Fatalf("phase %d: delete %s: want %v", phase, key, there[key])
			} else {
				delete(there, key)
			}
		}
		for i := range 20_000 {
			key := fmt.Sprint("key", i)
			if s.Find(0, 5, []byte(key)).OK() != there[key] {
				t.Fatalf("phase %d: %s: want %v", phase, key, there[key])
			}
		}
		if s.CountInSlot(0, 5) != len(there) {
			t.Fatalf("phase %d: %d keys, want %d", phase, s.CountInSlot(0, 5), len(there))
		}
	}
}

// TestScanGuarantee scans step by step while keys come and go: every key that
// is there all the while is returned.
func TestScanGuarantee(t *testing.T) {
	for seed := range uint64(50) {
		s := New(Options{})
		random := rand.New(rand.NewPCG(seed, 3))
		put := func(key string) { s.Set(0, 7, []byte(key), value.IntValue(1), false, 0) }
		for i := range 300 {
			put(fmt.Sprint("stays", i))
			put(fmt.Sprint("goes", i))
		}
		seen := map[string]bool{}
		at, done := At(7), false
		for !done {
			at, _, done = s.Scan(0, at, 1+random.IntN(20), func(ref Ref) { seen[string(ref.Key())] = true })
			for range random.IntN(30) {
				key := fmt.Sprint("goes", random.IntN(600))
				if random.IntN(2) == 0 {
					put(key)
				} else {
					s.Delete(0, 7, []byte(key))
				}
			}
		}
		for i := range 300 {
			if key := fmt.Sprint("stays", i); !seen[key] {
				t.Fatalf("seed %d: %s was not returned", seed, key)
			}
		}
	}
}

// TestFrequency checks the logarithmic counter and its decay.
func TestFrequency(t *testing.T) {
	s := New(Options{})
	s.SetAccessPolicy(true, 10, 1)
	now := int64(1_700_000_000_000)
	ref := s.Set(0, 1, []byte("k"), value.IntValue(1), false, now)
	if ref.Freq(now) != lfuInit || ref.IdleSec(now) != -1 {
		t.Fatalf("fresh: %d, %d", ref.Freq(now), ref.IdleSec(now))
	}
	for range 100_000 {
		ref.Touch(now)
	}
	// The reference's table: about 142 after 100,000 accesses with factor 10.
	if f := ref.Freq(now); f < 100 || f > 190 {
		t.Fatalf("after 100000 accesses: %d", f)
	}
	hot := ref.Freq(now)
	if f := ref.Freq(now + 10*60_000); f != hot-10 {
		t.Fatalf("after ten minutes: %d, want %d", f, hot-10)
	}
	s.SetAccessPolicy(false, 10, 1)
	ref.Touch(now)
	if idle := ref.IdleSec(now + 42_000); idle != 42 {
		t.Fatalf("idle %d", idle)
	}
}

// TestRandomSlotIsFair draws keys from slots of very different sizes.
func TestRandomSlotIsFair(t *testing.T) {
	s := New(Options{})
	for i := range 90 {
		s.Set(0, 1, fmt.Append(nil, i), value.IntValue(1), false, 0)
	}
	for i := range 10 {
		s.Set(0, 9000, fmt.Append(nil, i), value.IntValue(1), false, 0)
	}
	random := rand.New(rand.NewPCG(1, 1))
	small := 0
	const draws = 20_000
	for range draws {
		if slot, ok := s.RandomSlot(0, random.Uint64()); !ok {
			t.Fatal("no slot")
		} else if slot == 9000 {
			small++
		}
	}
	if small < draws*8/100 || small > draws*12/100 {
		t.Fatalf("the slot with a tenth of the keys was drawn %d times of %d", small, draws)
	}
}
