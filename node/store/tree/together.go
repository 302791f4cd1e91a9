package tree

// Together is how many items are looked up at once at most.
const Together = 8

// LookupAll is Lookup of several prefixes, no more than Together: found has a bit for
// each that is there, and items its item. All go down the tree level by level: while a
// processor waits for the memory or the comparisons of one, it goes on with the others.
func (v *View) LookupAll(prefixes []uint64, items *[Together][]byte) (found uint) {
	if v.Root.Node == 0 {
		return 0
	}
	prefixes = prefixes[:min(len(prefixes), Together)]
	var nodes [Together]*node
	var near [Together]int
	root := v.node(v.Root.Node)
	for i := range prefixes {
		nodes[i], near[i] = root, unknown
	}
	for level := int(v.Root.Height); level > 0; level-- {
		for i, prefix := range prefixes {
			n := nodes[i]
			at := v.findChild(n, prefix, nil)
			children := n.children()
			if level == 1 {
				near[i] = v.approach(children, at, prefix)
			}
			nodes[i] = v.node(children[at].node)
		}
	}
	for i, prefix := range prefixes {
		n := nodes[i]
		at, there := v.findItem(n, near[i], prefix, nil)
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
