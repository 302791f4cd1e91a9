package command

import (
	"math"
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	lists "slotmesh/node/store/list"
	"slotmesh/node/store/value"
)

var (
	popsKey = []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Step: 1}}
	// movesKeys are a key that loses an element and one that gets it.
	movesKeys = []KeySpec{
		{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Step: 1},
		{Flags: KeyRW | KeyInsert, Begin: 2, Step: 1},
	}
)

// Lists are the rows of lists. Those that wait stand in list_blocking.go.
func Lists() []Spec {
	const perElement = "O(N) where N is the number of elements given."
	const perReturned = "O(N) where N is the number of elements returned."
	const perWalked = "O(N) where N is the number of elements looked at."
	rows := []Spec{
		{
			Name: "lindex", Syntax: "key index", Arity: 3, Flags: ReadOnly, Keys: readsKey,
			Since: "1.0.0", Complexity: "O(log N) where N is the length of the list.",
			Summary: "Returns the element at an index.", Run: runLIndex,
		},
		{
			Name: "linsert", Syntax: "key <BEFORE | AFTER> pivot element", Arity: 5, Flags: Write | DenyOOM, Keys: insertsKey,
			Since: "2.2.0", Complexity: "O(N) where N is the number of elements up to the pivot.",
			Summary: "Inserts an element beside another one.", Run: runLInsert, Sized: true,
		},
		{
			Name: "llen", Syntax: "key", Arity: 2, Flags: ReadOnly | Fast, Keys: []KeySpec{{Flags: KeyRO, Begin: 1, Step: 1}},
			Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the length of a list.", Run: runLLen,
		},
		{
			Name: "lmove", Syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT>", Arity: 5, Flags: Write | DenyOOM, Keys: movesKeys,
			Since: "6.2.0", Complexity: "O(1)", Summary: "Moves an element from one end of a list to one of another list, and returns it.",
			Run: runLMove,
		},
		{
			Name: "lmpop", Syntax: "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]", Arity: -4, Flags: Write | MovableKeys,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, KeyNum: true, FirstKey: 1, Step: 1}},
			Since: "7.0.0", Complexity: "O(N+M) where N is the number of keys and M the number of elements returned.",
			Summary: "Removes elements from the first list that has any, and returns them.", Run: runLMPop, Heavy: longPops, Ahead: func(c *Call) { popsAhead(c, 1) },
		},
		{
			Name: "lpop", Syntax: "key [count]", Arity: -2, Flags: Write | Fast, Keys: popsKey,
			Since: "1.0.0", Complexity: perReturned, Summary: "Removes the first elements of a list and returns them.",
			Run: func(c *Call) error { return popList(c, true) }, Heavy: longCount, Ahead: func(c *Call) { popAhead(c, true) },
		},
		{
			Name: "lpos", Syntax: "key element [RANK rank:integer] [COUNT num-matches:integer] [MAXLEN len]", Arity: -3, Flags: ReadOnly, Keys: readsKey,
			Since: "6.0.6", Complexity: perWalked, Summary: "Returns at which indexes an element stands.", Run: runLPos, Sized: true,
		},
		{
			Name: "lpush", Syntax: "key element [element ...]", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: insertsKey,
			Since: "1.0.0", Complexity: perElement, Summary: "Adds elements before the first of a list, which is made if need be.",
			Run: func(c *Call) error { return pushList(c, true, false) }, Heavy: manyArgs,
		},
		{
			Name: "lpushx", Syntax: "key element [element ...]", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: insertsKey,
			Since: "2.2.0", Complexity: perElement, Summary: "Adds elements before the first of a list, if there is one.",
			Run: func(c *Call) error { return pushList(c, true, true) }, Heavy: manyArgs,
		},
		{
			Name: "lrange", Syntax: "key start stop:integer", Arity: 4, Flags: ReadOnly, Keys: readsKey,
			Since: "1.0.0", Complexity: "O(log N + M) where N is the length of the list and M the number of elements returned.",
			Summary: "Returns a part of a list.", Run: runLRange, Sized: true,
		},
		{
			Name: "lrem", Syntax: "key count element", Arity: 4, Flags: Write, Keys: []KeySpec{{Flags: KeyRW | KeyDelete, Begin: 1, Step: 1}},
			Since: "1.0.0", Complexity: perWalked, Summary: "Removes elements that are equal to another.", Run: runLRem, Sized: true,
		},
		{
			Name: "lset", Syntax: "key index element", Arity: 4, Flags: Write | DenyOOM, Keys: updatesKey,
			Since: "1.0.0", Complexity: "O(log N) where N is the length of the list.", Summary: "Replaces the element at an index.", Run: runLSet,
		},
		{
			Name: "ltrim", Syntax: "key start stop:integer", Arity: 4, Flags: Write, Keys: []KeySpec{{Flags: KeyRW | KeyDelete, Begin: 1, Step: 1}},
			Since: "1.0.0", Complexity: "O(N) where N is the number of elements removed.", Summary: "Removes all of a list but a part.",
			Run: runLTrim, Sized: true,
		},
		{
			Name: "rpop", Syntax: "key [count]", Arity: -2, Flags: Write | Fast, Keys: popsKey,
			Since: "1.0.0", Complexity: perReturned, Summary: "Removes the last elements of a list and returns them.",
			Run: func(c *Call) error { return popList(c, false) }, Heavy: longCount, Ahead: func(c *Call) { popAhead(c, false) },
		},
		{
			Name: "rpoplpush", Syntax: "source destination", Arity: 3, Flags: Write | DenyOOM, Keys: movesKeys,
			Since: "1.2.0", Complexity: "O(1)", Summary: "Moves the last element of a list to the front of another one, and returns it.",
			Deprecated: "6.2.0", ReplacedBy: "`LMOVE` with the `RIGHT` and `LEFT` arguments",
			Run: func(c *Call) error { return moveOrNull(c, false, true) },
		},
		{
			Name: "rpush", Syntax: "key element [element ...]", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: insertsKey,
			Since: "1.0.0", Complexity: perElement, Summary: "Adds elements behind the last of a list, which is made if need be.",
			Run: func(c *Call) error { return pushList(c, false, false) }, Heavy: manyArgs,
		},
		{
			Name: "rpushx", Syntax: "key element [element ...]", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: insertsKey,
			Since: "2.2.0", Complexity: perElement, Summary: "Adds elements behind the last of a list, if there is one.",
			Run: func(c *Call) error { return pushList(c, false, true) }, Heavy: manyArgs,
		},
	}
	return inGroup("list", append(rows, listBlockingRows()...))
}

// loopList is how many bytes of a list are walked over on a loop, and loopBlocks
// how many are given back there.
const (
	loopList   = 128 << 10
	loopBlocks = 8 << 20
)

// nearList is how many bytes of a list that is too long for a loop are looked at there, for
// what is sought may stand near the end that the search begins at.
const nearList = 16 << 10

// nearby returns how many elements of r may be gone through now. short says that these are
// not all: the call may take long.
func (c *Call) nearby(r *lists.Reader) (n int, short bool) {
	if !c.tooLong(r.Bytes(), loopList) {
		return r.Len(), false
	}
	return r.Len() * nearList / r.Bytes(), true
}

// longPops is the Heavy of LMPOP and BLMPOP, whose count stands at the end.
func longPops(c *Call) bool {
	last := len(c.Args) - 1
	counted := IsWord(c.Args[last-1], "count") && len(c.Args[last]) > 3
	return counted || manyArgs(c)
}

// openList returns the list of key for a command that changes it.
func openList(c *Call, key []byte) (ref store.Ref, err error) {
	return c.WriteKind(key, value.KindList)
}

// readList returns the list of key for a command that reads it.
func readList(c *Call, key []byte) (r lists.Reader, found bool, err error) {
	ref, err := c.ReadKind(key, value.KindList)
	if err != nil || !ref.OK() {
		return r, false, err
	}
	return lists.Read(ref.Value()), true, nil
}

// replyElement answers with an element.
func replyElement(w *resp.Writer, t lists.Text) {
	if t.IsInt {
		var digits [20]byte
		w.Bulk(strconv.AppendInt(digits[:0], t.Int, 10))
		return
	}
	w.Bulk(t.Bytes)
}

// takeEnd removes an element from an end of a list, which is deleted with the
// last one, and returns it in memory that lasts until the effects are written.
func takeEnd(c *Call, key []byte, ref *store.Ref, front bool) []byte {
	from, left := len(c.arena), 0
	c.arena, left = lists.Open(&ref.Cell).Pop(front, c.arena)
	if left == 0 {
		c.Delete(key)
	}
	return c.arena[from:len(c.arena):len(c.arena)]
}

func pushList(c *Call, front, onlyIfThere bool) error {
	key := c.Args[1]
	ref, err := openList(c, key)
	if err != nil {
		return err
	}
	if !ref.OK() {
		if onlyIfThere {
			c.Reply.Int(0)
			return nil
		}
		ref = c.Create(key, value.KindList, value.EncQuicklist)
	}
	n := lists.Open(&ref.Cell).PushAll(c.Args[2:], front)
	c.Changed(key)
	c.dirty += int64(len(c.Args) - 3)
	c.Reply.Int(int64(n))
	return nil
}

func runLLen(c *Call) error {
	r, _, err := readList(c, c.Args[1])
	if err != nil {
		return err
	}
	c.Reply.Int(int64(r.Len()))
	return nil
}

// indexIn turns an index that may count from the end into one from 0; ok is
// false if there is no such element.
func indexIn(n int64, length int) (i int, ok bool) {
	if n < 0 {
		n += int64(length)
	}
	return int(n), n >= 0 && n < int64(length)
}

func runLIndex(c *Call) error {
	r, found, err := readList(c, c.Args[1])
	if err != nil {
		return err
	}
	if !found {
		c.Reply.Null()
		return nil
	}
	n, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	i, ok := indexIn(n, r.Len())
	if !ok {
		c.Reply.Null()
		return nil
	}
	it := r.At(i)
	replyElement(c.Reply, it.Text())
	return nil
}

func runLSet(c *Call) error {
	key := c.Args[1]
	ref, err := openList(c, key)
	if err != nil {
		return err
	}
	if !ref.OK() {
		return resp.ErrNoSuchKey
	}
	n, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	l := lists.Open(&ref.Cell)
	i, ok := indexIn(n, l.Len())
	if !ok {
		return resp.ErrIndexRange
	}
	l.Set(i, c.Args[3])
	c.Changed(key)
	c.Reply.OK()
	return nil
}

// parseRange reads the two indexes of a range.
func parseRange(c *Call) (from, to int64, err error) {
	from, ok1 := value.ParseInt(c.Args[2])
	to, ok2 := value.ParseInt(c.Args[3])
	if !ok1 || !ok2 {
		return 0, 0, resp.ErrNotInteger
	}
	return from, to, nil
}

// rangeIn turns a range of indexes, the last included, into one of a list of that
// length, the last excluded.
func rangeIn(from, to int64, length int) (first, end int) {
	n := int64(length)
	if from < 0 {
		from = max(from+n, 0)
	}
	if to < 0 {
		to += n
	}
	to = min(to, n-1)
	if from > to {
		return 0, 0
	}
	return int(from), int(to + 1)
}

func runLRange(c *Call) error {
	from, to, err := parseRange(c)
	if err != nil {
		return err
	}
	r, _, err := readList(c, c.Args[1])
	if err != nil {
		return err
	}
	first, end := rangeIn(from, to, r.Len())
	if n := end - first; n > 0 && c.tooLong(r.Bytes()/r.Len()*n, loopList) {
		return ErrLong
	}
	c.Reply.Array(end - first)
	it := r.At(first)
	for range end - first {
		replyElement(c.Reply, it.Take())
	}
	return nil
}

func runLTrim(c *Call) error {
	from, to, err := parseRange(c)
	if err != nil {
		return err
	}
	key := c.Args[1]
	ref, err := openList(c, key)
	if err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.OK()
		return nil
	}
	l := lists.Open(&ref.Cell)
	r := l.Read()
	size, n := r.Bytes(), r.Len()
	if c.tooLong(size, loopBlocks) {
		return ErrLong
	}
	c.Reply.OK()
	first, end := rangeIn(from, to, n)
	switch {
	case first == end:
		c.Delete(key)
	case end-first <= keptMax && size > loopBlocks:
		keep(c, key, ref.Value(), first, end)
	default:
		l.DeleteRange(end, n)
		l.DeleteRange(0, first)
	}
	c.Changed(key)
	c.dirty += int64(n-(end-first)) - 1
	// If nothing went, those who watch the key have been told all the same.
	return nil
}

// keptMax is how many elements of a list are copied rather than all others
// given back one block after the other.
const keptMax = 1000

// keep makes the elements first to end-1 of a list the list. The rest is freed
// in the background.
func keep(c *Call, key []byte, v value.Value, first, end int) {
	d := c.Draft(key, value.KindList, value.EncQuicklist)
	l, r := lists.Open(&d.Cell), lists.Read(v)
	var text []byte
	it := r.At(first)
	for ; first < end; first++ {
		text = it.Take().Append(text[:0])
		l.Push(text, false)
	}
	// It was looked up, which is one access, not two.
	freq := c.Peek(key).Freq(c.Now)
	c.PutDraft(key, d, true).SetAccess(-1, freq, c.Now)
}

func runLInsert(c *Call) error {
	key, pivot, element := c.Args[1], c.Args[3], c.Args[4]
	after := IsWord(c.Args[2], "after")
	if !after && !IsWord(c.Args[2], "before") {
		return resp.ErrSyntax
	}
	ref, err := openList(c, key)
	if err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.Int(0)
		return nil
	}
	l := lists.Open(&ref.Cell)
	r := l.Read()
	n, short := c.nearby(&r)
	i := r.Index(pivot, 0, n, false)
	if i < 0 && short {
		return ErrLong
	}
	if i < 0 {
		c.Reply.Int(-1)
		return nil
	}
	if after {
		i++
	}
	l.Insert(i, element)
	c.Changed(key)
	c.Reply.Int(int64(l.Len()))
	return nil
}

func runLRem(c *Call) error {
	key := c.Args[1]
	count, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	ref, err := openList(c, key)
	if err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.Int(0)
		return nil
	}
	limit := count
	switch {
	case count == 0 || count == math.MinInt64:
		limit = math.MaxInt64
	case count < 0:
		limit = -count
	}
	l := lists.Open(&ref.Cell)
	r := l.Read()
	if n, short := c.nearby(&r); short && !within(&r, c.Args[3], limit, count < 0, n) {
		return ErrLong
	}
	removed := l.Remove(c.Args[3], int(limit), count < 0)
	if removed > 0 {
		if l.Len() == 0 {
			c.Delete(key)
		}
		c.Changed(key)
		c.dirty += int64(removed - 1)
	}
	c.Reply.Int(int64(removed))
	return nil
}

// within reports whether limit elements, a few, equal element among the n from the front
// on or, with back, from the back on.
func within(r *lists.Reader, element []byte, limit int64, back bool, n int) bool {
	var few [8]int
	o := lposOptions{rank: 1, count: limit, maxLen: int64(n)}
	if back {
		o.rank = -1
	}
	return limit <= int64(len(few)) && n > 0 && len(positions(few[:0], r, element, o)) == int(limit)
}

// lposOptions are the options of LPOS. count is -1 if not given; 0 there and in
// maxLen means all.
type lposOptions struct{ rank, count, maxLen int64 }

func parseLPos(words [][]byte) (o lposOptions, err error) {
	o.rank, o.count = 1, -1
	for i := 0; i < len(words); i += 2 {
		if i+1 == len(words) {
			return o, resp.ErrSyntax
		}
		n, ok := value.ParseInt(words[i+1])
		switch {
		case IsWord(words[i], "rank"):
			switch {
			case !ok:
				return o, resp.ErrNotInteger
			case n == 0:
				return o, resp.Error("ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list")
			}
			o.rank = n
		case IsWord(words[i], "count"):
			if !ok || n < 0 {
				return o, resp.Error("ERR COUNT can't be negative")
			}
			o.count = n
		case IsWord(words[i], "maxlen"):
			if !ok || n < 0 {
				return o, resp.Error("ERR MAXLEN can't be negative")
			}
			o.maxLen = n
		default:
			return o, resp.ErrSyntax
		}
	}
	if o.rank == math.MinInt64 {
		// The reference cannot negate it, and so takes every match from the end.
		o.rank, o.count = -1, min(o.count, 0)
	}
	return o, nil
}

func runLPos(c *Call) error {
	o, err := parseLPos(c.Args[3:])
	if err != nil {
		return err
	}
	r, found, err := readList(c, c.Args[1])
	if err != nil {
		return err
	}
	if !found {
		if o.count < 0 {
			c.Reply.Null()
		} else {
			c.Reply.Array(0)
		}
		return nil
	}
	n, short := c.nearby(&r)
	near := o
	if short = short && (o.maxLen == 0 || o.maxLen > int64(n)); short {
		near.maxLen = max(int64(n), 1)
	}
	var few [8]int
	matches := positions(few[:0], &r, c.Args[2], near)
	if short && (o.count == 0 || int64(len(matches)) < max(o.count, 1)) {
		return ErrLong
	}
	if o.count >= 0 {
		c.Reply.Array(len(matches))
		for _, i := range matches {
			c.Reply.Int(int64(i))
		}
		return nil
	}
	if len(matches) == 0 {
		c.Reply.Null()
		return nil
	}
	c.Reply.Int(int64(matches[0]))
	return nil
}

// positions appends to matches where element stands, as o asks.
func positions(matches []int, r *lists.Reader, element []byte, o lposOptions) []int {
	back := o.rank < 0
	skip := max(o.rank, -o.rank) - 1
	wanted := o.count
	switch wanted {
	case -1:
		wanted = 1
	case 0:
		wanted = math.MaxInt64
	}
	left := r.Len()
	if o.maxLen > 0 {
		left = int(min(o.maxLen, int64(left)))
	}
	at, step := 0, 1
	if back {
		at, step = r.Len()-1, -1
	}
	for left > 0 && int64(len(matches)) < wanted {
		i := r.Index(element, at, left, back)
		if i < 0 {
			break
		}
		left -= (i-at)*step + 1
		at = i + step
		if skip > 0 {
			skip--
			continue
		}
		matches = append(matches, i)
	}
	return matches
}

// addList mixes the content of a list.
func (d *Digest) addList(v value.Value) {
	r := lists.Read(v)
	var text []byte
	it := r.At(0)
	for it.Valid() {
		text = it.Take().Append(text[:0])
		d.mix(text)
	}
}
