package command

import (
	"math/rand/v2"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

// SortedSets are the rows of sorted sets. This file has those of single members,
// zsetrange.go those of ranges, zsetpop.go those that take members away in
// order, zsetalgebra.go those of several sets.
func SortedSets() []Spec {
	rows := zsetRows()
	rows = append(rows, zsetRangeRows()...)
	rows = append(rows, zsetPopRows()...)
	rows = append(rows, zsetAlgebraRows()...)
	return inGroup("sorted-set", rows)
}

// The key specs of sorted sets beyond those that are shared.
var (
	zsetDrops = []KeySpec{{Flags: KeyRW | KeyDelete, Begin: 1, Step: 1}}
	zsetPops  = []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Step: 1}}
)

func zsetRows() []Spec {
	return []Spec{
		{
			Name: "zadd", Syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score:double member [score member ...]",
			Arity: -4, Flags: Write | DenyOOM | Fast, Keys: updatesKey,
			Since: "1.2.0", Complexity: "O(log(N)) for each member, where N is the size of the set.",
			Summary: "Adds members to a sorted set or changes their scores.", Run: func(c *Call) error { return zadd(c, 0) }, Heavy: manyArgs,
		},
		{
			Name: "zcard", Syntax: "key", Arity: 2, Flags: ReadOnly | Fast, Keys: []KeySpec{{Flags: KeyRO, Begin: 1, Step: 1}},
			Since: "1.2.0", Complexity: "O(1)", Summary: "Returns the number of members of a sorted set.", Run: runZCard,
		},
		{
			Name: "zincrby", Syntax: "key increment:integer member", Arity: 4, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "1.2.0", Complexity: "O(log(N)) where N is the size of the set.",
			Summary: "Adds to the score of a member.", Run: func(c *Call) error { return zadd(c, zset.Increment) },
		},
		{
			Name: "zmscore", Syntax: "key member [member ...]", Arity: -3, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "6.2.0", Complexity: "O(N) where N is the number of members asked for.",
			Summary: "Returns the scores of members.", Run: runZMScore, Heavy: manyArgs,
		},
		{
			Name: "zrandmember", Syntax: "key [count [WITHSCORES]]", Arity: -2, Flags: ReadOnly, Keys: readsKey,
			Since: "6.2.0", Complexity: "O(N) where N is the number of members returned.",
			Summary: "Returns members of a sorted set at random.", Tips: []string{"nondeterministic_output"},
			Run: runZRandMember, Heavy: longCount, Ahead: randomRanksAhead,
		},
		{
			Name: "zrank", Syntax: "key member", Arity: 3, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "2.0.0", Complexity: "O(log(N)) where N is the size of the set.",
			Summary: "Returns how many members come before one.", Run: func(c *Call) error { return zrank(c, false) },
		},
		{
			Name: "zrem", Syntax: "key member [member ...]", Arity: -3, Flags: Write | Fast, Keys: zsetDrops,
			Since: "1.2.0", Complexity: "O(M*log(N)) where N is the size of the set and M the number of members removed.",
			Summary: "Removes members from a sorted set.", Run: runZRem, Heavy: manyArgs,
		},
		{
			Name: "zrevrank", Syntax: "key member", Arity: 3, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "2.0.0", Complexity: "O(log(N)) where N is the size of the set.",
			Summary: "Returns how many members come after one.", Run: func(c *Call) error { return zrank(c, true) },
		},
		{
			Name: "zscan", Syntax: "key cursor [MATCH pattern] [COUNT count]", Arity: -3, Flags: ReadOnly, Keys: readsKey,
			Since: "2.8.0", Complexity: "O(1) for each call, O(N) for the whole, where N is the size of the set.",
			Summary: "Returns the members of a sorted set and their scores step by step.", Tips: []string{"nondeterministic_output"},
			Run: runZScan, Heavy: longScan(3),
		},
		{
			Name: "zscore", Syntax: "key member", Arity: 3, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "1.2.0", Complexity: "O(1)", Summary: "Returns the score of a member.", Run: runZScore,
		},
	}
}

// zsetTurn is how many members may be answered with on a loop.
const zsetTurn = 4000

// zsetOf makes r, which is zero, a reader of the sorted set at key for a command that reads
// it; that of a key that is not there is empty, and ok is false.
func (c *Call) zsetOf(r *zset.Reader, key []byte) (ok bool, err error) {
	ref, err := c.ReadKind(key, value.KindZSet)
	if err != nil || !ref.OK() {
		return false, err
	}
	r.Open(ref.Cell)
	return true, nil
}

// readZSet is zsetOf for who has no reader yet.
func (c *Call) readZSet(key []byte) (r zset.Reader, ok bool, err error) {
	ok, err = c.zsetOf(&r, key)
	return r, ok, err
}

func (c *Call) openZSet(ref *store.Ref) zset.ZSet { return zset.Open(&ref.Cell, c.Limits().ZSet) }

// zaddOptions are the words before the scores.
type zaddOptions struct {
	mode zset.Mode
	// changed makes the reply count updates as well.
	changed bool
	// pairs is where scores and members begin.
	pairs int
}

func parseZAdd(c *Call, mode zset.Mode) (o zaddOptions, err error) {
	o.mode, o.pairs = mode, 2
options:
	for ; o.pairs < len(c.Args); o.pairs++ {
		word := c.Args[o.pairs]
		if len(word) < 2 || len(word) > 4 {
			break
		}
		switch {
		case IsWord(word, "nx"):
			o.mode |= zset.OnlyNew
		case IsWord(word, "xx"):
			o.mode |= zset.OnlyOld
		case IsWord(word, "gt"):
			o.mode |= zset.Greater
		case IsWord(word, "lt"):
			o.mode |= zset.Less
		case IsWord(word, "ch"):
			o.changed = true
		case IsWord(word, "incr"):
			o.mode |= zset.Increment
		default:
			break options
		}
	}
	has := func(m zset.Mode) bool { return o.mode&m == m }
	words := len(c.Args) - o.pairs
	switch {
	case words == 0 || words%2 != 0:
		return o, resp.ErrSyntax
	case has(zset.OnlyNew | zset.OnlyOld):
		return o, resp.Error("ERR XX and NX options at the same time are not compatible")
	case has(zset.Greater | zset.OnlyNew), has(zset.Less | zset.OnlyNew), has(zset.Greater | zset.Less):
		return o, resp.Error("ERR GT, LT, and/or NX options at the same time are not compatible")
	case has(zset.Increment) && words > 2:
		return o, resp.Error("ERR INCR option supports a single increment-element pair")
	}
	return o, nil
}

func zadd(c *Call, mode zset.Mode) error {
	o, err := parseZAdd(c, mode)
	if err != nil {
		return err
	}
	var room [16]float64
	scores := room[:0]
	for i := o.pairs; i < len(c.Args); i += 2 {
		score, ok := zset.ParseScore(c.Args[i])
		if !ok {
			return resp.ErrNotFloat
		}
		scores = append(scores, score)
	}
	return zaddScores(c, o, scores, o.pairs+1, 2)
}

// zaddScores adds the members that stand from first on, each step words after
// the other, with these scores, and replies.
func zaddScores(c *Call, o zaddOptions, scores []float64, first, step int) error {
	key := c.Args[1]
	ref, err := c.WriteKind(key, value.KindZSet)
	if err != nil {
		return err
	}
	incr := o.mode&zset.Increment != 0
	if !ref.OK() {
		if o.mode&zset.OnlyOld != 0 {
			if incr {
				c.Reply.Null()
			} else {
				c.Reply.Int(0)
			}
			return nil
		}
		ref = c.Create(key, value.KindZSet, value.EncListpack)
	}
	z := c.openZSet(&ref)
	added, updated := int64(0), int64(0)
	var score float64
	var outcome zset.Outcome
	for i := range scores {
		score, outcome = z.Add(c.Args[first+i*step], scores[i], o.mode)
		switch outcome {
		case zset.Added:
			added++
		case zset.Updated:
			updated++
		case zset.NotANumber:
			return resp.Error("ERR resulting score is not a number (NaN)")
		}
	}
	c.changedTimes(key, added+updated)
	switch {
	case incr && outcome == zset.Left:
		c.Reply.Null()
	case incr:
		c.Reply.Double(score)
	case o.changed:
		c.Reply.Int(added + updated)
	default:
		c.Reply.Int(added)
	}
	return nil
}

// changedTimes is Changed for n changes, none included.
func (c *Call) changedTimes(key []byte, n int64) {
	if n > 0 {
		c.Changed(key)
		c.dirty += n - 1
	}
}

func runZRem(c *Call) error {
	key := c.Args[1]
	ref, err := c.WriteKind(key, value.KindZSet)
	if err != nil {
		return err
	}
	removed := int64(0)
	if ref.OK() {
		z := c.openZSet(&ref)
		if removed = int64(z.RemoveAll(c.Args[2:])); removed > 0 && z.Len() == 0 {
			c.Delete(key)
		}
		c.changedTimes(key, removed)
	}
	c.Reply.Int(removed)
	return nil
}

func runZCard(c *Call) error {
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[1]); err != nil {
		return err
	}
	c.Reply.Int(int64(r.Len()))
	return nil
}

func runZScore(c *Call) error {
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[1]); err != nil {
		return err
	}
	replyScore(c, &r, c.Args[2])
	return nil
}

func runZMScore(c *Call) error {
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[1]); err != nil {
		return err
	}
	c.Reply.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		replyScore(c, &r, member)
	}
	return nil
}

// replyScore answers with the score of a member, or null.
func replyScore(c *Call, r *zset.Reader, member []byte) {
	if score, ok := r.Score(member); ok {
		c.Reply.Double(score)
	} else {
		c.Reply.Null()
	}
}

func zrank(c *Call, backward bool) error {
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[1]); err != nil {
		return err
	}
	rank, _, ok := r.Rank(c.Args[2])
	switch {
	case !ok:
		c.Reply.Null()
	case backward:
		c.Reply.Int(int64(r.Len() - 1 - rank))
	default:
		c.Reply.Int(int64(rank))
	}
	return nil
}

func runZRandMember(c *Call) error {
	if len(c.Args) == 2 {
		r, ok, err := c.readZSet(c.Args[1])
		if err != nil {
			return err
		}
		if !ok {
			c.Reply.Null()
			return nil
		}
		at := r.At(int(c.engine.Random() % uint64(r.Len())))
		c.Reply.Bulk(at.Member())
		return nil
	}
	return draw(c, "withscores", (*Call).readZSet, (*Call).replyRandomRanks)
}

// randomRanksAhead chooses the members for a ZRANDMEMBER of many.
func randomRanksAhead(c *Call) {
	if len(c.Args) < 3 {
		return
	}
	count, withScores, err := c.parseRandom("withscores")
	if err != nil {
		return
	}
	c.replyAhead(c.Args[1], func(ref store.Ref) bool {
		return ref.Kind() == value.KindZSet && drawsMany(count, elementsOf(ref.Value()))
	}, func(v value.Value) {
		c.replyRandomRanks(zset.Read(v), count, withScores)
	})
}

// replyRandomRanks answers with members of r, which has some. count is not 0.
func (c *Call) replyRandomRanks(r zset.Reader, count int64, withScores bool) {
	n, reply := r.Len(), zsetReply{c, withScores, false}
	if count >= int64(n) {
		reply.ranks(&r, 0, n, false)
		return
	}
	random := rand.New(rand.NewPCG(c.engine.Random(), c.engine.Random()))
	if count < 0 {
		reply.open(int(-count))
		for range -count {
			at := r.At(random.IntN(n))
			reply.member(&at)
		}
		return
	}
	reply.open(int(count))
	for _, rank := range randomRanks(random, n, int(count)) {
		at := r.At(rank)
		reply.member(&at)
	}
}

// randomRanks draws count different numbers below n, in random order.
func randomRanks(random *rand.Rand, n, count int) []int {
	if count*3 > n {
		all := random.Perm(n)
		return all[:count]
	}
	drawn := make(map[int]struct{}, count)
	ranks := make([]int, 0, count)
	for len(ranks) < count {
		rank := random.IntN(n)
		if _, twice := drawn[rank]; !twice {
			drawn[rank] = struct{}{}
			ranks = append(ranks, rank)
		}
	}
	return ranks
}

// zscanShift leaves 53 bits of a hash for a cursor: clients that know no larger
// numbers than those of a double keep it exactly.
const zscanShift = 64 - 53

func runZScan(c *Call) error { return scanElements(c, (*Call).readZSet, (*Call).scanZSet) }

func (c *Call) scanZSet(r zset.Reader, o elementScan) {
	count, pattern := int64(o.count), o.pattern
	found := c.openSetReply()
	next := uint64(0)
	if r.Packed() || r.Encoding() == value.EncListpack {
		at := r.At(0)
		for ; at.Valid(); at.Next() {
			if member := at.Member(); pattern == nil || Match(pattern, member) {
				found.add(member)
				var room [32]byte
				found.add(at.AppendScore(room[:0]))
			}
		}
	} else if o.cursor < 1<<53 {
		place := o.cursor
		at := r.FromHash(o.cursor << zscanShift)
		for n := int64(0); at.Valid(); n++ {
			here := at.Hash() >> zscanShift
			if n >= count && here != place {
				next = here
				break
			}
			place = here
			if member := at.Member(); pattern == nil || Match(pattern, member) {
				found.add(member)
				var room [32]byte
				found.add(zset.AppendScore(room[:0], at.Score()))
			}
			at.Next()
		}
	}
	found.closeScan(next)
}
