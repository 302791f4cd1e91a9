package zset

import (
	"strconv"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Cursor is a place in a sorted set: at a member, or outside.
type Cursor struct {
	// lp and pos are the place in a packed set, pos -1 outside; lp is nil in a
	// large one, where tree is the place by score.
	lp   []byte
	pos  int
	tree tree.Cursor
	enc  value.Encoding
	// signed is the set if some zeros may have a sign.
	signed value.Value
	// number holds the text of a member that is packed as an integer.
	number [20]byte
}

// At returns the place of the member at rank, 0 to Len-1; any other rank is
// outside.
func (r *Reader) At(rank int) (c Cursor) {
	c.enc = r.v.Enc
	if r.packed() {
		c.lp, c.pos = r.v.Bytes, -1
		if len(c.lp) == 0 {
			c.lp = []byte{}
		} else if rank >= 0 {
			c.pos = listpack.Seek(c.lp, 2*rank)
		}
		return c
	}
	n := r.Len()
	if rank < 0 || rank > n {
		rank = n
	}
	c.tree = r.v.Tree(byScore).At(rank)
	if r.signed() {
		c.signed = r.v
	}
	return c
}

// Valid reports whether the cursor is at a member.
func (c *Cursor) Valid() bool {
	if c.lp != nil {
		return c.pos >= 0
	}
	return c.tree.Valid()
}

// Next moves to the next member and reports whether there is one.
func (c *Cursor) Next() bool {
	if c.lp == nil {
		return c.tree.Next()
	}
	if c.pos >= 0 {
		c.pos = listpack.Next(c.lp, listpack.Next(c.lp, c.pos))
	}
	return c.pos >= 0
}

// Prev moves to the member before and reports whether there is one.
func (c *Cursor) Prev() bool {
	if c.lp == nil {
		return c.tree.Prev()
	}
	if c.pos >= 0 {
		if c.pos = listpack.Prev(c.lp, c.pos); c.pos >= 0 {
			c.pos = listpack.Prev(c.lp, c.pos)
		}
	}
	return c.pos >= 0
}

// Member returns the member: a view, good until the cursor moves.
func (c *Cursor) Member() []byte {
	if c.lp == nil {
		return c.tree.Item()
	}
	text, n, isInt, _ := listpack.Entry(c.lp, c.pos)
	if isInt {
		return strconv.AppendInt(c.number[:0], n, 10)
	}
	return text
}

// Score returns the member's score.
func (c *Cursor) Score() float64 {
	if c.lp != nil {
		score, _ := packedScore(c.lp, listpack.Next(c.lp, c.pos))
		return score
	}
	score := scoreOf(c.tree.Prefix())
	if score == 0 && c.signed.Bytes != nil {
		r := Reader{c.signed}
		score, _ = r.Score(c.tree.Item())
	}
	return score
}

// AppendScore appends the text of the member's score as a scan shows it: that of
// the listpack, if the set is encoded as one, else that of the function
// AppendScore.
func (c *Cursor) AppendScore(dst []byte) []byte {
	switch {
	case c.lp != nil && c.enc == value.EncListpack:
		return listpack.AppendText(dst, c.lp, listpack.Next(c.lp, c.pos))
	case c.enc == value.EncListpack:
		return appendPackedScore(dst, c.Score())
	}
	return AppendScore(dst, c.Score())
}

// Part is some members of a large set, one behind the other in the order of their scores,
// as they lie together: to walk over them takes less than to move a cursor.
type Part struct {
	items tree.Part
	r     *Reader
}

// Part returns members from a rank on, n at most, of a set that is not packed. There is one
// at least unless n or the set is at its end.
func (r *Reader) Part(rank, n int) Part {
	v := tree.View{Memory: r.v.Memory}
	v.Root.Parse(r.v.Bytes[byScore*tree.RootSize:])
	return Part{v.Part(rank, n), r}
}

// Len is the number of members.
func (p Part) Len() int { return p.items.Len() }

// Member returns member i: a view, good until the set changes.
func (p Part) Member(i int) []byte { return p.items.Item(i) }

// Score returns its score.
func (p Part) Score(i int) float64 {
	score := scoreOf(p.items.Prefix(i))
	if score == 0 && p.r.signed() {
		score, _ = p.r.Score(p.items.Item(i))
	}
	return score
}

// Element is a place in a packed set, which is all that there is to a Cursor
// there.
type Element struct {
	// Text is the member, or Int if IsInt is set.
	Text  []byte
	Int   int64
	IsInt bool

	lp  []byte
	pos int
	// score is the place of the score, -1 outside.
	score int
}

// PackedAt returns the member at rank, which must be there, of a packed set.
func (r *Reader) PackedAt(rank int) (e Element) {
	e.lp = r.v.Bytes
	e.load(listpack.Seek(e.lp, 2*rank))
	return e
}

// PackedPlace is a member of a packed set, by its score.
type PackedPlace struct {
	Score float64
	pos   int
}

// AppendPlaces appends all members of a packed set, in order.
func (r *Reader) AppendPlaces(places []PackedPlace) []PackedPlace {
	lp := r.v.Bytes
	if len(lp) == 0 {
		return places
	}
	for pos := listpack.First(lp); pos >= 0; {
		score, next := packedScore(lp, listpack.Next(lp, pos))
		places = append(places, PackedPlace{score, pos})
		pos = next
	}
	return places
}

// PackedIn returns the member of a place that AppendPlaces found.
func (r *Reader) PackedIn(p PackedPlace) (e Element) {
	e.lp = r.v.Bytes
	e.load(p.pos)
	return e
}

func (e *Element) load(pos int) {
	if e.pos, e.score = pos, -1; pos >= 0 {
		e.Text, e.Int, e.IsInt, e.score = listpack.Entry(e.lp, pos)
	}
}

// AppendMember appends the text of the member to dst.
func (e *Element) AppendMember(dst []byte) []byte {
	if e.IsInt {
		return strconv.AppendInt(dst, e.Int, 10)
	}
	return append(dst, e.Text...)
}

// Score returns the member's score.
func (e *Element) Score() float64 {
	score, _ := packedScore(e.lp, e.score)
	return score
}

// Next moves to the next member; behind the last one there is none to look at.
func (e *Element) Next() {
	if e.score >= 0 {
		e.load(listpack.Next(e.lp, e.score))
	}
}

// Prev moves to the member before.
func (e *Element) Prev() {
	if pos := listpack.Prev(e.lp, e.pos); pos >= 0 {
		e.load(listpack.Prev(e.lp, pos))
	}
}
