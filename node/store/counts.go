package store

import (
	"math/bits"
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
	// used has a bit for each slot that has keys, for who looks for the next one.
	used [slots.Count / 64]atomic.Uint64
}

func (c *counts) add(slot slots.Slot, n int32) {
	now := c.slots[slot].Add(n)
	c.groups[slot/groupSlots].Add(int64(n))
	c.mark(slot, now-n, now)
}

// mark sees to the bit of a slot that had was keys and has now.
func (c *counts) mark(slot slots.Slot, was, now int32) {
	switch bit := uint64(1) << (slot % 64); {
	case was <= 0 && now > 0:
		c.used[slot/64].Or(bit)
	case was > 0 && now <= 0:
		c.used[slot/64].And(^bit)
	}
}

func (c *counts) of(slot slots.Slot) int { return int(c.slots[slot].Load()) }

// set makes n the number of slot.
func (c *counts) set(slot slots.Slot, n int) {
	was := c.slots[slot].Swap(int32(n))
	c.groups[slot/groupSlots].Add(int64(n) - int64(was))
	c.mark(slot, was, int32(n))
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
	if from >= slots.Count {
		return 0, false
	}
	word := c.used[from/64].Load() &^ (1<<(from%64) - 1)
	for i := from / 64; ; word = c.used[i].Load() {
		if word != 0 {
			return slots.Slot(64*i + bits.TrailingZeros64(word)), true
		}
		if i++; i == len(c.used) {
			break
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
