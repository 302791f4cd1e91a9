package rdb

import (
	"slotmesh/node/store/set"
	"slotmesh/node/store/value"
)

func (d *decoder) readSet(t Type, b *build) error {
	limits := &b.limits.Set
	switch t {
	case typeIntset:
		ints, err := d.element(&d.first)
		if err != nil {
			return err
		}
		if !set.ValidIntset(ints) {
			return errIntset
		}
		if d.lends && limits.Fits(ints) {
			b.finish(value.EncIntset, ints)
			return nil
		}
		set.SetInts(b.cell(), ints, limits)
		return nil
	case typeSetListpack:
		lp, err := d.pack()
		if err != nil {
			return err
		}
		if !set.SetPacked(b.cell(), lp, limits) {
			return errDuplicate
		}
		return nil
	}
	n, err := d.count()
	if err != nil {
		return err
	}
	l := &d.members
	l.Begin(b.cell(), limits, n)
	err = d.repeat(n, func() error {
		member, err := d.element(&d.first)
		if err != nil {
			return err
		}
		if !l.Add(member) {
			return errDuplicate
		}
		return nil
	})
	if !l.Close() && err == nil {
		err = errDuplicate
	}
	return err
}

func typeOfSet(v value.Value) Type {
	if _, ok := set.Read(v).Ints(); ok {
		return typeIntset
	}
	return typeSet
}

func appendSet(b []byte, v value.Value, tmp *scratch, w *Writer) []byte {
	r := set.Read(v)
	if ints, ok := r.Ints(); ok {
		return appendString(b, ints, tmp)
	}
	b = appendLen(b, uint64(r.Len()))
	it := r.All()
	for it.Next() {
		b = w.spill(appendString(b, it.Member(), tmp))
	}
	return b
}
