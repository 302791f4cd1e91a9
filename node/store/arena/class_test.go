package arena

import (
	"slices"
	"testing"
)

func TestClassSizes(t *testing.T) {
	before := 0
	for n := 1; n <= 3*largestClass; n++ {
		size := ClassSize(n)
		if size < n || size < before || size%unit != 0 || ClassSize(size) != size {
			t.Fatalf("ClassSize(%d) = %d after %d, of itself %d", n, size, before, ClassSize(size))
		}
		most := 7
		switch {
		case n > largestClass:
			most = frameBytes - 1
		case n > middleSize:
			most = n / 8
		case n > fineSize:
			most = max(most, n/16)
		}
		if size-n > most {
			t.Fatalf("ClassSize(%d) = %d", n, size)
		}
		if n <= largestClass && sizeOf(classOf(n)) != size {
			t.Fatalf("class %d of %d has %d bytes, not %d", classOf(n), n, sizeOf(classOf(n)), size)
		}
		before = size
	}
	for n, want := range map[int]int{1: 8, 8: 8, 9: 16, 92: 96, 128: 128, 129: 136, 1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + frameBytes} {
		if got := ClassSize(n); got != want {
			t.Errorf("ClassSize(%d) = %d, want %d", n, got, want)
		}
	}
}

// TestPagesOfEachClass fills pages of every class: the blocks lie side by side
// within the range, and each is found again when it is freed.
func TestPagesOfEachClass(t *testing.T) {
	for k := range classes {
		c := &classes[k]
		if lost := int(c.frames)*frameBytes - int(c.blocks)*int(c.size); lost < 0 || lost*25 > int(c.frames)*frameBytes {
			t.Errorf("class of %d: a page of %d frames with %d blocks loses %d bytes", c.size, c.frames, c.blocks, lost)
		}
		m := newMemory(t, Options{Reserve: 64 << 20})
		h := m.Heap(0)
		refs := make([]Ref, 3*int(c.blocks))
		for i := range refs {
			refs[i] = h.Alloc(int(c.size) - i%8)
		}
		pages := &h.shelves[k]
		if k >= ownClasses {
			pages = &m.shared.shelves[k]
		}
		if pages.pages != 3 || m.Used() != int64(len(refs))*int64(c.size) {
			t.Fatalf("class of %d: %d pages for three times %d blocks, %d bytes used", c.size, pages.pages, c.blocks, m.Used())
		}
		sorted := slices.Sorted(slices.Values(refs))
		for i, r := range sorted[1:] {
			if r < sorted[i]+Ref(c.units) {
				t.Fatalf("class of %d: blocks %d and %d overlap", c.size, sorted[i], r)
			}
		}
		check(t, m)
		for i := len(refs); i > 0; i-- { // in an order that jumps between the pages
			at := i * 5 % len(refs)
			if len(refs)%5 == 0 {
				at = i - 1
			}
			h.Free(refs[at])
		}
		trimmed(t, m)
	}
}
