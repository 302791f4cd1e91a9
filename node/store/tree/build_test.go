package tree

import (
	"testing"

	"pgregory.net/rapid"
)

// TestCopies makes trees in all states again, in both ways, while snapshots of
// the first one are open: by Clone, and by a Builder that is given the items. A
// copy can be changed like any tree, and what it was made of stays.
func TestCopies(t *testing.T) {
	memory := newMemory(t)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(memory, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
		for range w.draw(30) {
			w.step()
		}
		clone := *w
		clone.snapshots, clone.retired = nil, nil
		clone.tree.Space.Retirer, clone.tree.Space.Frozen = &clone, false
		clone.tree.Clone(w.tree.Root)
		built := clone
		built.tree.Space.Retirer = &built
		empty := built.tree
		empty.Root = Root{Plain: w.tree.Root.Plain}
		b := Build(empty)
		for i, e := range w.model {
			if b.Len() != i {
				panic("builder: length")
			}
			copy(b.Append(e.prefix, len(e.data)), e.data)
		}
		built.tree = b.Close()
		model := w.model
		for _, other := range []*world{&clone, &built} {
			other.check()
			// The entries of the model are shared, not the list.
			other.model = append([]entry(nil), model...)
			for range w.draw(8) {
				other.step()
			}
			other.check()
			other.closeSnapshots()
			other.tree.Free()
		}
		w.end()
	})
}

// TestBuiltIsFull holds a Builder to leaves that have little to spare, and one
// that got few items to a small block.
func TestBuiltIsFull(t *testing.T) {
	for _, n := range []int{1, 10, 100, 1000, 20000} {
		empty := newTree(t, false)
		b := Build(*empty)
		for i := range n {
			b.Append(uint64(i), 20)
		}
		tree := b.Close()
		if s := wellFormed(&tree); s.leafBytes > s.liveBytes*9/8+64 {
			t.Errorf("%d items: leaves of %d bytes, %d in use", n, s.leafBytes, s.liveBytes)
		}
		tree.Free()
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{100, 10000} {
		empty := newTree(b, false)
		b.Run(map[int]string{100: "100", 10000: "10000"}[n], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				builder := Build(*empty)
				for i := range n {
					builder.Append(uint64(i), 20)
				}
				tree := builder.Close()
				tree.Free()
			}
		})
	}
}
