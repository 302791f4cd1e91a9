package arena

import (
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// defaultReserve is what a Memory reserves if it is not told how much.
const defaultReserve = maxReserve

// mapping is what the system has to be told to take a range back.
type mapping struct {
	start unsafe.Pointer
	size  uintptr
}

// reserved are the parts of a range.
type reserved struct {
	mapping     mapping
	base, table unsafe.Pointer
}

// reserve sets addresses aside for the table and the range. Both are to be
// opened before they are used, and are zero then; the range begins where a huge
// page may.
func reserve(table, size int64, huge bool) (reserved, error) {
	all := uintptr(table + hugeBytes + size)
	if size > math.MaxInt {
		return reserved{}, fmt.Errorf("arena: reserve %d bytes: more than there are addresses", size)
	}
	p, err := unix.MmapPtr(-1, 0, nil, all, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return reserved{}, fmt.Errorf("arena: reserve %d bytes: %w", size, err)
	}
	skip := -(uintptr(p) + uintptr(table)) & (hugeBytes - 1)
	base := unsafe.Add(p, uintptr(table)+skip)
	if small := int64(smallFrames * frameBytes); huge && size > small {
		preferHuge(unsafe.Slice((*byte)(base), small), false)
		preferHuge(unsafe.Slice((*byte)(unsafe.Add(base, small)), size-small), true)
	}
	return reserved{mapping: mapping{p, all}, base: base, table: p}, nil
}

// preferHuge says whether b, a part of a reserved range, is to come in huge pages.
// What is there already stays as it is. A system without huge pages refuses; nothing
// depends on them.
func preferHuge(b []byte, huge bool) {
	advice := unix.MADV_NOHUGEPAGE
	if huge {
		advice = unix.MADV_HUGEPAGE
	}
	_ = unix.Madvise(b, advice)
}

// release gives the addresses up.
func (m mapping) release() { _ = unix.MunmapPtr(m.start, m.size) }

// openRange makes b, a part of a reserved range, accessible.
func openRange(b []byte) error { return unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE) }

// discard gives the memory of b back. It stays accessible.
func discard(b []byte) error { return unix.Madvise(b, unix.MADV_DONTNEED) }

// populate makes b resident without changing what is in it. A system that cannot
// refuses.
func populate(b []byte) error { return unix.Madvise(b, unix.MADV_POPULATE_WRITE) }
