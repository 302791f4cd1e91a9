package tree

// SetPrefix gives the item at the cursor another prefix; a plain tree has none.
// The caller sees to the order: it may be disturbed while several prefixes are
// changed, but then only places by rank and cursors are good.
func (t *Tree) SetPrefix(c *Cursor, prefix uint64) {
	t.expect(c)
	if t.Root.Plain {
		return
	}
	height := int(t.Root.Height)
	t.own(c, height+1)
	at := c.path[height].at()
	t.leafOf(c).prefixes()[at] = prefix
	if at == 0 {
		t.fixPrefix(c)
	}
	c.view = t.View
}
