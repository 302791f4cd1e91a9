package set

import (
	"math/rand/v2"
	"slices"
	"testing"

	"slotmesh/node/store/value/valuetest"
)

// TestRemovePlaces removes few, many and all members of sets of each form.
func TestRemovePlaces(t *testing.T) {
	memory := valuetest.NewMemory(t)
	for seed := range 300 {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		w := newWorld(memory, r.IntN)
		w.spread = []int{100, 5000}[r.IntN(2)]
		s := Open(&w.cell)
		for range []int{1, 30, 100, 5000}[r.IntN(4)] {
			w.add(s, w.member())
		}
		for len(w.model) > 0 {
			n := s.Reader().Len()
			var want []string
			var places []int
			it := s.Reader().All()
			for place, among := 0, []int{1, 2, 50, 1000}[r.IntN(4)]; it.Next(); place++ {
				if r.IntN(among) == 0 {
					places = append(places, place)
					want = append(want, string(it.Member()))
				}
			}
			var gone []string
			s.RemovePlaces(places, func(member []byte) { gone = append(gone, string(member)) })
			slices.Sort(want)
			slices.Sort(gone)
			if !slices.Equal(gone, want) {
				t.Fatalf("seed %d: of %d members %q went, not %q", seed, n, gone, want)
			}
			for _, member := range gone {
				delete(w.model, member)
			}
			left := s.Reader()
			if left.Len() != len(w.model) {
				t.Fatalf("seed %d: %d members are left, want %d", seed, left.Len(), len(w.model))
			}
			for member := range w.model {
				if !left.Has([]byte(member)) {
					t.Fatalf("seed %d: %q has gone", seed, member)
				}
			}
		}
		w.end()
	}
}
