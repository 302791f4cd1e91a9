package value

import (
	"encoding/binary"

	"slotmesh/node/store/arena"
)

// A record is the block of one key, as bytes:
//
//	0   version of the last change, 32 bits
//	4   clock of the last access, 24 bits
//	7   kind and encoding, 4 bits each
//	8   flags, 16 bits: see below
//	10  length of the key: 1 byte, or 4 with flagWideKey
//	    length of the payload: 1, 2, 4 or 8 bytes
//	    place of the deadline, 4 bytes, with FlagDeadline
//	    place of the field deadline, 4 bytes, with FlagFieldDeadline
//	    key
//	    payload
//
// Numbers are little-endian.

// Flags of a record.
const (
	flagWideKey = 1 << 0
	// Two bits: 1 << n bytes hold the payload's length.
	flagSizeShift = 1
	// FlagDeadline is set when the key expires, FlagFieldDeadline when a field
	// of it does: their places in the slot's heaps of deadlines stand in the
	// record.
	FlagDeadline      = 1 << 3
	FlagFieldDeadline = 1 << 4
	// FlagLent is set while a snapshot may still read the block: it is then
	// replaced, not changed.
	FlagLent = 1 << 5
	// Three bits: how many trees the payload begins with.
	flagRootsShift = 8
	// MaxRoots is the greatest number of trees of one value.
	MaxRoots = 7

	fixedLen = 10

	// ShortKey is the length of the longest key that needs no flagWideKey.
	ShortKey = 0xff
)

// Header is what a record says of itself before key and payload.
type Header struct {
	Version uint32
	Clock   uint32
	Kind    Kind
	Enc     Encoding
	Roots   uint8
	// Lent: see FlagLent.
	Lent bool
	// Deadline and FieldDeadline are places in the slot's heaps of deadlines plus
	// one, 0 for none.
	Deadline, FieldDeadline uint32

	KeyLen, PayloadLen int
	// keyAt and payloadAt are offsets, as ParseHeader found or layout chose them.
	keyAt, payloadAt int
}

// maxHeader is the longest header.
const maxHeader = fixedLen + 4 + 8 + 4 + 4

// sizeForm returns n such that 1<<n bytes hold size.
func sizeForm(size int) uint {
	switch {
	case size < 1<<8:
		return 0
	case size < 1<<16:
		return 1
	case size < 1<<32:
		return 2
	}
	return 3
}

// layout works out where key and payload go and returns the record's length.
func (h *Header) layout() int {
	n := fixedLen + 1 + 1<<sizeForm(h.PayloadLen)
	if h.KeyLen > ShortKey {
		n += 3
	}
	if h.Deadline != 0 {
		n += 4
	}
	if h.FieldDeadline != 0 {
		n += 4
	}
	h.keyAt = n
	h.payloadAt = n + h.KeyLen
	return h.payloadAt + h.PayloadLen
}

// put writes the header that layout worked out.
func (h *Header) put(b []byte) {
	binary.LittleEndian.PutUint32(b, h.Version)
	binary.LittleEndian.PutUint32(b[4:], h.Clock&0xffffff|uint32(h.Kind)<<28|uint32(h.Enc)<<24)
	form := sizeForm(h.PayloadLen)
	flags := uint16(form)<<flagSizeShift | uint16(h.Roots)<<flagRootsShift
	n := fixedLen
	if h.KeyLen > ShortKey {
		flags |= flagWideKey
		binary.LittleEndian.PutUint32(b[n:], uint32(h.KeyLen))
		n += 4
	} else {
		b[n] = byte(h.KeyLen)
		n++
	}
	switch form {
	case 0:
		b[n] = byte(h.PayloadLen)
	case 1:
		binary.LittleEndian.PutUint16(b[n:], uint16(h.PayloadLen))
	case 2:
		binary.LittleEndian.PutUint32(b[n:], uint32(h.PayloadLen))
	default:
		binary.LittleEndian.PutUint64(b[n:], uint64(h.PayloadLen))
	}
	n += 1 << form
	if h.Deadline != 0 {
		flags |= FlagDeadline
		binary.LittleEndian.PutUint32(b[n:], h.Deadline)
		n += 4
	}
	if h.FieldDeadline != 0 {
		flags |= FlagFieldDeadline
		binary.LittleEndian.PutUint32(b[n:], h.FieldDeadline)
	}
	if h.Lent {
		flags |= FlagLent
	}
	binary.LittleEndian.PutUint16(b[8:], flags)
}

// parse reads the header of the record that begins at b, which is at least
// maxHeader long or the whole record.
func (h *Header) parse(b []byte) {
	h.Version = binary.LittleEndian.Uint32(b)
	word := binary.LittleEndian.Uint32(b[4:])
	h.Clock, h.Kind, h.Enc = word&0xffffff, Kind(word>>28), Encoding(word>>24&0xf)
	flags := binary.LittleEndian.Uint16(b[8:])
	h.Roots = uint8(flags >> flagRootsShift & MaxRoots)
	h.Lent = flags&FlagLent != 0
	n := fixedLen
	if flags&flagWideKey != 0 {
		h.KeyLen = int(binary.LittleEndian.Uint32(b[n:]))
		n += 4
	} else {
		h.KeyLen = int(b[n])
		n++
	}
	switch flags >> flagSizeShift & 3 {
	case 0:
		h.PayloadLen = int(b[n])
		n++
	case 1:
		h.PayloadLen = int(binary.LittleEndian.Uint16(b[n:]))
		n += 2
	case 2:
		h.PayloadLen = int(binary.LittleEndian.Uint32(b[n:]))
		n += 4
	default:
		h.PayloadLen = int(binary.LittleEndian.Uint64(b[n:]))
		n += 8
	}
	h.Deadline, h.FieldDeadline = 0, 0
	if flags&FlagDeadline != 0 {
		h.Deadline = binary.LittleEndian.Uint32(b[n:])
		n += 4
	}
	if flags&FlagFieldDeadline != 0 {
		h.FieldDeadline = binary.LittleEndian.Uint32(b[n:])
		n += 4
	}
	h.keyAt = n
	h.payloadAt = n + h.KeyLen
}

// Key returns a view of the key of the record at at. It is the one thing that
// looking up a key needs of a record.
func Key(m *arena.Memory, at arena.Ref) []byte {
	b := m.Bytes(at, maxHeader)
	n := fixedLen + 1
	keyLen := int(b[fixedLen])
	flags := b[8]
	if flags&flagWideKey != 0 {
		keyLen = int(binary.LittleEndian.Uint32(b[fixedLen:]))
		n += 3
	}
	n += 1 << (flags >> flagSizeShift & 3)
	n += int(flags>>3&1)*4 + int(flags>>4&1)*4
	return m.Bytes(at, n+keyLen)[n:]
}

// HasShortKey reports whether the key of the record at at is no longer than ShortKey.
func HasShortKey(m *arena.Memory, at arena.Ref) bool {
	return m.Bytes(at, maxHeader)[8]&flagWideKey == 0
}

// payloadOf returns a view of the payload of the record at at. It reads as little
// of the header as that needs.
func payloadOf(m *arena.Memory, at arena.Ref) []byte {
	b := m.Bytes(at, maxHeader)
	flags := b[8]
	n, keyLen := fixedLen+1, int(b[fixedLen])
	if flags&flagWideKey != 0 {
		n, keyLen = fixedLen+4, int(binary.LittleEndian.Uint32(b[fixedLen:]))
	}
	var size int
	switch flags >> flagSizeShift & 3 {
	case 0:
		size = int(b[n])
		n++
	case 1:
		size = int(binary.LittleEndian.Uint16(b[n:]))
		n += 2
	case 2:
		size = int(binary.LittleEndian.Uint32(b[n:]))
		n += 4
	default:
		size = int(binary.LittleEndian.Uint64(b[n:]))
		n += 8
	}
	n += int(flags>>3&1)*4 + int(flags>>4&1)*4 + keyLen
	return m.Bytes(at, n+size)[n : n+size : n+size]
}

// plainMask are the flags of a record that Overwrite leaves to others.
const plainMask = FlagDeadline | FlagFieldDeadline | FlagLent | MaxRoots<<flagRootsShift

// Overwrite puts the string v in the place of another one of the same length, in
// a record that was changed at this version already, and marks it with clock. It
// reports whether that is all there was to do; else it has done nothing.
func Overwrite(m *arena.Memory, at arena.Ref, v *Value, version, clock uint32) bool {
	b := m.Bytes(at, fixedLen)
	word := binary.LittleEndian.Uint64(b)
	if uint32(word) != version || Kind(word>>60) != KindString || v.Kind != KindString ||
		binary.LittleEndian.Uint16(b[8:])&plainMask != 0 {
		return false
	}
	payload := payloadOf(m, at)
	if v.Enc == EncInt {
		if len(payload) != 8 {
			return false
		}
		binary.LittleEndian.PutUint64(payload, uint64(v.Int))
	} else {
		if len(payload) != len(v.Bytes) {
			return false
		}
		copy(payload, v.Bytes)
	}
	binary.LittleEndian.PutUint64(b, uint64(version)|uint64(clock&0xffffff)<<32|uint64(v.Enc)<<56)
	return true
}

// Expires reports whether the key of the record at at expires.
func Expires(m *arena.Memory, at arena.Ref) bool { return m.Bytes(at, fixedLen)[8]&FlagDeadline != 0 }

// Version returns and SetVersion marks the version of the record at at; Clock
// and SetClock its clock of access.
func Version(m *arena.Memory, at arena.Ref) uint32 {
	return binary.LittleEndian.Uint32(m.Bytes(at, 4))
}

func SetVersion(m *arena.Memory, at arena.Ref, version uint32) {
	binary.LittleEndian.PutUint32(m.Bytes(at, 4), version)
}

func Clock(m *arena.Memory, at arena.Ref) uint32 {
	return binary.LittleEndian.Uint32(m.Bytes(at, 8)[4:]) & 0xffffff
}

func SetClock(m *arena.Memory, at arena.Ref, clock uint32) {
	b := m.Bytes(at, 8)[4:]
	binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)&^0xffffff|clock&0xffffff)
}
