package zset

import "slotmesh/node/store/tree"

// leavers are members of a large set that go together, no more than tree.Together: which
// may name one twice, or such as are not there.
type leavers struct {
	members [][]byte
	hashes  [tree.Together]uint64
	paths   [tree.Together]tree.Path
	// gone has a bit for each that was there and has left the tree by members, scores its
	// score.
	gone   uint
	scores [tree.Together]float64
}

// leaveMembers removes them from the tree by members.
func (l *leavers) leaveMembers(members *tree.Tree) {
	for i, member := range l.members {
		l.hashes[i] = members.Memory.Hash(member)
	}
	there := members.SeekAll(l.hashes[:len(l.members)], &l.paths)
	l.gone = 0
	var at tree.Cursor
	for i, member := range l.members {
		hash := l.hashes[i]
		if there>>i&1 != 0 && members.Reach(&at, &l.paths[i], hash) && settle(&at, &members.View, hash, member) {
			l.scores[i] = getScore(at.Item())
			members.Delete(&at)
			l.gone |= 1 << i
		}
	}
}

// leaveScores removes those that are gone from the tree by scores, and returns how many
// that are. Of members that go together many stand side by side, in the order in which
// they are named.
func (l *leavers) leaveScores(scores *tree.Tree) (n int) {
	var first tree.Cursor
	for i := 0; i < len(l.members); {
		if l.gone>>i&1 == 0 {
			i++
			continue
		}
		if !l.isAt(&first, i) {
			seekScore(&first, &scores.View, l.scores[i], l.members[i])
		}
		run, next := 1, first
		for i++; i < len(l.members) && l.gone>>i&1 != 0 && next.Next() && l.isAt(&next, i); i++ {
			run++
		}
		scores.DeleteRun(&first, run)
		n += run
	}
	return n
}

// isAt reports whether a cursor of the tree by scores is at one of them.
func (l *leavers) isAt(c *tree.Cursor, i int) bool {
	return c.Valid() && c.Prefix() == order(l.scores[i]) && string(c.Item()) == string(l.members[i])
}
