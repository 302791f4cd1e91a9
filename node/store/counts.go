package store

import (
	"sync/atomic"

	"slotmesh/slots"
)

// A group is the slots whose numbers differ in the last bits only.
const (
	groupSlots = 128
	groups     = slots.Count / groupSlots
)

// counts is how many keys each slot of a database has. The numbers of groups of
// slots are kept beside, so that what asks for all, or for the nth key, looks at a
// few hundred and not at every slot. Each is changed under the slot's lock and read
// without: what is read of several slots need not fit together.
type counts struct {
	slots  [slots.Count]atomic.Int32
	groups [groups]atomic.Int64
}

func (c *counts) add(slot slots.Slot, n int32) {
	c.slots[slot].Add(n)
	c.groups[slot/groupSlots].Add(int64(n))
}

func (c *counts) of(slot slots.Slot) int { return int(c.slots[slot].Load()) }

// set makes n the number of slot.
func (c *counts) set(slot slots.Slot, n int) {
	was := c.slots[slot].Swap(int32(n))
	c.groups[slot/groupSlots].Add(int64(n) - int64(was))
}

// all is the number of keys of all slots.
func (c *counts) all() (n int64) {
	for i := range c.groups {
		n += c.groups[i].Load()
	}
	return n
}

// next returns the first slot from from on that has keys.
func (c *counts) next(from int) (slots.Slot, bool) {
	for slot := from; slot < slots.Count; slot++ {
		if slot%groupSlots == 0 && c.groups[slot/groupSlots].Load() == 0 {
			slot += groupSlots - 1
			continue
		}
		if c.slots[slot].Load() > 0 {
			return slots.Slot(slot), true
		}
	}
	return 0, false
}

// nth returns the slot of the key that has n before it, all slots in their order, or
// the first slot that has any if there are no longer so many; ok is false if none has.
func (c *counts) nth(n int64) (slot slots.Slot, ok bool) {
	for g := range c.groups {
		if in := c.groups[g].Load(); n >= in {
			n -= in
			continue
		}
		for i := range groupSlots {
			at := slots.Slot(g*groupSlots + i)
			in := int64(c.of(at))
			if n < in {
				return at, true
			}
			n -= in
		}
	}
	return c.next(0)
}
