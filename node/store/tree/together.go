package tree

// Together is how many items are looked up at once at most.
const Together = 8

// LookupAll is Lookup of several prefixes, no more than Together: found has a bit for
// each that is there, and items its item.
func (v *View) LookupAll(prefixes []uint64, items *[Together][]byte) (found uint) {
	if v.Root.Node == 0 {
		return 0
	}
	prefixes = prefixes[:min(len(prefixes), Together)]
	var under leaves
	v.descend(prefixes, &under, nil)
	for i, prefix := range prefixes {
		n := under.nodes[i]
		at, there := v.findItem(n, under.near[i], prefix, nil)
		switch {
		case there:
			items[i] = v.item(n, at)
		case at == int(n.count):
			// It may begin the next leaf.
			items[i], there = v.Lookup(prefix)
		}
		if there {
			found |= 1 << i
		}
	}
	return found
}

// SeekAll is Seek of several prefixes, no more than Together, without cursors: found has
// a bit for each that is there, and paths lead to them. Reach takes them.
func (v *View) SeekAll(prefixes []uint64, paths *[Together]Path) (found uint) {
	if v.Root.Node == 0 {
		return 0
	}
	prefixes = prefixes[:min(len(prefixes), Together)]
	var under leaves
	v.descend(prefixes, &under, paths)
	for i, prefix := range prefixes {
		n, path := under.nodes[i], &paths[i]
		at, there := v.findItem(n, under.near[i], prefix, nil)
		switch {
		case there:
			path[v.Root.Height] += step(at)
			touch(n.at(int(n.offsets()[at])))
		case at == int(n.count):
			_, there = v.trace(path, prefix, nil)
		}
		if there {
			found |= 1 << i
		}
	}
	return found
}

// leaves are where prefixes are to be found: in which leaf, about where in it, and where
// its offsets begin.
type leaves struct {
	nodes         [Together]*node
	near, offsets [Together]int
}

// descend goes down to the leaves of prefixes, and has paths, if there are any, lead to
// their beginnings. All go level by level: while a processor waits for the memory or the
// comparisons of one, it goes on with the others.
func (v *View) descend(prefixes []uint64, under *leaves, paths *[Together]Path) {
	root, height := v.node(v.Root.Node), int(v.Root.Height)
	for i := range prefixes {
		under.nodes[i], under.near[i] = root, unknown
		if paths != nil {
			paths[i][0] = newStep(v.Root.Node, 0)
		}
	}
	for level := range height {
		for i, prefix := range prefixes {
			n := under.nodes[i]
			at := v.findChild(n, prefix, nil)
			children := n.children()
			if level == height-1 {
				under.near[i] = guess(children, at, prefix)
				under.offsets[i] = nodeHeader + 8*int(children[at].count)
			}
			if paths != nil {
				paths[i][level] += step(at)
				paths[i][level+1] = newStep(children[at].node, 0)
			}
			under.nodes[i] = v.node(children[at].node)
		}
	}
	// All leaves are asked for before one is waited for.
	for i := range prefixes {
		n, near := under.nodes[i], under.near[i]
		touch(n.at(0))
		if near != unknown {
			touch(n.at(nodeHeader + 8*near))
			touch(n.at(under.offsets[i] + 2*near))
		}
	}
}

// Reach is Seek of a prefix for which SeekAll found a path, whatever became of the tree
// since then: the path is taken if it still leads to the first item with the prefix.
func (v *View) Reach(c *Cursor, path *Path, prefix uint64) (found bool) {
	if !v.leads(path, prefix) {
		return v.Seek(c, prefix, nil)
	}
	c.view, c.rank, c.path = *v, unknown, *path
	return true
}

// leads reports whether a path of any time leads to the first item with a prefix. It says
// no for the first item of a leaf, as one before it may have the same.
func (v *View) leads(path *Path, prefix uint64) bool {
	r, height := v.Root.Node, int(v.Root.Height)
	for level := range height {
		s := path[level]
		if s.node() != r {
			return false
		}
		children := v.node(r).children()
		if s.at() >= len(children) {
			return false
		}
		r = children[s.at()].node
	}
	s := path[height]
	if r == 0 || s.node() != r {
		return false
	}
	at, prefixes := s.at(), v.node(r).prefixes()
	return 0 < at && at < len(prefixes) && prefixes[at] == prefix && prefixes[at-1] != prefix
}
