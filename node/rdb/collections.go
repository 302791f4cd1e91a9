package rdb

import (
	"errors"
	"fmt"
	"strconv"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// The types of collections: what is written is marked so; the others are what
// older and newer servers wrote.
const (
	typeList          Type = 1
	typeSet           Type = 2 // written
	typeZSetText      Type = 3
	typeHash          Type = 4 // written
	typeZSet          Type = 5 // written
	typeZipmap        Type = 9
	typeZiplist       Type = 10
	typeIntset        Type = 11 // written
	typeZSetZiplist   Type = 12
	typeHashZiplist   Type = 13
	typeQuicklist     Type = 14
	typeStream1       Type = 15
	typeHashListpack  Type = 16 // written
	typeZSetListpack  Type = 17 // written
	typeQuicklist2    Type = 18 // written
	typeStream2       Type = 19 // written
	typeSetListpack   Type = 20
	typeStream3       Type = 21
	typeHashTTLPre    Type = 22
	typeHashTTLLPPre  Type = 23
	typeHashTTL       Type = 24 // written
	typeHashTTLListLP Type = 25

	// typeHashValkey is typeHashTTLPre's number in Valkey.
	typeHashValkey Type = 22
)

// Target is where the values that are read come to lie.
type Target struct {
	Space  tree.Space
	Limits *Limits
}

var (
	// errEmpty: a collection without elements, which older servers could write.
	errEmpty = errors.New("collection is empty")

	errDuplicate = errors.New("element is there twice")
	errOdd       = errors.New("key without a value")
	errIntset    = errors.New("broken set of integers")
	errNotNumber = errors.New("score is not a number")
	errZiplist   = errors.New("broken ziplist")
	errZipmap    = errors.New("broken zipmap")
)

// readCollection reads a collection of type t into a draft. known is false if t
// is no collection that can be read.
func (d *decoder) readCollection(t Type, to Target) (draft *value.Draft, known bool, err error) {
	// In the decoder, because who reads it is not known when this is compiled: it would be
	// new memory each time.
	b := &d.build
	*b = build{space: to.Space, limits: to.Limits}
	var read func(*decoder, Type, *build) error
	switch t {
	case typeList, typeZiplist, typeQuicklist, typeQuicklist2:
		b.kind, b.enc, read = value.KindList, value.EncQuicklist, (*decoder).readList
	case typeSet, typeIntset, typeSetListpack:
		b.kind, b.enc, read = value.KindSet, value.EncIntset, (*decoder).readSet
	case typeZSetText, typeZSet, typeZSetZiplist, typeZSetListpack:
		b.kind, b.enc, read = value.KindZSet, value.EncListpack, (*decoder).readZSet
	case typeHash, typeZipmap, typeHashZiplist, typeHashListpack,
		typeHashTTLPre, typeHashTTLLPPre, typeHashTTL, typeHashTTLListLP:
		b.kind, b.enc, read = value.KindHash, value.EncListpack, (*decoder).readHash
	case typeStream1, typeStream2, typeStream3:
		b.kind, b.enc, read = value.KindStream, value.EncStream, (*decoder).readStream
	default:
		return nil, false, nil
	}
	if d.lends {
		b.draft = &d.draft
	} else {
		b.draft = new(value.Draft)
	}
	if err := read(d, t, b); err != nil {
		b.draft.Discard()
		return nil, true, err
	}
	return b.draft, true, nil
}

// build is a collection that is being read: of a kind, with the encoding that it
// begins with.
type build struct {
	draft  *value.Draft
	space  tree.Space
	limits *Limits
	kind   value.Kind
	enc    value.Encoding
}

// cell makes the draft an empty one and returns its cell.
func (b *build) cell() *value.Cell {
	b.draft.Begin(b.space, b.kind, b.enc)
	return &b.draft.Cell
}

// finish makes the draft one of what a record holds as it is.
func (b *build) finish(enc value.Encoding, content []byte) {
	b.draft.Whole(value.Value{Kind: b.kind, Enc: enc, Bytes: content, Memory: b.space.Heap.Memory()})
}

// hash is a hash of texts.
func (b *build) hash(text []byte) uint64 { return b.space.Heap.Memory().Hash(text) }

// elements reads a number of elements and calls read that often.
func (d *decoder) elements(read func() error) error {
	n, err := d.count()
	if err != nil {
		return err
	}
	return d.repeat(n, read)
}

// count reads a number of elements, of which there is one at least.
func (d *decoder) count() (uint64, error) {
	n, err := d.plainLength()
	if err == nil && n == 0 {
		err = errEmpty
	}
	return n, err
}

// repeat calls read n times, or until it fails.
func (d *decoder) repeat(n uint64, read func() error) error {
	for range n {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// content reads a string and returns its bytes.
func (d *decoder) content() ([]byte, error) {
	t, err := d.text()
	if err != nil {
		return nil, err
	}
	return d.contentOf(t), nil
}

// element is content for what is copied at once: it is good until the next call
// with the same room.
func (d *decoder) element(room *[]byte) ([]byte, error) {
	if rest := d.buf[d.pos:]; d.src == nil && len(rest) > 0 && int(rest[0]) < min(1<<6, len(rest)) {
		// Most are short, and stand there as they are.
		n := 1 + int(rest[0])
		d.pos += n
		return rest[1:n:n], nil
	}
	t, err := d.textIn(room)
	if err != nil || !t.isInt {
		return t.bytes, err
	}
	*room = strconv.AppendInt((*room)[:0], t.n, 10)
	return *room, nil
}

// textIn is text in a room that is kept for the next one, unless it is large.
func (d *decoder) textIn(room *[]byte) (text, error) {
	buf := *room
	if buf == nil {
		buf = []byte{}
	}
	t, err := d.textInto(buf)
	const keep = 64 << 10
	if err == nil && !t.isInt && !t.view && cap(t.bytes) <= keep {
		*room = t.bytes
	}
	return t, err
}

// pack reads a string that holds a listpack and checks all of it.
func (d *decoder) pack() ([]byte, error) {
	lp, err := d.element(&d.first)
	if err != nil {
		return nil, err
	}
	if err := listpack.Validate(lp); err != nil {
		return nil, err
	}
	if listpack.First(lp) < 0 {
		return nil, errEmpty
	}
	return lp, nil
}

// ziplist reads a string that holds a ziplist and returns it as a listpack.
func (d *decoder) ziplist() ([]byte, error) {
	zl, err := d.element(&d.first)
	if err != nil {
		return nil, err
	}
	lp := listpack.AppendEmpty(make([]byte, 0, len(zl)+listpack.EmptySize))
	err = eachOfZiplist(zl, func(text []byte, n int64, isInt bool) {
		if isInt {
			lp = listpack.PushInt(lp, n)
		} else {
			lp = listpack.Push(lp, text)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case listpack.First(lp) < 0:
		return nil, errEmpty
	}
	return lp, nil
}

// typeOfCollection returns the type that a collection is written as, in a dump or in
// a file.
func typeOfCollection(v value.Value, dump bool) Type {
	switch v.Kind {
	case value.KindList:
		return typeQuicklist2
	case value.KindSet:
		return typeOfSet(v)
	case value.KindZSet:
		return typeOfZSet(v, dump)
	case value.KindHash:
		return typeOfHash(v, dump)
	case value.KindStream:
		return typeStream2
	}
	panic(fmt.Sprintf("rdb: no type for values of kind %s", v.Kind))
}

// appendCollection appends a collection as typeOfCollection says. What w can be
// given on the way goes there.
func appendCollection(b []byte, v value.Value, tmp *scratch, w *Writer) []byte {
	switch v.Kind {
	case value.KindList:
		return appendList(b, v, tmp, w)
	case value.KindSet:
		return appendSet(b, v, tmp, w)
	case value.KindZSet:
		return appendZSet(b, v, tmp, w)
	case value.KindHash:
		return appendHash(b, v, tmp, w)
	case value.KindStream:
		return appendStream(b, v, tmp, w)
	}
	panic(fmt.Sprintf("rdb: no codec for values of kind %s", v.Kind))
}

// spill hands what is in b to the io.Writer if it is much. A nil w keeps it.
func (w *Writer) spill(b []byte) []byte {
	if w == nil || len(b) < flushThreshold {
		return b
	}
	w.buf = b
	// An error is kept and returned by the next call of Entry or Close.
	_ = w.Flush()
	return w.buf
}
