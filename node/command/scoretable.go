package command

import (
	"bytes"
	"slices"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

// scoreTable gathers members and their scores: a hash table over entries whose
// texts lie one after the other in memory of their own.
type scoreTable struct {
	memory  *arena.Memory
	entries []scoreEntry
	texts   []byte
	// places holds numbers of entries plus one, by the entry's hash, open addressed.
	// It is made with the first find, large enough for expected entries.
	places   []int32
	expected int
	// hashed says that the entries are in the order of their hashes, which they
	// have.
	hashed bool
	// sorter is for those that are not.
	sorter tree.Sorter
	// order are the entries as sort has put them, spare is room for it.
	order, spare []scoreKey
}

// scoreKey is what is moved about in place of an entry.
type scoreKey struct {
	score float64
	at    int32
}

type scoreEntry struct {
	hash  uint64
	from  int
	size  int
	score float64
	gone  bool
}

func (t *scoreTable) member(e *scoreEntry) []byte { return t.texts[e.from : e.from+e.size] }

// expect makes room for n members, within reason.
func (t *scoreTable) expect(n int) {
	t.expected, t.hashed = n, false
	n = min(n, 1<<12)
	t.entries = slices.Grow(t.entries[:0], n)
	t.texts = slices.Grow(t.texts[:0], 16*n)
	t.places = t.places[:0]
}

// add adds a member that is not there yet.
func (t *scoreTable) add(member []byte, score float64) *scoreEntry {
	t.entries = append(t.entries, scoreEntry{from: len(t.texts), size: len(member), score: score})
	t.texts = append(t.texts, member...)
	return &t.entries[len(t.entries)-1]
}

// addHashed is add for members that come as eachFor tells.
func (t *scoreTable) addHashed(member []byte, score float64, hash uint64) {
	t.add(member, score).hash = hash
	t.hashed = hash != 0
}

// find returns the entry of member, a new one unless old is true.
func (t *scoreTable) find(member []byte) (e *scoreEntry, old bool) {
	if 4*len(t.entries) >= 3*len(t.places) {
		t.grow()
	}
	hash := t.memory.Hash(member)
	mask := uint64(len(t.places) - 1)
	at := hash & mask
	for ; t.places[at] != 0; at = (at + 1) & mask {
		e := &t.entries[t.places[at]-1]
		if e.hash == hash && string(t.member(e)) == string(member) {
			return e, true
		}
	}
	e = t.add(member, 0)
	e.hash = hash
	t.places[at] = int32(len(t.entries))
	return e, false
}

// lookup returns the entry of member, or nil.
func (t *scoreTable) lookup(member []byte) *scoreEntry {
	hash := t.memory.Hash(member)
	mask := uint64(len(t.places) - 1)
	for at := hash & mask; t.places[at] != 0; at = (at + 1) & mask {
		e := &t.entries[t.places[at]-1]
		if e.hash == hash && string(t.member(e)) == string(member) {
			return e
		}
	}
	return nil
}

func (t *scoreTable) remove(member []byte) {
	if len(t.places) == 0 {
		for i := range t.entries {
			t.entries[i].hash = t.memory.Hash(t.member(&t.entries[i]))
		}
		t.grow()
	}
	if e := t.lookup(member); e != nil {
		e.gone = true
	}
}

func (t *scoreTable) grow() {
	size := 16
	for size < 2*len(t.entries) || 3*size < 4*min(t.expected, 1<<12) {
		size *= 2
	}
	t.places = slices.Grow(t.places[:0], size)[:size]
	clear(t.places)
	mask := uint64(size - 1)
	for i := range t.entries {
		at := t.entries[i].hash & mask
		for t.places[at] != 0 {
			at = (at + 1) & mask
		}
		t.places[at] = int32(i + 1)
	}
}

// sort finds the order of a sorted set. Most members come from sets that have
// that order, so that there are few ascending runs: these are merged.
func (t *scoreTable) sort() {
	n := len(t.entries)
	keys := slices.Grow(t.order[:0], n)[:n]
	descents := 0
	for i := range keys {
		keys[i] = scoreKey{t.entries[i].score, int32(i)}
		if i > 0 && keys[i].score < keys[i-1].score {
			descents++
		}
	}
	t.order = keys
	t.spare = slices.Grow(t.spare[:0], n)[:n]
	switch {
	case descents <= n/8:
	case n > fewScores:
		t.sortByBytes()
		return
	default:
		slices.SortFunc(keys, t.compare)
		return
	}
	other := t.spare
	for {
		runs := 0
		for from := 0; from < n; runs++ {
			middle := t.runEnd(keys, from)
			end := middle
			if middle < n {
				end = t.runEnd(keys, middle)
			}
			t.mergeRuns(other[from:end], keys[from:middle], keys[middle:end])
			from = end
		}
		keys, other = other, keys
		if runs <= 1 {
			break
		}
	}
	t.order, t.spare = keys, other
}

// fewScores are sorted by comparing them.
const fewScores = 32

// compare is the order of a sorted set.
func (t *scoreTable) compare(a, b scoreKey) int {
	switch {
	case a.score < b.score:
		return -1
	case a.score > b.score:
		return 1
	}
	return bytes.Compare(t.member(&t.entries[a.at]), t.member(&t.entries[b.at]))
}

// sortByBytes sorts order: by the scores first, one byte of their bits after the
// other from the last on, without those bytes that all have in common; then, by
// their texts, the members of one score.
func (t *scoreTable) sortByBytes() {
	keys, other := t.order, t.spare
	first, differ := zset.Order(keys[0].score), uint64(0)
	for i := range keys {
		differ |= zset.Order(keys[i].score) ^ first
	}
	for shift := 0; shift < 64; shift += 8 {
		if byte(differ>>shift) == 0 {
			continue
		}
		var ends [256]int32
		for i := range keys {
			ends[byte(zset.Order(keys[i].score)>>shift)]++
		}
		sum := int32(0)
		for i, n := range ends {
			ends[i] = sum
			sum += n
		}
		for i := range keys {
			at := &ends[byte(zset.Order(keys[i].score)>>shift)]
			other[*at] = keys[i]
			*at++
		}
		keys, other = other, keys
	}
	t.order, t.spare = keys, other
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to].score == keys[from].score {
			to++
		}
		if to-from > 1 {
			slices.SortFunc(keys[from:to], t.compare)
		}
		from = to
	}
}

// less reports whether a comes before b.
func (t *scoreTable) less(a, b scoreKey) bool { return t.compare(a, b) < 0 }

// runEnd returns where the ascending run ends that begins at from.
func (t *scoreTable) runEnd(keys []scoreKey, from int) int {
	for from++; from < len(keys) && !t.less(keys[from], keys[from-1]); {
		from++
	}
	return from
}

// mergeRuns merges two ascending runs into out.
func (t *scoreTable) mergeRuns(out, a, b []scoreKey) {
	for i := range out {
		if len(b) == 0 || len(a) > 0 && !t.less(b[0], a[0]) {
			out[i], a = a[0], a[1:]
		} else {
			out[i], b = b[0], b[1:]
		}
	}
}

// store makes a sorted set of the entries, which are sorted, the value of key.
func (t *scoreTable) store(c *Call, key []byte) {
	limits, b := &c.Limits().ZSet, &c.scored
	b.Reset()
	for _, key := range t.order {
		if !b.Add(t.member(&t.entries[key.at]), key.score, limits) {
			break
		}
	}
	if b.Len() == len(t.order) {
		c.Put(key, b.Value(), false)
	} else {
		c.PutDraft(key, t.draft(c, key), false)
	}
}

// draft makes a sorted set of the entries, which are sorted.
func (t *scoreTable) draft(c *Call, key []byte) *value.Draft {
	d := c.Draft(key, value.KindZSet, value.EncListpack)
	limits := c.Limits().ZSet
	enc := value.EncListpack
	if len(t.order) > limits.Entries || slices.ContainsFunc(t.entries, func(e scoreEntry) bool { return e.size > limits.Value }) {
		// The encoding decides how the first scores are kept.
		enc = value.EncSkiplist
	}
	d.SetEncoding(enc)
	if enc == value.EncSkiplist && zset.AlwaysLarge(len(t.order)) {
		t.plant(d)
		return d
	}
	b := zset.NewBuilder(&d.Cell, limits)
	b.Expect(len(t.order), len(t.texts))
	for _, key := range t.order {
		b.Append(t.member(&t.entries[key.at]), key.score)
	}
	b.Close()
	return d
}

// plant makes d a large set of the entries.
func (t *scoreTable) plant(d *value.Draft) {
	scored := func(i int) ([]byte, float64) {
		key := &t.order[i]
		return t.member(&t.entries[key.at]), key.score
	}
	if t.hashed {
		zset.Grow(&d.Cell, len(t.order), scored, func(i int) (uint64, []byte, float64) {
			e := &t.entries[i]
			return e.hash, t.member(e), e.score
		})
		return
	}
	list := make([]tree.Hashed, len(t.entries))
	for i := range t.entries {
		e := &t.entries[i]
		if e.hash == 0 {
			e.hash = t.memory.Hash(t.member(e))
		}
		list[i] = tree.Hashed{Hash: e.hash, At: uint64(i)}
	}
	list = t.sorter.Sort(list, func(a, b uint64) bool {
		return bytes.Compare(t.member(&t.entries[a]), t.member(&t.entries[b])) < 0
	})
	zset.Grow(&d.Cell, len(t.order), scored, func(i int) (uint64, []byte, float64) {
		e := &t.entries[list[i].At]
		return e.hash, t.member(e), e.score
	})
}
