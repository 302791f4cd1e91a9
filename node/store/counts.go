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

// appendUsed appends slots that have keys to list, from from on, as many as it has room
// for.
func (c *counts) appendUsed(list []slots.Slot, from int) []slots.Slot {
	if from >= slots.Count {
		return list
	}
	word := c.used[from/64].Load() &^ (1<<(from%64) - 1)
	for i := from / 64; ; word = c.used[i].Load() {
		for ; word != 0; word &= word - 1 {
			if len(list) == cap(list) {
				return list
			}
			list = append(list, slots.Slot(64*i+bits.TrailingZeros64(word)))
		}
		if i++; i == len(c.used) {
			return list
		}
	}
}

// pick returns a slot, each as likely as it has keys, or, if others take keys away
// meanwhile, the first slot that has any; ok is false if none has. random is uniform.
func (c *counts) pick(random uint64) (slot slots.Slot, ok bool) {
	// What is summed up is kept by parts, so that no more than one of them is gone
	// through again.
	const part = 8
	var parts [groups / part]int64
	total := int64(0)
	for i := range parts {
		in := int64(0)
		some := c.groups[part*i : part*(i+1)]
		for g := range some {
			in += some[g].Load()
		}
		parts[i] = in
		total += in
	}
	if total <= 0 {
		return 0, false
	}
	n := int64(random % uint64(total))
	for i, in := range parts {
		if n < in {
			return c.nth(n, part*i)
		}
		n -= in
	}
	return c.next(0)
}

// nth returns the slot of the key that has n before it, all slots from the first one
// of group g on in their order, or the first slot of all that has any if there are no
// longer so many; ok is false if none has.
func (c *counts) nth(n int64, g int) (slot slots.Slot, ok bool) {
	for ; g < groups; g++ {
		if in := c.groups[g].Load(); n >= in {
			n -= in
			continue
		}
		if slot, ok := c.nthOf(&n, g); ok {
			return slot, true
		}
	}
	return c.next(0)
}

// nthOf is nth among the slots of group g. It takes from n what they have if there are no
// longer so many.
func (c *counts) nthOf(n *int64, g int) (slot slots.Slot, ok bool) {
	const words = groupSlots / 64
	for at := words * g; at < words*(g+1); at++ {
		for word := c.used[at].Load(); word != 0; word &= word - 1 {
			slot := slots.Slot(64*at + bits.TrailingZeros64(word))
			in := int64(c.slots[slot].Load())
			if *n < in {
				return slot, true
			}
			*n -= in
		}
	}
	return 0, false
}
