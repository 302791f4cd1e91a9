package resp

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// AppendCommand appends args as a request: an array of bulk strings. It is the
// form of the journal, of replication streams and of what a node asks a peer.
func AppendCommand[T []byte | string](dst []byte, args ...T) []byte {
	dst = AppendHeader(dst, '*', len(args))
	for _, arg := range args {
		dst = AppendHeader(dst, '$', len(arg))
		dst = append(dst, arg...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendHeader appends a type byte, a length and CRLF.
func AppendHeader(dst []byte, kind byte, n int) []byte { return appendNumber(dst, kind, int64(n)) }

// appendNumber appends a line that is a type byte and a number. Numbers below 100 are
// nearly all that there are of lengths, and those of eight digits of what is counted.
func appendNumber(dst []byte, kind byte, n int64) []byte {
	switch {
	case 0 <= n && n < 10:
		return append(dst, kind, byte('0'+n), '\r', '\n')
	case 10 <= n && n < 100:
		return append(dst, kind, byte('0'+n/10), byte('0'+n%10), '\r', '\n')
	case 100 <= n && n < 1e8:
		digits := eightDigits(uint64(n))
		zeros := bits.TrailingZeros64(digits) / 8
		dst = binary.LittleEndian.AppendUint64(append(dst, kind), (digits|0x3030303030303030)>>(8*zeros))
		return append(dst[:len(dst)-zeros], '\r', '\n')
	}
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, '\r', '\n')
}

// eightDigits returns the decimal digits of n, which has no more than eight, the first in
// the lowest byte. Fours, then pairs, then digits are parted, all of them at once.
func eightDigits(n uint64) uint64 {
	fours := n/10000 | n%10000<<32
	high := fours * 5243 >> 19 & 0x0000007f0000007f // /100, right below 10000
	pairs := high | (fours-100*high)<<16
	high = pairs * 103 >> 10 & 0x000f000f000f000f // /10, right below 100
	return high | (pairs-10*high)<<8
}
