package tree

// Items shows the items of a tree one after the other: what a Cursor does for who wants
// nothing else, at a fraction of the cost. The tree must not change meanwhile.
//
//	it := v.Items()
//	for item, ok := it.Next(); ok; item, ok = it.Next() {
//		use(item)
//	}
type Items struct {
	view View
	// path leads to the leaf; in that, the next item is at.
	path Path
	leaf *node
	at   int
}

// Items returns a walk over all items.
func (v View) Items() (it Items) {
	if v.Root.Node != 0 {
		it.view = v
		it.view.walk(&it.path, 0, v.Root.Count)
		it.enter()
	}
	return it
}

// enter reads which leaf the path leads to.
func (it *Items) enter() {
	it.leaf, it.at = it.view.node(it.path[it.view.Root.Height].node()), 0
}

// Next returns a view of the next item; ok is false behind the last one.
func (it *Items) Next() (item []byte, ok bool) {
	if it.leaf == nil {
		return nil, false
	}
	if it.at == int(it.leaf.count) {
		if !it.view.forward(&it.path) {
			return nil, false
		}
		it.enter()
	}
	it.at++
	return it.view.item(it.leaf, it.at-1), true
}
