package listpack

import (
	"encoding/binary"
	"errors"
)

// ErrCorrupt is what Validate finds wrong.
var ErrCorrupt = errors.New("listpack: bytes are not a listpack")

// Validate checks that lp, whole, is a listpack: that entries follow each other
// up to the end byte, that the lengths behind them agree with them, and that
// their number is that of the header. Afterwards no function of this package
// reads outside lp.
func Validate(lp []byte) error {
	if len(lp) < EmptySize || uint64(binary.LittleEndian.Uint32(lp)) != uint64(len(lp)) || lp[len(lp)-1] != endByte {
		return ErrCorrupt
	}
	end := len(lp) - 1
	n := 0
	for pos := HeaderSize; pos < end; n++ {
		size := 0
		switch e := lp[pos]; {
		case e < tagText6:
			size = 1
		case e < tagInt13:
			size = 1 + int(e&0x3f)
		case e < tagText12:
			size = 2
		case tagInt16 <= e && e <= tagInt32:
			size = 3 + int(e-tagInt16)
		}
		if size > 0 {
			// Nearly all are integers and short texts.
			if pos += size; pos >= end || lp[pos] != byte(size) {
				return ErrCorrupt
			}
			pos++
			continue
		}
		size, ok := checkedSize(lp[pos:end])
		if !ok {
			return ErrCorrupt
		}
		back := backSize(size)
		if back > end-pos-size {
			return ErrCorrupt
		}
		// Only the one form that putBack writes: a walk backwards must meet the same
		// entries.
		var want [5]byte
		putBack(want[:], size)
		if pos += size; string(lp[pos:pos+back]) != string(want[:back]) {
			return ErrCorrupt
		}
		pos += back
	}
	if have := int(binary.LittleEndian.Uint16(lp[4:])); have != UnknownLen && have != n {
		return ErrCorrupt
	}
	return nil
}

// checkedSize is bodySize for bytes that may be anything: ok is false if the
// entry does not fit into b.
func checkedSize(b []byte) (size int, ok bool) {
	switch e := b[0]; {
	case e > tagInt64:
		return 0, false
	case tagText12 <= e && e < tagText32 && len(b) < 2, e == tagText32 && len(b) < 5:
		return 0, false
	}
	size = bodySize(b)
	return size, size <= len(b)
}
