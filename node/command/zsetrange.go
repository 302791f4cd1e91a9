package command

import (
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

func zsetRangeRows() []Spec {
	const (
		ranged  = "O(log(N)+M) where N is the size of the set and M the number of members returned."
		removed = "O(M*log(N)) where N is the size of the set and M the number of members removed."
		limit   = " [LIMIT offset count]"
	)
	row := func(name, syntax string, arity int, since, summary string, by zsetBy, backward bool) Spec {
		return Spec{
			Name: name, Syntax: syntax, Arity: arity, Flags: ReadOnly, Keys: readsKey, Since: since, Complexity: ranged, Summary: summary,
			Run:   func(c *Call) error { return zrange(c, zsetRange{key: 1, by: by, backward: backward}) },
			Sized: true,
		}
	}
	old := func(s Spec, replacedBy string) Spec {
		s.Deprecated, s.ReplacedBy = "6.2.0", replacedBy
		return s
	}
	count := func(name, syntax, since, summary string, by zsetBy) Spec {
		return Spec{
			Name: name, Syntax: syntax, Arity: 4, Flags: ReadOnly | Fast, Keys: readsKey, Since: since,
			Complexity: "O(log(N)) where N is the size of the set.", Summary: summary,
			Run: func(c *Call) error { return zcount(c, by) },
		}
	}
	drop := func(name, syntax, since, summary string, by zsetBy) Spec {
		return Spec{
			Name: name, Syntax: syntax, Arity: 4, Flags: Write, Keys: zsetDrops, Since: since, Complexity: removed, Summary: summary,
			Run:   func(c *Call) error { return zremRange(c, by) },
			Sized: true, Ahead: func(c *Call) { thinAhead(c, by) },
		}
	}
	return []Spec{
		count("zcount", "key min:double max:double", "2.0.0", "Counts the members whose scores are in a range.", byScore),
		count("zlexcount", "key min max", "2.8.9", "Counts the members in a range of the order of bytes.", byLex),
		row("zrange", "key start:string stop [BYSCORE | BYLEX] [REV]"+limit+" [WITHSCORES]", -4, "1.2.0",
			"Returns members of a sorted set in a range.", byAny, false),
		old(row("zrangebylex", "key min max"+limit, -4, "2.8.9",
			"Returns the members in a range of the order of bytes.", byLex, false), "`ZRANGE` with the `BYLEX` argument"),
		old(row("zrangebyscore", "key min:double max:double [WITHSCORES]"+limit, -4, "1.0.5",
			"Returns the members whose scores are in a range.", byScore, false), "`ZRANGE` with the `BYSCORE` argument"),
		{
			Name: "zrangestore", Syntax: "dst:key src:key min max [BYSCORE | BYLEX] [REV]" + limit, Arity: -5, Flags: Write | DenyOOM,
			Keys: []KeySpec{
				{Flags: KeyOW | KeyUpdate, Begin: 1, Step: 1},
				{Flags: KeyRO | KeyAccess, Begin: 2, Step: 1},
			},
			Since: "6.2.0", Complexity: "O(log(N)+M*log(M)) where N is the size of the set and M the number of members stored.",
			Summary: "Stores members of a sorted set in a range in another key.",
			Run:     func(c *Call) error { return zrange(c, zsetRange{key: 2, store: true}) },
			Sized:   true,
		},
		drop("zremrangebylex", "key min max", "2.8.9", "Removes the members in a range of the order of bytes.", byLex),
		drop("zremrangebyrank", "key start stop:integer", "2.0.0", "Removes the members in a range of ranks.", byRank),
		drop("zremrangebyscore", "key min:double max:double", "1.2.0", "Removes the members whose scores are in a range.", byScore),
		old(row("zrevrange", "key start stop:integer [WITHSCORES]", -4, "1.2.0",
			"Returns members of a sorted set by their ranks from the end.", byRank, true), "`ZRANGE` with the `REV` argument"),
		old(row("zrevrangebylex", "key max min"+limit, -4, "2.8.9",
			"Returns the members in a range of the order of bytes, backwards.", byLex, true), "`ZRANGE` with the `REV` and `BYLEX` arguments"),
		old(row("zrevrangebyscore", "key max:double min:double [WITHSCORES]"+limit, -4, "2.2.0",
			"Returns the members whose scores are in a range, backwards.", byScore, true), "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
	}
}

// zsetBy is what a range is counted in. byAny is ZRANGE before its options:
// they say it, and by default it is the rank.
type zsetBy uint8

const (
	byAny zsetBy = iota
	byRank
	byScore
	byLex
)

// zsetRange is a range as a command names it.
type zsetRange struct {
	// key is where the key stands; the ends follow it, then the options.
	key        int
	by         zsetBy
	backward   bool
	store      bool
	withScores bool
	// offset and limit are those of LIMIT: limit -1 for none.
	offset, limit int64

	start, stop int64
	scores      zset.ScoreRange
	lex         zset.LexRange
}

// parse reads the ends and the options.
func (z *zsetRange) parse(c *Call) error {
	// Only ZRANGE and ZRANGESTORE choose by options.
	choice := z.by == byAny
	z.limit = -1
	for i := z.key + 3; i < len(c.Args); i++ {
		word := c.Args[i]
		switch {
		case !z.store && IsWord(word, "withscores"):
			z.withScores = true
		case IsWord(word, "limit") && i+2 < len(c.Args):
			var ok1, ok2 bool
			z.offset, ok1 = value.ParseInt(c.Args[i+1])
			z.limit, ok2 = value.ParseInt(c.Args[i+2])
			if !ok1 || !ok2 {
				return resp.ErrNotInteger
			}
			i += 2
		case choice && !z.backward && IsWord(word, "rev"):
			z.backward = true
		case z.by == byAny && IsWord(word, "bylex"):
			z.by = byLex
		case z.by == byAny && IsWord(word, "byscore"):
			z.by = byScore
		default:
			return resp.ErrSyntax
		}
	}
	if z.by == byAny {
		z.by = byRank
	}
	if z.limit != -1 && z.by == byRank {
		return resp.Error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
	}
	if z.withScores && z.by == byLex {
		return resp.Error("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
	}
	low, high := c.Args[z.key+1], c.Args[z.key+2]
	if z.backward && z.by != byRank {
		low, high = high, low
	}
	return z.parseEnds(low, high)
}

func (z *zsetRange) parseEnds(low, high []byte) error {
	var ok1, ok2 bool
	switch z.by {
	case byScore:
		z.scores.Min, z.scores.WithoutMin, ok1 = parseScoreEnd(low)
		if string(low) == string(high) {
			// One score, as who takes from a queue by time says it.
			z.scores.Max, z.scores.WithoutMax, ok2 = z.scores.Min, z.scores.WithoutMin, ok1
		} else {
			z.scores.Max, z.scores.WithoutMax, ok2 = parseScoreEnd(high)
		}
		if !ok1 || !ok2 {
			return resp.Error("ERR min or max is not a float")
		}
	case byLex:
		z.lex.Min, ok1 = parseLexEnd(low)
		z.lex.Max, ok2 = parseLexEnd(high)
		if !ok1 || !ok2 {
			return resp.Error("ERR min or max not valid string range item")
		}
	default:
		z.start, ok1 = value.ParseInt(low)
		z.stop, ok2 = value.ParseInt(high)
		if !ok1 || !ok2 {
			return resp.ErrNotInteger
		}
	}
	return nil
}

// parseScoreEnd reads one end of a range of scores: "(" leaves it out.
func parseScoreEnd(text []byte) (score float64, without, ok bool) {
	if len(text) > 0 && text[0] == '(' {
		without, text = true, text[1:]
	}
	score, ok = zset.ParseBound(text)
	return score, without, ok
}

// parseLexEnd reads one end of a range of the order of bytes.
func parseLexEnd(text []byte) (b zset.LexBound, ok bool) {
	if len(text) == 0 {
		return b, false
	}
	// As in C, a zero byte ends the text here.
	alone := len(text) == 1 || text[1] == 0
	switch text[0] {
	case '-':
		b.End = -1
		return b, alone
	case '+':
		b.End = 1
		return b, alone
	case '(', '[':
		b.Member, b.Without = text[1:], text[0] == '('
		return b, true
	}
	return b, false
}

// ranks returns the range in ranks of r: in order, also where it is to be
// walked backwards.
func (z *zsetRange) ranks(r *zset.Reader) (from, to int) {
	switch z.by {
	case byScore:
		from, to = r.RanksByScore(z.scores)
	case byLex:
		from, to = r.RanksByLex(z.lex, z.backward)
	default:
		n := int64(r.Len())
		start, stop := z.start, z.stop
		if start < 0 {
			start = max(start+n, 0)
		}
		if stop < 0 {
			stop += n
		}
		stop = min(stop, n-1)
		if start > stop {
			return 0, 0
		}
		if z.backward {
			return int(n - 1 - stop), int(n - start)
		}
		return int(start), int(stop + 1)
	}
	if from >= to {
		return 0, 0
	}
	skip, keep := int64(to-from), int64(to-from)
	if z.offset >= 0 {
		skip = min(z.offset, skip)
	}
	if keep -= skip; z.limit >= 0 {
		keep = min(z.limit, keep)
	}
	if z.backward {
		to -= int(skip)
		return to - int(keep), to
	}
	from += int(skip)
	return from, from + int(keep)
}

func zrange(c *Call, z zsetRange) error {
	if err := z.parse(c); err != nil {
		return err
	}
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[z.key]); err != nil {
		return err
	}
	from, to := z.ranks(&r)
	if c.tooLong(to-from, zsetTurn) {
		return ErrLong
	}
	if z.store {
		z.storeRange(c, &r, from, to)
		return nil
	}
	zsetReply{c, z.withScores, false}.ranks(&r, from, to, z.backward)
	return nil
}

// storeRange makes the members of ranks from up to, without it, to the value of
// the command's first key.
func (z *zsetRange) storeRange(c *Call, r *zset.Reader, from, to int) {
	key := c.Args[1]
	n := to - from
	if n <= 0 {
		c.storeNothing(key)
		return
	}
	limits := c.Limits().ZSet
	if c.bundleRange(r, from, to, &limits) {
		c.Put(key, c.scored.Value(), false)
		c.Changed(key)
		c.Reply.Int(int64(n))
		return
	}
	d := c.Draft(key, value.KindZSet, value.EncListpack)
	// The reference adds one after the other, in the order of the range, to a
	// listpack, which has no zero with a sign, until that is no longer one. A range
	// of ranks is known to be too long for that from the start.
	place := func(i int) int {
		if z.backward {
			return n - 1 - i
		}
		return i
	}
	firstLong := n
	at := r.At(from)
	for i := range n {
		if len(at.Member()) > limits.Value {
			firstLong = min(firstLong, place(i))
		}
		at.Next()
	}
	unsigned := n
	if n > limits.Entries || firstLong < n {
		d.SetEncoding(value.EncSkiplist)
		unsigned = min(firstLong, limits.Entries)
		if n > limits.Entries && z.by == byRank {
			unsigned = 0
		}
	}
	b := zset.NewBuilder(&d.Cell, limits)
	at = r.At(from)
	for i := range n {
		score := at.Score()
		if place(i) < unsigned {
			score += 0
		}
		b.Append(at.Member(), score)
		at.Next()
	}
	b.Close()
	c.PutDraft(key, d, false)
	c.Changed(key)
	c.Reply.Int(int64(n))
}

// bundleRange gathers a range of ranks in the call's room, if it is one that the result
// of a command stays in as it is.
func (c *Call) bundleRange(r *zset.Reader, from, to int, limits *zset.Limits) bool {
	b := &c.scored
	b.Reset()
	if to-from > limits.Entries {
		return false
	}
	at := r.At(from)
	for range to - from {
		if !b.Add(at.Member(), at.Score(), limits) {
			return false
		}
		at.Next()
	}
	return true
}

func zcount(c *Call, by zsetBy) error {
	z := zsetRange{key: 1, by: by, limit: -1}
	if err := z.parseEnds(c.Args[2], c.Args[3]); err != nil {
		return err
	}
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[1]); err != nil {
		return err
	}
	from, to := z.ranks(&r)
	c.Reply.Int(int64(to - from))
	return nil
}

// removeTurn is how many members may be removed on a loop: each is looked up in the
// tree by members, which takes longer than to answer with it.
const removeTurn = 1000

func zremRange(c *Call, by zsetBy) error {
	z := zsetRange{key: 1, by: by, limit: -1}
	key := c.Args[1]
	if err := z.parseEnds(c.Args[2], c.Args[3]); err != nil {
		return err
	}
	ref, err := c.WriteKind(key, value.KindZSet)
	if err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.Int(0)
		return nil
	}
	set := c.openZSet(&ref)
	if n, ok := z.removeFew(&set); ok {
		c.changedTimes(key, int64(n))
		c.Reply.Int(int64(n))
		return nil
	}
	from, to := z.ranks(&set.Reader)
	if c.tooLong(to-from, removeTurn) {
		return ErrLong
	}
	c.dropRanks(key, &set, from, to)
	c.Reply.Int(int64(to - from))
	return nil
}

// removeFew removes the members in the range if that needs no ranks.
func (z *zsetRange) removeFew(set *zset.ZSet) (n int, ok bool) {
	switch z.by {
	case byScore:
		return set.RemoveScores(z.scores)
	case byLex:
		return set.RemoveLex(z.lex)
	}
	return 0, false
}

// dropRanks removes the members of ranks from up to, without it, to, and the
// key if none is left.
func (c *Call) dropRanks(key []byte, z *zset.ZSet, from, to int) {
	if n := z.Len(); to-from == n {
		c.Delete(key)
	} else if root, ok := c.thinnedAhead(key, from, to); ok {
		z.RemoveRanksAs(from, to, root)
	} else {
		z.RemoveRanks(from, to)
	}
	c.changedTimes(key, int64(to-from))
}

// zsetReply answers with members and, if asked, their scores: flat in RESP2,
// and in pairs in RESP3 unless flat is set.
type zsetReply struct {
	c          *Call
	withScores bool
	flat       bool
}

func (w zsetReply) pairs() bool { return w.withScores && !w.flat && w.c.Reply.RESP3() }

// open begins the array of n members.
func (w zsetReply) open(n int) {
	if w.withScores && !w.pairs() {
		n *= 2
	}
	w.c.Reply.Array(n)
}

func (w zsetReply) member(at *zset.Cursor) {
	if w.withScores {
		w.pair(at.Member(), at.Score())
		return
	}
	w.c.Reply.Bulk(at.Member())
}

func (w zsetReply) pair(member []byte, score float64) {
	if w.pairs() {
		w.c.Reply.Array(2)
	}
	w.c.Reply.Bulk(member)
	if w.withScores {
		w.c.Reply.Double(score)
	}
}

// ranks answers with the members of ranks from up to, without it, to.
func (w zsetReply) ranks(r *zset.Reader, from, to int, backward bool) {
	w.open(to - from)
	if from >= to {
		return
	}
	if r.Packed() {
		w.packedRanks(r, from, to, backward)
		return
	}
	if backward {
		at := r.At(to - 1)
		for ; to > from; to-- {
			w.member(&at)
			at.Prev()
		}
		return
	}
	for from < to {
		part := r.Part(from, to-from)
		from += part.Len()
		for i := range part.Len() {
			if w.withScores {
				w.pair(part.Member(i), part.Score(i))
			} else {
				w.c.Reply.Bulk(part.Member(i))
			}
		}
	}
}

// packedRanks is ranks for a packed set: without a cursor, which has room for
// the way down a tree.
func (w zsetReply) packedRanks(r *zset.Reader, from, to int, backward bool) {
	first := from
	if backward {
		first = to - 1
	}
	e := r.PackedAt(first)
	for range to - from {
		if w.pairs() {
			w.c.Reply.Array(2)
		}
		if e.IsInt {
			var room [20]byte
			w.c.Reply.Bulk(strconv.AppendInt(room[:0], e.Int, 10))
		} else {
			w.c.Reply.Bulk(e.Text)
		}
		if w.withScores {
			w.c.Reply.Double(e.Score())
		}
		if backward {
			e.Prev()
		} else {
			e.Next()
		}
	}
}
