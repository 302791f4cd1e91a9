package arena

// freeSet is an ordered set of free runs, by length and then by place: a treap
// whose nodes are the rows of the runs' first frames. The row's next is the
// child with lesser keys, its prev the one with greater.
//
// Invariant: a node's rank is not below those of its children. Ranks follow from
// the place alone, so that nothing of them needs to be kept.
type freeSet struct {
	memory *Memory
	root   uint32 // 0 if empty
}

// rank scrambles x; it is one-to-one.
func rank(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}

// less orders runs by length and place.
func (s *freeSet) less(a, b uint32) bool {
	na, nb := s.memory.frame(a).frames, s.memory.frame(b).frames
	return na < nb || na == nb && a < b
}

// add puts the run that begins at x in. Its length stands in the row.
func (s *freeSet) add(x uint32) {
	at, r := &s.root, rank(x)
	for *at != 0 && rank(*at) > r {
		at = s.towards(*at, x)
	}
	// x takes the place of the tree at *at, which is split in two below it.
	tree := *at
	*at = x
	f := s.memory.frame(x)
	below, above := &f.next, &f.prev
	for tree != 0 {
		if t := s.memory.frame(tree); s.less(tree, x) {
			*below = tree
			below, tree = &t.prev, t.prev
		} else {
			*above = tree
			above, tree = &t.next, t.next
		}
	}
	*below, *above = 0, 0
}

// remove takes x out, which is in.
func (s *freeSet) remove(x uint32) {
	at := &s.root
	for *at != x {
		at = s.towards(*at, x)
	}
	f := s.memory.frame(x)
	a, b := f.next, f.prev
	for a != 0 && b != 0 {
		if rank(a) > rank(b) {
			*at = a
			at = &s.memory.frame(a).prev
			a = *at
		} else {
			*at = b
			at = &s.memory.frame(b).next
			b = *at
		}
	}
	*at = a | b
	f.next, f.prev = 0, 0
}

// towards returns where node has the child on the side of x.
func (s *freeSet) towards(node, x uint32) *uint32 {
	if s.less(x, node) {
		return &s.memory.frame(node).next
	}
	return &s.memory.frame(node).prev
}

// fit returns the first of the shortest runs that have n frames or more, 0 if
// there is none.
func (s *freeSet) fit(n uint32) uint32 {
	best := uint32(0)
	for x := s.root; x != 0; {
		if f := s.memory.frame(x); f.frames >= n {
			best, x = x, f.next
		} else {
			x = f.prev
		}
	}
	return best
}

// longest returns the longest run, 0 if there is none.
func (s *freeSet) longest() uint32 {
	x := s.root
	for x != 0 {
		f := s.memory.frame(x)
		if f.prev == 0 {
			break
		}
		x = f.prev
	}
	return x
}
