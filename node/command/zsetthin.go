package command

import (
	"slotmesh/node/store"
	"slotmesh/node/store/arena"
	"slotmesh/node/store/set"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
	"slotmesh/slots"
)

// This file is what commands that take many members out of a large sorted set or set
// do before they have the slot. The members that ZREMRANGEBYRANK, ZPOPMIN and their
// sisters remove stand side by side in the tree by scores, from which they are cut at
// once, but all over the tree by members; those of SPOP stand all over the only one.
// Such a tree is therefore changed aside, on a snapshot of the value, and put in its
// place if nobody has changed the value meanwhile. What the command answers with is
// written aside, too.

// aheadMembers is how many members must go for that.
const aheadMembers = 2000

// retireTurn is how many blocks are retired while the slot is held once.
const retireTurn = 256

// thinned is a tree without the members that go.
type thinned struct {
	engine *Engine
	slot   slots.Slot
	// from up to, without it, to are the ranks that go if the value is a sorted set,
	// drawn the members if it is a set.
	from, to int
	drawn    [][]byte
	tree     tree.Tree
	// left are blocks of the value's own tree that tree does without.
	left  []arena.Ref
	taken bool
}

// Retire implements tree.Retirer.
func (t *thinned) Retire(block arena.Ref) { t.left = append(t.left, block) }

// end gives back the blocks of the tree that is not the value's.
func (t *thinned) end() {
	if !t.taken {
		t.tree.Abandon()
		return
	}
	for len(t.left) > 0 {
		n := min(len(t.left), retireTurn)
		t.engine.WithSlot(t.slot, func() { t.engine.store.RetireAll(t.slot, t.left[:n]) })
		t.left = t.left[n:]
	}
}

// keepThinned keeps the value of key, if it is wanted, and returns where its tree may
// be changed; nil if the value is not kept.
func (c *Call) keepThinned(key []byte, wanted func(store.Ref) bool) (u *unpacked, space tree.Space) {
	v, sn := c.keepAhead(key, wanted)
	if sn == nil {
		return nil, space
	}
	t := &thinned{engine: c.engine, slot: slots.Of(key)}
	c.engine.WithSlot(t.slot, func() { space = sn.Aside(t.slot, t) })
	return &unpacked{v: v, since: sn, thinned: t}, space
}

// thinRanks prepares the removal of ranks of the sorted set at key, if they are many
// and not all. What is answered is written by reply, if that is given.
func (c *Call) thinRanks(key []byte, ranks func(*zset.Reader) (from, to int), reply func(r *zset.Reader, from, to int)) {
	var from, to int
	u, space := c.keepThinned(key, func(ref store.Ref) bool {
		if ref.Kind() != value.KindZSet {
			return false
		}
		set := zset.Read(ref.Value())
		from, to = ranks(&set)
		return to-from >= aheadMembers && to-from < set.Len()
	})
	if u == nil {
		return
	}
	set := zset.Read(u.v)
	u.thinned.from, u.thinned.to = from, to
	u.thinned.tree = set.MembersWithout(from, to, space)
	if reply != nil {
		u.answer(c, func() { reply(&set, from, to) })
	}
	c.ahead = u
}

// thinAhead prepares a ZREMRANGEBYRANK or one of its sisters.
func thinAhead(c *Call, by zsetBy) {
	z := zsetRange{key: 1, by: by, limit: -1}
	if len(c.Args) != 4 || z.parseEnds(c.Args[2], c.Args[3]) != nil {
		return
	}
	c.thinRanks(c.Args[1], z.ranks, nil)
}

// rangeAhead returns what thinRanks made of the sorted set at key, if that is for
// these ranks and of the set as it is.
func (c *Call) rangeAhead(key []byte, from, to int) *unpacked {
	u := c.ahead
	if u == nil || u.thinned == nil || u.thinned.from != from || u.thinned.to != to || !u.stillOf(c.Peek(key)) {
		return nil
	}
	return u
}

// thinnedAhead takes the tree that thinRanks made. What the set's own tree leaves
// behind is given back when the slot is free.
func (c *Call) thinnedAhead(key []byte, from, to int) (root tree.Root, ok bool) {
	u := c.rangeAhead(key, from, to)
	if u == nil {
		return root, false
	}
	u.thinned.taken = true
	return u.thinned.tree.Root, true
}

// drawAhead draws the members for an SPOP of many, but not all.
func drawAhead(c *Call) {
	if len(c.Args) != 3 {
		return
	}
	count, ok := value.ParseInt(c.Args[2])
	if !ok || count < aheadMembers {
		return
	}
	u, space := c.keepThinned(c.Args[1], func(ref store.Ref) bool {
		return ref.Kind() == value.KindSet && count < int64(elementsOf(ref.Value()))
	})
	if u == nil {
		return
	}
	t, r := u.thinned, set.Read(u.v)
	places := c.choosePlacesInOrder(r.Len(), int(count), nil)
	t.drawn = make([][]byte, 0, len(places))
	var text []byte // of the latest members; those before lie in the arrays it outgrew
	t.tree = r.Without(places, space, func(member []byte) {
		if cap(text)-len(text) < len(member) {
			text = make([]byte, 0, max(len(member), drawnText))
		}
		text = append(text, member...)
		t.drawn = append(t.drawn, text[len(text)-len(member):])
	})
	u.answer(c, func() { replyDrawn(c, t.drawn) })
	c.ahead = u
}

// drawnText is how many bytes of members lie in one array.
const drawnText = 64 << 10

func replyDrawn(c *Call, members [][]byte) {
	c.Reply.Set(len(members))
	for _, member := range members {
		c.Reply.Bulk(member)
	}
}

// drawnAhead takes what drawAhead drew of the set at key, if that is as it was.
func (c *Call) drawnAhead(key []byte, count int64) *unpacked {
	u := c.ahead
	if u == nil || u.thinned == nil || int64(len(u.thinned.drawn)) != count || !u.stillOf(c.Peek(key)) {
		return nil
	}
	u.thinned.taken = true
	return u
}
