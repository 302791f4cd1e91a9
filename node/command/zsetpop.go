package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
	"slotmesh/slots"
)

func zsetPopRows() []Spec {
	byNumber := func(begin int) []KeySpec {
		return []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: begin, KeyNum: true, FirstKey: 1, Step: 1}}
	}
	waited := []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Last: -2, Step: 1}}
	const (
		popped = "O(M*log(N)) where N is the size of the set and M the number of members taken."
		multi  = "O(K+M*log(N)) where K is the number of keys, N the size of the set and M the number of members taken."
	)
	return []Spec{
		{
			Name: "bzmpop", Syntax: "timeout:double numkeys key [key ...] <MIN | MAX> [COUNT count]", Arity: -5,
			Flags: Write | Blocking | MovableKeys, Keys: byNumber(2), Since: "7.0.0", Complexity: multi,
			Summary: "Takes members from the first of several sorted sets that has any, or waits for some.",
			Run:     func(c *Call) error { return zmpop(c, 2) }, Heavy: manyPopped, Ahead: func(c *Call) { zmpopAhead(c, 2) },
		},
		{
			Name: "bzpopmax", Syntax: "key [key ...] timeout:double", Arity: -3, Flags: Write | NoScript | Blocking | Fast, Keys: waited,
			Since: "5.0.0", Complexity: "O(log(N)) where N is the size of the set.",
			Summary: "Takes the member with the greatest score from the first of several sorted sets that has any, or waits for one.",
			Run:     func(c *Call) error { return bzpop(c, true) },
		},
		{
			Name: "bzpopmin", Syntax: "key [key ...] timeout:double", Arity: -3, Flags: Write | NoScript | Blocking | Fast, Keys: waited,
			Since: "5.0.0", Complexity: "O(log(N)) where N is the size of the set.",
			Summary: "Takes the member with the least score from the first of several sorted sets that has any, or waits for one.",
			Run:     func(c *Call) error { return bzpop(c, false) },
		},
		{
			Name: "zmpop", Syntax: "numkeys key [key ...] <MIN | MAX> [COUNT count]", Arity: -4, Flags: Write | MovableKeys, Keys: byNumber(1),
			Since: "7.0.0", Complexity: multi, Summary: "Takes members from the first of several sorted sets that has any.",
			Run: func(c *Call) error { return zmpop(c, 1) }, Heavy: manyPopped, Ahead: func(c *Call) { zmpopAhead(c, 1) },
		},
		{
			Name: "zpopmax", Syntax: "key [count]", Arity: -2, Flags: Write | Fast, Keys: zsetPops,
			Since: "5.0.0", Complexity: popped, Summary: "Takes the members with the greatest scores from a sorted set.",
			Run: func(c *Call) error { return zpop(c, true) }, Heavy: manyPopped, Ahead: func(c *Call) { zpopAhead(c, true) },
		},
		{
			Name: "zpopmin", Syntax: "key [count]", Arity: -2, Flags: Write | Fast, Keys: zsetPops,
			Since: "5.0.0", Complexity: popped, Summary: "Takes the members with the least scores from a sorted set.",
			Run: func(c *Call) error { return zpop(c, false) }, Heavy: manyPopped, Ahead: func(c *Call) { zpopAhead(c, false) },
		},
	}
}

// manyPopped is the Heavy of commands whose last word is a count.
func manyPopped(c *Call) bool {
	n, _ := value.ParseInt(c.Args[len(c.Args)-1])
	return n > removeTurn
}

var (
	wordZPopMin = []byte("ZPOPMIN")
	wordZPopMax = []byte("ZPOPMAX")
)

// zsetPop is what a command takes from a set.
type zsetPop struct {
	greatest bool
	count    int64
}

// ranks are those of the members that go from a set of n.
func (p zsetPop) ranks(n int) (from, to int) {
	count := int(min(p.count, int64(n)))
	if p.greatest {
		return n - count, n
	}
	return 0, count
}

// take removes up to p.count members of the set at key, which has some, after
// show has written them.
func (p zsetPop) take(c *Call, key []byte, ref *store.Ref, show func(r *zset.Reader, from, to int)) {
	z := c.openZSet(ref)
	from, to := p.ranks(z.Len())
	if !c.rangeAhead(key, from, to).answered(c) {
		show(&z.Reader, from, to)
	}
	c.dropRanks(key, &z, from, to)
}

// prepare does what it can of take before the slot of key is held.
func (p zsetPop) prepare(c *Call, key []byte, show func(r *zset.Reader, from, to int)) {
	if p.count >= aheadMembers {
		c.thinRanks(key, func(r *zset.Reader) (from, to int) { return p.ranks(r.Len()) }, show)
	}
}

// effect journals what take did with a key for which there is no such command
// as was sent.
func (p zsetPop) effect(c *Call, key []byte) {
	word := wordZPopMin
	if p.greatest {
		word = wordZPopMax
	}
	if p.count == 1 {
		c.Effect(word, key)
	} else {
		c.Effect(word, key, c.Number(p.count))
	}
}

// parseZPop reads ZPOPMIN or ZPOPMAX.
func parseZPop(c *Call, greatest bool) (p zsetPop, err error) {
	if len(c.Args) > 3 {
		return p, resp.ErrSyntax
	}
	p = zsetPop{greatest, 1}
	if len(c.Args) == 3 {
		var ok bool
		if p.count, ok = value.ParseInt(c.Args[2]); !ok || p.count < 0 {
			return p, resp.ErrNotPositive
		}
	}
	return p, nil
}

// show answers with the members of ranks as ZPOPMIN and ZPOPMAX do.
func (p zsetPop) show(c *Call) func(r *zset.Reader, from, to int) {
	w := zsetReply{c, true, len(c.Args) == 2}
	return func(r *zset.Reader, from, to int) { w.ranks(r, from, to, p.greatest) }
}

func zpopAhead(c *Call, greatest bool) {
	if p, err := parseZPop(c, greatest); err == nil {
		p.prepare(c, c.Args[1], p.show(c))
	}
}

func zpop(c *Call, greatest bool) error {
	p, err := parseZPop(c, greatest)
	if err != nil {
		return err
	}
	key := c.Args[1]
	ref, err := c.WriteKind(key, value.KindZSet)
	if err != nil {
		return err
	}
	if !ref.OK() || p.count == 0 {
		c.Reply.Array(0)
		return nil
	}
	p.take(c, key, &ref, p.show(c))
	return nil
}

// writeFirst returns the first of keys that is there, which must be a sorted
// set.
func (c *Call) firstZSet(keys [][]byte) (key []byte, ref store.Ref, err error) {
	for _, key := range keys {
		if ref, err := c.WriteKind(key, value.KindZSet); err != nil || ref.OK() {
			return key, ref, err
		}
	}
	return nil, ref, nil
}

// popAs writes the reply of a command that names the key it took from, and
// takes.
type popAs func(c *Call, key []byte, ref *store.Ref)

// waitForZSet waits until one of keys is a sorted set.
func waitForZSet(c *Call, keys [][]byte, timeout []byte, pop popAs) error {
	d, err := ParseTimeout(timeout)
	if err != nil {
		return err
	}
	key, ref, err := c.firstZSet(keys)
	if err != nil {
		return err
	}
	if ref.OK() {
		pop(c, key, &ref)
		return nil
	}
	return c.Wait(Wait{
		Keys: keys, Kind: value.KindZSet, Timeout: d,
		Serve: func(c *Call, key []byte) (bool, error) {
			ref, err := c.WriteKind(key, value.KindZSet)
			if err != nil || !ref.OK() {
				return false, nil
			}
			pop(c, key, &ref)
			return true, nil
		},
	})
}

func bzpop(c *Call, greatest bool) error {
	last := len(c.Args) - 1
	return waitForZSet(c, c.Args[1:last], c.Args[last], func(c *Call, key []byte, ref *store.Ref) {
		z := c.openZSet(ref)
		rank := 0
		if greatest {
			rank = z.Len() - 1
		}
		at := z.At(rank)
		c.Reply.Array(3)
		c.Reply.Bulk(key)
		c.Reply.Bulk(at.Member())
		c.Reply.Double(at.Score())
		c.dropRanks(key, &z, rank, rank+1)
		zsetPop{greatest, 1}.effect(c, key)
	})
}

// parseZMPop reads ZMPOP from the number of keys at number on.
func parseZMPop(c *Call, number int) (keys [][]byte, p zsetPop, err error) {
	n, ok := value.ParseInt(c.Args[number])
	if !ok || n < 1 {
		return nil, p, resp.Error("ERR numkeys should be greater than 0")
	}
	if n >= int64(len(c.Args)-number-1) {
		return nil, p, resp.ErrSyntax
	}
	where := number + 1 + int(n)
	switch {
	case IsWord(c.Args[where], "max"):
		p.greatest = true
	case !IsWord(c.Args[where], "min"):
		return nil, p, resp.ErrSyntax
	}
	for i := where + 1; i < len(c.Args); i += 2 {
		if p.count != 0 || !IsWord(c.Args[i], "count") || i+1 == len(c.Args) {
			return nil, p, resp.ErrSyntax
		}
		if p.count, ok = value.ParseInt(c.Args[i+1]); !ok || p.count < 1 {
			return nil, p, resp.Error("ERR count should be greater than 0")
		}
	}
	p.count = max(p.count, 1)
	return c.Args[number+1 : where], p, nil
}

// zmpop is ZMPOP, or BZMPOP if the number of keys stands in the second place.
func zmpop(c *Call, number int) error {
	keys, p, err := parseZMPop(c, number)
	if err != nil {
		return err
	}
	pop := func(c *Call, key []byte, ref *store.Ref) {
		c.Reply.Array(2)
		c.Reply.Bulk(key)
		// In RESP2, too, every member is in an array with its score.
		p.take(c, key, ref, p.showPairs(c))
		p.effect(c, key)
	}
	if number == 2 {
		return waitForZSet(c, keys, c.Args[1], pop)
	}
	key, ref, err := c.firstZSet(keys)
	if err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.NullArray()
		return nil
	}
	pop(c, key, &ref)
	return nil
}

// showPairs answers with an array of members and scores, each pair in one of its own.
func (p zsetPop) showPairs(c *Call) func(r *zset.Reader, from, to int) {
	return func(r *zset.Reader, from, to int) {
		c.Reply.Array(to - from)
		at := r.At(from)
		if p.greatest {
			at = r.At(to - 1)
		}
		for range to - from {
			c.Reply.Array(2)
			c.Reply.Bulk(at.Member())
			c.Reply.Double(at.Score())
			if p.greatest {
				at.Prev()
			} else {
				at.Next()
			}
		}
	}
}

// zmpopAhead prepares zmpop for the first of its keys that is there.
func zmpopAhead(c *Call, number int) {
	keys, p, err := parseZMPop(c, number)
	if err != nil {
		return
	}
	if key := c.firstThere(keys); key != nil {
		p.prepare(c, key, p.showPairs(c))
	}
}

// firstThere returns the first of keys that is there now; nil if none is. No slot is
// held.
func (c *Call) firstThere(keys [][]byte) (first []byte) {
	for _, key := range keys {
		slot := slots.Of(key)
		c.engine.WithSlot(slot, func() {
			if c.engine.store.Find(c.DB, slot, key).OK() {
				first = key
			}
		})
		if first != nil {
			break
		}
	}
	return first
}
