package command

import (
	"cmp"
	"math"
	"slices"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/set"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

func zsetAlgebraRows() []Spec {
	const (
		weights = " [WEIGHTS weight:integer [weight ...]] [AGGREGATE <SUM | MIN | MAX>]"
		union   = "O(N)+O(M*log(M)) where N is the size of all the sets and M that of the result."
		inter   = "O(N*K)+O(M*log(M)) where N is the size of the smallest of K sets and M that of the result."
		diff    = "O(N)+O(M*log(M)) where N is the size of all the sets and M that of the result."
	)
	reads := KeySpec{Flags: KeyRO | KeyAccess, Begin: 1, KeyNum: true, FirstKey: 1, Step: 1}
	row := func(name, syntax string, since, complexity, summary string, a zsetAlgebra) Spec {
		s := Spec{
			Name: name, Arity: -3, Flags: ReadOnly | MovableKeys, Keys: []KeySpec{reads},
			Syntax: "numkeys key [key ...]" + syntax, Since: since, Complexity: complexity, Summary: summary,
			Run: func(c *Call) error { return zsetAlgebraCall(c, a) }, Sized: true,
		}
		if a.store {
			from := reads
			from.Begin = 2
			s.Arity, s.Flags = -4, Write|DenyOOM|MovableKeys
			s.Keys = []KeySpec{{Flags: KeyOW | KeyUpdate, Begin: 1, Step: 1}, from}
			s.Syntax = "destination " + s.Syntax
		}
		return s
	}
	return []Spec{
		row("zdiff", " [WITHSCORES]", "6.2.0", diff,
			"Returns the members of a sorted set that are in none of others.", zsetAlgebra{op: opDiff}),
		row("zdiffstore", "", "6.2.0", diff,
			"Stores the members of a sorted set that are in none of others.", zsetAlgebra{op: opDiff, store: true}),
		row("zinter", weights+" [WITHSCORES]", "6.2.0", inter,
			"Returns the members that several sorted sets have in common.", zsetAlgebra{op: opInter}),
		row("zintercard", " [LIMIT limit:integer]", "7.0.0", "O(N*K) where N is the size of the smallest of K sets.",
			"Counts the members that several sorted sets have in common.", zsetAlgebra{op: opInter, onlyCount: true}),
		row("zinterstore", weights, "2.0.0", inter,
			"Stores the members that several sorted sets have in common.", zsetAlgebra{op: opInter, store: true}),
		row("zunion", weights+" [WITHSCORES]", "6.2.0", union,
			"Returns the members of several sorted sets.", zsetAlgebra{op: opUnion}),
		row("zunionstore", weights, "2.0.0", union,
			"Stores the members of several sorted sets.", zsetAlgebra{op: opUnion, store: true}),
	}
}

type zsetOp uint8

const (
	opUnion zsetOp = iota
	opInter
	opDiff
)

// zsetAlgebra is an operation on several sets, as its row and its options say.
type zsetAlgebra struct {
	op        zsetOp
	store     bool
	onlyCount bool

	withScores bool
	// aggregate makes one score of two.
	aggregate func(a, b float64) float64
	limit     int64
	inputs    []zsetInput
}

// zsetInput is one of the sets: a sorted set, or a set whose scores are 1.
type zsetInput struct {
	key    []byte
	weight float64
	isSet  bool
	set    set.Reader
	zset   zset.Reader
	n      int
	// index, if not nil, finds the members of a packed sorted set without going
	// through it each time.
	index *scoreTable
	// walker is the place in a large sorted set, if the members that are looked
	// for come in the order of their hashes.
	walker zset.Walker
	// matcher, if not nil, has the scores in a large sorted set of the members of the
	// small one that it walks.
	matcher *zset.Matcher
	// walk is the place of each, which one input uses at a time.
	walk *zsetWalk
}

// zsetWalk is a place in a sorted set or a set. It lies in memory of the call, since the
// compiler cannot tell what those who are shown members do with them.
type zsetWalk struct {
	at      zset.Cursor
	members set.Iterator
	matcher zset.Matcher
}

// The ways to make one score of two. What is no number becomes 0, and does not
// win. Source: the reference's zunionInterAggregate.

func addScores(a, b float64) float64 {
	if sum := a + b; !math.IsNaN(sum) {
		return sum
	}
	return 0
}

func lesserScore(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func greaterScore(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// parse looks the keys up and reads the options.
func (a *zsetAlgebra) parse(c *Call) error {
	number := 1
	if a.store {
		number = 2
	}
	n, ok := value.ParseInt(c.Args[number])
	if !ok {
		return resp.ErrNotInteger
	}
	if n < 1 {
		return resp.Errf("ERR at least 1 input key is needed for '", c.Spec.FullName(), "' command")
	}
	if n > int64(len(c.Args)-number-1) {
		return resp.ErrSyntax
	}
	a.inputs = c.zsets.take(int(n))
	lapsed := c.lapsed
	for i := range a.inputs {
		in := &a.inputs[i]
		in.key, in.weight = c.Args[number+1+i], 1
		ref := c.Read(in.key)
		if ref.OK() && ref.Kind() != value.KindZSet && ref.Kind() != value.KindSet {
			return resp.ErrWrongType
		}
		in.open(ref)
	}
	a.aggregate = addScores
	if err := a.parseOptions(c, c.Args[number+1+int(n):]); err != nil {
		return err
	}
	if c.lapsed != lapsed {
		// An expired key is gone by now, which may have moved the others.
		for i := range a.inputs {
			a.inputs[i].open(c.Peek(a.inputs[i].key))
		}
	}
	if c.OnLoop && c.tooLong(a.work(), zsetTurn) {
		return ErrLong
	}
	return nil
}

// work is how many members are gone through, or could be in the time that it takes to look
// those up that are to be looked up.
func (a *zsetAlgebra) work() int {
	total, least := 0, a.inputs[0].n
	for i := range a.inputs {
		total += a.inputs[i].n
		least = min(least, a.inputs[i].n)
	}
	others := len(a.inputs) - 1
	switch {
	case a.op == opInter:
		return min(total, lookedUp(least, others))
	case a.op == opDiff && a.asks():
		return min(total, lookedUp(a.inputs[0].n, others))
	}
	return total
}

func (a *zsetAlgebra) parseOptions(c *Call, words [][]byte) error {
	for len(words) > 0 {
		word := words[0]
		weighs := a.op != opDiff && !a.onlyCount
		switch {
		case weighs && len(words) > len(a.inputs) && IsWord(word, "weights"):
			for i := range a.inputs {
				weight, ok := zset.ParseScore(words[1+i])
				if !ok {
					return resp.Error("ERR weight value is not a float")
				}
				a.inputs[i].weight = weight
			}
			words = words[1+len(a.inputs):]
		case weighs && len(words) > 1 && IsWord(word, "aggregate"):
			switch {
			case IsWord(words[1], "sum"):
				a.aggregate = addScores
			case IsWord(words[1], "min"):
				a.aggregate = lesserScore
			case IsWord(words[1], "max"):
				a.aggregate = greaterScore
			default:
				return resp.ErrSyntax
			}
			words = words[2:]
		case !a.store && !a.onlyCount && IsWord(word, "withscores"):
			a.withScores = true
			words = words[1:]
		case a.onlyCount && len(words) > 1 && IsWord(word, "limit"):
			var ok bool
			if a.limit, ok = value.ParseInt(words[1]); !ok || a.limit < 0 {
				return resp.Error("ERR LIMIT can't be negative")
			}
			words = words[2:]
		default:
			return resp.ErrSyntax
		}
	}
	return nil
}

// open makes the value of ref the input, which is empty if there is none.
func (in *zsetInput) open(ref store.Ref) {
	if in.n = 0; !ref.OK() {
		return
	}
	v := ref.Value()
	if in.isSet = v.Kind == value.KindSet; in.isSet {
		in.set = set.Read(v)
		in.n = in.set.Len()
		return
	}
	in.zset = zset.Read(v)
	in.n = in.zset.Len()
}

// score returns the score of a member. hash is not 0 only if the members come in
// the order of their hashes.
func (in *zsetInput) score(member []byte, hash uint64) (float64, bool) {
	switch {
	case in.matcher != nil:
		return in.matcher.Other()
	case in.isSet:
		return 1, in.n > 0 && in.set.Has(member)
	case hash != 0 && in.isLarge():
		return in.walker.Score(hash, member)
	case in.index != nil:
		if e := in.index.lookup(member); e != nil {
			return e.score, true
		}
		return 0, false
	}
	return in.zset.Score(member)
}

// isLarge reports whether the input is a sorted set with an order by hash.
func (in *zsetInput) isLarge() bool { return in.n > 0 && !in.isSet && !in.zset.Packed() }

// isSmall reports whether the input is a sorted set in the packed form.
func (in *zsetInput) isSmall() bool { return in.n > 0 && !in.isSet && in.zset.Packed() }

// A packed set of more members than the first is asked for more of them than the
// second is worth an index.
const (
	indexedLen = 16
	indexedFor = 8
)

// indexFor prepares the inputs to be asked for n members each.
func indexFor(inputs []zsetInput, n int, room *zsetRoom) {
	for i := range inputs {
		in := &inputs[i]
		if in.isSet || in.n < indexedLen || n < indexedFor || in.isLarge() {
			continue
		}
		in.index = room.index(i)
		in.index.expect(in.n)
		in.each(func(member []byte, score float64) bool {
			e, _ := in.index.find(member)
			e.score = score
			return true
		})
	}
}

// weigh is the input's share of a score.
func (in *zsetInput) weigh(score float64) float64 {
	if weighed := score * in.weight; !math.IsNaN(weighed) {
		return weighed
	}
	return 0
}

// each visits the members until visit returns false.
func (in *zsetInput) each(visit func(member []byte, score float64) bool) {
	switch {
	case in.n == 0:
	case in.isSet:
		it := &in.walk.members
		*it = in.set.All()
		for it.Next() && visit(it.Member(), 1) {
		}
	default:
		at := &in.walk.at
		*at = in.zset.At(0)
		for at.Valid() && visit(at.Member(), at.Score()) {
			at.Next()
		}
	}
}

// eachFor visits the members to look them up in others: in the order of their
// hashes if the input and one of those are large, for then they lie in that
// order there. Else hash is 0. The members of a small sorted set are looked up together
// in the first of others, if that is large.
func (in *zsetInput) eachFor(others []zsetInput, visit func(member []byte, score float64, hash uint64) bool) {
	if in.isSmall() && len(others) > 0 && others[0].isLarge() {
		m := &in.walk.matcher
		others[0].matcher = m
		for m.Begin(&in.zset, &others[0].zset); m.Next() && visit(m.Member(), m.Score(), 0); {
		}
		return
	}
	ordered := false
	for i := range others {
		if other := &others[i]; in.isLarge() && other.isLarge() {
			other.walker, ordered = other.zset.Walk(), true
		}
	}
	if !ordered {
		in.each(func(member []byte, score float64) bool { return visit(member, score, 0) })
		return
	}
	at := in.zset.FromHash(0)
	for at.Valid() {
		if member, score := at.Entry(); !visit(member, score, at.Hash()) {
			return
		}
		at.Next()
	}
}

func zsetAlgebraCall(c *Call, a zsetAlgebra) error {
	room := &c.zsets
	defer room.giveBack()
	if err := a.parse(c); err != nil {
		return err
	}
	room.found.memory = c.Store().Memory()
	if a.onlyCount {
		c.Reply.Int(a.countCommon(room))
		return nil
	}
	found := &room.found
	found.expect(a.most())
	switch a.op {
	case opUnion:
		a.unite(found)
	case opInter:
		a.intersect(room, func(member []byte, score float64, hash uint64) bool {
			found.addHashed(member, score, hash)
			return true
		})
	default:
		a.subtract(room)
	}
	found.sort()
	if !a.store {
		reply := zsetReply{c, a.withScores, false}
		reply.open(len(found.order))
		for _, key := range found.order {
			reply.pair(found.member(&found.entries[key.at]), key.score)
		}
		return nil
	}
	key := c.Args[1]
	if len(found.entries) == 0 {
		c.storeNothing(key)
		return nil
	}
	found.store(c, key)
	c.Changed(key)
	c.Reply.Int(int64(len(found.order)))
	return nil
}

// most is how many members the result may have.
func (a *zsetAlgebra) most() int {
	n := a.inputs[0].n
	for i := range a.inputs[1:] {
		switch in := &a.inputs[i+1]; a.op {
		case opUnion:
			n += in.n
		case opInter:
			n = min(n, in.n)
		}
	}
	return n
}

// bySize puts the smallest sets first: that is less work, and the order in
// which the reference adds.
func (a *zsetAlgebra) bySize() {
	sorted := true
	for i := 1; i < len(a.inputs) && sorted; i++ {
		sorted = a.inputs[i-1].n <= a.inputs[i].n
	}
	switch {
	case sorted:
		return
	case len(a.inputs) == 2:
		a.inputs[0], a.inputs[1] = a.inputs[1], a.inputs[0]
		return
	}
	slices.SortStableFunc(a.inputs, func(x, y zsetInput) int { return cmp.Compare(x.n, y.n) })
}

func (a *zsetAlgebra) unite(found *scoreTable) {
	a.bySize()
	for i := range a.inputs {
		in := &a.inputs[i]
		in.each(func(member []byte, score float64) bool {
			score = in.weigh(score)
			if e, old := found.find(member); old {
				e.score = a.aggregate(e.score, score)
			} else {
				e.score = score
			}
			return true
		})
	}
}

// intersect visits the members that all inputs have, as eachFor does.
func (a *zsetAlgebra) intersect(room *zsetRoom, visit func(member []byte, score float64, hash uint64) bool) {
	a.bySize()
	if len(a.inputs) == 0 || a.inputs[0].n == 0 {
		return
	}
	first := &a.inputs[0]
	indexFor(a.inputs[1:], first.n, room)
	first.eachFor(a.inputs[1:], func(member []byte, score float64, hash uint64) bool {
		total := first.weigh(score)
		for i := range a.inputs[1:] {
			in := &a.inputs[i+1]
			other, ok := in.score(member, hash)
			if !ok {
				return true
			}
			total = a.aggregate(total, other*in.weight)
		}
		return visit(member, total, hash)
	})
}

func (a *zsetAlgebra) countCommon(room *zsetRoom) int64 {
	n := int64(0)
	a.intersect(room, func([]byte, float64, uint64) bool {
		n++
		return n != a.limit
	})
	return n
}

// asks reports whether subtract asks the others for the members of the first input.
func (a *zsetAlgebra) asks() bool {
	removed := 0
	for i := range a.inputs {
		removed += a.inputs[i].n
	}
	return a.inputs[0].n*(len(a.inputs)-1)/2 <= removed
}

// subtract takes the others away from the first input: by asking each of them
// for its members, or, where that is less work, by removing theirs from a copy.
func (a *zsetAlgebra) subtract(room *zsetRoom) {
	found := &room.found
	first, others := &a.inputs[0], a.inputs[1:]
	if a.asks() {
		indexFor(others, first.n, room)
		first.eachFor(others, func(member []byte, score float64, hash uint64) bool {
			for i := range others {
				if _, there := others[i].score(member, hash); there {
					return true
				}
			}
			found.addHashed(member, score, hash)
			return true
		})
		return
	}
	first.each(func(member []byte, score float64) bool {
		found.add(member, score)
		return true
	})
	for i := range others {
		others[i].each(func(member []byte, _ float64) bool {
			found.remove(member)
			return true
		})
	}
	found.entries = slices.DeleteFunc(found.entries, func(e scoreEntry) bool { return e.gone })
}

// zsetRoom is memory that a call keeps from one operation on sorted sets to the
// next, if it is not large.
type zsetRoom struct {
	inputs []zsetInput
	found  scoreTable
	// indexes are those of the inputs.
	indexes []*scoreTable
	walk    zsetWalk
}

// take hands out n inputs, which giveBack has left empty.
func (m *zsetRoom) take(n int) []zsetInput {
	if n > cap(m.inputs) {
		m.inputs = make([]zsetInput, n)
	}
	m.inputs = m.inputs[:n]
	for i := range m.inputs {
		m.inputs[i].walk = &m.walk
	}
	return m.inputs
}

// index hands out the table of input i.
func (m *zsetRoom) index(i int) *scoreTable {
	for len(m.indexes) <= i {
		m.indexes = append(m.indexes, new(scoreTable))
	}
	m.indexes[i].memory = m.found.memory
	return m.indexes[i]
}

// giveBack drops what is too large to keep.
func (m *zsetRoom) giveBack() {
	const kept = 1024
	if cap(m.found.entries) > kept || cap(m.found.texts) > 32*kept {
		m.found = scoreTable{}
	}
	if clear(m.inputs); len(m.inputs) > 8 {
		m.inputs, m.indexes = nil, nil
	}
}
