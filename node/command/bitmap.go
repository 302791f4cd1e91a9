package command

import (
	"encoding/binary"
	"math/bits"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
)

// Bitmaps are the rows that look at strings as bits, bit 0 being the highest
// one of the first byte.
func Bitmaps() []Spec {
	return inGroup("bitmap", []Spec{
		{
			Name: "bitcount", Syntax: "key [start end [BYTE | BIT]]", Arity: -2, Flags: ReadOnly, Keys: readsKey,
			Since: "2.6.0", Complexity: "O(N) where N is the length of the part that is counted.",
			Summary: "Counts the bits that are set in a string or in a part of it.", Run: runBitCount, Sized: true,
		},
		{
			Name: "bitfield",
			Syntax: "key [<GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>]" +
				" <SET encoding offset value:integer | INCRBY encoding offset increment>> ...]",
			Arity: -2, Flags: Write | DenyOOM,
			Keys: []KeySpec{{
				Flags: KeyRW | KeyAccess | KeyUpdate | KeyVariableFlags,
				Notes: "reads only unless a part of the command writes", Begin: 1, Step: 1,
			}},
			FlagsOf: bitFieldFlags,
			Since:   "3.2.0", Complexity: "O(1) for each part of the command.",
			Summary: "Reads and changes integers of any width inside a string.", Run: runBitField, Heavy: manyArgs, Sized: true,
		},
		{
			Name: "bitfield_ro", Syntax: "key [GET encoding offset [GET encoding offset ...]]", Arity: -2, Flags: ReadOnly | Fast,
			Keys: readsKey, Since: "6.0.0", Complexity: "O(1) for each part of the command.",
			Summary: "Reads integers of any width inside a string.", Run: runBitField, Heavy: manyArgs,
		},
		{
			Name: "bitop", Syntax: "operation destkey:key key [key ...]", Arity: -4, Flags: Write | DenyOOM,
			Keys: []KeySpec{
				{Flags: KeyOW | KeyUpdate, Begin: 2, Step: 1},
				{Flags: KeyRO | KeyAccess, Begin: 3, Last: -1, Step: 1},
			},
			Since: "2.6.0", Complexity: "O(N) where N is the length of the longest string.",
			Summary: "Combines the bits of several strings and keeps the result.", Run: runBitOp, Heavy: manyArgs, Sized: true,
		},
		{
			Name: "bitpos", Syntax: "key bit:integer [start [end [BYTE | BIT]]]", Arity: -3, Flags: ReadOnly, Keys: readsKey,
			Since: "2.8.7", Complexity: "O(N) where N is the length of the part that is searched.",
			Summary: "Finds the first bit that is set or clear.", Run: runBitPos, Sized: true,
		},
		{
			Name: "getbit", Syntax: "key offset", Arity: 3, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "2.2.0", Complexity: "O(1)", Summary: "Returns one bit of a string.", Run: runGetBit,
		},
		{
			Name: "setbit", Syntax: "key offset value:integer", Arity: 4, Flags: Write | DenyOOM,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyUpdate, Begin: 1, Step: 1}},
			Since: "2.2.0", Complexity: "O(1)", Summary: "Sets or clears one bit of a string.", Run: runSetBit, Sized: true,
		},
	})
}

const (
	errBitOffset resp.Error = "ERR bit offset is not an integer or out of range"
	errBitValue  resp.Error = "ERR bit is not an integer or out of range"
)

// parseBitOffset reads the place of a bit. With width, "#n" is the place of the
// nth integer of that width.
func parseBitOffset(c *Call, text []byte, width int64) (int64, error) {
	unit := int64(1)
	if width > 0 && len(text) > 0 && text[0] == '#' {
		text, unit = text[1:], width
	}
	n, ok := value.ParseInt(text)
	if !ok {
		return 0, errBitOffset
	}
	// The product may wrap, as the reference's does; what it wraps to is judged.
	n *= unit
	if n < 0 || !c.Applied && n>>3 >= c.engine.maxBulk.Load() {
		return 0, errBitOffset
	}
	return n, nil
}

// growTo returns the content of a string to be changed in place, at least size
// bytes long, and whether that made it longer; or ErrLong. ref is what Write found
// for key.
func growTo(c *Call, key []byte, ref store.Ref, size int) (content []byte, grown bool, err error) {
	grown = !ref.OK() || ref.Value().TextLen() < size
	if grown && c.tooLong(size, loopBytes) {
		return nil, false, ErrLong
	}
	if !ref.OK() {
		ref = c.Put(key, value.RawValue(nil), false)
	}
	return ref.Extend(size), grown, nil
}

func runSetBit(c *Call) error {
	key := c.Args[1]
	offset, err := parseBitOffset(c, c.Args[2], 0)
	if err != nil {
		return err
	}
	on, ok := value.ParseInt(c.Args[3])
	if !ok || on&^1 != 0 {
		return errBitValue
	}
	ref := c.Write(key)
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	content, grown, err := growTo(c, key, ref, int(offset>>3)+1)
	if err != nil {
		return err
	}
	shift := 7 - offset&7
	at := &content[offset>>3]
	old := int64(*at >> shift & 1)
	if grown || old != on {
		*at = *at&^(1<<shift) | byte(on)<<shift
		c.Changed(key)
	}
	c.Reply.Int(old)
	return nil
}

func runGetBit(c *Call) error {
	offset, err := parseBitOffset(c, c.Args[2], 0)
	if err != nil {
		return err
	}
	ref := c.Read(c.Args[1])
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	bit := int64(0)
	if ref.OK() {
		if text := c.text(ref.Value()); offset>>3 < int64(len(text)) {
			bit = int64(text[offset>>3] >> (7 - offset&7) & 1)
		}
	}
	c.Reply.Int(bit)
	return nil
}

// bitRange is the part of a string that BITCOUNT and BITPOS look at: bits from
// to to-1.
type bitRange struct{ from, to int64 }

// parseBitUnit reads BYTE or BIT.
func parseBitUnit(word []byte) (isBit bool, err error) {
	switch {
	case IsWord(word, "bit"):
		return true, nil
	case IsWord(word, "byte"):
		return false, nil
	}
	return false, resp.ErrSyntax
}

// clip turns indexes, which may count from the end, of a string of size units
// into a range of bits; unit is the number of bits of one.
func clipBits(start, end, size, unit int64) bitRange {
	if start < 0 {
		start = max(start+size, 0)
	}
	if end < 0 {
		end = max(end+size, 0)
	}
	end = min(end, size-1)
	if start > end {
		return bitRange{}
	}
	return bitRange{start * unit, (end + 1) * unit}
}

func runBitCount(c *Call) error {
	ref := c.Read(c.Args[1])
	if !ref.OK() {
		// The reference looks no further either, whatever follows.
		c.Reply.Int(0)
		return nil
	}
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	text := c.text(ref.Value())
	if c.tooLong(len(text), loopBytes) {
		return ErrLong
	}
	size := int64(len(text))
	switch len(c.Args) {
	case 2:
		c.Reply.Int(countBits(text))
		return nil
	case 4, 5:
	default:
		return resp.ErrSyntax
	}
	start, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	end, ok := value.ParseInt(c.Args[3])
	if !ok {
		return resp.ErrNotInteger
	}
	if start < 0 && end < 0 && start > end {
		c.Reply.Int(0)
		return nil
	}
	unit := int64(8)
	if len(c.Args) == 5 {
		isBit, err := parseBitUnit(c.Args[4])
		if err != nil {
			return err
		}
		if isBit {
			size, unit = size*8, 1
		}
	}
	c.Reply.Int(countBitsIn(text, clipBits(start, end, size, unit)))
	return nil
}

// countBits returns how many bits of b are set.
func countBits(b []byte) int64 {
	n := 0
	for ; len(b) >= 32; b = b[32:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b)) +
			bits.OnesCount64(binary.LittleEndian.Uint64(b[8:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(b[16:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(b[24:]))
	}
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
	}
	for _, c := range b {
		n += bits.OnesCount8(c)
	}
	return int64(n)
}

// countBitsIn is countBits of a part of b.
func countBitsIn(b []byte, r bitRange) int64 {
	if r.from >= r.to {
		return 0
	}
	first, last := r.from>>3, (r.to-1)>>3
	n := countBits(b[first : last+1])
	// What was counted before and behind the part.
	n -= int64(bits.OnesCount8(b[first] &^ (0xff >> (r.from & 7))))
	n -= int64(bits.OnesCount8(b[last] & (0x7f >> ((r.to - 1) & 7))))
	return n
}

func runBitPos(c *Call) error {
	bit, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	if bit != 0 && bit != 1 {
		return resp.Error("ERR The bit argument must be 1 or 0.")
	}
	ref := c.Read(c.Args[1])
	if !ref.OK() {
		// A string that is not there is zeros without end.
		c.Reply.Int(-bit)
		return nil
	}
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	text := c.text(ref.Value())
	if c.tooLong(len(text), loopBytes) {
		return ErrLong
	}
	size, unit := int64(len(text)), int64(8)
	start, end, endGiven := int64(0), size-1, false
	if len(c.Args) > 6 {
		return resp.ErrSyntax
	}
	if len(c.Args) > 3 {
		if start, ok = value.ParseInt(c.Args[3]); !ok {
			return resp.ErrNotInteger
		}
		if len(c.Args) == 6 {
			isBit, err := parseBitUnit(c.Args[5])
			if err != nil {
				return err
			}
			if isBit {
				size, unit = size*8, 1
			}
		}
		end = size - 1
		if len(c.Args) > 4 {
			if end, ok = value.ParseInt(c.Args[4]); !ok {
				return resp.ErrNotInteger
			}
			endGiven = true
		}
	}
	r := clipBits(start, end, size, unit)
	if r.from >= r.to {
		c.Reply.Int(-1)
		return nil
	}
	at := findBit(text, r, byte(bit))
	if at < 0 && bit == 0 && !endGiven {
		// Behind the end of the string there are zeros.
		at = r.to
	}
	c.Reply.Int(at)
	return nil
}

// findBit returns the place of the first bit of the range that is bit, -1 if
// there is none.
func findBit(b []byte, r bitRange, bit byte) int64 {
	// skip is what a byte, and all is what a word without such a bit looks like.
	skip := -(bit ^ 1)
	all := -uint64(bit ^ 1)
	first, last := r.from>>3, (r.to-1)>>3
	i := first
	c := b[i] ^ skip
	c &= 0xff >> (r.from & 7)
	for c == 0 {
		if i++; i > last {
			return -1
		}
		if i+64 <= last {
			i += skipWords(b[i:last], all)
		}
		for i+8 <= last && binary.LittleEndian.Uint64(b[i:]) == all {
			i += 8
		}
		c = b[i] ^ skip
	}
	if at := i<<3 + int64(bits.LeadingZeros8(c)); at < r.to {
		return at
	}
	return -1
}

// skipWords returns how many bytes of b, in steps of 32, consist of words that
// are word.
func skipWords(b []byte, word uint64) (n int64) {
	for ; len(b) >= 32; b = b[32:] {
		w := b[:32:32]
		if (binary.LittleEndian.Uint64(w)^word)|(binary.LittleEndian.Uint64(w[8:])^word)|
			(binary.LittleEndian.Uint64(w[16:])^word)|(binary.LittleEndian.Uint64(w[24:])^word) != 0 {
			break
		}
		n += 32
	}
	return n
}
