package zset

import (
	"bytes"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// The trees of a large set.
const (
	byScore = iota
	byMember
	roots
)

// scoreSize is what the item of a member holds before the member itself.
const scoreSize = 8

// Reader reads a sorted set. The zero Reader is an empty one.
type Reader struct {
	v value.Value
}

// Read returns a reader of v, which must be a sorted set.
func Read(v value.Value) Reader { return Reader{v} }

// Open makes r, which is zero, a reader of the sorted set that a cell holds.
func (r *Reader) Open(c value.Cell) { c.Show(&r.v) }

func (r *Reader) packed() bool { return r.v.Roots == 0 }

// Encoding is what OBJECT ENCODING says.
func (r *Reader) Encoding() value.Encoding { return r.v.Enc }

// signed reports whether there may be zeros with a sign: the payload of such a
// large set has a byte behind the roots, for their order does not tell.
func (r *Reader) signed() bool { return len(r.v.Rest()) > 0 }

// Len is the number of members.
func (r *Reader) Len() int {
	if !r.packed() {
		return int(tree.ParseRoot(r.v.Bytes).Count)
	}
	if len(r.v.Bytes) == 0 {
		return 0
	}
	return listpack.Len(r.v.Bytes) / 2
}

// Score returns the score of a member.
func (r *Reader) Score(member []byte) (score float64, ok bool) {
	if r.packed() {
		pos := findPacked(r.v.Bytes, member)
		if pos < 0 {
			return 0, false
		}
		score, _ = packedScore(r.v.Bytes, listpack.Next(r.v.Bytes, pos))
		return score, true
	}
	v := r.v.Tree(byMember)
	hash := v.Memory.Hash(member)
	item, ok := v.Lookup(hash)
	if !ok {
		return 0, false
	}
	if string(item[scoreSize:]) != string(member) {
		// Another member of the same hash.
		c, ok := findHashed(v, hash, member)
		if !ok {
			return 0, false
		}
		item = c.Item()
	}
	return getScore(item), true
}

// Rank returns the rank of a member.
func (r *Reader) Rank(member []byte) (rank int, score float64, ok bool) {
	if r.packed() {
		at := findPacked(r.v.Bytes, member)
		if at < 0 {
			return 0, 0, false
		}
		score, _ = packedScore(r.v.Bytes, listpack.Next(r.v.Bytes, at))
		return rankPacked(r.v.Bytes, at), score, true
	}
	score, ok = r.Score(member)
	if !ok {
		return 0, 0, false
	}
	c, _ := findScore(r.v.Tree(byScore), score, member)
	return c.Rank(), score, true
}

// rankPacked is the number of members before the place at.
func rankPacked(lp []byte, at int) int {
	rank := 0
	for pos := listpack.HeaderSize; pos < at; pos = listpack.Skip(lp, pos, 2) {
		rank++
	}
	return rank
}

// findMember finds a member in the tree by members.
func findMember(v tree.View, member []byte) (tree.Cursor, bool) {
	return findHashed(v, v.Memory.Hash(member), member)
}

// findHashed is findMember for a member whose hash is known. Two members have one hash so
// seldom that they are not compared on the way. It is written out: called through
// seekHashed, the view that it has for its own would lie in Go's heap.
func findHashed(v tree.View, hash uint64, member []byte) (tree.Cursor, bool) {
	c, found := v.Find(hash, nil)
	if found && string(c.Item()[scoreSize:]) != string(member) {
		return v.Find(hash, func(item []byte) int { return bytes.Compare(item[scoreSize:], member) })
	}
	return c, found
}

// seekHashed is findHashed into a cursor that is there.
func seekHashed(c *tree.Cursor, v *tree.View, hash uint64, member []byte) bool {
	return v.Seek(c, hash, nil) && settle(c, v, hash, member)
}

// settle moves a cursor from the first member of a hash to the one that is looked for,
// and reports whether that is there.
func settle(c *tree.Cursor, v *tree.View, hash uint64, member []byte) bool {
	if string(c.Item()[scoreSize:]) == string(member) {
		return true
	}
	return v.Seek(c, hash, func(item []byte) int { return bytes.Compare(item[scoreSize:], member) })
}

// findScore finds a score and member in the tree by scores.
func findScore(v tree.View, score float64, member []byte) (tree.Cursor, bool) {
	return v.Find(order(score), func(item []byte) int { return bytes.Compare(item, member) })
}

// seekScore is findScore into a cursor that is there.
func seekScore(c *tree.Cursor, v *tree.View, score float64, member []byte) bool {
	return v.Seek(c, order(score), func(item []byte) int { return bytes.Compare(item, member) })
}

// HashCursor walks the members in the order of their hashes, from the first one
// whose hash is not before from: what a scan in pieces does. It must not be
// used on a packed set.
type HashCursor struct{ tree.Cursor }

// Packed reports whether the set is small: then there is no order by hash.
func (r *Reader) Packed() bool { return r.packed() }

// FromHash returns the place of the first member whose hash is from or after.
func (r *Reader) FromHash(from uint64) HashCursor {
	c, _ := r.v.Tree(byMember).Find(from, nil)
	return HashCursor{c}
}

// Hash is the hash of the member.
func (c *HashCursor) Hash() uint64 { return c.Prefix() }

// Member returns a view of the member.
func (c *HashCursor) Member() []byte { return c.Item()[scoreSize:] }

// Score returns the member's score.
func (c *HashCursor) Score() float64 { return getScore(c.Item()) }

// Entry returns Member and Score.
func (c *HashCursor) Entry() (member []byte, score float64) {
	item := c.Item()
	return item[scoreSize:], getScore(item)
}

// Walker finds members of a large set one after the other in the order of their
// hashes: it goes along with a HashCursor over another set.
type Walker struct {
	members tree.View
	at      tree.Walker
}

// Walk returns a walker over a set that is not packed.
func (r *Reader) Walk() Walker {
	v := r.v.Tree(byMember)
	return Walker{v, v.Walk()}
}

// Score is Reader.Score of a member whose hash is known, and not before that of
// the member it was asked for last.
func (w *Walker) Score(hash uint64, member []byte) (score float64, ok bool) {
	if !w.at.Reach(hash) {
		return 0, false
	}
	item := w.at.Item()
	if string(item[scoreSize:]) != string(member) {
		// Another member of the same hash.
		c, found := findHashed(w.members, hash, member)
		if !found {
			return 0, false
		}
		item = c.Item()
	}
	return getScore(item), true
}
