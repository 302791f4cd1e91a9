package command

import (
	"bytes"
	"strconv"

	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// This file is how SORT looks at keys that its arguments do not name: see
// Spec.Reaches.

// reached is what a call holds beside the slots of its keys.
type reached struct {
	// locked are the slots that were locked for it, held are those and the slots of
	// its keys.
	locked []slots.Slot
	held   slots.Set
}

// reach locks slot until the call is over, unless the call holds it. It waits for
// nothing: if slot is taken it returns false. What a call that reaches sees is of
// one moment all the same, for it lets go of nothing before it has seen
// everything.
func (c *Call) reach(slot slots.Slot) bool {
	if c.exclusive || c.Applied {
		return true
	}
	r := c.reached
	if r == nil {
		r = c.engine.reach.Get().(*reached)
		for _, own := range c.slots {
			r.held.Add(own)
		}
		c.reached = r
	}
	if r.held.Has(slot) {
		return true
	}
	if !c.engine.locks.tryLock(slot) {
		return false
	}
	r.held.Add(slot)
	r.locked = append(r.locked, slot)
	return true
}

// letGo unlocks what c has reached.
func (e *Engine) letGo(c *Call) {
	r := c.reached
	c.reached = nil
	for _, slot := range r.locked {
		e.locks.unlock(slot)
		r.held.Remove(slot)
	}
	for _, own := range c.slots {
		r.held.Remove(own)
	}
	r.locked = r.locked[:0]
	e.reach.Put(r)
}

// lookElsewhere is Read for a key in any slot. It returns free false, and has not
// looked, if that slot is taken.
func (c *Call) lookElsewhere(key []byte) (ref store.Ref, free bool) {
	place := c.engine.store.Place(key)
	if !c.reach(place.Slot) {
		return store.Ref{}, false
	}
	ref, expires := c.engine.store.VisitAt(c.DB, place, key, c.Now)
	if expires {
		if ref = c.unexpired(ref, c.DB, place.Slot, key); ref.OK() {
			ref.Touch(c.Now)
		}
	}
	if ref.OK() {
		c.counted.hits++
	} else {
		c.counted.misses++
	}
	return ref, true
}

// sortPattern is a pattern of BY or GET, taken apart.
type sortPattern struct {
	// self is set for "#", nowhere for what has no star.
	self, nowhere bool
	// The element comes between head and tail; field, if not nil, is one of a hash.
	head, tail, field []byte
}

// parseSortPattern reads a pattern. Source: the reference's lookupKeyByPattern.
func parseSortPattern(pattern []byte) (p sortPattern) {
	if len(pattern) == 1 && pattern[0] == '#' {
		p.self = true
		return p
	}
	star := bytes.IndexByte(untilZero(pattern), '*')
	if star < 0 {
		p.nowhere = true
		return p
	}
	p.head, p.tail = pattern[:star], pattern[star+1:]
	arrow := bytes.Index(untilZero(p.tail), []byte("->"))
	if arrow >= 0 && arrow+2 < len(p.tail) && p.tail[arrow+2] != 0 {
		p.tail, p.field = p.tail[:arrow], p.tail[arrow+2:]
	}
	return p
}

// sortFound is what a pattern leads to, if ok is true.
type sortFound struct {
	sortText
	ok bool
}

// lookup returns what pattern p leads to from an element: itself, a string, or a
// field of a hash. It returns free false if the key is in a slot that is taken.
func (s *sorter) lookup(p *sortPattern, element *sortText) (found sortFound, free bool) {
	switch {
	case p.self:
		return sortFound{*element, true}, true
	case p.nowhere:
		return found, true
	}
	c := s.c
	from := len(c.arena)
	key := append(c.arena, p.head...)
	if element.isInt {
		key = strconv.AppendInt(key, element.n, 10)
	} else {
		key = append(key, element.text...)
	}
	key = append(key, p.tail...)
	// The key lies behind what the arena holds. If it has expired it is kept there,
	// where it is.
	c.arena = key[:from]
	ref, free := c.lookElsewhere(key[from:])
	switch {
	case !ref.OK():
		return found, free
	case p.field != nil && ref.Kind() == value.KindHash:
		r := hash.Read(ref.Value(), c.fieldTime())
		got, ok := r.Get(p.field)
		return sortFound{sortText{got.Bytes, got.Int, got.IsInt}, ok}, true
	case p.field != nil || ref.Kind() != value.KindString:
		return found, true
	}
	text, n, isInt := ref.Text()
	return sortFound{sortText{text, n, isInt}, true}, true
}
