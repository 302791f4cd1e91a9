package tree

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// ascending returns a tree of n items whose prefixes ascend, some of them equal; an item
// begins with the last byte of its prefix.
func ascending(t *testing.T, random *rand.Rand, n, size int) (prefixes []uint64, tree Tree) {
	prefixes = make([]uint64, n)
	for i := range prefixes {
		prefixes[i] = uint64(random.IntN(2*n + 1))
	}
	slices.Sort(prefixes)
	b := Build(*newTree(t, false))
	for _, prefix := range prefixes {
		b.Append(prefix, size)[0] = byte(prefix)
	}
	return prefixes, b.Close()
}

// TestWalker asks walkers over trees of all sizes for ascending prefixes, in
// steps and in jumps.
func TestWalker(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		n := random.IntN(1 << random.IntN(14))
		prefixes, tree := ascending(t, random, n, 1)
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

// TestBelow counts on from every item of trees of a few leaves, some of whose prefixes
// are equal.
func TestBelow(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		n := random.IntN(1 << random.IntN(11))
		prefixes, tree := ascending(t, random, n, 20)
		for rank := range n + 1 {
			high, most := uint64(random.IntN(2*n+3)), random.IntN(2*n+2)
			end, _ := slices.BinarySearch(prefixes, high)
			c := tree.At(rank)
			if got, want := c.Below(high, most), min(most, max(end-rank, 0)); got != want {
				t.Fatalf("seed %d: %d items from rank %d of %d on are below %d, want %d, at most %d", seed, got, rank, n, high, want, most)
			}
			if c.Rank() != rank {
				t.Fatalf("seed %d: the cursor went from rank %d to %d", seed, rank, c.Rank())
			}
		}
		tree.Free()
	}
}
