package rdb

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

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
		lp, err = d.pack()
	case typeZSetZiplist:
		lp, err = d.ziplist()
	default:
		return d.readScored(t, b)
	}
	if err != nil {
		return err
	}
	if d.lends {
		ok, err := zset.Packed(lp, b.limits.ZSet, b.hash)
		if err != nil {
			return err
		}
		if ok {
			b.finish(value.EncListpack, lp)
			return nil
		}
	}
	z := zset.Open(b.cell(), b.limits.ZSet)
	return z.SetListpack(lp)
}

// readScored reads members with scores one by one. As in the reference the set is
// a large one until all of it is there, for only that one keeps the sign of a
// zero.
func (d *decoder) readScored(t Type, b *build) error {
	limits, c := b.limits, b.cell()
	c.SetEncoding(value.EncSkiplist)
	z := zset.Open(c, limits.ZSet)
	longest := 0
	var signed [][]byte // members whose score is the zero with a sign
	err := d.elements(func() error {
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
		if _, outcome := z.Add(member, score, zset.OnlyNew); outcome != zset.Added {
			return errDuplicate
		}
		longest = max(longest, len(member))
		if score == 0 && math.Signbit(score) && len(signed) <= limits.ZSet.Entries {
			signed = append(signed, bytes.Clone(member))
		}
		return nil
	})
	if err != nil || z.Len() > limits.ZSet.Entries || longest > limits.ZSet.Value {
		return err
	}
	c.SetEncoding(value.EncListpack)
	z = zset.Open(c, limits.ZSet)
	for _, member := range signed {
		z.Remove(member)
		z.Add(member, 0, zset.OnlyNew)
	}
	return nil
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

func typeOfZSet(v value.Value) Type {
	if r := zset.Read(v); v.Enc == value.EncListpack && r.Listpack() != nil {
		return typeZSetListpack
	}
	return typeZSet
}

func appendZSet(b []byte, v value.Value, seen lzfTable, w *Writer) []byte {
	r := zset.Read(v)
	if v.Enc == value.EncListpack {
		if lp := r.Listpack(); lp != nil {
			return appendString(b, lp, seen)
		}
	}
	b = appendLen(b, uint64(r.Len()))
	c := r.At(0)
	for ; c.Valid(); c.Next() {
		b = appendString(b, c.Member(), seen)
		b = w.spill(binary.LittleEndian.AppendUint64(b, math.Float64bits(c.Score())))
	}
	return b
}
