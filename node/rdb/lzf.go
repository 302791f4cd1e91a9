package rdb

import (
	"encoding/binary"
	"math"
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
func (t *lzfTable) begin(size int) (seen *[1 << lzfHashBits]uint32, base int) {
	switch {
	case t.seen == nil:
		t.seen = new([1 << lzfHashBits]uint32)
	case t.base+uint64(size) >= math.MaxUint32:
		clear(t.seen[:])
		t.base = 0
	}
	// 0 in the table is no position.
	base = int(t.base) + 1
	t.base += uint64(size)
	return t.seen, base
}

// compress appends the compressed form of src to dst if it takes at most limit
// bytes, fewer than src has; otherwise it returns false, and dst as it was. It may give up
// one byte too early. What it writes depends on src alone.
func (t *lzfTable) compress(dst, src []byte, limit int) ([]byte, bool) {
	if len(src) < 2*lzfMinMatch || uint64(len(src)) >= math.MaxUint32-1 {
		return dst, false
	}
	seen, base := t.begin(len(src))
	start := len(dst)
	dst = slices.Grow(dst, len(src))
	out := dst[start : start+limit]
	from, to := unsafe.Pointer(unsafe.SliceData(src)), unsafe.Pointer(unsafe.SliceData(out))
	n, literal := 0, 0 // out[:n] is written, src[literal:] is not yet
	last := len(src) - 8
	for at := 1; ; {
		var before int
		if at, before = lzfFind(seen, base, from, literal, at, last); at > last {
			break
		}
		end := at + lzfMinMatch
		stop := min(len(src), at+lzfMaxMatch)
		back := at - before
		for {
			if end+8 > stop {
				for end < stop && *(*byte)(unsafe.Add(from, end-back)) == *(*byte)(unsafe.Add(from, end)) {
					end++
				}
				break
			}
			differ := lzfEight(from, end-back) ^ lzfEight(from, end)
			if differ == 0 {
				end += 8
				continue
			}
			// How many bytes are equal is asked by branches: with a number that is computed and
			// not guessed, the search for the next match would have to wait for it.
			if uint32(differ) == 0 {
				end += 4
				differ >>= 32
			}
			if uint16(differ) == 0 {
				end += 2
				differ >>= 16
			}
			if byte(differ) == 0 {
				end++
			}
			break
		}
		size := at - literal
		back-- // as it is written
		if size > 16 || n+20 > len(out) || literal+16 > len(src) {
			if size >= lzfPatience {
				// It may begin where nobody looked.
				for at > literal && before > 0 && src[at-1] == src[before-1] && end-at < lzfMaxMatch {
					at--
					before--
				}
			}
			if n += lzfLiteral(out, n, src, literal, at); n+3 > limit {
				return dst[:start], false
			}
		} else {
			// There is room for what is written too much, and is written over later.
			*(*byte)(unsafe.Add(to, n)) = byte(size - 1)
			*(*[16]byte)(unsafe.Add(to, n+1)) = *(*[16]byte)(unsafe.Add(from, literal))
			n += size
			if size > 0 {
				n++
			}
		}
		if length := end - at - 2; length < 7 {
			*(*byte)(unsafe.Add(to, n)) = byte(length<<5 | back>>8)
			*(*byte)(unsafe.Add(to, n+1)) = byte(back)
			n += 2
		} else {
			*(*byte)(unsafe.Add(to, n)) = byte(7<<5 | back>>8)
			*(*byte)(unsafe.Add(to, n+1)) = byte(length - 7)
			*(*byte)(unsafe.Add(to, n+2)) = byte(back)
			n += 3
		}
		// One position inside the match is remembered as well, which is cheap and finds
		// most repeats.
		if end+2 <= len(src) {
			*lzfSlot(seen, *(*uint32)(unsafe.Add(from, end-2))) = uint32(base + end - 2)
		}
		at, literal = end, end
	}
	if n += lzfLiteral(out, n, src, literal, len(src)); n > limit {
		return dst[:start], false
	}
	return dst[:start+n], true
}

// lzfFind returns the first place in src, from at on, that begins like one before it that
// is not too far away, and that one; or a place behind last. src[literal:at] was not matched.
// It is the loop that takes the most time, and has the processor's registers for itself here.
//
//go:noinline
func lzfFind(seen *[1 << lzfHashBits]uint32, base int, src unsafe.Pointer, literal, at, last int) (found, before int) {
	for at <= last {
		// Positions only ever grow, and those of src are before here: 0 <= before < at, and
		// what is loaded is in src.
		word := *(*uint32)(unsafe.Add(src, at))
		slot := lzfSlot(seen, word)
		before = int(*slot) - base
		// What was not seen is looked for at the beginning. This is the greater of two
		// places without a branch, which would often be guessed wrong.
		before &^= before >> 63
		*slot = uint32(base + at)
		if *(*uint32)(unsafe.Add(src, before)) == word && at-before <= lzfMaxDistance {
			return at, before
		}
		at += 1 + int(uint(at-literal)/lzfPatience)
	}
	return at, 0
}

// lzfSlot returns where the last position of four bytes is remembered.
func lzfSlot(seen *[1 << lzfHashBits]uint32, word uint32) *uint32 {
	return &seen[word*2654435761>>(32-lzfHashBits)]
}

// lzfEight returns the eight bytes at src[at:], the first one in the lowest place.
func lzfEight(src unsafe.Pointer, at int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(src, at))[:])
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

// lzfSlack is how far behind its output lzfDecompress may write: sixteen bytes for a
// literal and eight for a match.
const lzfSlack = 16 + 8

// lzfDecompress appends the size bytes that src stands for to dst. A size that
// src cannot stand for is refused before anything is allocated.
func lzfDecompress(dst, src []byte, size uint64) ([]byte, error) {
	if size == 0 || size > uint64(len(src))*lzfMaxExpansion {
		return nil, errBadLZF
	}
	start, full := len(dst), int(size)
	dst = slices.Grow(dst, full+lzfSlack)[:start+full]
	out := dst[start:]
	from, to := unsafe.Pointer(unsafe.SliceData(src)), unsafe.Pointer(unsafe.SliceData(out))
	at, in := 0, 0 // out[:at] is written, src[:in] was read
	// Most often a literal and a match come in turn, both short. Up to here their bytes can
	// be loaded without asking whether they are there: the control byte, sixteen of the
	// literal, three of the match. What is written too much is written over later, or lies
	// in the slack.
	frequent := len(src) - (1 + 16 + 3)
	for in <= frequent && at <= full {
		control := int(*(*byte)(unsafe.Add(from, in)))
		if control < lzfMaxLiteral {
			if control >= 16 {
				if at, in = lzfItem(out, at, src, in); in < 0 {
					return nil, errBadLZF
				}
				continue
			}
			*(*[16]byte)(unsafe.Add(to, at)) = *(*[16]byte)(unsafe.Add(from, in+1))
			at, in = at+control+1, in+control+2
			if control = int(*(*byte)(unsafe.Add(from, in))); control < lzfMaxLiteral {
				continue
			}
		}
		low := int(*(*byte)(unsafe.Add(from, in+1)))
		if control < 7<<5 {
			distance := (control&31<<8 | low) + 1
			if distance < 8 || distance > at {
				if at, in = lzfItem(out, at, src, in); in < 0 {
					return nil, errBadLZF
				}
				continue
			}
			*(*[8]byte)(unsafe.Add(to, at)) = *(*[8]byte)(unsafe.Add(to, at-distance))
			at, in = at+control>>5+2, in+2
			continue
		}
		end := at + 9 + low
		distance := (control&31<<8 | int(*(*byte)(unsafe.Add(from, in+2)))) + 1
		if distance < 8 || distance > at || end > full {
			if at, in = lzfItem(out, at, src, in); in < 0 {
				return nil, errBadLZF
			}
			continue
		}
		for ; at+3 < end; at += 8 {
			*(*[8]byte)(unsafe.Add(to, at)) = *(*[8]byte)(unsafe.Add(to, at-distance))
		}
		// A few bytes that were written by different stores are there sooner one by one.
		for ; at < end; at++ {
			*(*byte)(unsafe.Add(to, at)) = *(*byte)(unsafe.Add(to, at-distance))
		}
		at, in = end, in+3
	}
	for in < len(src) && at <= full {
		if at, in = lzfItem(out, at, src, in); in < 0 {
			return nil, errBadLZF
		}
	}
	if at != full {
		return nil, errBadLZF
	}
	return dst, nil
}

// lzfItem writes the item at src[in:], which is not empty, to out[at:]. It returns what
// lies behind both, and in < 0 if the item is broken or too long for out.
func lzfItem(out []byte, at int, src []byte, in int) (atEnd, inEnd int) {
	control := int(src[in])
	in++
	if control < lzfMaxLiteral {
		n := control + 1
		if n > len(src)-in || n > len(out)-at {
			return at, -1
		}
		copy(out[at:], src[in:in+n])
		return at + n, in + n
	}
	length := control >> 5
	if length == 7 {
		if in == len(src) {
			return at, -1
		}
		length += int(src[in])
		in++
	}
	if in == len(src) {
		return at, -1
	}
	length += 2
	from, end := at-(control&31<<8|int(src[in]))-1, at+length
	if from < 0 || length > len(out)-at {
		return at, -1
	}
	if length <= 8 {
		for ; at < end; at, from = at+1, from+1 {
			out[at] = out[from]
		}
	}
	// A match that overlaps its own copy repeats: what was copied already is copied
	// again, twice as much each time.
	for at < end {
		at += copy(out[at:end], out[from:at])
	}
	return end, in + 1
}
