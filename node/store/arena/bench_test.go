package arena

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func newMemory(t testing.TB, o Options) *Memory {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// BenchmarkPair allocates and frees one block at a time: nothing but the path.
func BenchmarkPair(b *testing.B) {
	for _, n := range []int{16, 92, 700, 20 << 10, 200 << 10} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newMemory(b, Options{}).Heap(0)
			h.Alloc(n) // so that the page does not get empty
			b.ReportAllocs()
			for b.Loop() {
				h.Free(h.Alloc(n))
			}
		})
	}
}

// BenchmarkChurn keeps a million blocks of 92 bytes and replaces them in random
// order: a miss of the cache for each block and its row.
func BenchmarkChurn(b *testing.B) {
	const count = 1 << 20
	m := newMemory(b, Options{Heaps: 16})
	refs := make([]Ref, count)
	for i := range refs {
		refs[i] = m.Heap(i).Alloc(92)
		clear(m.Bytes(refs[i], 92))
	}
	b.ReportAllocs()
	x := uint32(1)
	for b.Loop() {
		x = x*1664525 + 1013904223
		i := int(x >> 12 % count)
		h := m.Heap(i)
		h.Free(refs[i])
		refs[i] = h.Alloc(92)
	}
}

// BenchmarkParallel has every processor allocate and free in heaps that all of
// them use.
func BenchmarkParallel(b *testing.B) {
	m := newMemory(b, Options{Heaps: 16})
	b.RunParallel(func(pb *testing.PB) {
		x := rand.Uint32()
		for pb.Next() {
			x = x*1664525 + 1013904223
			h := m.Heap(int(x >> 16))
			h.Free(h.Alloc(92))
		}
	})
}

// BenchmarkOneHeap has every processor use the same heap.
func BenchmarkOneHeap(b *testing.B) {
	h := newMemory(b, Options{}).Heap(0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Free(h.Alloc(92))
		}
	})
}

// BenchmarkPages takes and gives pages back, among many free runs.
func BenchmarkPages(b *testing.B) {
	m := newMemory(b, Options{})
	h := m.Heap(0)
	refs := make([]Ref, 100_000)
	for i := range refs {
		refs[i] = h.Alloc(largestClass + 1 + i%64*frameBytes)
	}
	for i, r := range refs {
		if i%2 == 0 {
			h.Free(r)
		}
	}
	x := uint32(1)
	for b.Loop() {
		x = x*1664525 + 1013904223
		i := int(x>>12)%(len(refs)/2)*2 + 1
		h.Free(refs[i])
		refs[i] = h.Alloc(largestClass + 1 + int(x>>8%64)*frameBytes)
	}
}

// BenchmarkFill allocates blocks of 92 bytes and writes to them, fresh memory
// included.
func BenchmarkFill(b *testing.B) {
	m := newMemory(b, Options{Heaps: 16})
	for i := 0; b.Loop(); i++ {
		clear(m.Bytes(m.Heap(i).Alloc(92), 92))
	}
}

func BenchmarkSize(b *testing.B) {
	h := newMemory(b, Options{}).Heap(0)
	r := h.Alloc(92)
	for b.Loop() {
		_ = h.Size(r)
	}
}

func BenchmarkSparse(b *testing.B) {
	h := newMemory(b, Options{}).Heap(0)
	r := h.Alloc(92)
	for b.Loop() {
		_ = h.Sparse(r)
	}
}

func BenchmarkUsed(b *testing.B) {
	m := newMemory(b, Options{Heaps: 16})
	for b.Loop() {
		_ = m.Used()
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		m := newMemory(b, Options{Heaps: 16})
		m.Heap(0).Alloc(10)
	}
}
