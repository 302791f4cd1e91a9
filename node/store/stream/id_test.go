package stream

import (
	"fmt"
	"math"
	"testing"

	"slotmesh/node/store/value/valuetest"
)

func TestIDText(t *testing.T) {
	numbers := []uint64{0, math.MaxUint64, math.MaxUint64 - 1}
	for power := uint64(1); ; power *= 10 {
		numbers = append(numbers, power-1, power, power+1)
		if power > math.MaxUint64/10 {
			break
		}
	}
	for _, ms := range numbers {
		for _, seq := range numbers {
			id, want := ID{ms, seq}, fmt.Sprintf("%d-%d", ms, seq)
			if got := string(id.Append([]byte("x"))); got != "x"+want || id.TextLen() != len(want) {
				t.Fatalf("%s, %d: want %s", got, id.TextLen(), want)
			}
			if back, ok := ParseID([]byte(want), 7); !ok || back != id {
				t.Fatalf("%s is read as %v", want, back)
			}
		}
	}
}

func TestIDOrder(t *testing.T) {
	ids := []ID{{}, {0, 1}, {0, math.MaxUint64}, {1, 0}, {1, 1}, {math.MaxUint64, 0}, {math.MaxUint64, math.MaxUint64 - 1}, MaxID}
	for i, a := range ids {
		for j, b := range ids {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if a.Compare(b) != want || a.Less(b) != (want < 0) {
				t.Errorf("%v and %v: %d", a, b, a.Compare(b))
			}
		}
		if next, ok := a.Next(); ok == (a == MaxID) || ok && !a.Less(next) {
			t.Errorf("%v: next %v %v", a, next, ok)
		}
		if prev, ok := a.Prev(); ok == a.IsZero() || ok && !prev.Less(a) {
			t.Errorf("%v: prev %v %v", a, prev, ok)
		}
	}
}

// FuzzBlock gives AppendBlock what may come from outside: what it takes must be
// read, changed and trimmed to the end without a fault.
func FuzzBlock(f *testing.F) {
	d := newDraft(f)
	s := Open(&d.Cell)
	for i := range 12 {
		args := benchArgs
		if i%3 == 1 {
			args = Args{[]byte("other"), []byte("1"), []byte("n"), []byte("2")}
		}
		if err := s.Add(ID{1, uint64(i)}, args, DefaultLimits); i > 0 && err != nil {
			f.Fatal(err)
		}
	}
	s.Delete(ID{1, 3})
	for it := s.EachBlock(); it.Next(); {
		f.Add(it.Listpack)
	}
	f.Add([]byte{})
	m := valuetest.NewMemory(f)
	f.Fuzz(func(t *testing.T, lp []byte) {
		d := newDraftIn(m)
		defer d.Discard()
		s := Open(&d.Cell)
		defer s.Save()
		if s.AppendBlock(ID{1, 0}, lp, true) != nil {
			return
		}
		for _, reverse := range []bool{false, true} {
			for it := s.Range(ID{}, MaxID, reverse); it.Next(); {
				pairs := it.Entry.Pairs()
				for _, _, ok := pairs.Next(); ok; _, _, ok = pairs.Next() {
				}
			}
		}
		length := s.Len()
		_ = s.SetFacts(Facts{Length: length, Added: length, Last: ID{1 << 40, 0}})
		s.Delete(ID{1, 1})
		s.Trim(Trim{MaxLen: length / 2})
		if s.Add(ID{1 << 40, 1}, benchArgs, DefaultLimits) != nil {
			t.Fatal("not added")
		}
		s.Trim(Trim{ByID: true, MinID: ID{1, 5}})
		s.Trim(Trim{})
		if s.Blocks() != 0 {
			t.Fatal("blocks without entries")
		}
	})
}
