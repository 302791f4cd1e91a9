package tree

// SetPrefix gives the item at the cursor another prefix. The caller sees to the
// order: it may be disturbed while several prefixes are changed, but then only
// places by rank and cursors are good.
func (t *Tree) SetPrefix(c *Cursor, prefix uint64) {
	height := int(t.Root.Height)
	c.view = t.View
	t.own(c, height+1)
	at := c.path[height].at()
	t.leafOf(c).prefixes()[at] = prefix
	if at == 0 {
		t.fixPrefix(c)
	}
	c.view = t.View
}
