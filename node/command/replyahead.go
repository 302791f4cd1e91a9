package command

import (
	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// This file is how commands that answer with many elements of a collection write
// the answer before they have the slot. What is chosen at random is good whatever
// becomes of the collection meanwhile: it was so while the command ran. What is taken
// out is good if the collection is still the same.

// replyAhead writes what reply answers to the value of key, if that is wanted, from a
// copy or a snapshot.
func (c *Call) replyAhead(key []byte, wanted func(store.Ref) bool, reply func(value.Value)) {
	if c.Reply == nil {
		return // a transaction answers when it runs
	}
	var u unpacked
	small, slot := false, slots.Of(key)
	c.engine.WithSlot(slot, func() {
		if ref := c.engine.store.Find(c.DB, slot, key); ref.OK() && ref.Roots() == 0 && wanted(ref) {
			u.v, small = ref.Value().Detach(), true
		}
	})
	if !small {
		if u.v, u.since = c.keepAhead(key, wanted); u.since == nil {
			return
		}
		defer u.since.Close()
	}
	u.answer(c, func() { reply(u.v) })
	c.ahead = &u
}

// drawsMany reports whether as many as count says are chosen at random from n: each at
// most once, or again and again if count is negative.
func drawsMany(count int64, n int) bool {
	return -maxRandom <= count && count <= -aheadMembers || min(count, int64(n)) >= aheadMembers
}
