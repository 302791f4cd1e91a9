package zset

import (
	"bytes"
	"math"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Limits are the sizes up to which a set has the encoding listpack.
type Limits struct {
	// Entries is the greatest number of members, Value the greatest length of one.
	Entries, Value int
}

// DefaultLimits are those of the reference's configuration.
var DefaultLimits = Limits{Entries: 128, Value: 64}

// What is packed at most, whatever the encoding is called: beyond it a tree is
// smaller to change and faster to look through.
const (
	packedBytes = 4 << 10
	packedLen   = 128
	// takenBytes is the longest packed form that is taken over as it comes from a file
	// or a payload. The next member makes trees of it.
	takenBytes = 16 << 10
)

// Packed compares so many members with listpack.Few.
const _ = uint(listpack.FewTexts - packedLen)

// ZSet changes a sorted set.
type ZSet struct {
	Reader
	cell   *value.Cell
	limits Limits
}

// Open returns the sorted set in c for change. The cell of a new key may be
// empty; its encoding is then to be EncListpack.
func Open(c *value.Cell, limits Limits) ZSet {
	return ZSet{Reader{c.Value()}, c, limits}
}

func (z *ZSet) refresh() { z.v = z.cell.Value() }

// trees are both trees of a large set, for change. They differ in their roots alone:
// one of them is in turn, which begins as the tree by members.
type trees struct {
	tree.Tree
	// other is the root of the tree that is not in turn.
	other tree.Root
}

// trees opens both. Only their roots come from z, so that the compiler sees that z and
// the cell can stay on the stack.
func (z *ZSet) trees() (t trees) {
	t.Memory, t.Space = z.cell.Memory(), z.cell.Space()
	t.Root = tree.ParseRoot(z.v.Bytes[byMember*tree.RootSize:])
	t.other = tree.ParseRoot(z.v.Bytes[byScore*tree.RootSize:])
	return t
}

// turn puts the other tree in turn.
func (t *trees) turn() { t.Root, t.other = t.other, t.Root }

// Mode says which changes Add makes.
type Mode uint8

const (
	// OnlyNew adds members and leaves those that are there, OnlyOld the other way
	// round.
	OnlyNew Mode = 1 << iota
	OnlyOld
	// Greater and Less change a score only to a greater or lesser one.
	Greater
	Less
	// Increment adds to the score that is there.
	Increment
)

// Outcome is what Add did.
type Outcome uint8

const (
	// Left: the mode did not allow a change.
	Left Outcome = iota
	// Same: the member has that score already.
	Same
	Added
	Updated
	// NotANumber: the sum of two infinities; nothing was changed.
	NotANumber
)

// Add gives a member a score and returns the score that it was given. With Left
// and NotANumber the score means nothing. A cell whose set is empty and stays
// so is for the caller to delete.
func (z *ZSet) Add(member []byte, score float64, mode Mode) (float64, Outcome) {
	if z.packed() {
		return z.addPacked(member, score, mode)
	}
	t := z.trees()
	hash := t.Memory.Hash(member)
	var at tree.Cursor
	if !seekHashed(&at, &t.View, hash, member) {
		if mode&OnlyOld != 0 {
			return 0, Left
		}
		stored := z.grow(member, score)
		item := t.Insert(&at, hash, scoreSize+len(member))
		putScore(item, stored)
		copy(item[scoreSize:], member)
		t.turn()
		insertScore(&t.Tree, member, stored)
		z.keep(t.Root, t.other, stored)
		return score, Added
	}
	old := getScore(at.Item())
	score, outcome := decide(old, score, mode)
	if outcome != Updated {
		return score, outcome
	}
	stored := z.storable(score)
	putScore(t.Resize(&at, scoreSize+len(member)), stored)
	t.turn()
	seekScore(&at, &t.View, old, member)
	t.Delete(&at)
	insertScore(&t.Tree, member, stored)
	z.keep(t.Root, t.other, stored)
	return score, Updated
}

// decide works out what becomes of the score of a member that is there.
func decide(old, score float64, mode Mode) (float64, Outcome) {
	if mode&OnlyNew != 0 {
		return 0, Left
	}
	if mode&Increment != 0 {
		if score += old; math.IsNaN(score) {
			return 0, NotANumber
		}
	}
	switch {
	case mode&Less != 0 && score >= old, mode&Greater != 0 && score <= old:
		return 0, Left
	case score == old:
		return score, Same
	}
	return score, Updated
}

// grow gives the set the encoding that it has with one member more and returns
// the score as it is kept then.
func (z *ZSet) grow(member []byte, score float64) float64 {
	if z.v.Enc == value.EncListpack && (z.Len() >= z.limits.Entries || len(member) > z.limits.Value) {
		z.cell.SetEncoding(value.EncSkiplist)
		z.v.Enc = value.EncSkiplist
	}
	return z.storable(score)
}

// storable returns the score as the encoding keeps it: the reference's listpack
// has no zero with a sign.
func (z *ZSet) storable(score float64) float64 {
	if z.v.Enc == value.EncListpack {
		return score + 0
	}
	return score
}

func insertScore(scores *tree.Tree, member []byte, score float64) {
	var c tree.Cursor
	seekScore(&c, &scores.View, score, member)
	copy(scores.Insert(&c, order(score), len(member)), member)
}

// keep writes the roots back after a change that gave a member this score.
func (z *ZSet) keep(scores, members tree.Root, score float64) {
	b := z.cell.Edit()
	if isNegativeZero(score) && !z.signed() {
		b = z.cell.Splice(len(b), 0, 1)
		b[len(b)-1] = 1
	}
	scores.Put(b[byScore*tree.RootSize:])
	members.Put(b[byMember*tree.RootSize:])
	z.v.Bytes = b
}

func (z *ZSet) addPacked(member []byte, score float64, mode Mode) (float64, Outcome) {
	lp := z.v.Bytes
	pos := findPacked(lp, member)
	if pos < 0 {
		if mode&OnlyOld != 0 {
			return 0, Left
		}
		stored := z.grow(member, score)
		size := packedSize(member, stored)
		if len(lp)+size > packedBytes || z.Len() >= packedLen {
			z.unpack()
			return z.Add(member, score, 0)
		}
		z.insertPacked(member, stored, size)
		return score, Added
	}
	at := listpack.Next(lp, pos)
	old, _ := packedScore(lp, at)
	score, outcome := decide(old, score, mode)
	if outcome != Updated {
		return score, outcome
	}
	stored := z.storable(score)
	oldSize, newSize := listpack.Skip(lp, at, 1)-at, packedScoreSize(stored)
	// A greater score moves the member towards the end only; a lesser one towards
	// the beginning, and the search ends at the member's own place at last.
	place := 0
	if score > old {
		place = placePacked(lp, listpack.Next(lp, at), member, stored)
	} else {
		place = placePacked(lp, listpack.First(lp), member, stored)
	}
	end := at + oldSize
	switch {
	case place == pos || place == end:
		// It stays between its neighbours.
		lp = z.cell.Splice(at, oldSize, newSize)
		putPackedScore(lp[at:], stored)
		listpack.Fix(lp, 0)
	case oldSize == newSize:
		z.movePacked(pos, end, place, member, stored)
	default:
		z.cutPacked(pos, end, 1)
		z.insertPacked(member, stored, packedSize(member, stored))
	}
	z.refresh()
	return score, Updated
}

// movePacked moves the member that lies from pos to end to place, with a score
// that takes as many bytes as the old one.
func (z *ZSet) movePacked(pos, end, place int, member []byte, score float64) {
	lp := z.cell.Edit()
	if place > pos {
		copy(lp[pos:], lp[end:place])
		place -= end - pos
	} else {
		copy(lp[place+end-pos:], lp[place:pos])
	}
	putPacked(lp[place:], member, score)
}

// insertPacked puts a member that is not there into a packed set.
func (z *ZSet) insertPacked(member []byte, score float64, size int) {
	lp := z.v.Bytes
	pos := listpack.HeaderSize
	if len(lp) == 0 {
		lp = z.cell.Splice(0, 0, listpack.EmptySize+size)
		listpack.PutEmpty(lp)
	} else {
		pos = placePacked(lp, listpack.First(lp), member, score)
		lp = z.cell.Splice(pos, 0, size)
	}
	putPacked(lp[pos:], member, score)
	listpack.Fix(lp, 2)
	z.refresh()
}

// cutPacked removes the n members that lie from offset from to to.
func (z *ZSet) cutPacked(from, to, n int) {
	lp := z.cell.Splice(from, to-from, 0)
	listpack.Fix(lp, -2*n)
	z.v.Bytes = lp
}

// unpack makes trees of a packed set.
func (z *ZSet) unpack() {
	space := z.cell.Space()
	memory := z.cell.Memory()
	scores := tree.Tree{View: tree.View{Memory: memory}, Space: space}
	members := scores
	hasSign := 0
	c := z.At(0)
	for ; c.Valid(); c.Next() {
		member, score := c.Member(), c.Score()
		copy(scores.Append(order(score), len(member)), member)
		insertMember(&members, member, score)
		if isNegativeZero(score) {
			hasSign = 1
		}
	}
	z.setTrees(&scores, &members, hasSign)
}

func insertMember(members *tree.Tree, member []byte, score float64) {
	at, _ := findMember(members.View, member)
	item := members.Insert(&at, members.Memory.Hash(member), scoreSize+len(member))
	putScore(item, score)
	copy(item[scoreSize:], member)
}

// setTrees makes the payload that of a large set.
func (z *ZSet) setTrees(scores, members *tree.Tree, hasSign int) {
	b := z.cell.Splice(0, len(z.cell.Payload()), roots*tree.RootSize+hasSign)
	scores.Root.Put(b[byScore*tree.RootSize:])
	members.Root.Put(b[byMember*tree.RootSize:])
	if hasSign != 0 {
		b[len(b)-1] = 1
	}
	z.cell.SetRoots(roots)
	z.refresh()
}

// Remove removes a member and reports whether it was there. An empty set is for
// the caller to delete.
func (z *ZSet) Remove(member []byte) bool {
	if z.packed() {
		lp := z.v.Bytes
		pos := findPacked(lp, member)
		if pos < 0 {
			return false
		}
		z.cutPacked(pos, listpack.Skip(lp, pos, 2), 1)
		return true
	}
	t := z.trees()
	var at tree.Cursor
	if !seekHashed(&at, &t.View, t.Memory.Hash(member), member) {
		return false
	}
	score := getScore(at.Item())
	t.Delete(&at)
	t.turn()
	seekScore(&at, &t.View, score, member)
	t.Delete(&at)
	z.keep(t.Root, t.other, 0)
	return true
}

// RemoveAll is Remove of several members, one after the other, until none is left. It
// returns how many were there.
func (z *ZSet) RemoveAll(members [][]byte) (removed int) {
	if z.packed() || len(members) == 1 {
		for i := 0; i < len(members) && z.Len() > 0; i++ {
			if z.Remove(members[i]) {
				removed++
			}
		}
		return removed
	}
	t := z.trees()
	var l leavers
	for i := 0; i < len(members); i += tree.Together {
		l.members = members[i:min(i+tree.Together, len(members))]
		l.leaveMembers(&t.Tree)
		t.turn()
		removed += l.leaveScores(&t.Tree)
		t.turn()
	}
	if removed > 0 {
		z.keep(t.other, t.Root, 0)
	}
	return removed
}

// RemoveRanks removes the members of ranks from up to, without it, to.
func (z *ZSet) RemoveRanks(from, to int) {
	if from >= to {
		return
	}
	if z.packed() {
		lp := z.v.Bytes
		start := skipPacked(lp, from)
		z.cutPacked(start, listpack.Skip(lp, start, 2*(to-from)), to-from)
		return
	}
	t := z.trees()
	if n := to - from; n <= few && n < t.Len() {
		t.turn()
		var first tree.Cursor
		t.SeekAt(&first, from)
		z.removeFew(&t, &first, n)
		return
	}
	scores := t.View
	scores.Root = t.other
	removeMembers(&t.Tree, &scores, from, to)
	t.turn()
	t.DeleteRange(from, to)
	z.keep(t.Root, t.other, 0)
}

// few is how many members are removed from the first of them on.
const few = 64

// RemoveScores removes the members whose scores are in s and returns how many. It
// does so for a large set of which they are no more than a few, and not all: else it
// does nothing, and ok is false.
func (z *ZSet) RemoveScores(s ScoreRange) (n int, ok bool) {
	if z.packed() || s.empty() {
		return 0, false
	}
	t := z.trees()
	t.turn()
	low, high := s.ends()
	var first tree.Cursor
	t.Seek(&first, low, nil)
	return z.removeFew(&t, &first, first.Below(high, few+1))
}

// RemoveLex is RemoveScores for the members in l. It needs all scores to be equal.
func (z *ZSet) RemoveLex(l LexRange) (n int, ok bool) {
	if z.packed() || l.empty() {
		return 0, false
	}
	t := z.trees()
	t.turn()
	begin, end := t.At(0), t.At(t.Len()-1)
	score := begin.Prefix()
	if score != end.Prefix() {
		return 0, false
	}
	first, _ := t.Find(score, func(item []byte) int {
		if l.afterMin(item) {
			return 1
		}
		return -1
	})
	n = 0
	for c := first; n <= few && c.Valid() && l.beforeMax(c.Item()); c.Next() {
		n++
	}
	return z.removeFew(&t, &first, n)
}

// removeFew removes n members from first on, a place in the tree by scores, which is in
// turn.
func (z *ZSet) removeFew(t *trees, first *tree.Cursor, n int) (int, bool) {
	if n > few || n == t.Len() {
		return 0, false
	}
	if n == 0 {
		return 0, true
	}
	t.turn()
	removeWalked(&t.Tree, first, n)
	t.turn()
	t.DeleteRun(first, n)
	z.keep(t.Root, t.other, 0)
	return n, true
}

// MembersWithout makes the tree by members that a large set has without ranks from
// up to, without it, to: from its own, which is changed in space. RemoveRanksAs puts
// it in its place.
func (r *Reader) MembersWithout(from, to int, space tree.Space) tree.Tree {
	members, scores := tree.Tree{View: r.v.Tree(byMember), Space: space}, r.v.Tree(byScore)
	removeMembers(&members, &scores, from, to)
	return members
}

// RemoveRanksAs is RemoveRanks with the tree that MembersWithout made of the set as
// it is.
func (z *ZSet) RemoveRanksAs(from, to int, root tree.Root) {
	t := z.trees()
	t.turn()
	t.DeleteRange(from, to)
	z.keep(t.Root, root, 0)
}

// removeMembers removes the members of ranks from up to, without it, to of scores
// from the tree by members.
func removeMembers(members *tree.Tree, scores *tree.View, from, to int) {
	if members.Many(to - from) {
		thinMembers(members, scores, from, to)
		return
	}
	first := scores.At(from)
	removeWalked(members, &first, to-from)
}

// removeWalked removes the n members from a place in the tree by scores on from the tree
// by members.
func removeWalked(members *tree.Tree, first *tree.Cursor, n int) {
	if n == 1 {
		var at tree.Cursor
		if member := first.Item(); seekHashed(&at, &members.View, members.Memory.Hash(member), member) {
			members.Delete(&at)
		}
		return
	}
	var l leavers
	var some [tree.Together][]byte
	for c := *first; n > 0; n -= len(l.members) {
		l.members = some[:min(n, len(some))]
		for i := range l.members {
			l.members[i] = c.Item()
			c.Next()
		}
		l.leaveMembers(members)
	}
}

// thinMembers does so without looking them up: each member that it comes by has its
// score, and so says whether it is in the range.
func thinMembers(members *tree.Tree, scores *tree.View, from, to int) {
	first, end := scores.At(from), scores.At(to)
	least, leastMember := first.Prefix(), first.Item()
	// Without an end the range goes up to the greatest score there is.
	beyond, beyondMember := uint64(math.MaxUint64), []byte(nil)
	if end.Valid() {
		beyond, beyondMember = end.Prefix(), end.Item()
	}
	members.DeleteIf(func(_ uint64, item []byte) bool {
		score := order(getScore(item))
		switch {
		case score < least || score > beyond:
			return false
		case score > least && score < beyond:
			return true
		}
		member := item[scoreSize:]
		return (score > least || bytes.Compare(member, leastMember) >= 0) &&
			(score < beyond || bytes.Compare(member, beyondMember) < 0)
	})
}
