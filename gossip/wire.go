package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"

	"slotmesh/slots"
)

// Every message and every identity record starts with these bytes: two of
// magic, one of version, one of kind.
const (
	wireMagic0  = 'S'
	wireMagic1  = 'M'
	wireVersion = 1
)

// errMessage is the parent of every decoding error but ErrVersion.
var errMessage = errors.New("not a message")

// encoder appends the primitives of the wire format to a buffer: unsigned
// varints, fixed-size ids, length-prefixed strings.
type encoder struct{ b []byte }

func (e *encoder) byte(v byte)           { e.b = append(e.b, v) }
func (e *encoder) uint(v uint64)         { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)           { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) raw(v []byte)          { e.b = append(e.b, v...) }
func (e *encoder) id(v slots.NodeID)     { e.b = append(e.b, v[:]...) }
func (e *encoder) fixed64(v uint64)      { e.b = binary.LittleEndian.AppendUint64(e.b, v) }
func (e *encoder) text(v string)         { e.uint(uint64(len(v))); e.b = append(e.b, v...) }
func (e *encoder) bool(v bool)           { e.byte(boolByte(v)) }
func (e *encoder) instant(v Instant)     { e.int(int64(v)) }
func (e *encoder) head(kind byte)        { e.raw([]byte{wireMagic0, wireMagic1, wireVersion, kind}) }
func (e *encoder) shard(v slots.ShardID) { e.id(slots.NodeID(v)) }

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// decoder reads what encoder wrote. The first failure sticks: later reads
// yield zero values, and err tells where it happened. Sizes are believed only
// as far as bytes are there.
type decoder struct {
	b   []byte
	at  int
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s at byte %d", errMessage, what, d.at)
	}
}

func (d *decoder) take(n int, what string) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > len(d.b)-d.at {
		d.fail("truncated " + what)
		return nil
	}
	out := d.b[d.at : d.at+n]
	d.at += n
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1, "byte"); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) bool() bool {
	switch d.byte() {
	case 0:
		return false
	case 1:
		return true
	}
	d.fail("a truth value that is neither 0 nor 1")
	return false
}

func (d *decoder) uint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.at:])
	if n <= 0 {
		d.fail("broken number")
		return 0
	}
	d.at += n
	return v
}

func (d *decoder) int() int64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Varint(d.b[d.at:])
	if n <= 0 {
		d.fail("broken number")
		return 0
	}
	d.at += n
	return v
}

// count reads a number of elements that take at least each bytes, at most max.
func (d *decoder) count(limit, each int, what string) int {
	v := d.uint()
	if d.err != nil {
		return 0
	}
	if v > uint64(limit) || v*uint64(each) > uint64(len(d.b)-d.at) {
		d.fail("too many " + what)
		return 0
	}
	return int(v)
}

func (d *decoder) fixed64() uint64 {
	if b := d.take(8, "word"); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) id() slots.NodeID {
	var id slots.NodeID
	copy(id[:], d.take(len(id), "node id"))
	return id
}

func (d *decoder) shard() slots.ShardID { return slots.ShardID(d.id()) }

func (d *decoder) instant() Instant { return Instant(d.int()) }

func (d *decoder) text(limit int) string {
	return string(d.take(d.count(limit, 1, "characters"), "text"))
}

func (d *decoder) port() int {
	v := d.uint()
	if v > 65535 {
		d.fail("port out of range")
		return 0
	}
	return int(v)
}

// head reads the four leading bytes and returns the kind.
func (d *decoder) head() byte {
	if d.byte() != wireMagic0 || d.byte() != wireMagic1 {
		d.fail("no magic")
		return 0
	}
	if v := d.byte(); d.err == nil && v != wireVersion {
		d.err = fmt.Errorf("%w: the sender speaks version %d, this node %d", ErrVersion, v, wireVersion)
		return 0
	}
	return d.byte()
}

// end checks that nothing is left and returns the first error.
func (d *decoder) end() error {
	if d.err == nil && d.at != len(d.b) {
		d.fail("trailing bytes")
	}
	return d.err
}
