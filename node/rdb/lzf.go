package rdb

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"
)

// LZF is a sequence of two kinds of items. A control byte below 32 is followed
// by that many bytes plus one, literally. Any other control byte holds a match:
// three bits of length (7 means that another byte adds to it) and the high five
// bits of a distance, whose low byte follows; length+2 bytes are copied from
// distance+1 back in the output.
const (
	lzfMaxLiteral  = 32
	lzfMaxDistance = 8192
	lzfMaxMatch    = 7 + 255 + 2
	// lzfMinMatch is the shortest match that is looked for. One of three bytes would
	// win nothing where literals stand before and behind it.
	lzfMinMatch = 4
	lzfHashBits = 13
	// lzfMaxExpansion: three bytes stand for at most 264.
	lzfMaxExpansion = lzfMaxMatch / 3
	// lzfPatience: after so many bytes without a match every second one is looked at,
	// after twice as many every third, and so on. What does not compress is passed
	// over soon.
	lzfPatience = 64
)

// lzfTable remembers where a sequence of four bytes was last seen. It is used for
// one input after the other without being cleared: positions are counted on, so
// that those of earlier inputs lie before base. The zero lzfTable is ready.
type lzfTable struct {
	seen *[1 << lzfHashBits]uint32
	base uint64
}

// begin makes the table ready for an input of size bytes.
func (t *lzfTable) begin(size int) (seen *[1 << lzfHashBits]uint32, base uint32) {
	switch {
	case t.seen == nil:
		t.seen = new([1 << lzfHashBits]uint32)
	case t.base+uint64(size) >= math.MaxUint32:
		clear(t.seen[:])
		t.base = 0
	}
	// 0 in the table is no position.
	base = uint32(t.base) + 1
	t.base += uint64(size)
	return t.seen, base
}

// compress appends the compressed form of src to dst if it takes at most limit
// bytes, fewer than src has; otherwise it returns false, and dst as it was. What it
// writes depends on src alone.
func (t *lzfTable) compress(dst, src []byte, limit int) ([]byte, bool) {
	if len(src) < 2*lzfMinMatch || uint64(len(src)) >= math.MaxUint32-1 {
		return dst, false
	}
	seen, base := t.begin(len(src))
	start := len(dst)
	dst = slices.Grow(dst, len(src))
	out := dst[start : start+limit]
	n, literal := 0, 0 // out[:n] is written, src[literal:] is not yet
	for {
		at, distance := lzfSearch(src, max(literal, 1), seen, base)
		if distance == 0 {
			break
		}
		end := at + lzfMinMatch
		end += sameLen(src, end-distance, end, min(len(src), at+lzfMaxMatch))
		if at-literal >= lzfPatience {
			// It may begin where nobody looked.
			for at > literal && at > distance && src[at-1] == src[at-1-distance] && end-at < lzfMaxMatch {
				at--
			}
		}
		// How long literals and matches are nobody can predict, so that the frequent
		// cases go without branches: what is written too much is written over later.
		size := at - literal
		if size <= 16 && n+20 <= limit && literal+16 <= len(src) {
			out[n] = byte(size - 1)
			*(*[16]byte)(out[n+1:]) = *(*[16]byte)(src[literal:])
			n += size + int(uint(-size)>>63) // no control byte without bytes
		} else if n += lzfLiteral(out, n, src, literal, at); n+3 > limit {
			return dst[:start], false
		}
		length := end - at - 2
		short := (length - 7) >> 63 // all ones if one byte tells the length
		out[n] = byte(7+(length-7)&short)<<5 | byte((distance-1)>>8)
		out[n+1] = byte(length - 7)
		out[n+2+short] = byte(distance - 1)
		n += 3 + short
		// One position inside the match is remembered as well, which is cheap and finds
		// most repeats.
		if end+2 <= len(src) {
			*lzfSlot(seen, binary.LittleEndian.Uint32(src[end-2:])) = base + uint32(end-2)
		}
		literal = end
	}
	if n += lzfLiteral(out, n, src, literal, len(src)); n > limit {
		return dst[:start], false
	}
	return dst[:start+n], true
}

// lzfSlot returns where the last position of four bytes is remembered.
func lzfSlot(seen *[1 << lzfHashBits]uint32, word uint32) *uint32 {
	return &seen[word*2654435761>>(32-lzfHashBits)]
}

// lzfSearch returns the first place from at on, which is not the first of all, whose
// four bytes were seen before, and how far before; 0 if there is none. The last bytes
// are not looked at, so that eight can be loaded at once.
func lzfSearch(src []byte, at int, seen *[1 << lzfHashBits]uint32, base uint32) (found, distance int) {
	// Whatever the table says, 0 <= at-distance < at <= last: the loads are in src.
	first, last := unsafe.Pointer(unsafe.SliceData(src)), len(src)-8
	for step := 1; at <= last; step++ {
		for stop := min(at+lzfPatience, last+1); at < stop; at += step {
			word := *(*uint32)(unsafe.Add(first, at))
			slot, here := lzfSlot(seen, word), base+uint32(at)
			// What was not seen is looked for at the beginning. This is the lesser of two
			// distances without a branch, which would often be guessed wrong.
			ago := int(here - *slot)
			*slot = here
			distance = ago + (at-ago)&((at-ago)>>63)
			if *(*uint32)(unsafe.Add(first, at-distance)) == word && distance <= lzfMaxDistance {
				return at, distance
			}
		}
	}
	return 0, 0
}

// sameLen returns how many bytes at from, and at at up to end, are alike.
func sameLen(src []byte, from, at, end int) int {
	n := 0
	for ; at+n+8 <= end; n += 8 {
		if differ := binary.LittleEndian.Uint64(src[from+n:]) ^ binary.LittleEndian.Uint64(src[at+n:]); differ != 0 {
			return n + bits.TrailingZeros64(differ)/8
		}
	}
	for at+n < end && src[from+n] == src[at+n] {
		n++
	}
	return n
}

// lzfLiteral writes src[from:to] literally to out[n:] and returns how many bytes that
// takes: more than there are if it does not fit.
func lzfLiteral(out []byte, n int, src []byte, from, to int) int {
	size := to - from + (to-from+lzfMaxLiteral-1)/lzfMaxLiteral
	if size > len(out)-n {
		return size
	}
	for from < to {
		part := min(to-from, lzfMaxLiteral)
		out[n] = byte(part - 1)
		n++
		if part <= 16 && n+16 <= len(out) && from+16 <= len(src) {
			// What is written behind it is written over later.
			*(*[16]byte)(out[n:]) = *(*[16]byte)(src[from:])
		} else {
			copy(out[n:n+part], src[from:])
		}
		n, from = n+part, from+part
	}
	return size
}

// lzfDecompress appends the size bytes that src stands for to dst. A size that
// src cannot stand for is refused before anything is allocated.
func lzfDecompress(dst, src []byte, size uint64) ([]byte, error) {
	if size == 0 || size > uint64(len(src))*lzfMaxExpansion {
		return nil, errBadLZF
	}
	start := len(dst)
	dst = slices.Grow(dst, int(size))[:start+int(size)]
	out := dst[start:]
	at, in := 0, 0 // out[:at] is written, src[:in] was read
	for in < len(src) {
		control := int(src[in])
		in++
		if control < lzfMaxLiteral {
			n := control + 1
			if n > len(src)-in || n > len(out)-at {
				return nil, errBadLZF
			}
			if n <= 16 && in+16 <= len(src) && at+16 <= len(out) {
				// What is written behind it is written over later.
				*(*[16]byte)(out[at:]) = *(*[16]byte)(src[in:])
			} else {
				copy(out[at:], src[in:in+n])
			}
			at, in = at+n, in+n
			continue
		}
		length := control >> 5
		if length == 7 {
			if in == len(src) {
				return nil, errBadLZF
			}
			length += int(src[in])
			in++
		}
		if in == len(src) {
			return nil, errBadLZF
		}
		length += 2
		distance := (control&31<<8 | int(src[in])) + 1
		in++
		from, end := at-distance, at+length
		if from < 0 || length > len(out)-at {
			return nil, errBadLZF
		}
		switch {
		case distance >= 16 && end+16 <= len(out):
			for ; at < end; at, from = at+16, from+16 {
				*(*[16]byte)(out[at:]) = *(*[16]byte)(out[from:])
			}
		case distance >= 8 && end+8 <= len(out):
			for ; at < end; at, from = at+8, from+8 {
				binary.LittleEndian.PutUint64(out[at:], binary.LittleEndian.Uint64(out[from:]))
			}
		default:
			// A match that overlaps its own copy repeats: what was copied already is
			// copied again, twice as much each time.
			for at < end {
				at += copy(out[at:end], out[from:at])
			}
		}
		at = end
	}
	if at != len(out) {
		return nil, errBadLZF
	}
	return dst, nil
}
