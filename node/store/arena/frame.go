package arena

import "unsafe"

const (
	frameShift = 14
	// frameBytes is the size of a frame: what runs and pages consist of.
	frameBytes = 1 << frameShift
	frameUnits = frameBytes / unit
	// maxPageFrames bounds the pages of a class.
	maxPageFrames = 16
)

// frame is the row of the side table for 16 KiB of the range. Rows lie outside
// the range so that an unused page costs nothing but its row, and outside the
// collected heap. What a row says depends on what the frame is:
//
//   - the first frame of a page: everything but frames; it belongs to the heap
//     and is guarded by the heap's mutex, except for kind and back,
//   - another frame of a page: kind and back only,
//   - the first frame of a large block: kind and frames,
//   - the first and the last frame of a free run: kind and frames; the first
//     also the links of the set of free runs,
//   - all others: zero.
//
// Invariant: kind and back are written under the mutex of runs and only while
// no block lies in the frame. So the owner of a block reads them without any
// lock.
type frame struct {
	kind uint8
	// back is how many frames before this one the page begins.
	back uint8
	// bin is the list of its class that a page is in, or binFull or binCurrent.
	bin uint8
	_   uint8
	// heap is the index of the heap that the page belongs to.
	heap uint16
	// used is the number of blocks that are not free.
	used uint16
	// free is the first free block that was in use before, plus 1; 0 for none.
	// The block's first two bytes name the next one.
	free uint16
	// fresh is the first of the blocks that have never been handed out.
	fresh uint16
	// next and prev link the pages of a bin, 0 ends; for a free run they are the
	// children with lesser and with greater keys.
	next, prev uint32
	// frames is the length of the run.
	frames uint32
	_      [8]byte
}

// Kinds of frames. A page of class c has kindPage + c.
const (
	kindNone  = iota // inside of a run, or never used
	kindDirty        // free; shows what its last user left, is resident
	kindClean        // free and given back
	kindLarge        // first frame of a large block
	kindPage
)

// rowBytes is the size of a row.
const rowBytes = int64(unsafe.Sizeof(frame{}))

// tableBytes returns how large the side table for a range of size bytes is,
// rounded up so that it may be opened in steps of any system's pages.
func tableBytes(size int64) int64 {
	const step = 64 << 10
	return (size/frameBytes*rowBytes + step - 1) &^ (step - 1)
}

// frame returns row i, which is below opened.
func (m *Memory) frame(i uint32) *frame {
	return (*frame)(unsafe.Add(m.table, uintptr(i)*uintptr(rowBytes)))
}

// framesOf returns how many frames hold n bytes.
func framesOf(n int) int { return int((uint(n) + frameBytes - 1) >> frameShift) }
