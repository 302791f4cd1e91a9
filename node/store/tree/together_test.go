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

// TestReach takes the paths of SeekAll after the tree was changed, in a little or a lot,
// and compares with Find.
func TestReach(t *testing.T) {
	memory, err := arena.New(arena.Options{Reserve: 1 << 30, Heaps: 1})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 8))
	for _, size := range []int{1, 40, 1000, 30_000} {
		b := Build(Tree{View: View{Memory: memory}, Space: Space{Heap: memory.Heap(0)}})
		most := uint64(1)
		for i := range size {
			if random.IntN(3) > 0 {
				most += random.Uint64N(4)
			}
			b.Append(most, 1+i%40)
		}
		tree := b.Close()
		most += 2
		taken := 0
		for tree.Len() > 0 {
			var wanted [Together]uint64
			var paths [Together]Path
			some := wanted[:1+random.IntN(Together)]
			for i := range some {
				some[i] = random.Uint64N(most)
				if i > 0 && random.IntN(4) == 0 {
					some[i] = some[i-1] + random.Uint64N(2)
				}
			}
			found := tree.SeekAll(some, &paths)
			for i, prefix := range some {
				want, there := tree.Find(prefix, nil)
				if i == 0 && there != (found&1 != 0) {
					t.Fatalf("%d is there: %v, want %v", prefix, !there, there)
				}
				var c Cursor
				if found>>i&1 == 0 {
					continue
				}
				if tree.leads(&paths[i], prefix) {
					taken++
				}
				if got := tree.Reach(&c, &paths[i], prefix); got != there || c.Rank() != want.Rank() || c.view != want.view {
					t.Fatalf("%d of %d items: %d is there: %v, at %d; want %v, %d", i, tree.Len(), prefix, got, c.Rank(), there, want.Rank())
				}
				switch random.IntN(8) {
				case 0:
					tree.Insert(&c, prefix, 20)
				case 1:
					from := random.IntN(tree.Len())
					tree.DeleteRange(from, min(tree.Len(), from+1+random.IntN(300)))
				default:
					if there {
						tree.Delete(&c)
					}
				}
			}
		}
		if size > 1000 && taken == 0 {
			t.Error("no path was taken")
		}
	}
}
