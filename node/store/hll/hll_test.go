package hll

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestHash(t *testing.T) {
	// What the reference answers to PFADD of these, by PFDEBUG DECODE.
	for _, test := range []struct {
		element string
		runs    string
	}{
		{"", "Z:5938 v:2,1 Z:10445"},
		{"a", "Z:12711 v:2,1 Z:3672"},
		{"12345678", "Z:10579 v:3,1 Z:5804"},
		{"123456789", "Z:9293 v:2,1 Z:7090"},
	} {
		e := Editor{Bytes: AppendNew(nil), Limit: 3000}
		register, count := Hash([]byte(test.element))
		if _, err := e.Raise(register, count); err != nil {
			t.Fatal(err)
		}
		if got := string(AppendRuns(nil, e.Bytes)); got != test.runs {
			t.Errorf("%q: %s, want %s", test.element, got, test.runs)
		}
	}
}

// TestAgainstModel raises registers in both forms and compares with an array.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{0, 30, 300, 3000, 15000}).Draw(t, "limit")
		spread := rapid.SampledFrom([]int{20, 500, Registers}).Draw(t, "spread")
		greatest := rapid.SampledFrom([]int{2, 32, 51}).Draw(t, "greatest")
		ascending := rapid.Bool().Draw(t, "ascending")
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		e := Editor{Bytes: AppendNew(nil), Limit: limit}
		plain := Editor{Bytes: AppendNew(nil), Limit: limit}
		var model Values
		at := 0
		for range rapid.IntRange(0, 1500).Draw(t, "steps") {
			register := r.IntN(spread)
			if ascending {
				at = (at + r.IntN(4)) % spread
				register = at
			}
			count := uint8(1 + r.IntN(greatest))
			changed, err := e.Raise(register, count)
			if err != nil || changed != (model[register] < count) {
				t.Fatalf("register %d to %d: %v %v", register, count, changed, err)
			}
			model[register] = max(model[register], count)
			// The place where the search goes on makes no difference.
			plain.from, plain.first = 0, 0
			if _, err := plain.Raise(register, count); err != nil || !bytes.Equal(plain.Bytes, e.Bytes) {
				t.Fatalf("register %d: bytes differ", register)
			}
			if now, err := Lookup(e.Bytes, register); err != nil || now != model[register] {
				t.Fatalf("register %d is %d, want %d", register, now, model[register])
			}
		}
		var merged Values
		if !Valid(e.Bytes) || !merged.Merge(e.Bytes) || merged != model {
			t.Fatal("the registers differ")
		}
		n, ok := Count(e.Bytes)
		if !ok || n != model.Count() {
			t.Fatalf("count %d, want %d", n, model.Count())
		}
		if !IsDense(e.Bytes) {
			if len(e.Bytes) > max(limit, 18) {
				t.Fatalf("%d bytes", len(e.Bytes))
			}
			dense, err := ToDense(nil, e.Bytes)
			if err != nil || !bytes.Equal(dense, model.AppendDense(nil, e.Bytes)) {
				t.Fatal("dense form")
			}
			if other, _ := Count(dense); other != n {
				t.Fatal("the dense form counts", other)
			}
		}
	})
}

func TestCountIsNear(t *testing.T) {
	e := Editor{Bytes: AppendNew(nil), Limit: 3000}
	for n, next := 1, 1; n <= 300000; n++ {
		register, count := Hash(fmt.Append(nil, "x", n))
		if _, err := e.Raise(register, count); err != nil {
			t.Fatal(err)
		}
		if n < next {
			continue
		}
		next += next/3 + 1
		got, _ := Count(e.Bytes)
		if wrong := float64(got)/float64(n) - 1; wrong > 0.03 || wrong < -0.03 {
			t.Errorf("%d elements are counted as %d", n, got)
		}
	}
}

func TestCache(t *testing.T) {
	b := AppendNew(nil)
	if n, ok := Cached(b); n != 0 || !ok {
		t.Error("a new one is not known to be empty")
	}
	Invalidate(b)
	if _, ok := Cached(b); ok {
		t.Error("still right")
	}
	SetCached(b, 123456789012)
	if n, ok := Cached(b); n != 123456789012 || !ok {
		t.Error(n, ok)
	}
}

// FuzzForeign gives every function bytes of strangers: no panic, and what is
// called corrupt stays as it is.
func FuzzForeign(f *testing.F) {
	f.Add([]byte{0x7f, 0xff}, uint16(0), uint8(1))
	f.Add([]byte{0x7f, 0xfe}, uint16(16383), uint8(40))
	f.Add([]byte{0x7f}, uint16(7), uint8(2))
	f.Add([]byte{0x3f, 0x88, 0x8b, 0x40, 0x01, 0x7f, 0xba}, uint16(65), uint8(2))
	f.Fuzz(func(t *testing.T, runs []byte, register uint16, count uint8) {
		b := append(AppendNew(nil)[:headerSize], runs...)
		register %= Registers
		count = count%registerMax + 1
		_, counted := Count(b)
		var v Values
		if v.Merge(b) != counted {
			t.Fatal("one says that it is corrupt, the other not")
		}
		AppendRuns(nil, b)
		before := bytes.Clone(b)
		e := Editor{Bytes: b, Limit: 3000}
		for range 3 {
			old, lookErr := Lookup(e.Bytes, int(register))
			changed, err := e.Raise(int(register), count)
			if err != nil {
				if !bytes.Equal(e.Bytes, before) {
					t.Fatal("changed after an error")
				}
				return
			}
			if lookErr != nil && count <= sparseMax || changed != (old < count) && lookErr == nil {
				t.Fatalf("register was %d (%v), %d: %v", old, lookErr, count, changed)
			}
			if _, still := Count(e.Bytes); still != counted && !IsDense(e.Bytes) {
				t.Fatal("a change made it corrupt, or whole")
			}
			before = bytes.Clone(e.Bytes)
			register = (register + 3) % Registers
			count = count%registerMax + 1
		}
	})
}

func BenchmarkCountDense(b *testing.B) {
	var v Values
	for i := range v {
		v[i] = uint8(i % 20)
	}
	dense := v.AppendDense(nil, AppendNew(nil))
	for b.Loop() {
		Count(dense)
	}
}

func BenchmarkMergeDense(b *testing.B) {
	var v Values
	for i := range v {
		v[i] = uint8(i % 20)
	}
	dense := v.AppendDense(nil, AppendNew(nil))
	for b.Loop() {
		v.Merge(dense)
	}
}
