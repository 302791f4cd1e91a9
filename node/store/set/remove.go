package set

import (
	"slices"

	"slotmesh/node/store/tree"
)

// RemovePlaces removes the members at places of the set's own order, which are
// ascending, and shows each to each before it goes, in no order that is promised.
// They may be all.
func (s Set) RemovePlaces(places []int, each func(member []byte)) {
	r := s.Reader()
	switch {
	case len(places) == 0:
	case r.form == formInts:
		s.removeInts(intset(r.bytes), places, each)
	case r.form == formTree:
		t := tree.Tree{View: r.tree, Space: s.cell.Space()}
		removeFrom(&t, places, each)
		s.cell.SetRoot(0, t.Root)
	default:
		s.removeOneByOne(places, each)
	}
}

// Without makes the tree that a set of that form has without the members at places:
// from its own, which is changed in space. Each is shown to each as by RemovePlaces.
// Replace puts it in its place.
func (r Reader) Without(places []int, space tree.Space, each func(member []byte)) tree.Tree {
	t := tree.Tree{View: r.tree, Space: space}
	removeFrom(&t, places, each)
	return t
}

// Replace puts the tree that Without made of the set as it is in the place of its own.
func (s Set) Replace(root tree.Root) { s.cell.SetRoot(0, root) }

// removeFrom is RemovePlaces in a tree.
func removeFrom(t *tree.Tree, places []int, each func(member []byte)) {
	if !t.Many(len(places)) {
		for _, place := range slices.Backward(places) {
			c := t.At(place)
			each(c.Item())
			t.Delete(&c)
		}
		return
	}
	place := 0
	t.DeleteIf(func(_ uint64, member []byte) bool {
		goes := len(places) > 0 && places[0] == place
		if place++; goes {
			each(member)
			places = places[1:]
		}
		return goes
	})
}

// removeOneByOne goes from the last place to the first, so that those to come stay
// what they are.
func (s Set) removeOneByOne(places []int, each func(member []byte)) {
	var scratch Scratch
	for _, place := range slices.Backward(places) {
		each(s.Reader().Member(place, &scratch))
		s.RemoveAt(place)
	}
}

// removeInts closes the gaps in one pass.
func (s Set) removeInts(ints intset, places []int, each func(member []byte)) {
	var scratch Scratch
	for _, place := range places {
		each(scratch.format(ints.at(place)))
	}
	size, width := ints.len(), ints.width()
	ints = s.cell.Edit()
	to := intsetHeader + places[0]*width
	for i, place := range places {
		next := size
		if i+1 < len(places) {
			next = places[i+1]
		}
		to += copy(ints[to:], ints[intsetHeader+(place+1)*width:intsetHeader+next*width])
	}
	intset(s.cell.Splice(to, len(ints)-to, 0)).putHeader(width, size-len(places))
}
