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
	make := func(kind value.Kind, enc value.Encoding, read func(c *value.Draft) error) {
		known = true
		draft = value.NewDraft(to.Space, kind, enc)
		if err = read(draft); err != nil {
			draft.Discard()
			draft = nil
		}
	}
	switch t {
	case typeList, typeZiplist, typeQuicklist, typeQuicklist2:
		make(value.KindList, value.EncQuicklist, func(c *value.Draft) error { return d.readList(t, c) })
	case typeSet, typeIntset, typeSetListpack:
		make(value.KindSet, value.EncIntset, func(c *value.Draft) error { return d.readSet(t, c, to.Limits) })
	case typeZSetText, typeZSet, typeZSetZiplist, typeZSetListpack:
		make(value.KindZSet, value.EncListpack, func(c *value.Draft) error { return d.readZSet(t, c, to.Limits) })
	case typeHash, typeZipmap, typeHashZiplist, typeHashListpack,
		typeHashTTLPre, typeHashTTLLPPre, typeHashTTL, typeHashTTLListLP:
		make(value.KindHash, value.EncListpack, func(c *value.Draft) error { return d.readHash(t, c, to.Limits) })
	case typeStream1, typeStream2, typeStream3:
		make(value.KindStream, value.EncStream, func(c *value.Draft) error { return d.readStream(t, c) })
	}
	return draft, known, err
}

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
	buf := *room
	if buf == nil {
		buf = []byte{}
	}
	t, err := d.textInto(buf)
	if err != nil {
		return nil, err
	}
	if t.isInt {
		*room = strconv.AppendInt((*room)[:0], t.n, 10)
		return *room, nil
	}
	const keep = 64 << 10
	if !t.view && cap(t.bytes) <= keep {
		*room = t.bytes
	}
	return t.bytes, nil
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

// typeOfCollection returns the type that a collection is written as.
func typeOfCollection(v value.Value) Type {
	switch v.Kind {
	case value.KindList:
		return typeQuicklist2
	case value.KindSet:
		return typeOfSet(v)
	case value.KindZSet:
		return typeOfZSet(v)
	case value.KindHash:
		return typeOfHash(v)
	case value.KindStream:
		return typeStream2
	}
	panic(fmt.Sprintf("rdb: no type for values of kind %s", v.Kind))
}

// appendCollection appends a collection as typeOfCollection says. What w can be
// given on the way goes there.
func appendCollection(b []byte, v value.Value, seen lzfTable, w *Writer) []byte {
	switch v.Kind {
	case value.KindList:
		return appendList(b, v, seen, w)
	case value.KindSet:
		return appendSet(b, v, seen, w)
	case value.KindZSet:
		return appendZSet(b, v, seen, w)
	case value.KindHash:
		return appendHash(b, v, seen, w)
	case value.KindStream:
		return appendStream(b, v, seen, w)
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
