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
		lp, err = d.pack()
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
	h := hash.Open(b.cell(), b.limits.Hash)
	if d.valkey && t == typeHashValkey {
		return d.readValkeyHash(&h)
	}
	switch t {
	case typeZipmap:
		zm, err := d.content()
		if err != nil {
			return err
		}
		return eachOfZipmap(zm, func(field, val []byte) error { return setNew(&h, field, val, 0) })
	case typeHashTTLLPPre, typeHashTTLListLP:
		if t == typeHashTTLListLP {
			// The first deadline, which the fields tell too.
			if _, err := d.fixed(8); err != nil {
				return err
			}
		}
		lp, err := d.pack()
		if err != nil {
			return err
		}
		return setTriplets(&h, lp)
	}
	first := int64(0)
	if t == typeHashTTL {
		b, err := d.fixed(8)
		if err != nil {
			return err
		}
		first = int64(binary.LittleEndian.Uint64(b))
	}
	return d.elements(func() error {
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
		return setNew(&h, field, val, int64(deadline))
	})
}

// readValkeyHash reads fields, values and deadlines; -1 is none.
func (d *decoder) readValkeyHash(h *hash.Hash) error {
	return d.elements(func() error {
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
		return setNew(h, field, val, deadline)
	})
}

// setNew sets a field that must not be there yet.
func setNew(h *hash.Hash, field, val []byte, deadline int64) error {
	if !h.SetUntil(field, val, deadline) {
		return errDuplicate
	}
	return nil
}

// setTriplets sets what a listpack holds: field, value, deadline and so on.
func setTriplets(h *hash.Hash, lp []byte) error {
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
		if err := setNew(h, field, val, deadline); err != nil {
			return err
		}
	}
	return nil
}

func typeOfHash(v value.Value) Type {
	r := hash.Read(v, 0)
	switch {
	case r.NextDeadline() != 0:
		return typeHashTTL
	case v.Enc == value.EncListpack && r.Packed() != nil:
		return typeHashListpack
	}
	return typeHash
}

// appendHash appends a hash. Deadlines of fields are written as Redis 7.4 writes
// them: earlier versions have none and refuse the type.
func appendHash(b []byte, v value.Value, seen lzfTable, w *Writer) []byte {
	r := hash.Read(v, 0)
	t := typeOfHash(v)
	if t == typeHashListpack {
		return appendString(b, r.Packed(), seen)
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
		b = appendString(b, text, seen)
		text = it.Value.Append(text[:0])
		b = w.spill(appendString(b, text, seen))
	}
	return b
}
