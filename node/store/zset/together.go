package zset

import (
	"strconv"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
)

// Matcher walks the members of a packed set beside their scores in a large one, in which
// several are looked up together: Begin, and then Next before each. It is room that may
// be used again.
type Matcher struct {
	// lp is the packed set and pos the first place in it that was not looked at, -1
	// behind the last one.
	lp  []byte
	pos int
	// large is the tree by members of the large set.
	large tree.View
	// at is the member of those looked up, n of them.
	at, n   int
	members [tree.Together]matched
	hashes  [tree.Together]uint64
	items   [tree.Together][]byte
	// found has a bit for each of items that is there.
	found  uint
	number [20]byte
}

// matched is a member of the packed set: its text, or number if isInt is set, and the
// place of its score.
type matched struct {
	text   []byte
	number int64
	isInt  bool
	score  int
}

// Begin puts m, whatever it was, before the first member of packed. Packed tells which
// of the two is which.
func (m *Matcher) Begin(packed, large *Reader) {
	if m.lp, m.pos = packed.v.Bytes, -1; len(m.lp) > 0 {
		m.pos = listpack.First(m.lp)
	}
	m.large.Memory = large.v.Memory
	m.large.Root.Parse(large.v.Bytes[byMember*tree.RootSize:])
	m.at, m.n = 0, 0
}

// Next goes on to the next member and reports whether there is one.
func (m *Matcher) Next() bool {
	if m.at++; m.at < m.n {
		return true
	}
	return m.lookUp()
}

// lookUp looks the next members up, and reports whether there is any.
func (m *Matcher) lookUp() bool {
	m.at, m.n = 0, 0
	for m.n < tree.Together && m.pos >= 0 {
		e := &m.members[m.n]
		e.text, e.number, e.isInt, e.score = listpack.Entry(m.lp, m.pos)
		m.pos = listpack.Next(m.lp, e.score)
		m.hashes[m.n] = m.large.Memory.Hash(m.textOf(e))
		m.n++
	}
	m.found = m.large.LookupAll(m.hashes[:m.n], &m.items)
	return m.n > 0
}

func (m *Matcher) textOf(e *matched) []byte {
	if e.isInt {
		return strconv.AppendInt(m.number[:0], e.number, 10)
	}
	return e.text
}

// Member returns the member: a view, good until Next.
func (m *Matcher) Member() []byte { return m.textOf(&m.members[m.at]) }

// Score returns the member's score in the packed set.
func (m *Matcher) Score() float64 {
	score, _ := packedScore(m.lp, m.members[m.at].score)
	return score
}

// Other returns the member's score in the large set.
func (m *Matcher) Other() (score float64, ok bool) {
	if m.found>>m.at&1 == 0 {
		return 0, false
	}
	item, member := m.items[m.at], m.Member()
	if string(item[scoreSize:]) != string(member) {
		// Another member of the same hash.
		c, ok := findHashed(m.large, m.hashes[m.at], member)
		if !ok {
			return 0, false
		}
		item = c.Item()
	}
	return getScore(item), true
}
