package command

import (
	"slices"
	"unsafe"

	"slotmesh/node/store"
	"slotmesh/slots"
)

// This file is what a call knows of its keys.

// keySet is the keys of a call.
type keySet struct {
	keys [][]byte
	// keyPlaces are where they lie, if there may be several of them; asked is the
	// one that a handler spoke of last.
	keyPlaces []Place
	asked     int
	// slots are those of keys, ascending and distinct.
	slots []slots.Slot
}

// roomyKeys is for how many keys a call keeps room.
const roomyKeys = 128

// Keys returns the keys of the call, which alias Args.
func (c *Call) Keys() [][]byte { return c.keys }

// Place is where a key lies in every database: its slot and its hash.
type Place = store.Place

// Slot returns the slot of the call's first key.
func (c *Call) Slot() slots.Slot { return c.slots[0] }

// slotOf returns the slot of one of the call's keys.
func (c *Call) slotOf(key []byte) slots.Slot {
	if len(c.slots) == 1 {
		return c.slots[0]
	}
	return slots.Of(key)
}

// placeOf returns the place of one of the call's keys. That of the only one is
// known already: the handler got it from Args.
func (c *Call) placeOf(key []byte) Place {
	if c.place.Known() && sameBytes(key, c.keyBuf[0]) {
		return c.place
	}
	// Handlers go through their keys in order, some of them twice.
	for at := c.asked; at < min(c.asked+2, len(c.keyPlaces)); at++ {
		if sameBytes(key, c.keys[at]) {
			c.asked = at
			return c.keyPlaces[at]
		}
	}
	if len(c.keyPlaces) > 0 && sameBytes(key, c.keys[0]) {
		c.asked = 0
		return c.keyPlaces[0]
	}
	return c.engine.store.PlaceIn(c.slotOf(key), key)
}

// sameBytes reports whether a and b are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// FewPlaces are where the first keys of a call lie, if its owner has looked that up: not
// more than FewKeys of them. The zero FewPlaces are none.
type FewPlaces struct {
	n      int
	places [FewKeys]Place
}

// FewKeys is how many places FewPlaces hold.
const FewKeys = 4

// Add adds the place of the next key.
func (f *FewPlaces) Add(p Place) {
	f.places[f.n] = p
	f.n++
}

// None makes f nothing.
func (f *FewPlaces) None() { f.n = 0 }

// addKeys adds the keys of one command to those of c; few are where the first of them
// lie, nil for nothing.
func (c *Call) addKeys(spec *Spec, args [][]byte, few *FewPlaces) {
	if at := spec.OnlyKey(len(args)); at > 0 {
		c.addKey(args[at])
		return
	}
	positions, err := spec.KeyPositions(args, c.keyPos[:0])
	if err != nil {
		// The arguments contradict the row: a number of keys that is none, or more
		// than there are. The handler says what is wrong, before it looks at a key.
		return
	}
	c.keyPos = positions
	c.keys = slices.Grow(c.keys, len(positions))
	c.keyPlaces = slices.Grow(c.keyPlaces, len(positions))
	c.slots = slices.Grow(c.slots, len(positions))
	for i, at := range positions {
		if few != nil && i < few.n {
			c.addKeyAt(args[at], few.places[i])
		} else {
			c.addKey(args[at])
		}
	}
	c.keepRoom()
}

// keepRoom keeps the memory in which the keys of c lie for the next call, unless it is
// too much.
func (c *Call) keepRoom() {
	if cap(c.keys) <= roomyKeys {
		c.room = c.keySet
	}
}

func (c *Call) addKey(key []byte) { c.addKeyAt(key, c.engine.store.Place(key)) }

func (c *Call) addKeyAt(key []byte, place Place) {
	c.keys = append(c.keys, key)
	c.keyPlaces = append(c.keyPlaces, place)
	c.addSlot(place.Slot)
}

// warmKeys touches what looking up the keys of c will need, unless there is only one.
func (e *Engine) warmKeys(c *Call) {
	if len(c.keyPlaces) > 1 {
		c.warmth += e.Warm(c.DB, c.keyPlaces)
	}
}

// noKeys makes c a call without keys, to which addKeys may add.
func (c *Call) noKeys() {
	if c.room.keys == nil {
		c.room = keySet{keys: c.keyBuf[:0], keyPlaces: c.placeBuf[:0], slots: c.slotBuf[:0]}
	}
	c.keySet = keySet{keys: c.room.keys[:0], keyPlaces: c.room.keyPlaces[:0], slots: c.room.slots[:0]}
}

// takeKeys makes the keys of c those of all, from one up to another: they are known
// there already.
func (c *Call) takeKeys(all *Call, from, to int) {
	c.keySet = keySet{keys: all.keys[from:to], keyPlaces: all.keyPlaces[from:to], slots: c.room.slots[:0]}
	c.place = Place{}
	if to-from == 1 {
		c.keyBuf[0], c.place = c.keys[0], c.keyPlaces[0]
	}
	for i := range c.keyPlaces {
		c.addSlot(c.keyPlaces[i].Slot)
	}
	if cap(c.slots) <= roomyKeys {
		c.room.slots = c.slots
	}
}

// addSlot adds slot to those that c is to lock.
func (c *Call) addSlot(slot slots.Slot) {
	n := len(c.slots)
	if n == 0 || c.slots[n-1] < slot {
		c.slots = append(c.slots, slot)
		return
	}
	if n > fewSlots {
		if i, found := slices.BinarySearch(c.slots, slot); !found {
			c.slots = slices.Insert(c.slots, i, slot)
		}
		return
	}
	for n > 0 && c.slots[n-1] > slot {
		n--
	}
	if n > 0 && c.slots[n-1] == slot {
		return
	}
	c.slots = append(c.slots, 0)
	for i := len(c.slots) - 1; i > n; i-- {
		c.slots[i] = c.slots[i-1]
	}
	c.slots[n] = slot
}

// fewSlots is among how many slots the place of one is found by going through them.
const fewSlots = 16
