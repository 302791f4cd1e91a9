package rdb

import (
	"encoding/binary"
	"math/bits"
	"slices"
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
	lzfHashBits    = 13
	lzfMinHashBits = 8
	// lzfMaxExpansion: three bytes stand for at most 264.
	lzfMaxExpansion = lzfMaxMatch / 3
)

// lzfTable remembers where a sequence of three bytes was last seen, plus one.
// Its length is a power of two. Short inputs use a part of it, for clearing it
// costs more than compressing them.
type lzfTable []uint32

const (
	lzfTableSize = 1 << lzfHashBits
	// smallTable is enough for inputs of that many bytes.
	smallTable = 1 << lzfMinHashBits
)

// lzfCompress appends the compressed form of src to dst if it takes at most
// limit bytes; otherwise it returns false and dst is not to be used.
func lzfCompress(dst, src []byte, limit int, seen lzfTable) ([]byte, bool) {
	if len(src) < 4 || uint64(len(src)) >= 1<<32-1 {
		return dst, false
	}
	hashBits := min(max(bits.Len(uint(len(src)-1)), lzfMinHashBits), bits.Len(uint(len(seen)))-1)
	clear(seen[:1<<hashBits])
	shift := 32 - hashBits
	start := len(dst)
	literal := 0 // src[literal:at] is not yet written
	at := 0
	// The last bytes are always literal, so that four can be loaded at once.
	for at+4 <= len(src) {
		word := binary.LittleEndian.Uint32(src[at:]) & 0xffffff
		slot := &seen[word*2654435761>>shift]
		candidate := int(*slot) - 1
		*slot = uint32(at + 1)
		distance := at - candidate - 1
		if candidate < 0 || distance >= lzfMaxDistance ||
			binary.LittleEndian.Uint32(src[candidate:])&0xffffff != word {
			at++
			continue
		}
		length, most := 3, min(len(src)-at, lzfMaxMatch)
		for length < most && src[candidate+length] == src[at+length] {
			length++
		}
		dst = lzfLiteral(dst, src[literal:at])
		high := byte(distance >> 8)
		if length-2 < 7 {
			dst = append(dst, byte(length-2)<<5|high, byte(distance))
		} else {
			dst = append(dst, 7<<5|high, byte(length-2-7), byte(distance))
		}
		if len(dst)-start > limit {
			return dst, false
		}
		// The last position inside the match is remembered as well, which is
		// cheap and finds most repeats.
		if end := at + length; end+3 <= len(src) {
			word := binary.LittleEndian.Uint32(src[end-1:]) & 0xffffff
			seen[word*2654435761>>shift] = uint32(end)
		}
		at += length
		literal = at
	}
	dst = lzfLiteral(dst, src[literal:])
	return dst, len(dst)-start <= limit
}

func lzfLiteral(dst, literal []byte) []byte {
	for len(literal) > 0 {
		n := min(len(literal), lzfMaxLiteral)
		dst = append(dst, byte(n-1))
		dst = append(dst, literal[:n]...)
		literal = literal[n:]
	}
	return dst
}

// lzfDecompress appends the size bytes that src stands for to dst. A size that
// src cannot stand for is refused before anything is allocated.
func lzfDecompress(dst, src []byte, size uint64) ([]byte, error) {
	if size == 0 || size > uint64(len(src))*lzfMaxExpansion {
		return nil, errBadLZF
	}
	start := len(dst)
	dst = slices.Grow(dst, int(size))[:start+int(size)]
	out, at := dst[start:], 0
	for len(src) > 0 {
		control := int(src[0])
		src = src[1:]
		if control < lzfMaxLiteral {
			n := control + 1
			if n > len(src) || n > len(out)-at {
				return nil, errBadLZF
			}
			at += copy(out[at:], src[:n])
			src = src[n:]
			continue
		}
		length := control >> 5
		if length == 7 {
			if len(src) == 0 {
				return nil, errBadLZF
			}
			length += int(src[0])
			src = src[1:]
		}
		if len(src) == 0 {
			return nil, errBadLZF
		}
		length += 2
		from := at - (control&31<<8 | int(src[0])) - 1
		src = src[1:]
		if from < 0 || length > len(out)-at {
			return nil, errBadLZF
		}
		// A match that overlaps its own copy repeats: what was copied already is
		// copied again, twice as much each time.
		for length > 0 {
			n := copy(out[at:at+length], out[from:at])
			at += n
			length -= n
		}
	}
	if at != len(out) {
		return nil, errBadLZF
	}
	return dst, nil
}
