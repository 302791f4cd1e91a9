package rdb

import (
	"encoding/binary"
	"math"
	"strconv"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

// What the length of a score means in its old form, as text.
const (
	scoreNaN         = 253
	scoreInfinity    = 254
	scoreNegInfinity = 255
)

func (d *decoder) readZSet(t Type, b *build) error {
	var lp []byte
	var err error
	switch t {
	case typeZSetListpack:
		if d.lends {
			lp, err = d.element(&d.first) // which Packed checks
		} else {
			lp, err = d.pack()
		}
	case typeZSetZiplist:
		lp, err = d.ziplist()
	default:
		return d.readScored(t, b)
	}
	if err != nil {
		return err
	}
	if d.lends {
		ok, err := zset.Packed(lp, b.limits.ZSet)
		switch {
		case err != nil:
			return err
		case ok:
			b.finish(value.EncListpack, lp)
			return nil
		case listpack.First(lp) < 0:
			return errEmpty
		}
	}
	z := zset.Open(b.cell(), b.limits.ZSet)
	return z.SetListpack(lp)
}

// readScored reads members with scores one by one.
func (d *decoder) readScored(t Type, b *build) error {
	n, err := d.count()
	if err != nil {
		return err
	}
	l := &d.ranked
	l.Begin(b.cell(), b.limits.ZSet, n)
	err = d.repeat(n, func() error {
		member, err := d.element(&d.first)
		if err != nil {
			return err
		}
		var score float64
		if t == typeZSet {
			b, err := d.fixed(8)
			if err != nil {
				return err
			}
			score = math.Float64frombits(binary.LittleEndian.Uint64(b))
		} else if score, err = d.scoreText(); err != nil {
			return err
		}
		if math.IsNaN(score) {
			return errNotNumber
		}
		if !l.Add(member, score) {
			return errDuplicate
		}
		return nil
	})
	if err == nil && !l.Close() {
		err = errDuplicate
	}
	return err
}

// scoreText reads a score in its old form.
func (d *decoder) scoreText() (float64, error) {
	n, err := d.byte()
	if err != nil {
		return 0, err
	}
	switch n {
	case scoreNaN:
		return 0, errNotNumber
	case scoreInfinity:
		return math.Inf(1), nil
	case scoreNegInfinity:
		return math.Inf(-1), nil
	}
	text, err := d.bytes(uint64(n), nil)
	if err != nil {
		return 0, err
	}
	score, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, errNotNumber
	}
	return score, nil
}

// typeOfZSet returns the type that a sorted set is written as: see typeOfHash.
func typeOfZSet(v value.Value, dump bool) Type {
	if r := zset.Read(v); r.Listpack() != nil || dump && r.Packs() {
		return typeZSetListpack
	}
	return typeZSet
}

func appendZSet(b []byte, v value.Value, tmp *scratch, w *Writer) []byte {
	r := zset.Read(v)
	if typeOfZSet(v, w == nil) == typeZSetListpack {
		lp := r.Listpack()
		if lp == nil {
			tmp.pack = r.AppendListpack(tmp.pack[:0])
			lp = tmp.pack
		}
		return appendString(b, lp, tmp)
	}
	b = appendLen(b, uint64(r.Len()))
	c := r.At(0)
	for ; c.Valid(); c.Next() {
		b = appendString(b, c.Member(), tmp)
		b = w.spill(binary.LittleEndian.AppendUint64(b, math.Float64bits(c.Score())))
	}
	return b
}
