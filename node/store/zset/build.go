package zset

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strconv"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Builder makes a set in an empty draft out of members that come in order,
// without duplicates. What comes in any order goes through ZSet.Add.
type Builder struct {
	z ZSet
	// lp is the packed form for as long as there is one.
	lp     []byte
	scores tree.Builder
	large  bool
	// signed are the ranks of the zeros with a sign.
	signed []int
	// room is what members are sorted in; nil for room of their own.
	room *tree.Sorter
}

// NewBuilder returns a builder of the set in c.
func NewBuilder(c *value.Cell, limits Limits) Builder {
	b := Builder{z: Open(c, limits)}
	b.scores = tree.Build(tree.Tree{View: tree.View{Memory: c.Memory()}, Space: c.Space()})
	return b
}

// Expect makes room for n members of size bytes together, which are all that
// come.
func (b *Builder) Expect(n, size int) {
	b.large = b.large || n > packedLen && len(b.lp) == 0
	if room := size + 8*n + 16; n <= packedLen && room <= 2*packedBytes && cap(b.lp) < room {
		b.lp = make([]byte, 0, room)
	}
}

// Append adds a member, which must be behind those that were added before.
func (b *Builder) Append(member []byte, score float64) {
	n := b.scores.Len()
	if !b.large && len(b.lp) > 0 {
		n = listpack.Len(b.lp) / 2
	}
	if b.z.v.Enc == value.EncListpack && (n >= b.z.limits.Entries || len(member) > b.z.limits.Value) {
		b.z.v.Enc = value.EncSkiplist
	}
	score = b.z.storable(score)
	if !b.large {
		size := packedSize(member, score)
		if n < packedLen && len(b.lp)+size <= packedBytes {
			if len(b.lp) == 0 {
				b.lp = listpack.AppendEmpty(b.lp)
			}
			b.lp = appendPacked(b.lp, member, score, size)
			return
		}
		b.large = true
		if n > 0 {
			r := Reader{value.Value{Bytes: b.lp}}
			c := r.At(0)
			for ; c.Valid(); c.Next() {
				b.append(c.Member(), c.Score())
			}
		}
	}
	b.append(member, score)
}

func (b *Builder) append(member []byte, score float64) {
	if isNegativeZero(score) {
		b.signed = append(b.signed, b.scores.Len())
	}
	copy(b.scores.Append(order(score), len(member)), member)
}

// signedAt marks a place in the tree by scores whose zero has a sign.
const signedAt = 1 << 63

// membersOf makes the tree by members of the one by scores: sorted first, for
// that is less work than to look for the place of each, and fills the nodes. It
// reports whether all members are different.
func (b *Builder) membersOf(scores *tree.Tree) (_ tree.Tree, different bool) {
	list := make([]tree.Hashed, 0, scores.Len())
	c := scores.At(0)
	for c.Valid() {
		list = append(list, tree.Hashed{Hash: scores.Memory.Hash(c.Item()), At: uint64(c.Place())})
		c.Next()
	}
	for _, rank := range b.signed {
		list[rank].At |= signedAt
	}
	if b.room == nil {
		b.room = new(tree.Sorter)
	}
	different = true
	list = b.room.Sort(list, func(a, b uint64) bool {
		return bytes.Compare(scores.ItemAt(tree.Place(a&^signedAt)), scores.ItemAt(tree.Place(b&^signedAt))) < 0
	})
	members := tree.Build(tree.Tree{View: tree.View{Memory: scores.Memory}, Space: scores.Space})
	for i, h := range list {
		at := tree.Place(h.At &^ signedAt)
		score, member := scoreOf(scores.PrefixAt(at)), scores.ItemAt(at)
		if i > 0 && h.Hash == list[i-1].Hash && bytes.Equal(member, scores.ItemAt(tree.Place(list[i-1].At&^signedAt))) {
			different = false
		}
		if h.At&signedAt != 0 {
			score = math.Copysign(0, -1)
		}
		item := members.Append(h.Hash, scoreSize+len(member))
		putScore(item, score)
		copy(item[scoreSize:], member)
	}
	return members.Close(), different
}

// AlwaysLarge reports whether a set of n members is never packed, whatever they are.
func AlwaysLarge(n int) bool { return n > packedLen }

// Grow makes the set in c, which is empty and not to have the encoding listpack,
// one of n members, for which AlwaysLarge is true: scored tells them in the order
// of the set, hashed in the order of their hashes, and of their texts among equal
// ones.
func Grow(c *value.Cell, n int, scored func(i int) (member []byte, score float64), hashed func(i int) (hash uint64, member []byte, score float64)) {
	z := Open(c, Limits{})
	space := tree.Tree{View: tree.View{Memory: c.Memory()}, Space: c.Space()}
	b := tree.Build(space)
	for i := range n {
		member, score := scored(i)
		copy(b.Append(order(score), len(member)), member)
	}
	scores := b.Close()
	hasSign := 0
	b = tree.Build(space)
	for i := range n {
		hash, member, score := hashed(i)
		if isNegativeZero(score) {
			hasSign = 1
		}
		item := b.Append(hash, scoreSize+len(member))
		putScore(item, score)
		copy(item[scoreSize:], member)
	}
	members := b.Close()
	z.setTrees(&scores, &members, hasSign)
}

// Order returns bits that are in the order of scores, the same for both zeros.
func Order(score float64) uint64 { return order(score) }

// appendPacked adds a member at the end of a listpack that fills lp.
func appendPacked(lp, member []byte, score float64, size int) []byte {
	end := listpack.End(lp)
	for cap(lp) < len(lp)+size {
		lp = append(lp[:cap(lp)], 0)[:len(lp)]
	}
	lp = lp[:len(lp)+size]
	putPacked(lp[end:], member, score)
	listpack.Fix(lp, 2)
	return lp
}

// Close puts what was built into the cell.
func (b *Builder) Close() { b.close() }

// close reports whether all members of a large set are different.
func (b *Builder) close() (different bool) {
	if b.z.v.Enc != b.z.cell.Encoding() {
		b.z.cell.SetEncoding(b.z.v.Enc)
	}
	if b.large {
		scores := b.scores.Close()
		members, different := b.membersOf(&scores)
		b.z.setTrees(&scores, &members, min(len(b.signed), 1))
		return different
	}
	copy(b.z.cell.Splice(0, len(b.z.cell.Payload()), len(b.lp)), b.lp)
	return true
}

// Listpack returns the set as the reference's listpack if it lies so in memory,
// else nil.
func (r *Reader) Listpack() []byte {
	if r.packed() && r.v.Enc == value.EncListpack && len(r.v.Bytes) > 0 {
		return r.v.Bytes
	}
	return nil
}

// Packs reports whether the set lies in trees and would be taken over as the
// listpack that AppendListpack makes of it.
func (r *Reader) Packs() bool {
	return !r.packed() && r.v.Enc == value.EncListpack && r.Len() <= packedLen && r.v.Tree(byMember).Root.Bytes <= takenBytes
}

// AppendListpack appends the set, which has members, as the reference's listpack to
// dst.
func (r *Reader) AppendListpack(dst []byte) []byte {
	from := len(dst)
	dst = listpack.AppendEmpty(dst)
	c := r.At(0)
	for ; c.Valid(); c.Next() {
		member, score := c.Member(), c.Score()+0
		size, at := packedSize(member, score), len(dst)-1
		dst = slices.Grow(dst, size)[:at+size+1]
		putPacked(dst[at:], member, score)
	}
	listpack.Fix(dst[from:], 2*r.Len())
	return dst
}

// ErrCorrupt is what SetListpack finds wrong.
var ErrCorrupt = errors.New("zset: bytes are not a sorted set")

// Packed tells how a set is kept whose members and scores are those of lp, of which
// nothing is believed, neither that it is a listpack nor its order: ok says that these
// bytes are the set as they are, with value.EncListpack. Without an error lp is a valid
// listpack of members and scores.
func Packed(lp []byte, limits Limits) (ok bool, err error) {
	if !listpack.Framed(lp) {
		return false, ErrCorrupt
	}
	exact, most := len(lp) <= takenBytes, min(limits.Entries, packedLen)
	// The member is written into the one room while the one before is in the other.
	var rooms [2][20]byte
	var last []byte
	var seen listpack.Few
	lastScore, rising := math.Inf(-1), true
	n := 0
	for pos, end := listpack.HeaderSize, listpack.End(lp); ; n++ {
		if rising && exact {
			// Most members are short, and most scores short numbers that differ.
			next, at, score, pairs := seen.AddRising(lp, pos, lastScore, most-n)
			if pairs > 0 {
				pos, lastScore = next, score
				last, _, _ = listpack.ShortText(lp, at)
				n += pairs
			}
		}
		if pos == end {
			break
		}
		member, at, ok := listpack.CheckedText(lp, pos)
		if !ok {
			if member, at = foreignMember(lp, pos, &rooms[n%2]); at < 0 {
				return false, ErrCorrupt
			}
		}
		number, next, ok := listpack.CheckedInt(lp, at)
		score := float64(number)
		if !ok {
			if score, next = foreignScore(lp, at); next < 0 {
				return false, ErrCorrupt
			}
		}
		rising = score > lastScore && next-at <= listpack.RisingSize
		exact = exact && n < most && (score > lastScore || n == 0 || score == lastScore && bytes.Compare(member, last) > 0) &&
			!isNegativeZero(score) && seen.Add(lp, pos, member)
		last, lastScore = member, score
		pos = next
	}
	if !listpack.LenFits(lp, 2*n) {
		return false, ErrCorrupt
	}
	return exact && n > 0, nil
}

// foreignMember returns the text of the member at pos of what Packed looks at, where
// something is, and what is behind it: at < 0 if it is broken. An integer is written into
// room.
func foreignMember(lp []byte, pos int, room *[20]byte) (member []byte, at int) {
	if at, _ = listpack.CheckEntries(lp, pos, 1); at < 0 {
		return nil, -1
	}
	member, n, isInt, _ := listpack.Entry(lp, pos)
	if isInt {
		member = strconv.AppendInt(room[:0], n, 10)
	}
	return member, at
}

// foreignScore returns the score at pos of what Packed looks at, and what is behind it:
// next < 0 if it is not there, or no score.
func foreignScore(lp []byte, pos int) (score float64, next int) {
	text, next, ok := listpack.CheckedText(lp, pos)
	if !ok {
		n := 0
		if next, n = listpack.CheckEntries(lp, pos, 1); next < 0 || n == 0 {
			return 0, -1
		}
		var number int64
		var isInt bool
		if text, number, isInt, _ = listpack.Entry(lp, pos); isInt {
			return float64(number), next
		}
	}
	if score, ok = ParseScore(text); !ok {
		return 0, -1
	}
	return score, next
}

// SetListpack fills the empty set with what Packed is about. On error the set is in
// no defined state, to be discarded.
func (z *ZSet) SetListpack(lp []byte) error {
	exact, err := Packed(lp, z.limits)
	switch {
	case err != nil:
		return err
	case exact:
		copy(z.cell.Splice(0, len(z.v.Bytes), len(lp)), lp)
		z.refresh()
		return nil
	}
	// The reference asks for the number of members here, not for their length.
	limits := z.limits
	r := Reader{value.Value{Bytes: lp}}
	longest := 0
	c := r.At(0)
	for ; c.Valid(); c.Next() {
		longest = max(longest, len(c.Member()))
	}
	z.limits.Value = max(longest, limits.Value)
	c = r.At(0)
	for ; c.Valid(); c.Next() {
		if _, outcome := z.Add(c.Member(), c.Score(), OnlyNew); outcome != Added {
			return ErrCorrupt
		}
	}
	z.limits = limits
	return nil
}
