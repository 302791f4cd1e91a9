package set

import (
	"cmp"
	"slices"

	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// probe asks a set for the members that an iterator of another one gives. Large
// sets are in the order of hashes, all of them: then it walks along.
type probe struct {
	r     Reader
	c     tree.Cursor
	begun bool
}

// probeSteps is how many members a probe walks past before it searches.
const probeSteps = 6

func (p *probe) has(it *Iterator) bool {
	switch p.r.form {
	case formInts:
		n, ok := it.Int()
		if !ok {
			n, ok = value.ParseInt(it.Member())
		}
		return ok && p.r.hasInt(n)
	case formPacked:
		return findPacked(p.r.bytes, it.Member()) >= 0
	}
	hash := it.Hash()
	if it.form != formTree {
		_, found := findMember(&p.r.tree, hash, it.Member())
		return found
	}
	if !p.begun {
		p.begun = true
		p.c, _ = p.r.tree.Find(hash, nil)
	}
	for range probeSteps {
		if !p.c.Valid() || p.c.Prefix() >= hash {
			break
		}
		p.c.Next()
	}
	if p.c.Valid() && p.c.Prefix() < hash {
		p.c, _ = p.r.tree.Find(hash, nil)
	}
	if !p.c.Valid() || p.c.Prefix() != hash {
		return false
	}
	if string(p.c.Item()) == string(it.Member()) {
		return true
	}
	_, found := findMember(&p.r.tree, hash, it.Member())
	return found
}

func probesOf(sets []Reader) []probe {
	probes := make([]probe, len(sets))
	for i, r := range sets {
		probes[i].r = r
	}
	return probes
}

// Intersect calls emit for every member that all of sets have, until emit
// returns false. It puts sets, of which there is at least one, in the order of
// their sizes.
func Intersect(sets []Reader, emit func(it *Iterator) bool) {
	slices.SortStableFunc(sets, func(a, b Reader) int { return cmp.Compare(a.Len(), b.Len()) })
	probes := probesOf(sets[1:])
	it := sets[0].All()
next:
	for it.Next() {
		for i := range probes {
			if !probes[i].has(&it) {
				continue next
			}
		}
		if !emit(&it) {
			return
		}
	}
}

// Subtract calls emit for every member of first that none of others has. It
// looks every member up in every other set: see SubtractByRemoval.
func Subtract(first Reader, others []Reader, emit func(it *Iterator)) {
	// The greatest set is the likeliest to have a member.
	slices.SortStableFunc(others, func(a, b Reader) int { return cmp.Compare(b.Len(), a.Len()) })
	probes := probesOf(others)
	it := first.All()
next:
	for it.Next() {
		for i := range probes {
			if probes[i].has(&it) {
				continue next
			}
		}
		emit(&it)
	}
}

// SubtractByRemoval copies first into b and removes the members of others: the
// better way when the others together are smaller than what Subtract would
// look up.
func SubtractByRemoval(first Reader, others []Reader, b *Builder) {
	for it := first.All(); it.Next(); {
		b.AddFrom(&it)
	}
	for _, r := range others {
		for it := r.All(); b.Len() > 0 && it.Next(); {
			b.Remove(&it)
		}
	}
}

// RemovalIsBetter says which way of subtracting to choose: sets are the first
// one, which is not empty, and the others. The choice shows in the encoding of
// the result, so it is that of the reference's sunionDiffGenericCommand.
func RemovalIsBetter(sets []Reader) bool {
	lookups, removals := 0, 0
	for _, r := range sets {
		lookups += sets[0].Len()
		removals += r.Len()
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

// Unite calls emit once for every member that one of sets has: the large ones
// side by side in the order of hashes, then what only small ones have.
func Unite(sets []Reader, emit func(it *Iterator)) {
	// The large ones come first.
	slices.SortStableFunc(sets, func(a, b Reader) int { return cmp.Compare(b.form, a.form) })
	large := 0
	for large < len(sets) && sets[large].form == formTree {
		large++
	}
	mergeTrees(sets[:large], emit)
	for i := large; i < len(sets); i++ {
		it := sets[i].All()
		probes := probesOf(sets[:i])
	next:
		for it.Next() {
			for j := range probes {
				if probes[j].has(&it) {
					continue next
				}
			}
			emit(&it)
		}
	}
}

// mergeTrees is Unite for large sets.
func mergeTrees(sets []Reader, emit func(it *Iterator)) {
	its := make([]Iterator, len(sets))
	live := its[:0]
	for _, r := range sets {
		it := r.All()
		if it.Next() {
			live = append(live, it)
		}
	}
	for len(live) > 0 {
		least := 0
		for i := 1; i < len(live); i++ {
			if live[i].Hash() < live[least].Hash() {
				least = i
			}
		}
		it := &live[least]
		// The sets before have passed this hash, or stand at it: only those behind
		// may come to the same member, and it is emitted for the last one.
		if !follows(it, live[least+1:]) {
			emit(it)
		}
		if !it.Next() {
			live = slices.Delete(live, least, least+1)
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
		for c := behind[i].tree; c.Next() && c.Prefix() == hash; {
			if string(c.Item()) == string(it.Member()) {
				return true
			}
		}
	}
	return false
}
