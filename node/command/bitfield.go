package command

import (
	"encoding/binary"
	"math"

	"slotmesh/node/resp"
	"slotmesh/node/store/value"
)

// bitFieldFlags: a BITFIELD of nothing but GET reads only.
func bitFieldFlags(args [][]byte) KeyFlags {
	for i := 2; i < len(args); {
		switch rest := len(args) - i - 1; {
		case IsWord(args[i], "get") && rest >= 2:
			i += 3
		case IsWord(args[i], "overflow") && rest >= 1:
			i += 2
		default:
			return KeyRW | KeyAccess | KeyUpdate
		}
	}
	return KeyRO | KeyAccess
}

// overflow is what becomes of a number that its field cannot hold.
type overflow uint8

const (
	overflowWrap overflow = iota
	overflowSaturate
	overflowFail
)

// fieldKind is what one part of BITFIELD does.
type fieldKind uint8

const (
	fieldGet fieldKind = iota
	fieldSet
	fieldIncrement
)

// fieldOp is one part of a BITFIELD.
type fieldOp struct {
	kind     fieldKind
	overflow overflow
	signed   bool
	width    uint8
	offset   int64
	amount   int64
}

// parseFieldType reads i1 to i64 or u1 to u63.
func parseFieldType(text []byte) (signed bool, width int64, err error) {
	const bad resp.Error = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
	if len(text) == 0 || text[0] != 'i' && text[0] != 'u' {
		return false, 0, bad
	}
	signed = text[0] == 'i'
	limit := int64(63)
	if signed {
		limit = 64
	}
	width, ok := value.ParseInt(text[1:])
	if !ok || width < 1 || width > limit {
		return false, 0, bad
	}
	return signed, width, nil
}

// fieldParser reads the parts of a BITFIELD one by one, so that none of them
// has to be kept: once to check them all, once to do them.
type fieldParser struct {
	c        *Call
	at       int
	overflow overflow
}

// next reads the next part; ok is false at the end.
func (p *fieldParser) next() (op fieldOp, ok bool, err error) {
	args := p.c.Args
	for p.at < len(args) {
		word := args[p.at]
		rest := len(args) - p.at - 1
		switch {
		case IsWord(word, "get") && rest >= 2:
			op.kind = fieldGet
		case IsWord(word, "set") && rest >= 3:
			op.kind = fieldSet
		case IsWord(word, "incrby") && rest >= 3:
			op.kind = fieldIncrement
		case IsWord(word, "overflow") && rest >= 1:
			switch how := args[p.at+1]; {
			case IsWord(how, "wrap"):
				p.overflow = overflowWrap
			case IsWord(how, "sat"):
				p.overflow = overflowSaturate
			case IsWord(how, "fail"):
				p.overflow = overflowFail
			default:
				return op, false, resp.Error("ERR Invalid OVERFLOW type specified")
			}
			p.at += 2
			continue
		default:
			return op, false, resp.ErrSyntax
		}
		var width int64
		if op.signed, width, err = parseFieldType(args[p.at+1]); err != nil {
			return op, false, err
		}
		if op.offset, err = parseBitOffset(p.c, args[p.at+2], width); err != nil {
			return op, false, err
		}
		op.width, op.overflow = uint8(width), p.overflow
		p.at += 3
		if op.kind != fieldGet {
			amount, isInt := value.ParseInt(args[p.at])
			if !isInt {
				return op, false, resp.ErrNotInteger
			}
			op.amount = amount
			p.at++
		}
		return op, true, nil
	}
	return op, false, nil
}

func runBitField(c *Call) error {
	key := c.Args[1]
	parts, farthest := 0, int64(-1)
	for p := (fieldParser{c: c, at: 2}); ; parts++ {
		op, ok, err := p.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if op.kind != fieldGet {
			farthest = max(farthest, op.offset+int64(op.width)-1)
		}
	}
	writes := farthest >= 0
	if writes && c.Spec.Flags&Write == 0 {
		return resp.Error("ERR BITFIELD_RO only supports the GET subcommand")
	}
	var content []byte
	var err error
	grown := false
	if writes {
		ref := c.Write(key)
		if err = isKind(ref, value.KindString); err != nil {
			return err
		}
		if content, grown, err = growTo(c, key, ref, int(farthest>>3)+1); err != nil {
			return err
		}
	} else {
		ref := c.Read(key)
		if err := isKind(ref, value.KindString); err != nil {
			return err
		}
		if ref.OK() {
			content = c.text(ref.Value())
		}
	}
	c.Reply.Array(parts)
	for p := (fieldParser{c: c, at: 2}); parts > 0; parts-- {
		op, _, _ := p.next()
		result, ok, changed := op.do(content)
		if !ok {
			c.Reply.Null()
			continue
		}
		if changed || grown && op.kind != fieldGet {
			c.Changed(key)
		}
		c.Reply.Int(result)
	}
	if grown && c.dirty == 0 {
		// Every part failed, but there is a longer string now.
		c.Changed(key)
	}
	return nil
}

// do runs one part on content, which is long enough for a part that writes. ok
// is false when the number does not fit and that is to fail.
func (op *fieldOp) do(content []byte) (result int64, ok, changed bool) {
	raw := getBits(content, op.offset, op.width)
	old := int64(raw)
	if op.signed {
		old = signExtend(raw, op.width)
	}
	if op.kind == fieldGet {
		return old, true, false
	}
	base, by := op.amount, int64(0)
	if op.kind == fieldIncrement {
		base, by = old, op.amount
	}
	var now int64
	if op.signed {
		now, ok = addSigned(base, by, op.width, op.overflow)
	} else {
		now, ok = addUnsigned(uint64(base), by, op.width, op.overflow)
	}
	if !ok {
		return 0, false, false
	}
	putBits(content, op.offset, op.width, uint64(now))
	result = now
	if op.kind == fieldSet {
		result = old
	}
	return result, true, now != old
}

// getBits reads width bits, 1 to 64, from offset on. Behind b there are zeros.
func getBits(b []byte, offset int64, width uint8) uint64 {
	at, shift := offset>>3, uint(offset&7)
	if at >= int64(len(b)) {
		return 0
	}
	b = b[at:]
	var window [9]byte
	if len(b) < len(window) {
		copy(window[:], b)
		b = window[:]
	}
	high := binary.BigEndian.Uint64(b)<<shift | uint64(b[8])>>(8-shift)
	return high >> (64 - width)
}

// putBits writes width bits of v, which lie inside b.
func putBits(b []byte, offset int64, width uint8, v uint64) {
	b = b[offset>>3:]
	shift := uint(offset & 7)
	// What is written lies at the top of mask and v, then moves right.
	mask := ^uint64(0) << (64 - width)
	v <<= 64 - width
	var window [9]byte
	n := copy(window[:], b)
	high := binary.BigEndian.Uint64(window[:])
	binary.BigEndian.PutUint64(window[:], high&^(mask>>shift)|v>>shift)
	low := mask << (64 - shift) >> 56
	window[8] = window[8]&^byte(low) | byte(v<<(64-shift)>>56)
	copy(b, window[:n])
}

func signExtend(v uint64, width uint8) int64 { return int64(v<<(64-width)) >> (64 - width) }

// addUnsigned adds by to v, in a field of width bits, 1 to 63. v may be beyond
// the field already.
func addUnsigned(v uint64, by int64, width uint8, o overflow) (sum int64, ok bool) {
	limit := uint64(1)<<width - 1
	switch {
	case v > limit, by > 0 && uint64(by) > limit-v:
		if o == overflowSaturate {
			return int64(limit), true
		}
	case by < 0 && by < -int64(v):
		if o == overflowSaturate {
			return 0, true
		}
	default:
		return int64(v + uint64(by)), true
	}
	return int64((v + uint64(by)) & limit), o != overflowFail
}

// addSigned adds by to v, in a field of width bits, 1 to 64. v may be beyond
// the field already. The differences may wrap, in which case the reference
// judges by what they wrap to.
func addSigned(v, by int64, width uint8, o overflow) (sum int64, ok bool) {
	most := int64(math.MaxInt64) >> (64 - width)
	least := -most - 1
	above, below := most-v, least-v
	switch {
	case v > most, width < 64 && by > above, v >= 0 && by > 0 && by > above:
		if o == overflowSaturate {
			return most, true
		}
	case v < least, width < 64 && by < below, v < 0 && by < 0 && by < below:
		if o == overflowSaturate {
			return least, true
		}
	default:
		return v + by, true
	}
	return signExtend(uint64(v)+uint64(by), width), o != overflowFail
}
