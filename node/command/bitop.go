package command

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"

	"slotmesh/node/resp"
	"slotmesh/node/store/value"
)

// bitOperation is what BITOP does.
type bitOperation uint8

const (
	bitAnd bitOperation = iota
	bitOr
	bitXor
	bitNot
)

func parseBitOperation(word []byte) (bitOperation, bool) {
	for i, name := range [...]string{"and", "or", "xor", "not"} {
		if IsWord(word, name) {
			return bitOperation(i), true
		}
	}
	return 0, false
}

func runBitOp(c *Call) error {
	op, ok := parseBitOperation(c.Args[1])
	if !ok {
		return resp.ErrSyntax
	}
	target, sources := c.Args[2], c.Args[3:]
	if op == bitNot && len(sources) != 1 {
		return resp.Error("ERR BITOP NOT must be called with a single source key.")
	}
	longest, total := 0, 0
	own := 0 // how often the target is a source
	for _, key := range sources {
		ref := c.Read(key)
		if err := isKind(ref, value.KindString); err != nil {
			return err
		}
		if !ref.OK() {
			continue
		}
		size := ref.Value().TextLen()
		longest, total = max(longest, size), total+size
		if bytes.Equal(key, target) {
			own++
		}
	}
	if c.tooLong(total, loopBytes) {
		return ErrLong
	}
	if longest == 0 {
		c.Write(target) // an expired key goes without being counted as a change
		if c.Delete(target) {
			c.Changed(target)
		}
		c.Reply.Int(0)
		return nil
	}
	// The result is worked out where it will stay. The other sources are looked
	// up after that place was made, since nothing moves any more then.
	ref := c.Peek(target)
	if ref.OK() && ref.Kind() == value.KindString {
		ref.Touch(c.Now)
		if ref.Expires() {
			ref.SetExpire(0)
		}
	} else {
		ref = c.Put(target, value.RawValue(nil), false)
	}
	var out []byte
	if own == 0 {
		out = ref.Resize(longest)
	} else {
		out = ref.Extend(longest)
	}
	first := true
	if own > 0 {
		// The target itself comes first, before it is written over. What it holds
		// twice makes no difference but to an exclusive or.
		first = false
		if op == bitXor && own%2 == 0 {
			clear(out)
		}
	}
	for _, key := range sources {
		var text []byte
		if bytes.Equal(key, target) {
			// It was there and is done, or it was not and is empty.
			if own > 0 {
				continue
			}
		} else if source := c.Peek(key); source.OK() {
			text = c.text(source.Value())
		}
		if first {
			first = false
			clear(out[copy(out, text):])
			continue
		}
		combineBits(op, out, text)
	}
	if op == bitNot {
		invertBits(out)
	}
	c.Changed(target)
	c.Reply.Int(int64(longest))
	return nil
}

// combineBits makes out the combination of itself and text, behind whose end
// there are zeros.
func combineBits(op bitOperation, out, text []byte) {
	n := len(text)
	switch op {
	case bitXor:
		subtle.XORBytes(out[:n], out[:n], text)
	case bitOr:
		a, b := out[:n], text
		for ; len(a) >= 32 && len(b) >= 32; a, b = a[32:], b[32:] {
			binary.LittleEndian.PutUint64(a, binary.LittleEndian.Uint64(a)|binary.LittleEndian.Uint64(b))
			binary.LittleEndian.PutUint64(a[8:], binary.LittleEndian.Uint64(a[8:])|binary.LittleEndian.Uint64(b[8:]))
			binary.LittleEndian.PutUint64(a[16:], binary.LittleEndian.Uint64(a[16:])|binary.LittleEndian.Uint64(b[16:]))
			binary.LittleEndian.PutUint64(a[24:], binary.LittleEndian.Uint64(a[24:])|binary.LittleEndian.Uint64(b[24:]))
		}
		for i := range a {
			a[i] |= b[i]
		}
	case bitAnd:
		clear(out[n:])
		a, b := out[:n], text
		for ; len(a) >= 32 && len(b) >= 32; a, b = a[32:], b[32:] {
			binary.LittleEndian.PutUint64(a, binary.LittleEndian.Uint64(a)&binary.LittleEndian.Uint64(b))
			binary.LittleEndian.PutUint64(a[8:], binary.LittleEndian.Uint64(a[8:])&binary.LittleEndian.Uint64(b[8:]))
			binary.LittleEndian.PutUint64(a[16:], binary.LittleEndian.Uint64(a[16:])&binary.LittleEndian.Uint64(b[16:]))
			binary.LittleEndian.PutUint64(a[24:], binary.LittleEndian.Uint64(a[24:])&binary.LittleEndian.Uint64(b[24:]))
		}
		for i := range a {
			a[i] &= b[i]
		}
	}
}

func invertBits(b []byte) {
	for ; len(b) >= 32; b = b[32:] {
		binary.LittleEndian.PutUint64(b, ^binary.LittleEndian.Uint64(b))
		binary.LittleEndian.PutUint64(b[8:], ^binary.LittleEndian.Uint64(b[8:]))
		binary.LittleEndian.PutUint64(b[16:], ^binary.LittleEndian.Uint64(b[16:]))
		binary.LittleEndian.PutUint64(b[24:], ^binary.LittleEndian.Uint64(b[24:]))
	}
	for i := range b {
		b[i] = ^b[i]
	}
}
