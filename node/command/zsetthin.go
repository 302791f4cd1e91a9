package command

import (
	"slotmesh/node/store"
	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
	"slotmesh/slots"
)

// This file is what ZREMRANGEBYRANK and its sisters do of a long removal before
// they have the slot. The members that go stand side by side in the tree by scores,
// from which they are cut at once, but all over the tree by members. That one is
// therefore changed aside, on a snapshot of the set, and put in its place if
// nobody has changed the set meanwhile.

// aheadMembers is how many members must go for that.
const aheadMembers = 2000

// retireTurn is how many blocks are retired while the slot is held once.
const retireTurn = 256

// thinned is the tree by members of a sorted set without those of ranks from up to,
// without it, to.
type thinned struct {
	engine   *Engine
	slot     slots.Slot
	from, to int
	members  tree.Tree
	// left are blocks of the set's own tree that members does without.
	left  []arena.Ref
	taken bool
}

// Retire implements tree.Retirer.
func (t *thinned) Retire(block arena.Ref) { t.left = append(t.left, block) }

// end gives back the blocks of the tree that is not the set's.
func (t *thinned) end() {
	if !t.taken {
		t.members.Abandon()
		return
	}
	for len(t.left) > 0 {
		n := min(len(t.left), retireTurn)
		t.engine.WithSlot(t.slot, func() { t.engine.store.RetireAll(t.slot, t.left[:n]) })
		t.left = t.left[n:]
	}
}

// thinAhead does so for a range that is long and not the whole set.
func thinAhead(c *Call, by zsetBy) {
	z := zsetRange{key: 1, by: by, limit: -1}
	if len(c.Args) != 4 || z.parseEnds(c.Args[2], c.Args[3]) != nil {
		return
	}
	t := &thinned{engine: c.engine, slot: slots.Of(c.Args[1])}
	v, sn := c.keepAhead(c.Args[1], func(ref store.Ref) bool {
		if ref.Kind() != value.KindZSet {
			return false
		}
		set := zset.Read(ref.Value())
		t.from, t.to = z.ranks(&set)
		n := t.to - t.from
		return n >= aheadMembers && n < set.Len()
	})
	if sn == nil {
		return
	}
	var space tree.Space
	c.engine.WithSlot(t.slot, func() { space = sn.Aside(t.slot, t) })
	set := zset.Read(v)
	t.members = set.MembersWithout(t.from, t.to, space)
	c.ahead = &unpacked{v: v, since: sn, thinned: t}
}

// thinnedAhead takes what thinAhead made of the sorted set at key, if that is for
// these ranks and of the set as it is. What the set's own tree leaves behind is given
// back when the slot is free.
func (c *Call) thinnedAhead(key []byte, from, to int) (root tree.Root, ok bool) {
	u := c.ahead
	if u == nil || u.thinned == nil || u.thinned.from != from || u.thinned.to != to || !u.stillOf(c.Peek(key)) {
		return root, false
	}
	u.thinned.taken = true
	return u.thinned.members.Root, true
}
