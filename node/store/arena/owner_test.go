package arena

import "testing"

// TestFreeByAnotherHeap: blocks go back to where they came from, whoever gives
// them back.
func TestFreeByAnotherHeap(t *testing.T) {
	m := newMemory(t, Options{Heaps: 2})
	a, b := m.Heap(0), m.Heap(1)
	for _, n := range []int{8, 92, 4000, 5000, 100_000, 500_000} {
		var refs []Ref
		for range 100 {
			refs = append(refs, a.Alloc(n), b.Alloc(n))
		}
		for _, r := range refs {
			b.Free(r)
		}
	}
	if used := m.Used(); used != 0 {
		t.Errorf("%d bytes are still in use", used)
	}
}
