package tree

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"slotmesh/node/store/arena"
)

func newTree(t testing.TB, plain bool) *Tree {
	m := newMemory(t)
	return &Tree{View: View{Memory: m, Root: Root{Plain: plain}}, Space: Space{Heap: m.Heap(0)}}
}

// mix spreads numbers over all prefixes, each to another one.
func mix(x uint64) uint64 {
	x = (x ^ x>>31) * 0x9e3779b97f4a7c15
	x = (x ^ x>>29) * 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

func put(t *Tree, prefix uint64, size int) {
	c, _ := t.Find(prefix, nil)
	binary.LittleEndian.PutUint64(t.Insert(&c, prefix, size), prefix)
}

func random(t testing.TB, n int) *Tree {
	tree := newTree(t, false)
	for i := range n {
		put(tree, mix(uint64(i)), 24)
	}
	return tree
}

func ordered(t testing.TB, n int) *Tree {
	tree := newTree(t, false)
	for i := range n {
		binary.LittleEndian.PutUint64(tree.Append(uint64(i), 24), uint64(i))
	}
	return tree
}

func TestFill(t *testing.T) {
	n := 200_000
	report := func(name string, tree *Tree, limit float64) {
		s := wellFormed(tree)
		per := float64(tree.Root.Bytes) / float64(tree.Root.Count)
		t.Logf("%s: %.1f bytes per item, height %d, %d leaves of %d bytes (%.3f of block, %.3f of %d), %d inner nodes", name, per, tree.Root.Height, s.leaves, s.leafBytes/s.leaves,
			float64(s.liveBytes)/float64(s.leafBytes), float64(s.liveBytes)/float64(s.leaves*maxLeaf), maxLeaf, s.inner)
		if per > limit {
			t.Errorf("%s: more than %.1f", name, limit)
		}
	}
	tree := random(t, n)
	report("random", tree, 39)
	for i := range n * 9 / 10 {
		c, found := tree.Find(mix(uint64(i)), nil)
		if !found {
			t.Fatal("not found")
		}
		tree.Delete(&c)
	}
	report("after deleting nine tenths", tree, 44)
	report("appended", ordered(t, n), 36.8)
	tree = newTree(t, false)
	for i := range n {
		c := tree.At(0)
		tree.Insert(&c, uint64(n-i), 24)
	}
	report("at the front", tree, 36.8)
	tree = random(t, n)
	for i := range n {
		c := tree.At(i)
		tree.Resize(&c, 12)
	}
	report("made smaller", tree, 34)
	for i := range n {
		c := tree.At(i)
		tree.Resize(&c, 40)
	}
	report("made larger", tree, 70)
	tree = newTree(t, true)
	for range n {
		c := tree.At(rand.IntN(tree.Len() + 1))
		tree.Insert(&c, 0, 4)
	}
	report("plain", tree, 10)
	for _, n := range []int{1, 2, 5, 10, 20, 50, 100, 128, 200, 500} {
		tree := random(t, n)
		t.Logf("%d items: %d bytes, %.1f each", n, tree.Root.Bytes, float64(tree.Root.Bytes)/float64(n))
	}
}

// TestCompact thins a tree out and looks at what the system gets back.
// TestPart walks over trees by parts, from every place, and looks at their ends.
func TestPart(t *testing.T) {
	for _, n := range []int{0, 1, 2, 1000} {
		tree := ordered(t, n)
		for from := range n + 1 {
			for at := from; at < n; {
				most := 1 + (from+at)%100
				part := tree.Part(at, most)
				if part.Len() == 0 || part.Len() > most {
					t.Fatalf("%d of %d: %d items", at, n, part.Len())
				}
				for i := range part.Len() {
					if got := binary.LittleEndian.Uint64(part.Item(i)); got != uint64(at) || part.Prefix(i) != got {
						t.Fatalf("%d of %d: %d, prefix %d", at, n, got, part.Prefix(i))
					}
					at++
				}
			}
		}
		if part := tree.Part(n, 1); part.Len() != 0 {
			t.Fatalf("%d items behind the last one of %d", part.Len(), n)
		}
		if n == 0 {
			continue
		}
		first, last := binary.LittleEndian.Uint64(tree.End(false)), binary.LittleEndian.Uint64(tree.End(true))
		if first != 0 || last != uint64(n-1) {
			t.Fatalf("ends of %d: %d and %d", n, first, last)
		}
	}
}

func TestCompact(t *testing.T) {
	const n = 400_000
	tree := random(t, n)
	for i := range n * 3 / 4 {
		c, _ := tree.Find(mix(uint64(i)), nil)
		tree.Delete(&c)
	}
	sparse := func() (n int) {
		for c := tree.At(0); c.Valid(); {
			if tree.Space.Heap.Sparse(c.path[tree.Root.Height].node()) {
				n++
			}
			for leaf := c.path[tree.Root.Height].node(); c.Next() && c.path[tree.Root.Height].node() == leaf; {
			}
		}
		return n
	}
	before, steps, loose := tree.Memory.Mapped(), 0, sparse()
	for from, done := 0, false; !done; steps++ {
		at := from
		if from, _, done = tree.Compact(from, 10); from <= at {
			t.Fatalf("step %d stays at %d", steps, from)
		}
	}
	wellFormed(tree)
	after := tree.Memory.Mapped()
	left := sparse()
	t.Logf("%d bytes in blocks, %d mapped, %d after %d steps, %d of %d leaves in sparse pages, %d after", tree.Root.Bytes, before, after, steps, loose, wellFormed(tree).leaves, left)
	if after >= before || left > loose/4 {
		t.Error("not compacted")
	}
}

func TestNoGoMemory(t *testing.T) {
	tree := random(t, 50_000)
	retirer := &world{retired: make([]arena.Ref, 0, 1<<20)}
	tree.Space.Retirer = retirer
	i := uint64(0)
	key := make([]byte, 8)
	check := func(name string, fn func()) {
		if n := testing.AllocsPerRun(2000, fn); n != 0 {
			t.Errorf("%s allocates %.2f times", name, n)
		}
	}
	find := func() (Cursor, bool) {
		i++
		p := mix(i % 50_000)
		binary.LittleEndian.PutUint64(key, p)
		return tree.Find(p, func(item []byte) int { return bytes.Compare(item[:8], key) })
	}
	check("find", func() {
		if _, found := find(); !found {
			t.Fatal("not found")
		}
	})
	check("at and next", func() {
		c := tree.At(int(i % 40_000))
		i++
		for range 100 {
			c.Next()
		}
		c.Rank()
		for range 100 {
			c.Prev()
		}
	})
	for _, frozen := range []bool{false, true} {
		tree.Space.Frozen = frozen
		tree.Space.Floor, tree.Space.Version = tree.Space.Version, tree.Space.Version+1
		check("resize", func() {
			c, _ := find()
			tree.Resize(&c, 10+int(i%200))
		})
		check("delete and insert", func() {
			c, _ := find()
			tree.Delete(&c)
			c, _ = find()
			tree.Delete(&c)
			put(tree, mix((i-1)%50_000), 24+int(i%100))
			put(tree, mix(i%50_000), 24+int(i%1000))
		})
		check("append", func() { tree.Append(1<<64-1, 24) })
		check("delete range", func() { tree.DeleteRange(1000, 1020) })
		check("compact", func() { tree.Compact(0, 10) })
		for range 3000 {
			i++
			c, found := tree.Find(mix(i%50_000), nil)
			if !found {
				put(tree, mix(i%50_000), 24)
			}
			_ = c
		}
		for i := range uint64(50_000) {
			if _, found := tree.Find(mix(i), nil); !found {
				put(tree, mix(i), 24)
			}
		}
	}
}

const million = 1_000_000

func BenchmarkFind(b *testing.B) {
	tree := random(b, million)
	key := make([]byte, 8)
	compare := func(item []byte) int { return bytes.Compare(item[:8], key) }
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		p := mix(mix(i) % million)
		binary.LittleEndian.PutUint64(key, p)
		if _, found := tree.Find(p, compare); !found {
			b.Fatal("not found")
		}
	}
}

func BenchmarkAt(b *testing.B) {
	tree := random(b, million)
	i := uint64(0)
	for b.Loop() {
		i++
		c := tree.At(int(mix(i) % million))
		if !c.Valid() {
			b.Fatal("no item")
		}
	}
}

func BenchmarkRank(b *testing.B) {
	tree := random(b, million)
	i := uint64(0)
	for b.Loop() {
		i++
		c, _ := tree.Find(mix(mix(i)%million), nil)
		if c.Rank() < 0 {
			b.Fatal("no item")
		}
	}
}

func BenchmarkNext(b *testing.B) {
	tree := random(b, million)
	c := tree.At(0)
	n := 0
	for b.Loop() {
		n += len(c.Item())
		if !c.Next() {
			c = tree.At(0)
		}
	}
}

func BenchmarkItems(b *testing.B) {
	tree := random(b, million)
	it := tree.Items()
	n := 0
	for b.Loop() {
		item, ok := it.Next()
		if !ok {
			it = tree.Items()
		}
		n += len(item)
	}
}

func BenchmarkInsert(b *testing.B) {
	tree := random(b, million)
	i := uint64(million)
	for b.Loop() {
		put(tree, mix(i), 24)
		i++
		if i%(1<<21) == 0 {
			b.StopTimer()
			tree.Free()
			b.StartTimer()
		}
	}
}

func BenchmarkDeleteInsert(b *testing.B) {
	tree := random(b, million)
	i := uint64(0)
	for b.Loop() {
		c, found := tree.Find(mix(i), nil)
		if !found {
			b.Fatal("not found")
		}
		tree.Delete(&c)
		put(tree, mix(i+million), 24)
		i++
	}
}

func BenchmarkAppend(b *testing.B) {
	tree := newTree(b, false)
	i := uint64(0)
	for b.Loop() {
		tree.Append(i, 24)
		i++
		if i%(1<<22) == 0 {
			b.StopTimer()
			tree.Free()
			b.StartTimer()
		}
	}
}

func BenchmarkFree(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		tree := ordered(b, million)
		b.StartTimer()
		tree.Free()
	}
}

// From wherever it begins, the search ends at the first prefix that is not below.
func TestAround(t *testing.T) {
	for _, n := range []int{1, 2, 7, 8, 9, 16, 17, 100} {
		prefixes := make([]uint64, n)
		for i := range prefixes {
			prefixes[i] = uint64(i/3*10 + 10)
		}
		for prefix := uint64(0); prefix <= prefixes[n-1]+10; prefix += 5 {
			want, _ := slices.BinarySearch(prefixes, prefix)
			for near := range prefixes {
				low, size := around(prefixes, near, prefix)
				if low < 0 || size < 0 || low+size > n || want < low || want > low+size {
					t.Fatalf("%d prefixes from %d on: %d is at %d and not in %d and the %d behind", n, near, prefix, want, low, size)
				}
			}
		}
	}
}
