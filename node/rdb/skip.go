package rdb

import "encoding/binary"

// What skipping ends with when it finds no end: more bytes are needed to tell,
// or there is something that only the one who reads it has words for.
const (
	skipShort = -1
	skipOdd   = -2
)

// skipLength returns the length that stands at b[at:], whether it is an encoding
// instead, and what is behind it, negative as above.
func skipLength(b []byte, at int) (n uint64, encoded bool, end int) {
	if at < 0 {
		return 0, false, at
	}
	if at >= len(b) {
		return 0, false, skipShort
	}
	first := b[at]
	rest := b[at+1:]
	switch first >> 6 {
	case len6Bit:
		return uint64(first), false, at + 1
	case len14Bit:
		if len(rest) < 1 {
			return 0, false, skipShort
		}
		return uint64(first&63)<<8 | uint64(rest[0]), false, at + 2
	case lenEncoded:
		return uint64(first & 63), true, at + 1
	}
	switch {
	case first == len32Bit && len(rest) >= 4:
		return uint64(binary.BigEndian.Uint32(rest)), false, at + 5
	case first == len64Bit && len(rest) >= 8:
		return binary.BigEndian.Uint64(rest), false, at + 9
	case first == len32Bit || first == len64Bit:
		return 0, false, skipShort
	}
	return 0, false, skipOdd
}

// skipPlain is skipLength for what may not be an encoding.
func skipPlain(b []byte, at int) (n uint64, end int) {
	n, encoded, end := skipLength(b, at)
	if encoded && end >= 0 {
		return 0, skipOdd
	}
	return n, end
}

// skipBytes returns what is n bytes behind b[at:].
func skipBytes(b []byte, at int, n uint64) int {
	switch {
	case at < 0:
		return at
	case n > uint64(len(b)-at):
		return skipShort
	}
	return at + int(n)
}

// skipString returns what is behind the string at b[at:].
func skipString(b []byte, at int) int {
	n, encoded, at := skipLength(b, at)
	if !encoded || at < 0 {
		return skipBytes(b, at, n)
	}
	switch n {
	case encInt8:
		return skipBytes(b, at, 1)
	case encInt16:
		return skipBytes(b, at, 2)
	case encInt32:
		return skipBytes(b, at, 4)
	case encLZF:
		packed, at := skipPlain(b, at)
		_, at = skipPlain(b, at)
		return skipBytes(b, at, packed)
	}
	return skipOdd
}

// skipTimes skips a number and, so many times, what skip skips.
func skipTimes(b []byte, at int, skip func(at int) int) int {
	n, at := skipPlain(b, at)
	for i := uint64(0); i < n && at >= 0; i++ {
		at = skip(at)
	}
	return at
}

// skipValue returns what is behind the value of type t at b[at:].
func (d *decoder) skipValue(t Type, b []byte, at int) int {
	strings := func(each int, tail uint64) int {
		return skipTimes(b, at, func(at int) int {
			for range each {
				at = skipString(b, at)
			}
			return skipBytes(b, at, tail)
		})
	}
	if d.valkey && t == typeHashValkey {
		return strings(2, 8)
	}
	switch t {
	case TypeString, typeZipmap, typeZiplist, typeIntset, typeZSetZiplist, typeHashZiplist,
		typeHashListpack, typeZSetListpack, typeSetListpack, typeHashTTLLPPre:
		return skipString(b, at)
	case typeHashTTLListLP:
		return skipString(b, skipBytes(b, at, 8))
	case typeList, typeSet, typeQuicklist:
		return strings(1, 0)
	case typeHash:
		return strings(2, 0)
	case typeZSet:
		return strings(1, 8)
	case typeZSetText:
		return skipTimes(b, at, func(at int) int { return skipScore(b, skipString(b, at)) })
	case typeQuicklist2:
		return skipTimes(b, at, func(at int) int {
			_, at = skipPlain(b, at)
			return skipString(b, at)
		})
	case typeHashTTLPre, typeHashTTL:
		if t == typeHashTTL {
			at = skipBytes(b, at, 8)
		}
		return skipTimes(b, at, func(at int) int {
			_, at = skipPlain(b, at)
			return skipString(b, skipString(b, at))
		})
	case typeStream1, typeStream2, typeStream3:
		return skipStream(t, b, at)
	}
	return skipOdd
}

// skipScore skips a score in its old form.
func skipScore(b []byte, at int) int {
	switch {
	case at < 0:
		return at
	case at >= len(b):
		return skipShort
	case b[at] >= scoreNaN:
		return at + 1
	}
	return skipBytes(b, at+1, uint64(b[at]))
}

func skipStream(t Type, b []byte, at int) int {
	lengths := func(at, n int) int {
		for range n {
			_, at = skipPlain(b, at)
		}
		return at
	}
	at = skipTimes(b, at, func(at int) int { return skipString(b, skipString(b, at)) })
	facts, group, consumer := 3, 2, uint64(8)
	if t != typeStream1 {
		facts, group = 8, 3
	}
	if t == typeStream3 {
		consumer = 16
	}
	at = lengths(at, facts)
	return skipTimes(b, at, func(at int) int {
		at = lengths(skipString(b, at), group)
		at = skipTimes(b, at, func(at int) int { return lengths(skipBytes(b, at, 16+8), 1) })
		return skipTimes(b, at, func(at int) int {
			at = skipBytes(b, skipString(b, at), consumer)
			return skipTimes(b, at, func(at int) int { return skipBytes(b, at, 16) })
		})
	})
}
