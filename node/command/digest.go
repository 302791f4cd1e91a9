package command

import (
	"crypto/sha1"
	"encoding/binary"
	"strconv"

	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
	"slotmesh/slots"
)

// Digest is 20 bytes that are equal for equal data, whatever the order it is
// kept in; DEBUG prints them as 40 hex digits. Source: the reference's
// computeDatasetDigest, whose numbers these are.
type Digest [sha1.Size]byte

// add exclusive-ors the hash of b into d: the order of additions does not
// matter.
func (d *Digest) add(b []byte) {
	sum := sha1.Sum(b)
	for i := range d {
		d[i] ^= sum[i]
	}
}

// mix is add with a hash over the result: the order matters.
func (d *Digest) mix(b []byte) {
	d.add(b)
	*d = sha1.Sum(d[:])
}

// addKey mixes what belongs to a key, without its name.
func (d *Digest) addKey(ref store.Ref) {
	d.mix(binary.BigEndian.AppendUint32(nil, uint32(ref.Kind())))
	switch v := ref.Value(); v.Kind {
	case value.KindHash:
		d.addHash(v)
	case value.KindSet:
		d.addSet(v)
	case value.KindList:
		d.addList(v)
	case value.KindZSet:
		d.addZSet(v)
	case value.KindStream:
		d.addStream(v)
	default:
		d.mix(v.AppendText(nil))
	}
	if ref.Expires() {
		d.add([]byte("!!expire!!"))
	}
}

// addHash adds the content of a hash; fields that expired and are still there
// count.
func (d *Digest) addHash(v value.Value) {
	r := hash.Read(v, 0)
	var text []byte
	it := r.All()
	for it.Next() {
		var field Digest
		text = it.Field.Append(text[:0])
		field.mix(text)
		text = it.Value.Append(text[:0])
		field.mix(text)
		if it.Deadline != 0 {
			field.add([]byte("!!hexpire!!"))
		}
		d.add(field[:])
	}
}

// addZSet adds the members of a sorted set with their scores.
func (d *Digest) addZSet(v value.Value) {
	r := zset.Read(v)
	var text []byte
	at := r.At(0)
	for ; at.Valid(); at.Next() {
		var element Digest
		element.mix(at.Member())
		text = zset.AppendScore(text[:0], at.Score())
		element.mix(text)
		d.add(element[:])
	}
}

// addStream mixes the entries of a stream; its groups do not count.
func (d *Digest) addStream(v value.Value) {
	r := stream.Read(v)
	var text []byte
	for it := r.Range(stream.ID{}, stream.MaxID, false); it.Next(); {
		id := it.Entry.ID
		text = strconv.AppendUint(text[:0], id.Ms, 10)
		text = strconv.AppendUint(append(text, '.'), id.Seq, 10)
		d.mix(text)
		pairs := it.Entry.Pairs()
		for field, val, ok := pairs.Next(); ok; field, val, ok = pairs.Next() {
			d.mix(field)
			d.mix(val)
		}
	}
}

// DigestOf is the digest of one key's value and of whether it expires; all
// zeros for a key that is not there. The key's slot is locked.
func DigestOf(ref store.Ref) (d Digest) {
	if ref.OK() {
		d.addKey(ref)
	}
	return d
}

// DigestAll is the digest of the whole keyspace, all zeros when it is empty. It
// closes the gate while it computes, or is called with it closed (Call.Walks).
func (c *Call) DigestAll() (d Digest) {
	if c.exclusive {
		return digestAll(c.engine.store)
	}
	c.engine.Exclusive(func() { d = digestAll(c.engine.store) })
	return d
}

func digestAll(s *store.Store) (d Digest) {
	for db := range s.Databases() {
		if s.Len(db) == 0 {
			continue
		}
		d.mix(binary.BigEndian.AppendUint32(nil, uint32(db)))
		for slot := range slotsWith(s, db, 0) {
			s.Scan(db, store.At(slot), s.CountInSlot(db, slot), func(ref store.Ref) {
				var key Digest
				key.mix(ref.Key())
				key.addKey(ref)
				d.add(key[:])
			})
		}
	}
	return d
}

// Populate makes the keys prefix:0 to prefix:n-1 that do not exist yet, with
// values of their own names, padded with zeros or cut to size bytes unless
// size is 0: DEBUG POPULATE. Nothing is journaled. It locks slot by slot.
func (c *Call) Populate(n int64, prefix string, size int) {
	for i := range n {
		number := c.Number(i)
		key := append(append([]byte(prefix), ':'), number...)
		text := append([]byte("value:"), number...)
		c.arena = c.arena[:0]
		if size > 0 {
			padded := make([]byte, size)
			copy(padded, text)
			text = padded
		}
		slot := slots.Of(key)
		c.WithSlot(slot, func() {
			if !c.engine.store.Find(c.DB, slot, key).OK() {
				c.engine.store.Set(c.DB, slot, key, value.TextValue(text), false, c.Now)
			}
		})
	}
}
