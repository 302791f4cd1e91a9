package set

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// TestLoader loads sets of all forms and compares them with those that got the
// same members one by one. A member that comes twice is found, near or far.
func TestLoader(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	memory := valuetest.NewMemory(t)
	heap := memory.Heap(0)
	draft := func() *value.Draft {
		return value.NewDraft(tree.Space{Heap: heap}, value.KindSet, value.EncIntset)
	}
	for _, n := range []int{1, 2, 10, 64, 65, 100, 512, 513, 3000, 60000} {
		for _, format := range []string{"%d", "-%d00000", "%dx", "a member of some length %d", ""} {
			limits := DefaultLimits()
			if random.IntN(3) == 0 {
				limits.IntsetEntries = random.IntN(50)
			}
			members := make([][]byte, n)
			for i := range members {
				as := format
				if as == "" {
					as = []string{"%d", "%d", "%d", "%08d"}[random.IntN(4)]
				}
				members[i] = fmt.Appendf(nil, as, i)
			}
			random.Shuffle(n, func(i, j int) { members[i], members[j] = members[j], members[i] })
			plain, loaded := draft(), draft()
			load := Load(&loaded.Cell, &limits, uint64(random.IntN(2*n)))
			model := map[string]bool{}
			s := Open(&plain.Cell)
			for _, member := range members {
				model[string(member)] = true
				s.Add(member, &limits)
				if !load.Add(member) {
					t.Fatalf("seed %d: %s of %d came twice", seed, member, n)
				}
			}
			if !load.Close() {
				t.Fatalf("seed %d: some of %d came twice", seed, n)
			}
			a, b := Read(plain.Value()), Read(loaded.Value())
			same(b, model)
			if a.form != b.form || plain.Encoding() != loaded.Encoding() {
				t.Errorf("seed %d: %d of %q: form %d, %v; want %d, %v", seed, n, format, b.form, loaded.Encoding(), a.form, plain.Encoding())
			}
			plain.Discard()
			loaded.Discard()

			broken := draft()
			load = Load(&broken.Cell, &limits, 0)
			ok, twice := true, random.IntN(n)
			for i, member := range members {
				ok = ok && load.Add(member)
				if i == twice {
					ok = ok && load.Add(member)
				}
			}
			if load.Close() && ok {
				t.Errorf("seed %d: %s of %d was loaded twice", seed, members[twice], n)
			}
			broken.Discard()
		}
	}
	if used := heap.Used(); used != 0 {
		t.Errorf("seed %d: %d bytes leaked", seed, used)
	}
}

// TestLoaderOfTheSame: what comes again and again is noticed, and is not gathered
// without end.
func TestLoaderOfTheSame(t *testing.T) {
	limits := DefaultLimits()
	m := valuetest.NewMemory(t)
	d := value.NewDraft(tree.Space{Heap: m.Heap(0)}, value.KindSet, value.EncIntset)
	defer d.Discard()
	l := Load(&d.Cell, &limits, 1)
	for n := 0; l.Add(nil); n++ {
		if n > gathered {
			t.Fatalf("%d empty members were gathered", n)
		}
	}
}
