package listpack

import (
	"encoding/binary"
	"math"
	"strconv"
)

// The encoding bytes, by their first bits or as a whole. What belongs to them
// follows; numbers are little-endian, but the two-byte forms keep their upper
// bits in the encoding byte.
const (
	tagText6  = 0x80 // 10 and a length of 6 bits
	tagInt13  = 0xc0 // 110 and an integer of 13 bits
	tagText12 = 0xe0 // 1110 and a length of 12 bits
	tagText32 = 0xf0
	tagInt16  = 0xf1
	tagInt24  = 0xf2
	tagInt32  = 0xf3
	tagInt64  = 0xf4
)

// wholeSizes are the lengths of entries, with the length behind them, by their first
// bytes: 0 where that does not tell.
var wholeSizes = newWholeSizes()

func newWholeSizes() (sizes [256]uint8) {
	for e := range tagText12 {
		sizes[e] = uint8(bodySize([]byte{byte(e)}) + 1)
	}
	for e := tagInt16; e <= tagInt64; e++ {
		sizes[e] = uint8(bodySize([]byte{byte(e)}) + 1)
	}
	return sizes
}

// bodySize is the length of the entry that b begins with, without the length
// behind it.
func bodySize(b []byte) int {
	switch e := b[0]; {
	case e < tagText6:
		return 1
	case e < tagInt13:
		return 1 + int(e&0x3f)
	case e < tagText12:
		return 2
	case e < tagText32:
		return 2 + int(e&0xf)<<8 + int(b[1])
	case e == tagText32:
		return 5 + int(binary.LittleEndian.Uint32(b[1:]))
	case e == tagInt16:
		return 3
	case e == tagInt24:
		return 4
	case e == tagInt32:
		return 5
	case e == tagInt64:
		return 9
	}
	panic("listpack: no entry here")
}

// backSize is how many bytes tell, behind an entry, that it is size long. The
// bounds are those of the reference's lpEncodeBacklen, each one less than would
// fit but for the first.
func backSize(size int) int {
	switch {
	case size <= 1<<7-1:
		return 1
	case size < 1<<14-1:
		return 2
	case size < 1<<21-1:
		return 3
	case size < 1<<28-1:
		return 4
	}
	return 5
}

// putBack writes the length behind an entry, seven bits to a byte, the upper ones
// first; all bytes but the first have their top bit set. It returns how many.
func putBack(b []byte, size int) int {
	n := backSize(size)
	for i := n - 1; i > 0; i-- {
		b[i] = byte(size)&0x7f | 0x80
		size >>= 7
	}
	b[0] = byte(size)
	return n
}

// parse returns the entry at pos and where it ends.
func parse(lp []byte, pos int) (text []byte, n int64, isInt bool, end int) {
	b := lp[pos:]
	switch e := b[0]; {
	case e < tagText6:
		return nil, int64(e), true, pos + 2
	case e < tagInt13:
		size := 1 + int(e&0x3f)
		return b[1:size:size], 0, false, pos + size + 1
	case e < tagText12:
		return nil, int64(int16(uint16(e)<<11|uint16(b[1])<<3)) >> 3, true, pos + 3
	case e < tagText32:
		size := 2 + int(e&0xf)<<8 + int(b[1])
		return b[2:size:size], 0, false, pos + size + backSize(size)
	case e == tagText32:
		size := 5 + int(binary.LittleEndian.Uint32(b[1:]))
		return b[5:size:size], 0, false, pos + size + backSize(size)
	case e == tagInt16:
		return nil, int64(int16(binary.LittleEndian.Uint16(b[1:]))), true, pos + 4
	case e == tagInt24:
		return nil, int64(int32(uint32(b[1])<<8|uint32(b[2])<<16|uint32(b[3])<<24)) >> 8, true, pos + 5
	case e == tagInt32:
		return nil, int64(int32(binary.LittleEndian.Uint32(b[1:]))), true, pos + 6
	case e == tagInt64:
		return nil, int64(binary.LittleEndian.Uint64(b[1:])), true, pos + 10
	}
	panic("listpack: no entry here")
}

// EntrySize is how many bytes Put writes for b.
func EntrySize(b []byte) int {
	if n, ok := ParseInt(b); ok {
		return IntSize(n)
	}
	return textSize(len(b))
}

func textSize(length int) int {
	size := length
	switch {
	case length < 1<<6:
		size++
	case length < 1<<12:
		size += 2
	default:
		size += 5
	}
	return size + backSize(size)
}

// IntSize is how many bytes PutInt writes for n.
func IntSize(n int64) int {
	switch {
	case 0 <= n && n < 1<<7:
		return 2
	case -1<<12 <= n && n < 1<<12:
		return 3
	case n == int64(int16(n)):
		return 4
	case -1<<23 <= n && n < 1<<23:
		return 5
	case n == int64(int32(n)):
		return 6
	}
	return 10
}

// Put writes an entry with the text b to the beginning of dst, EntrySize bytes,
// and returns how many. It does not write beyond them.
func Put(dst, b []byte) int {
	if n := len(b); n > 0 && n < 1<<6 && b[0] > '9' {
		// Most are short, and begin with what no integer does.
		dst[n+1] = byte(n + 1)
		dst[0] = tagText6 | byte(n)
		copy(dst[1:n+1], b)
		return n + 2
	}
	if n, ok := ParseInt(b); ok {
		return PutInt(dst, n)
	}
	size := len(b)
	switch {
	case size < 1<<6:
		dst[0] = tagText6 | byte(size)
		size++
	case size < 1<<12:
		dst[0], dst[1] = tagText12|byte(size>>8), byte(size)
		size += 2
	case size <= math.MaxUint32:
		dst[0] = tagText32
		binary.LittleEndian.PutUint32(dst[1:], uint32(size))
		size += 5
	default:
		panic("listpack: text longer than 4 GiB")
	}
	copy(dst[size-len(b):size], b)
	return size + putBack(dst[size:], size)
}

// PutInt is Put for an integer, IntSize bytes.
func PutInt(dst []byte, n int64) int {
	size := IntSize(n)
	switch size {
	case 2:
		dst[0] = byte(n)
	case 3:
		dst[0], dst[1] = tagInt13|byte(n>>8)&0x1f, byte(n)
	case 4:
		dst[0] = tagInt16
		binary.LittleEndian.PutUint16(dst[1:], uint16(n))
	case 5:
		dst[0], dst[1], dst[2], dst[3] = tagInt24, byte(n), byte(n>>8), byte(n>>16)
	case 6:
		dst[0] = tagInt32
		binary.LittleEndian.PutUint32(dst[1:], uint32(n))
	default:
		dst[0] = tagInt64
		binary.LittleEndian.PutUint64(dst[1:], uint64(n))
	}
	dst[size-1] = byte(size - 1)
	return size
}

// ParseInt reads b as the one canonical decimal form of a 64-bit integer: no
// blanks, no plus, no leading zeros, no "-0". Source: the reference's
// string2ll.
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 || b[0] > '9' {
		return 0, false
	}
	digits := b
	negative := b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	if digits[0] == '0' {
		return 0, len(b) == 1
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= 1<<63-1
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
