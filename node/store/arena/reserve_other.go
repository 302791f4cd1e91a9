//go:build !linux

package arena

import (
	"errors"
	"unsafe"
)

// defaultReserve is what a Memory reserves if it is not told how much.
const defaultReserve = 1 << 30

// mapping has nothing to say here: the collector takes the range back.
type mapping struct{}

// reserved are the parts of a range.
type reserved struct {
	mapping     mapping
	base, table unsafe.Pointer
}

// reserve allocates the table and the range. They lie in the collected heap, but
// nothing in them is taken for a pointer. Systems give memory that was never
// touched lazily.
func reserve(table, size int64, _ bool) (reserved, error) {
	return reserved{
		base:  unsafe.Pointer(unsafe.SliceData(make([]uint64, size/8))),
		table: unsafe.Pointer(unsafe.SliceData(make([]uint64, table/8))),
	}, nil
}

func (mapping) release() {}

func preferHuge([]byte, bool) {}

func openRange([]byte) error { return nil }

// discard keeps the memory: it is used again before more of the range is.
func discard([]byte) error { return nil }

// populate leaves it to whoever touches b first.
func populate([]byte) error { return errors.ErrUnsupported }
