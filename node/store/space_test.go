package store

import (
	"testing"
	"unsafe"
)

// TestSpaceIsWarmed holds what a command reads of a space to the one line of a
// cache that Warm reads, and what it changes to the one beside it.
func TestSpaceIsWarmed(t *testing.T) {
	const line = 64
	var sp space
	end := unsafe.Offsetof(sp.index) + unsafe.Offsetof(sp.index.current) + unsafe.Offsetof(sp.index.current.size) + unsafe.Sizeof(sp.index.current.size)
	if at := unsafe.Offsetof(sp.index) + unsafe.Offsetof(sp.index.old); at > 2*line {
		t.Errorf("what is needed to add a key ends at byte %d of a space, the second line at %d", at, 2*line)
	}
	if size := unsafe.Sizeof(sp); size > 4*line {
		t.Errorf("a space has %d bytes, four lines %d", size, 4*line)
	}
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
