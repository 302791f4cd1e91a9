package command

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	lists "slotmesh/node/store/list"
	"slotmesh/node/store/set"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

// Sorting are the rows of SORT and SORT_RO.
func Sorting() []Spec {
	const (
		options    = "key [BY pattern:pattern#1] [LIMIT offset count] [GET pattern:pattern#1 [GET pattern ...]] [ASC | DESC] [ALPHA]"
		complexity = "O(N+M*log(M)) where N is the number of elements and M the number of those returned; O(N) unsorted."
		notes      = "the keys that BY and GET lead to depend on the elements"
	)
	categories := []string{"set", "sortedset", "list", "dangerous"}
	keys := []KeySpec{
		{Flags: KeyRO | KeyAccess, Begin: 1, Step: 1},
		{Flags: KeyRO | KeyAccess, Notes: notes, Unknown: true},
		{Flags: KeyOW | KeyUpdate, Notes: "STORE may stand anywhere", Unknown: true},
	}
	// Of the group generic in name, but not of the category keyspace.
	return inGroup("sort", []Spec{
		{
			Name: "sort", Syntax: options + " [STORE destination:key#2]", Arity: -2,
			Flags: Write | DenyOOM | MovableKeys, Keys: keys, KeysOf: sortKeys,
			Since: "1.0.0", Complexity: complexity, Summary: "Sorts a list, a set or a sorted set, and returns or keeps the result.",
			DocGroup: "generic", Categories: categories, Run: runSort, Sized: true, Reaches: sortReaches,
		},
		{
			Name: "sort_ro", Syntax: options, Arity: -2,
			Flags: ReadOnly | MovableKeys, Keys: keys[:2], KeysOf: func(_ [][]byte, at []int) ([]int, error) { return append(at, 1), nil },
			Since: "7.0.0", Complexity: complexity, Summary: "Sorts a list, a set or a sorted set, and returns the result.",
			DocGroup: "generic", Categories: categories, Run: runSort, Sized: true, Reaches: sortReaches,
		},
	})
}

// sortKeys finds the key, and the destination behind the last STORE. Source: the
// reference's sortGetKeys.
func sortKeys(args [][]byte, at []int) ([]int, error) {
	store := 0
	for i := 2; i < len(args); i++ {
		switch word := args[i]; {
		case IsWord(word, "limit"):
			i += 2
		case IsWord(word, "by"), IsWord(word, "get"):
			i++
		case IsWord(word, "store") && i+1 < len(args):
			store = i + 1
		}
	}
	if at = append(at, 1); store > 0 {
		at = append(at, store)
	}
	return at, nil
}

// sortReaches reports whether a SORT looks at keys that it does not name.
func sortReaches(args [][]byte) bool {
	for i := 2; i+1 < len(args); i++ {
		if (IsWord(args[i], "by") || IsWord(args[i], "get")) && bytes.IndexByte(args[i+1], '*') >= 0 {
			return true
		}
	}
	return false
}

// loopLookups is how many other keys SORT may look at on a loop.
const loopLookups = 1000

// elementsOf is how many elements SORT finds in a value.
func elementsOf(v value.Value) int {
	switch v.Kind {
	case value.KindSet:
		return set.Read(v).Len()
	case value.KindList:
		r := lists.Read(v)
		return r.Len()
	case value.KindZSet:
		r := zset.Read(v)
		return r.Len()
	}
	return 0
}

// sortOptions are what SORT was asked for.
type sortOptions struct {
	descending, alpha bool
	start, count      int64
	// unsorted is set by BY with a pattern that names no key.
	unsorted bool
	// byOthers says that by leads to the weights; else the elements are sorted by
	// themselves.
	byOthers bool
	by       sortPattern
	get      []sortPattern
	store    []byte
}

func parseSort(c *Call) (o sortOptions, err error) {
	o.count, o.get = -1, c.sorted.patterns[:0]
	defer func() { c.sorted.patterns = o.get }()
	readOnly := c.Spec.Flags&Write == 0
	clustered := c.engine.Routing() != nil
	for args := c.Args[2:]; len(args) > 0; {
		taken := 1
		switch word, rest := args[0], len(args)-1; {
		case IsWord(word, "asc"):
			o.descending = false
		case IsWord(word, "desc"):
			o.descending = true
		case IsWord(word, "alpha"):
			o.alpha = true
		case IsWord(word, "limit") && rest >= 2:
			var ok1, ok2 bool
			o.start, ok1 = value.ParseInt(args[1])
			o.count, ok2 = value.ParseInt(args[2])
			if !ok1 || !ok2 {
				return o, resp.ErrNotInteger
			}
			taken = 3
		case IsWord(word, "store") && rest >= 1 && !readOnly:
			o.store = args[1]
			taken = 2
		case IsWord(word, "by") && rest >= 1:
			o.byOthers, o.by = true, parseSortPattern(args[1])
			switch {
			case bytes.IndexByte(untilZero(args[1]), '*') < 0:
				o.unsorted = true
			case clustered:
				return o, resp.Error("ERR BY option of SORT denied in Cluster mode.")
			}
			taken = 2
		case IsWord(word, "get") && rest >= 1:
			if clustered {
				return o, resp.Error("ERR GET option of SORT denied in Cluster mode.")
			}
			o.get = append(o.get, parseSortPattern(args[1]))
			taken = 2
		default:
			return o, resp.ErrSyntax
		}
		args = args[taken:]
	}
	return o, nil
}

// untilZero cuts b before its first zero byte, where C's strings end.
func untilZero(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// sortText is a text, or an integer, whose text is made when it is needed.
type sortText struct {
	text  []byte
	n     int64
	isInt bool
}

// sortItem is one element.
type sortItem struct {
	sortText
	// by is the text that it is sorted by, nil if there is none.
	by []byte
}

// sortKey is what is moved about: a number, or nothing yet, and the place of the
// element.
type sortKey struct {
	score float64
	at    int
}

// sorter is a SORT that is under way.
type sorter struct {
	sortOptions
	sortRoom
	c *Call
}

// sortRoom is memory that a call keeps from one SORT to the next, if it is not
// large.
type sortRoom struct {
	items []sortItem
	keys  []sortKey
	// texts is memory for the texts of integers.
	texts []byte
	// spare has as many keys, for the merging.
	spare []sortKey
	// patterns are those of GET, and found what they lead to.
	patterns []sortPattern
	found    []sortFound
	// bundle is for what STORE keeps.
	bundle lists.Bundle
}

// sortKept is how many elements a call keeps room for.
const sortKept = 4096

// take hands the room of a call out, with room for n elements.
func (m *sortRoom) take(n int) sortRoom {
	room := *m
	*m = sortRoom{}
	room.items = slices.Grow(room.items[:0], n)
	room.keys = slices.Grow(room.keys[:0], n)[:n]
	room.texts = room.texts[:0]
	return room
}

// giveBack keeps it.
func (m *sortRoom) giveBack(room sortRoom) {
	if cap(room.items) <= sortKept && cap(room.found) <= sortKept && cap(room.texts) <= 16*sortKept {
		*m = room
	}
}

// An element is filled where it lies: one that is put together and copied waits for
// itself.

func (s *sorter) add(text []byte) {
	s.items = append(s.items, sortItem{})
	s.items[len(s.items)-1].text = text
}

func (s *sorter) addInt(n int64) {
	s.items = append(s.items, sortItem{})
	item := &s.items[len(s.items)-1]
	item.n, item.isInt = n, true
}

// addCopy adds a text that does not stay where it is.
func (s *sorter) addCopy(text []byte) {
	from := len(s.texts)
	s.texts = append(s.texts, text...)
	s.add(s.texts[from:len(s.texts):len(s.texts)])
}

// textOf returns the text of t, made if need be.
func (s *sorter) textOf(t *sortText) []byte {
	if t.isInt && t.text == nil {
		from := len(s.texts)
		s.texts = strconv.AppendInt(s.texts, t.n, 10)
		t.text = s.texts[from:len(s.texts):len(s.texts)]
	}
	return t.text
}

func runSort(c *Call) error {
	o, err := parseSort(c)
	if err != nil {
		return err
	}
	s := sorter{sortOptions: o, c: c}
	ref := c.Read(c.Args[1])
	if ref.OK() {
		switch ref.Kind() {
		case value.KindSet, value.KindList, value.KindZSet:
		default:
			return resp.ErrWrongType
		}
		if n := elementsOf(ref.Value()); c.tooLong(n, loopMembers/2) || c.tooLong(s.lookups(n), loopLookups) {
			return ErrLong
		}
	}
	if s.unsorted && s.store != nil && ref.OK() && ref.Kind() == value.KindSet {
		// A set has no order of its own that a replica would share.
		s.unsorted, s.alpha, s.byOthers = false, true, false
	}
	// What is run again is counted again, but for the key itself.
	before := c.counted
	start, end := s.load(ref)
	defer func() { c.sorted.giveBack(s.sortRoom) }()
	if err := s.sort(); err != nil {
		if err == ErrLong {
			c.counted = before
		}
		return err
	}
	keys := s.keys[start:end]
	if !s.gather(keys) {
		c.counted = before
		return ErrLong
	}
	if s.store != nil {
		s.keep(keys)
		return nil
	}
	s.reply(keys)
	return nil
}

// lookups is how many other keys are looked at to sort n elements.
func (s *sorter) lookups(n int) int {
	got := n
	if s.count >= 0 {
		got = int(min(s.count, int64(n)))
	}
	total := got * len(s.get)
	if s.byOthers && !s.unsorted {
		total += n
	}
	return total
}

// load finds the elements and returns which of them are asked for, as indexes
// into keys. Source: the reference's sortCommandGeneric.
func (s *sorter) load(ref store.Ref) (start, end int) {
	n := 0
	if ref.OK() {
		n = elementsOf(ref.Value())
	}
	start = int(min(max(s.start, 0), int64(n)))
	end = n
	if s.count >= 0 {
		end = int(min(int64(start)+min(s.count, int64(n)), int64(n)))
	}
	if !ref.OK() {
		return 0, 0
	}
	v := ref.Value()
	from, to := 0, n
	if s.unsorted && v.Kind != value.KindSet {
		// Only what is asked for is loaded, in the order of the list or sorted set.
		from, to = start, end
		if s.descending {
			from, to = n-end, n-start
		}
		start, end = 0, to-from
	}
	s.sortRoom = s.c.sorted.take(to - from)
	switch v.Kind {
	case value.KindSet:
		it := set.Read(v).All()
		for it.Next() {
			if n, isInt := it.Int(); isInt {
				s.addInt(n)
			} else {
				s.add(it.Member())
			}
		}
	case value.KindList:
		r := lists.Read(v)
		it := r.At(from)
		for ; it.Valid() && from < to; from++ {
			if text := it.Take(); text.IsInt {
				s.addInt(text.Int)
			} else {
				s.add(text.Bytes)
			}
		}
	case value.KindZSet:
		r := zset.Read(v)
		it := r.At(from)
		for ; it.Valid() && from < to; from++ {
			// The cursor may keep the text of an integer in memory of its own.
			s.addCopy(it.Member())
			it.Next()
		}
		if v.Enc == value.EncListpack && (s.c.Applied || !s.c.engine.replica.Load()) {
			// The reference unpacks what it sorts, and leaves it like that.
			ref.SetEncoding(value.EncSkiplist)
		}
	}
	s.keys = s.keys[:len(s.items)]
	for i := range s.keys {
		s.keys[i] = sortKey{at: i}
	}
	if s.unsorted && s.descending && v.Kind != value.KindSet {
		slices.Reverse(s.keys)
	}
	return start, end
}

const errSortScore resp.Error = "ERR One or more scores can't be converted into double"

// sort puts keys in order, unless they are not to be.
func (s *sorter) sort() error {
	if s.unsorted {
		return nil
	}
	failed := false
	for i := range s.keys {
		item := &s.items[i]
		if !s.byOthers && !s.alpha && item.isInt {
			s.keys[i].score = float64(item.n)
			continue
		}
		weight := item.sortText
		if s.byOthers {
			found, free := s.lookup(&s.by, &item.sortText)
			switch {
			case !free:
				return ErrLong
			case !found.ok:
				continue
			}
			weight = found.sortText
		}
		switch {
		case s.alpha && s.byOthers:
			if item.by = s.textOf(&weight); item.by == nil {
				item.by = []byte{}
			}
		case s.alpha:
			s.textOf(&item.sortText)
		case weight.isInt:
			s.keys[i].score = float64(weight.n)
		default:
			var ok bool
			if s.keys[i].score, ok = sortScore(weight.text); !ok {
				failed = true
			}
		}
	}
	if failed {
		return errSortScore
	}
	if s.alpha {
		slices.SortFunc(s.keys, s.compare())
		return nil
	}
	s.sortNumbers()
	return nil
}

// sortNumbers puts keys in the order of their scores, and elements of one score
// in that of their texts.
func (s *sorter) sortNumbers() {
	if s.descending {
		for i := range s.keys {
			s.keys[i].score = -s.keys[i].score
		}
	}
	s.merge()
	for from := 0; from < len(s.keys); {
		to := from + 1
		for to < len(s.keys) && s.keys[to].score == s.keys[from].score {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(s.keys[from:to], func(a, b sortKey) int {
				order := bytes.Compare(s.textOf(&s.items[a.at].sortText), s.textOf(&s.items[b.at].sortText))
				if s.descending {
					order = -order
				}
				return cmp.Or(order, a.at-b.at)
			})
		}
		from = to
	}
}

// merge sorts keys by score: a merge sort from the bottom up, whose comparison
// is no call.
func (s *sorter) merge() {
	const run = 12
	keys := s.keys
	for from := 0; from < len(keys); from += run {
		part := keys[from:min(from+run, len(keys))]
		for i := 1; i < len(part); i++ {
			key := part[i]
			j := i
			for ; j > 0 && part[j-1].score > key.score; j-- {
				part[j] = part[j-1]
			}
			part[j] = key
		}
	}
	if len(keys) <= run {
		return
	}
	s.spare = slices.Grow(s.spare[:0], len(keys))[:len(keys)]
	other := s.spare
	for width := run; width < len(keys); width *= 2 {
		for from := 0; from < len(keys); from += 2 * width {
			middle, end := min(from+width, len(keys)), min(from+2*width, len(keys))
			a, b, out := keys[from:middle], keys[middle:end], other[from:end]
			for i := range out {
				if len(b) == 0 || len(a) > 0 && a[0].score <= b[0].score {
					out[i], a = a[0], a[1:]
				} else {
					out[i], b = b[0], b[1:]
				}
			}
		}
		keys, other = other, keys
	}
	s.keys, s.spare = keys, other
}

// compare returns the order of texts. Elements that it does not tell apart stay
// as they were.
func (s *sorter) compare() func(a, b sortKey) int {
	sign := 1
	if s.descending {
		sign = -1
	}
	// What is sent to a client is sorted as C's strings.
	cut := untilZero
	if s.store != nil {
		cut = func(b []byte) []byte { return b }
	}
	if !s.byOthers {
		return func(a, b sortKey) int {
			return cmp.Or(sign*bytes.Compare(cut(s.items[a.at].text), cut(s.items[b.at].text)), a.at-b.at)
		}
	}
	return func(a, b sortKey) int {
		x, y := s.items[a.at].by, s.items[b.at].by
		order := 0
		switch {
		case x == nil || y == nil:
			order = int(oneIf(y == nil) - oneIf(x == nil))
		default:
			order = bytes.Compare(cut(x), cut(y))
		}
		return cmp.Or(sign*order, a.at-b.at)
	}
}

// sortScore reads text as C's strtod does: nothing is zero, blanks may stand
// before the number, a zero byte ends it.
func sortScore(text []byte) (float64, bool) {
	text = untilZero(text)
	if len(text) == 0 {
		return 0, true
	}
	for len(text) > 0 && (text[0] == ' ' || '\t' <= text[0] && text[0] <= '\r') {
		text = text[1:]
	}
	score, ok := zset.ParseScore(text)
	// The smallest numbers have lost digits.
	const smallest = 0x1p-1022
	return score, ok && (score == 0 || math.Abs(score) >= smallest)
}

func (s *sorter) outputs(keys []sortKey) int { return len(keys) * max(len(s.get), 1) }

// gather finds what GET asks for, all of it, so that nothing has been answered or
// changed yet if a slot is taken: then it returns false.
func (s *sorter) gather(keys []sortKey) bool {
	s.found = s.found[:0]
	if len(s.get) == 0 {
		return true
	}
	s.found = slices.Grow(s.found, len(keys)*len(s.get))
	for _, key := range keys {
		for i := range s.get {
			found, free := s.lookup(&s.get[i], &s.items[key.at].sortText)
			if !free {
				return false
			}
			s.found = append(s.found, found)
		}
	}
	return true
}

func (s *sorter) reply(keys []sortKey) {
	w := s.c.Reply
	w.Array(s.outputs(keys))
	for i := range s.found {
		if found := &s.found[i]; found.ok {
			found.reply(w)
		} else {
			w.Null()
		}
	}
	if len(s.get) > 0 {
		return
	}
	for _, key := range keys {
		s.items[key.at].reply(w)
	}
}

func (t *sortText) reply(w *resp.Writer) {
	if t.isInt {
		var digits [20]byte
		w.Bulk(strconv.AppendInt(digits[:0], t.n, 10))
		return
	}
	w.Bulk(t.text)
}

var wordRPush = []byte("RPUSH")

// sortTurn is how many elements one effect of SORT pushes at most.
const sortTurn = 1024

// keep makes the result the list of STORE's key.
func (s *sorter) keep(keys []sortKey) {
	c, to := s.c, s.store
	n := s.outputs(keys)
	if n == 0 {
		c.storeNothing(to)
		return
	}
	var draft *value.Draft
	b := &s.bundle
	b.Reset()
	keep := func(t *sortText) {
		if t.isInt {
			b.AddInt(t.n)
		} else {
			b.Add(t.text)
		}
		if b.Full() {
			if draft == nil {
				draft = c.Draft(to, value.KindList, value.EncQuicklist)
			}
			lists.Open(&draft.Cell).PushPack(b.Take())
		}
	}
	for i := range s.found {
		keep(&s.found[i].sortText)
	}
	if len(s.get) == 0 {
		for _, key := range keys {
			keep(&s.items[key.at].sortText)
		}
	}
	// A replica need not know the other keys: it is told the result.
	if sortReaches(c.Args) && !c.Applied && c.engine.journal.Active() {
		s.tell(keys)
	}
	if draft == nil && lists.Packed(b.Listpack()) {
		c.Put(to, value.Value{Kind: value.KindList, Enc: value.EncQuicklist, Bytes: b.Listpack()}, false)
	} else {
		if draft == nil {
			draft = c.Draft(to, value.KindList, value.EncQuicklist)
		}
		lists.Open(&draft.Cell).PushPack(b.Take())
		c.PutDraft(to, draft, false)
	}
	c.changedBy(to, n)
	c.Reply.Int(int64(n))
}

// tell makes the result the effect of the call.
func (s *sorter) tell(keys []sortKey) {
	c, to := s.c, s.store
	c.Effect(wordDel, to)
	effect := append(make([][]byte, 0, 2+min(s.outputs(keys), sortTurn)), wordRPush, to)
	push := func(t *sortText) {
		if effect = append(effect, c.keep(s.textOf(t))); len(effect) == 2+sortTurn {
			c.Effect(effect...)
			effect = effect[:2]
		}
	}
	for i := range s.found {
		push(&s.found[i].sortText)
	}
	if len(s.get) == 0 {
		for _, key := range keys {
			push(&s.items[key.at].sortText)
		}
	}
	if len(effect) > 2 {
		c.Effect(effect...)
	}
}
