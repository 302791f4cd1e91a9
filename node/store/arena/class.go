package arena

import "math/bits"

const (
	// Classes have steps of 8 bytes up to fineSize, then 16 per doubling up to
	// middleSize, then 8 per doubling up to largestClass. Above that a block is a
	// run of frames of its own.
	fineSize     = 128
	middleSize   = 1 << 10
	largestClass = 128 << 10

	fineClasses   = fineSize / unit
	middleClasses = 3 * 16
	// ownSize is the size up to which each heap has pages of its own.
	ownSize    = 4 << 10
	ownClasses = fineClasses + middleClasses + 2*8
	classCount = fineClasses + middleClasses + 7*8
)

// class is the geometry of the pages of a size class.
type class struct {
	// reciprocal is 1/units with 32 binary places, rounded up: exact for all
	// offsets within a page, which are below 1<<16.
	reciprocal uint64
	size       uint32 // bytes of a block
	units      uint32 // size in units
	// binScale makes a bin of a number of blocks: see binOf.
	binScale uint32
	blocks   uint16 // blocks in a page
	frames   uint8  // frames of a page
}

// classes never changes.
var classes = makeClasses()

// classOf returns the class of blocks of n bytes, 1 <= n <= largestClass.
func classOf(n int) int {
	if n <= fineSize {
		return (n - 1) >> 3
	}
	if n <= middleSize {
		shift := bits.Len(uint(n-1)) - 5 // n-1 has its top 5 bits left
		return fineClasses + (shift-3)*16 + (n-1)>>shift - 16
	}
	shift := bits.Len(uint(n-1)) - 4
	return fineClasses + middleClasses + (shift-7)*8 + (n-1)>>shift - 8
}

// ClassSize returns the number of bytes that a block of n bytes takes, n >= 1.
func ClassSize(n int) int {
	if n > largestClass {
		return framesOf(n) * frameBytes
	}
	return int(classes[classOf(max(n, 1))].size)
}

// sizeOf is the inverse of classOf: the largest size of class c.
func sizeOf(c int) int {
	if c < fineClasses {
		return (c + 1) * unit
	}
	if c -= fineClasses; c < middleClasses {
		return (17 + c%16) << (3 + c/16)
	}
	c -= middleClasses
	return (9 + c%8) << (7 + c/8)
}

func makeClasses() (all [classCount]class) {
	for c := range all {
		size := sizeOf(c)
		frames := pageFrames(size)
		units, blocks := uint32(size/unit), frames*frameBytes/size
		all[c] = class{
			reciprocal: (1<<32 + uint64(units) - 1) / uint64(units), size: uint32(size), units: units,
			binScale: uint32(bins << binShift / blocks), blocks: uint16(blocks), frames: uint8(frames),
		}
	}
	return all
}

// pageFrames returns how many frames a page with blocks of that size has. A page
// loses what is left when blocks fill it; against that stands that a heap has one
// page that is half full, on average, of each class that it uses.
func pageFrames(size int) int {
	least, perFrame := 4*size, 1.0/100
	if size > ownSize {
		least, perFrame = size, 1.0/500
	}
	best, bestCost := 0, 2.0
	for frames := 1; frames <= maxPageFrames; frames++ {
		page := frames * frameBytes
		if page < least {
			continue
		}
		if cost := float64(page%size)/float64(page) + float64(frames)*perFrame; cost < bestCost {
			best, bestCost = frames, cost
		}
	}
	return best
}
