package rdb

import (
	"encoding/binary"
	"errors"
	"math"

	"slotmesh/node/store/hash"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
)

// lastDeadline is the greatest that Redis can keep.
const lastDeadline = 1<<48 - 2

var errDeadline = errors.New("field has a deadline out of range")

func (d *decoder) readHash(t Type, b *build) error {
	var lp []byte
	var err error
	switch t {
	case typeHashListpack:
		if d.lends {
			lp, err = d.element(&d.first) // which Packed checks
		} else {
			lp, err = d.pack()
		}
	case typeHashZiplist:
		lp, err = d.ziplist()
	default:
		return d.readFields(t, b)
	}
	if err != nil {
		return err
	}
	// The reference asks for the number of such fields here, not for lengths.
	l := hash.Limits{Entries: b.limits.Hash.Entries, Value: math.MaxInt}
	if d.lends {
		enc, ok, err := hash.Packed(lp, l, b.hash)
		if err != nil {
			return err
		}
		if ok {
			b.finish(enc, lp)
			return nil
		}
	}
	h := hash.Open(b.cell(), l)
	return h.LoadPacked(lp)
}

// readFields reads a hash of the types that tell its fields one by one.
func (d *decoder) readFields(t Type, b *build) error {
	l := &d.fields
	if t == typeZipmap {
		zm, err := d.content()
		if err != nil {
			return err
		}
		l.Begin(b.cell(), b.limits.Hash, 0)
		err = eachOfZipmap(zm, func(field, val []byte) error { return addNew(l, field, val, 0) })
		return d.closeFields(err)
	}
	valkey := d.valkey && t == typeHashValkey
	first := int64(0)
	switch {
	case valkey:
	case t == typeHashTTL, t == typeHashTTLListLP:
		b, err := d.fixed(8)
		if err != nil {
			return err
		}
		first = int64(binary.LittleEndian.Uint64(b))
	}
	if !valkey && (t == typeHashTTLLPPre || t == typeHashTTLListLP) {
		// The first deadline, if it is told, the fields tell too.
		lp, err := d.pack()
		if err != nil {
			return err
		}
		l.Begin(b.cell(), b.limits.Hash, 0)
		return d.closeFields(addTriplets(l, lp))
	}
	n, err := d.count()
	if err != nil {
		return err
	}
	l.Begin(b.cell(), b.limits.Hash, n)
	if valkey {
		return d.closeFields(d.repeat(n, d.readValkeyField))
	}
	return d.closeFields(d.repeat(n, func() error { return d.readField(t, first) }))
}

// closeFields ends the loading of a hash. err is what came in between.
func (d *decoder) closeFields(err error) error {
	if err == nil && !d.fields.Close() {
		err = errDuplicate
	}
	return err
}

// readField reads a field of a hash of type t, whose first deadline is first.
func (d *decoder) readField(t Type, first int64) error {
	deadline := uint64(0)
	var err error
	if t == typeHashTTL || t == typeHashTTLPre {
		if deadline, err = d.plainLength(); err != nil {
			return err
		}
		if deadline > lastDeadline || first < 0 || first > lastDeadline {
			return errDeadline
		}
		if deadline != 0 && t == typeHashTTL {
			deadline = min(deadline+uint64(first)-1, lastDeadline)
		}
	}
	field, err := d.element(&d.first)
	if err != nil {
		return err
	}
	val, err := d.element(&d.second)
	if err != nil {
		return err
	}
	return addNew(&d.fields, field, val, int64(deadline))
}

// readValkeyField reads field, value and deadline; -1 is none.
func (d *decoder) readValkeyField() error {
	field, err := d.element(&d.first)
	if err != nil {
		return err
	}
	val, err := d.element(&d.second)
	if err != nil {
		return err
	}
	deadline, err := d.milliseconds()
	switch {
	case err != nil:
		return err
	case deadline == -1:
		deadline = 0
	case deadline <= 0 || deadline > lastDeadline:
		return errDeadline
	}
	return addNew(&d.fields, field, val, deadline)
}

// addNew adds a field that must not be there yet.
func addNew(l *hash.Loader, field, val []byte, deadline int64) error {
	if !l.Add(field, val, deadline) {
		return errDuplicate
	}
	return nil
}

// addTriplets adds what a listpack holds: field, value, deadline and so on.
func addTriplets(l *hash.Loader, lp []byte) error {
	for pos := listpack.First(lp); pos >= 0; {
		field := listpack.AppendText(nil, lp, pos)
		if pos = listpack.Next(lp, pos); pos < 0 {
			return errOdd
		}
		val := listpack.AppendText(nil, lp, pos)
		if pos = listpack.Next(lp, pos); pos < 0 {
			return errOdd
		}
		_, deadline, isInt, _ := listpack.Entry(lp, pos)
		if !isInt || deadline < 0 || deadline > lastDeadline {
			return errDeadline
		}
		pos = listpack.Next(lp, pos)
		if err := addNew(l, field, val, deadline); err != nil {
			return err
		}
	}
	return nil
}

// typeOfHash returns the type that a hash is written as. In a dump, which is made of
// one value at a time, it is that of the form that the reference would keep it in: who
// restores it takes that over as it is. A file tells the fields of what lies in a
// tree: with that it comes to lie so again.
func typeOfHash(v value.Value, dump bool) Type {
	r := hash.Read(v, 0)
	switch {
	case r.NextDeadline() != 0:
		return typeHashTTL
	case v.Enc == value.EncListpack && (r.Packed() != nil || dump && r.Packs()):
		return typeHashListpack
	}
	return typeHash
}

// appendHash appends a hash. Deadlines of fields are written as Redis 7.4 writes
// them: earlier versions have none and refuse the type.
func appendHash(b []byte, v value.Value, tmp *scratch, w *Writer) []byte {
	r := hash.Read(v, 0)
	t := typeOfHash(v, w == nil)
	if t == typeHashListpack {
		lp := r.Packed()
		if lp == nil {
			tmp.pack = r.AppendPacked(tmp.pack[:0])
			lp = tmp.pack
		}
		return appendString(b, lp, tmp)
	}
	first := r.NextDeadline()
	if t == typeHashTTL {
		b = binary.LittleEndian.AppendUint64(b, uint64(first))
	}
	b = appendLen(b, uint64(r.Size()))
	var text []byte
	it := r.All()
	for it.Next() {
		if t == typeHashTTL {
			deadline := uint64(0)
			if it.Deadline != 0 {
				deadline = uint64(it.Deadline-first) + 1
			}
			b = appendLen(b, deadline)
		}
		text = it.Field.Append(text[:0])
		b = appendString(b, text, tmp)
		text = it.Value.Append(text[:0])
		b = w.spill(appendString(b, text, tmp))
	}
	return b
}
