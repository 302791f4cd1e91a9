package tree

import (
	"math/rand/v2"
	"testing"

	"slotmesh/node/store/arena"
)

// TestLookupAll compares with Lookup, in trees of all heights: prefixes that are there,
// some of them more than once, and such that are not.
func TestLookupAll(t *testing.T) {
	memory, err := arena.New(arena.Options{Reserve: 1 << 30, Heaps: 1})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	for _, size := range []int{0, 1, 20, 1000, 50_000} {
		b := Build(Tree{View: View{Memory: memory}, Space: Space{Heap: memory.Heap(0)}})
		prefix, prefixes := uint64(0), []uint64{1, 1<<64 - 1}
		for i := range size {
			if random.IntN(4) > 0 {
				prefix += 1 + random.Uint64N(1<<63/uint64(size))
			}
			item := b.Append(prefix, 1+i%9)
			for j := range item {
				item[j] = byte(random.Uint32())
			}
			prefixes = append(prefixes, prefix, prefix+random.Uint64N(3))
		}
		tree := b.Close()
		for range 2000 {
			var wanted [Together]uint64
			var items [Together][]byte
			some := wanted[:1+random.IntN(Together)]
			for i := range some {
				some[i] = prefixes[random.IntN(len(prefixes))]
			}
			found := tree.LookupAll(some, &items)
			for i, prefix := range some {
				item, there := tree.Lookup(prefix)
				if got := found>>i&1 == 1; got != there || there && string(items[i]) != string(item) {
					t.Fatalf("%d items: %d is there: %v, and is %q; want %v, %q", size, prefix, got, items[i], there, item)
				}
			}
		}
		tree.Free()
	}
}
