package command

import (
	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// This file is how a command looks at keys that its arguments do not name. It
// holds no locks for them: see Spec.Reaches.

// lookElsewhere is Read for a key in any slot. An expired key goes, if nothing
// else runs meanwhile.
func (c *Call) lookElsewhere(key []byte) store.Ref {
	slot := slots.Of(key)
	ref := c.engine.store.Find(c.DB, slot, key)
	if ref.OK() && ref.Expires() && c.exclusive {
		ref = c.unexpired(ref, c.DB, slot, key)
	}
	if !ref.OK() || c.hidden(ref) {
		c.counted.misses++
		return store.Ref{}
	}
	c.counted.hits++
	ref.Touch(c.Now)
	return ref
}

// fieldText returns the text of a field, if ref is a hash that has it. That of
// an integer lies in memory that lasts until the effects are written.
func (c *Call) fieldText(ref store.Ref, field []byte) (text []byte, found bool) {
	if ref.Kind() != value.KindHash {
		return nil, false
	}
	r := hash.Read(ref.Value(), c.fieldTime())
	got, ok := r.Get(field)
	switch {
	case !ok:
		return nil, false
	case got.IsInt:
		return c.Number(got.Int), true
	case got.Bytes == nil:
		return []byte{}, true
	}
	return got.Bytes, true
}
