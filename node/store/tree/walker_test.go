package tree

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWalker asks walkers over trees of all sizes for ascending prefixes, in
// steps and in jumps.
func TestWalker(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		n := random.IntN(1 << random.IntN(14))
		prefixes := make([]uint64, n)
		for i := range prefixes {
			prefixes[i] = uint64(random.IntN(2*n + 1))
		}
		slices.Sort(prefixes)
		b := Build(*newTree(t, false))
		for _, prefix := range prefixes {
			b.Append(prefix, 1)[0] = byte(prefix)
		}
		tree := b.Close()
		w := tree.Walk()
		for prefix := uint64(0); prefix < uint64(2*n+10); prefix += 1 + uint64(random.IntN(1<<random.IntN(8))) {
			_, want := slices.BinarySearch(prefixes, prefix)
			if got := w.Reach(prefix); got != want || got && w.Item()[0] != byte(prefix) {
				t.Fatalf("seed %d: prefix %d of %d items: %v, want %v", seed, prefix, n, got, want)
			}
		}
		tree.Free()
	}
}

// TestLookup looks prefixes up in trees of all sizes, in some of which few of them
// are different.
func TestLookup(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		n, spread := random.IntN(1<<random.IntN(14)), 1+random.IntN(1<<random.IntN(16))
		tree := newTree(t, false)
		for range n {
			prefix := uint64(random.IntN(spread))
			c, _ := tree.Find(prefix, nil)
			tree.Insert(&c, prefix, 1)[0] = byte(prefix)
		}
		for range 500 {
			prefix := uint64(random.IntN(spread + 2))
			c, want := tree.Find(prefix, nil)
			item, found := tree.Lookup(prefix)
			if found != want || found && (&item[0] != &c.Item()[0] || item[0] != byte(prefix)) {
				t.Fatalf("seed %d: prefix %d of %d items: %v, want %v", seed, prefix, n, found, want)
			}
		}
		tree.Free()
	}
}
