package set

import (
	"slices"

	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Filter walks the members of one set that all of some others have, or none of
// them: Next, then what its Iterator tells.
type Filter struct {
	Iterator
	others []Reader
	// all says which members are wanted.
	all bool
	// walkers are the places in the others, if the first one is large: all large
	// sets are in the order of hashes.
	walkers []tree.Walker
	// places are those in the first others, if both they and the first set are
	// intsets: all are in the order of numbers.
	places [4]int
	// Ahead, if not nil, is room for members that are looked up together in the first
	// other, if that is large and the first set is not. Then ahead is the same.
	Ahead, ahead *LookedAhead
}

// LookedAhead are members of a small set from where an iterator was, and what a large
// one has of the same hashes. It is room that may be used again.
type LookedAhead struct {
	at, n   uint
	members [tree.Together]smallMember
	hashes  [tree.Together]uint64
	items   [tree.Together][]byte
	found   uint
}

// has reports whether the large set has something of the hash of the member at hand.
func (a *LookedAhead) has() bool { return a.found>>(a.at%tree.Together)&1 != 0 }

// smallMember is what an Iterator tells of a member of a small set.
type smallMember struct {
	text  []byte
	n     int64
	isInt bool
}

// Intersect makes f, which is zero, a walk over what all of sets have, of which
// there is at least one. It puts them in the order of their sizes.
func (f *Filter) Intersect(sets []Reader) {
	bySize(sets, 1)
	f.start(&sets[0], sets[1:], true)
}

// Subtract makes f, which is zero, a walk over what first has and none of others.
// It looks every member up in every other set: see SubtractByRemoval. It puts
// others in the order of their sizes, the greatest one first, which is the
// likeliest to have a member.
func (f *Filter) Subtract(first *Reader, others []Reader) {
	bySize(others, -1)
	f.start(first, others, false)
}

// bySize sorts sets by their sizes times sign. It is a Shell sort, since those
// of package slices would have the sets moved to Go's heap.
func bySize(sets []Reader, sign int) {
	for gap := len(sets) / 2; gap > 0; gap /= 2 {
		for i := gap; i < len(sets); i++ {
			for j := i; j >= gap && sign*sets[j].size() < sign*sets[j-gap].size(); j -= gap {
				sets[j], sets[j-gap] = sets[j-gap], sets[j]
			}
		}
	}
}

// start makes f a walk over first. It fills f where it is, for it is large.
func (f *Filter) start(first *Reader, others []Reader, all bool) {
	f.others, f.all, f.walkers, f.places = others, all, nil, [4]int{}
	f.begin(first)
	if f.ahead = nil; f.Ahead != nil && first.form != formTree && len(others) > 0 && others[0].form == formTree && others[0].tree.Root.Height > 1 {
		f.ahead = f.Ahead
		f.ahead.at, f.ahead.n = 0, 0
	}
	if first.form == formTree && len(others) > 0 {
		f.walkers = make([]tree.Walker, len(others))
		for i := range others {
			if others[i].form == formTree {
				f.walkers[i] = others[i].tree.Walk()
			}
		}
	}
}

// Next goes on to the next member and reports whether there is one.
func (f *Filter) Next() bool {
next:
	for f.nextMember() {
		for i := range f.others {
			if f.has(i) != f.all {
				continue next
			}
		}
		return true
	}
	return false
}

// nextMember goes on to the next member of the first set, or to the next that may be
// wanted.
func (f *Filter) nextMember() bool {
	a := f.ahead
	if a == nil {
		return f.Iterator.Next()
	}
	for {
		if a.at++; a.at >= a.n && !f.lookAhead() {
			return false
		}
		if !f.all || a.has() {
			break
		}
	}
	m := &a.members[a.at]
	f.text, f.n, f.isInt = m.text, m.n, m.isInt
	return true
}

// lookAhead looks the next members up in the first other, and reports whether there is
// any.
func (f *Filter) lookAhead() bool {
	a := f.ahead
	a.at, a.n = 0, 0
	for a.n < tree.Together && f.Iterator.Next() {
		m := &a.members[a.n]
		m.text, m.n, m.isInt = f.text, f.n, f.isInt
		a.hashes[a.n] = f.Hash()
		a.n++
	}
	a.found = f.others[0].tree.LookupAll(a.hashes[:a.n], &a.items)
	return a.n > 0
}

// has reports whether other i has the member.
func (f *Filter) has(i int) bool {
	r, it := &f.others[i], &f.Iterator
	switch r.form {
	case formInts:
		n, ok := it.Int()
		if it.form == formInts && i < len(f.places) {
			f.places[i], ok = intset(r.bytes).reach(f.places[i], n)
			return ok
		}
		if !ok {
			n, ok = value.ParseInt(it.Member())
		}
		return ok && r.hasInt(n)
	case formPacked:
		return findPacked(r.bytes, it.Member()) >= 0
	}
	if a := f.ahead; a != nil && i == 0 {
		if !a.has() {
			return false
		}
		if string(a.items[a.at]) == string(it.Member()) {
			return true
		}
		return hasMember(&r.tree, a.hashes[a.at], it.Member())
	}
	hash := it.Hash()
	if f.walkers == nil {
		return hasMember(&r.tree, hash, it.Member())
	}
	w := &f.walkers[i]
	if !w.Reach(hash) {
		return false
	}
	if string(w.Item()) == string(it.Member()) {
		return true
	}
	return hasMember(&r.tree, hash, it.Member())
}

// SubtractByRemoval copies first into b and removes the members of others: the
// better way when the others together are smaller than what Subtract would
// look up.
func SubtractByRemoval(first Reader, others []Reader, b *Builder) {
	it := first.All()
	for it.Next() {
		b.AddFrom(&it)
	}
	for _, r := range others {
		it := r.All()
		for b.Len() > 0 && it.Next() {
			b.Remove(&it)
		}
	}
}

// RemovalIsBetter says which way of subtracting to choose: sets are the first
// one, which is not empty, and the others. The choice shows in the encoding of
// the result, so it is that of the reference's sunionDiffGenericCommand.
func RemovalIsBetter(sets []Reader) bool {
	lookups, removals := 0, 0
	for i := range sets {
		lookups += sets[0].size()
		removals += sets[i].size()
	}
	// A look-up is cheaper, and may end the search early.
	return lookups/2 > removals
}

// uniteDirectly is how many sets Unite compares with each other rather than
// leaving it to a set that it builds.
const uniteDirectly = 8

// CanUnite reports whether Unite is a good way for so many sets; Builder.Add of
// all members is the other one.
func CanUnite(sets []Reader) bool { return len(sets) <= uniteDirectly }

// Union walks the members that one of several sets has, each once: Next, then
// At. The large ones come first, side by side in the order of hashes, then what
// only small ones have.
type Union struct {
	sets []Reader
	// live are the large sets that have members left, least the one whose member
	// was shown.
	live    []Iterator
	least   int
	started bool
	// small is the walk over the small set before next.
	small Filter
	next  int
}

// Unite makes u, which is zero, a walk over the union of sets, which it puts in
// another order.
func (u *Union) Unite(sets []Reader) {
	large := 0
	for i := range sets {
		if sets[i].form == formTree {
			sets[i], sets[large] = sets[large], sets[i]
			large++
		}
	}
	u.sets = sets
	for u.next < large {
		it := sets[u.next].All()
		u.next++
		if it.Next() {
			u.live = append(u.live, it)
		}
	}
}

// Next goes on to the next member and reports whether there is one.
func (u *Union) Next() bool {
	if len(u.live) > 0 && u.nextLarge() {
		return true
	}
	for !u.small.Next() {
		if u.next == len(u.sets) {
			return false
		}
		u.small.start(&u.sets[u.next], u.sets[:u.next], false)
		u.next++
	}
	return true
}

// At is where the union is; it is good for Member, Int and Hash.
func (u *Union) At() *Iterator {
	if len(u.live) > 0 {
		return &u.live[u.least]
	}
	return &u.small.Iterator
}

// nextLarge goes on among the large sets.
func (u *Union) nextLarge() bool {
	for {
		if u.started && !u.live[u.least].Next() {
			u.live = slices.Delete(u.live, u.least, u.least+1)
		}
		u.started = true
		if len(u.live) == 0 {
			return false
		}
		u.least = 0
		for i := 1; i < len(u.live); i++ {
			if u.live[i].Hash() < u.live[u.least].Hash() {
				u.least = i
			}
		}
		// The sets before have passed this hash: only those behind may come to the
		// same member, and it is shown for the last one.
		if !follows(&u.live[u.least], u.live[u.least+1:]) {
			return true
		}
	}
}

// follows reports whether one of the iterators behind, none of which is before
// it, comes to the same member.
func follows(it *Iterator, behind []Iterator) bool {
	hash := it.Hash()
	for i := range behind {
		if behind[i].Hash() != hash {
			continue
		}
		if string(behind[i].Member()) == string(it.Member()) {
			return true
		}
		// Different members of one hash: look at all of them.
		c := behind[i].tree
		for c.Next() && c.Prefix() == hash {
			if string(c.Item()) == string(it.Member()) {
				return true
			}
		}
	}
	return false
}
