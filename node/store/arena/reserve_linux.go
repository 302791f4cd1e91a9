package arena

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve sets size bytes of addresses aside that may not be used before open
// has been called for them.
func reserve(size int64) (unsafe.Pointer, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("arena: reserve %d bytes: %w", size, err)
	}
	return p, nil
}

// open makes b, a part of a reserved range, usable.
func open(b []byte) error { return unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE) }
