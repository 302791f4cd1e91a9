package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"slotmesh/node/store/hash"
	"slotmesh/node/store/set"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

// The two high bits of a length's first byte. Source: the reference's
// rdbSaveLen and rdbLoadLenByRef.
const (
	len6Bit    = 0
	len14Bit   = 1
	len32Or64  = 2
	lenEncoded = 3

	len32Bit = 0x80
	len64Bit = 0x81
)

// What the six low bits of an lenEncoded byte mean.
const (
	encInt8  = 0
	encInt16 = 1
	encInt32 = 2
	encLZF   = 3
)

var (
	errBadLZF    = errors.New("broken compressed string")
	errTruncated = errors.New("data end too early")
	errBadLength = errors.New("broken length")
)

// appendLen appends n in as few bytes as the format has for it.
func appendLen(b []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n))
	case n < 1<<14:
		return append(b, len14Bit<<6|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, len32Bit), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, len64Bit), n)
	}
}

// appendInt appends n as a string in integer form, if it has 32 bits at most.
func appendInt(b []byte, n int64) ([]byte, bool) {
	switch {
	case n >= math.MinInt8 && n <= math.MaxInt8:
		return append(b, lenEncoded<<6|encInt8, byte(n)), true
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return binary.LittleEndian.AppendUint16(append(b, lenEncoded<<6|encInt16), uint16(n)), true
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return binary.LittleEndian.AppendUint32(append(b, lenEncoded<<6|encInt32), uint32(n)), true
	}
	return b, false
}

const (
	// longestIntText is how long a text may be to be tried as an integer.
	longestIntText = 11
	// shortestLZF: below it, nothing can be won.
	shortestLZF = 21
)

// scratch is memory that is kept from one value that is written to the next.
type scratch struct {
	lzf lzfTable
	// pack is room for the listpack of a collection that does not lie so in memory.
	pack []byte
}

// appendString appends s: as an integer where its text is one, compressed when
// tmp is not nil and it pays, else as it is.
func appendString(b, s []byte, tmp *scratch) []byte {
	if len(s) <= longestIntText {
		if n, ok := value.ParseInt(s); ok {
			if b, ok := appendInt(b, n); ok {
				return b
			}
		}
	}
	if len(s) >= shortestLZF && tmp != nil {
		if b, ok := appendLZF(b, s, tmp); ok {
			return b
		}
	}
	return append(appendLen(b, uint64(len(s))), s...)
}

// appendLZF appends s compressed, unless that is not shorter. The compressed
// length stands in front and is not known before; as many bytes as it is likely to
// take are reserved.
func appendLZF(b, s []byte, tmp *scratch) ([]byte, bool) {
	start := len(b)
	head := appendLZFHead(b, len(s), len(s))
	reserved := len(head) - start
	packed, ok := tmp.lzf.compress(head, s, len(s)-4)
	if !ok {
		return b, false
	}
	data := packed[start+reserved:]
	if head = appendLZFHead(packed[:start], len(data), len(s)); len(head) < start+reserved {
		return append(head, data...), true
	}
	return packed, true
}

// appendLZFHead appends what stands in front of data compressed to packed bytes.
func appendLZFHead(b []byte, packed, size int) []byte {
	return appendLen(appendLen(append(b, lenEncoded<<6|encLZF), uint64(packed)), uint64(size))
}

// appendIntText appends the integer n as a string.
func appendIntText(b []byte, n int64) []byte {
	if b, ok := appendInt(b, n); ok {
		return b
	}
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], n, 10)
	return append(appendLen(b, uint64(len(text))), text...)
}

// decoder reads the format's primitives from a slice or, when src is set, from
// a stream of which buf is a window. It keeps the checksum of what was taken.
type decoder struct {
	src io.Reader
	buf []byte // unread input is buf[pos:]
	pos int
	// read counts the bytes taken before buf[0].
	read int64
	// crc is the checksum of everything before buf[summed]; summing says that it
	// is wanted.
	crc     uint64
	summed  int
	summing bool
	// refill, if set, is what need does instead of moving the window.
	refill func(n int) error
	// first and second are room for an element and what belongs to it.
	first, second []byte
	// kept is room for keys and strings that were stored in another form, when
	// keeping is set: they are good until it is emptied.
	kept    []byte
	keeping bool
	// valkey is set for what Valkey 9 wrote, where one type means something else.
	valkey bool
	// lends is set where values may lie in the input and in the room of elements
	// until the next one is read: a collection whose bytes are what its key's record
	// holds is then not copied before.
	lends bool
	// draft is what collections are read into where lends is set.
	draft value.Draft
	// members is what sets are read with, fields what hashes are, ranked what sorted
	// sets are.
	members set.Loader
	fields  hash.Loader
	ranked  zset.Loader
	// build is the collection that is being read.
	build build
}

const window = 32 << 10

// offset is the position of the next byte in the input.
func (d *decoder) offset() int64 { return d.read + int64(d.pos) }

// sum returns the checksum of everything taken so far.
func (d *decoder) sum() uint64 {
	if d.summing {
		d.crc = updateCRC(d.crc, d.buf[d.summed:d.pos])
	}
	d.summed = d.pos
	return d.crc
}

// need makes at least n unread bytes, n <= 16, available in buf.
func (d *decoder) need(n int) error {
	if len(d.buf)-d.pos >= n {
		return nil
	}
	if d.src == nil {
		return errTruncated
	}
	if d.refill != nil {
		return d.refill(n)
	}
	into := d.buf
	if cap(into) < window {
		into = make([]byte, 0, window)
	}
	d.moveTo(into)
	return d.fetch(n)
}

// moveTo makes buf the window: the unread input moves to its beginning.
func (d *decoder) moveTo(buf []byte) {
	d.sum()
	d.read += int64(d.pos)
	rest := d.buf[d.pos:]
	d.buf = buf[:len(rest)]
	copy(d.buf, rest)
	d.pos, d.summed = 0, 0
}

// fetch reads into what the window has room for, until at least n bytes are
// unread.
func (d *decoder) fetch(n int) error {
	for empty := 0; len(d.buf)-d.pos < n; {
		got, err := d.src.Read(d.buf[len(d.buf):cap(d.buf)])
		d.buf = d.buf[:len(d.buf)+got]
		switch {
		case got > 0:
			empty = 0
		case err == nil:
			if empty++; empty > 100 {
				return io.ErrNoProgress
			}
		}
		if err != nil && len(d.buf)-d.pos < n {
			if err == io.EOF {
				return errTruncated
			}
			return err
		}
	}
	return nil
}

// fixed returns the next n bytes, n <= 16, as a view until the next call.
func (d *decoder) fixed(n int) ([]byte, error) {
	if err := d.need(n); err != nil {
		return nil, err
	}
	b := d.buf[d.pos : d.pos+n]
	d.pos += n
	return b, nil
}

func (d *decoder) byte() (byte, error) {
	b, err := d.fixed(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// bytes returns the next n bytes: a view of the input when that is a slice, else
// a slice of their own, or buf if they find room there. It grows only as bytes
// arrive.
func (d *decoder) bytes(n uint64, buf []byte) ([]byte, error) {
	if d.src == nil {
		if n > uint64(len(d.buf)-d.pos) {
			return nil, errTruncated
		}
		b := d.buf[d.pos : d.pos+int(n) : d.pos+int(n)]
		d.pos += int(n)
		return b, nil
	}
	const believed = 1 << 20
	b := buf[:0]
	if n > uint64(cap(b)) || buf == nil {
		b = make([]byte, 0, min(n, believed))
	}
	for uint64(len(b)) < n {
		if err := d.need(1); err != nil {
			return nil, err
		}
		part := d.buf[d.pos:]
		if rest := n - uint64(len(b)); uint64(len(part)) > rest {
			part = part[:rest]
		}
		b = append(b, part...)
		d.pos += len(part)
	}
	return b, nil
}

// length reads a length; encoded means that it is one of the enc constants
// instead.
func (d *decoder) length() (n uint64, encoded bool, err error) {
	first, err := d.byte()
	if err != nil {
		return 0, false, err
	}
	switch first >> 6 {
	case len6Bit:
		return uint64(first & 63), false, nil
	case len14Bit:
		low, err := d.byte()
		return uint64(first&63)<<8 | uint64(low), false, err
	case len32Or64:
		switch first {
		case len32Bit:
			b, err := d.fixed(4)
			if err != nil {
				return 0, false, err
			}
			return uint64(binary.BigEndian.Uint32(b)), false, nil
		case len64Bit:
			b, err := d.fixed(8)
			if err != nil {
				return 0, false, err
			}
			return binary.BigEndian.Uint64(b), false, nil
		}
		return 0, false, errBadLength
	default:
		return uint64(first & 63), true, nil
	}
}

// plainLength reads a length that may not be an encoding.
func (d *decoder) plainLength() (uint64, error) {
	n, encoded, err := d.length()
	if err == nil && encoded {
		err = errBadLength
	}
	return n, err
}

// text is a string as it was stored: an integer or bytes.
type text struct {
	isInt bool
	n     int64
	bytes []byte
	// view is set when bytes are the input's.
	view bool
}

// contentOf returns the string's bytes.
func (d *decoder) contentOf(t text) []byte {
	switch {
	case !t.isInt:
		return t.bytes
	case d.keeping:
		from := len(d.kept)
		d.kept = strconv.AppendInt(d.kept, t.n, 10)
		return d.kept[from:len(d.kept):len(d.kept)]
	}
	return strconv.AppendInt(nil, t.n, 10)
}

// unpack decompresses packed, to where it is kept or to buf if that is free.
func (d *decoder) unpack(packed []byte, size uint64, buf []byte) ([]byte, error) {
	switch {
	case buf == nil && d.keeping:
		from := len(d.kept)
		kept, err := lzfDecompress(d.kept, packed, size)
		if err != nil {
			return nil, err
		}
		d.kept = kept
		return kept[from:len(kept):len(kept)], nil
	case d.src == nil:
		// packed is a view of the input.
		return lzfDecompress(buf[:0], packed, size)
	}
	return lzfDecompress(nil, packed, size)
}

// text reads a string in any of its forms.
func (d *decoder) text() (text, error) { return d.textInto(nil) }

// textInto is text with a buffer that the bytes may come to lie in.
func (d *decoder) textInto(buf []byte) (text, error) {
	n, encoded, err := d.length()
	if err != nil {
		return text{}, err
	}
	if !encoded {
		b, err := d.bytes(n, buf)
		return text{bytes: b, view: d.src == nil}, err
	}
	switch n {
	case encInt8:
		b, err := d.fixed(1)
		if err != nil {
			return text{}, err
		}
		return text{isInt: true, n: int64(int8(b[0]))}, nil
	case encInt16:
		b, err := d.fixed(2)
		if err != nil {
			return text{}, err
		}
		return text{isInt: true, n: int64(int16(binary.LittleEndian.Uint16(b)))}, nil
	case encInt32:
		b, err := d.fixed(4)
		if err != nil {
			return text{}, err
		}
		return text{isInt: true, n: int64(int32(binary.LittleEndian.Uint32(b)))}, nil
	case encLZF:
		packed, err := d.plainLength()
		if err != nil {
			return text{}, err
		}
		size, err := d.plainLength()
		if err != nil {
			return text{}, err
		}
		b, err := d.bytes(packed, buf)
		if err != nil {
			return text{}, err
		}
		full, err := d.unpack(b, size, buf)
		return text{bytes: full}, err
	}
	return text{}, fmt.Errorf("unknown string encoding %d", n)
}
