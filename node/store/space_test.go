package store

import (
	"testing"
	"unsafe"
)

// TestSpaceIsWarmed holds what a command reads of a space to the one line of a
// cache that Warm reads.
func TestSpaceIsWarmed(t *testing.T) {
	const line = 64
	var sp space
	end := unsafe.Offsetof(sp.index) + unsafe.Offsetof(sp.index.current) + unsafe.Offsetof(sp.index.current.size) + unsafe.Sizeof(sp.index.current.size)
	for name, end := range map[string]uintptr{
		"heap": unsafe.Offsetof(sp.heap) + unsafe.Sizeof(sp.heap), "store": unsafe.Offsetof(sp.store) + unsafe.Sizeof(sp.store),
		"growing": unsafe.Offsetof(sp.index) + unsafe.Offsetof(sp.index.growing) + 1, "current": end,
	} {
		if end > line {
			t.Errorf("%s ends at byte %d of a space, the line at %d", name, end, line)
		}
	}
	// Through a channel it comes from the heap.
	made := make(chan *space, 1)
	made <- new(space)
	if at := uintptr(unsafe.Pointer(<-made)) % line; at != 0 {
		t.Errorf("a space begins at byte %d of a line", at)
	}
}
