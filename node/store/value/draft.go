package value

import (
	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
)

// Draft is a value that is being built outside the keyspace, by one goroutine
// and without a lock. It becomes a key's value, or is discarded.
type Draft struct {
	Cell
	space        tree.Space
	fieldsExpire int64
	// whole is the value of a draft that needs no record of its own: see Whole.
	whole Value
}

// NewDraft returns an empty draft of a kind. Its trees come from space.
func NewDraft(space tree.Space, kind Kind, enc Encoding) *Draft {
	d := new(Draft)
	d.Begin(space, kind, enc)
	return d
}

// Begin makes d, which is new or was closed or discarded, what NewDraft returns.
func (d *Draft) Begin(space tree.Space, kind Kind, enc Encoding) {
	space.Frozen = false
	*d = Draft{space: space}
	d.Cell = Open(d, space.Heap, NewRecord(space.Heap, nil, &Value{Kind: kind, Enc: enc}, space.Version, 0))
}

// Whole makes d, which is as for Begin, a draft of v, which has no trees. Its bytes
// stay the caller's, and as they are until Close or Discard: there is nothing to
// build, and d takes no memory of the keyspace. Its Cell may not be used.
func (d *Draft) Whole(v Value) { *d = Draft{whole: v} }

// Value returns what was built, for Store.Insert, which takes it over.
func (d *Draft) Value() Value {
	if d.at == 0 {
		return d.whole
	}
	v := d.Cell.Value()
	v.FieldsExpireAt = d.fieldsExpire
	return v
}

// Clone returns a draft with the content of v.
func (v Value) Clone(space tree.Space) *Draft {
	d := NewDraft(space, v.Kind, v.Enc)
	copy(d.Splice(0, 0, len(v.Bytes)), v.Bytes)
	d.Cell.SetRoots(int(v.Roots))
	d.CloneTrees()
	return d
}

// CloneTrees makes the trees of the record, which are another value's too, its own: it
// puts copies in their place.
func (c *Cell) CloneTrees() {
	var t tree.Tree
	t.Memory, t.Space = c.Memory(), c.Space()
	payload := c.Edit()
	for i := range c.Roots() {
		root := payload[i*tree.RootSize:]
		t.Clone(tree.ParseRoot(root))
		t.Root.Put(root)
	}
}

// Close gives back what the keyspace does not take over.
func (d *Draft) Close() {
	if d.at != 0 {
		d.heap.Free(d.at)
		d.at = 0
	}
}

// Discard gives everything back, for a draft that did not become a key's value.
func (d *Draft) Discard() {
	if d.at == 0 {
		return
	}
	for i := range d.Roots() {
		t := d.Tree(i)
		t.Free()
	}
	d.Close()
}

// Preserve, Moved, Retire, Space and FieldsExpire make a draft its own Home.
func (d *Draft) Preserve(arena.Ref)     {}
func (d *Draft) Moved(_, to arena.Ref)  {}
func (d *Draft) Retire(block arena.Ref) { d.heap.Free(block) }
func (d *Draft) Space() tree.Space      { return d.space }
func (d *Draft) FieldsExpire(at arena.Ref, atMs int64) arena.Ref {
	d.fieldsExpire = atMs
	return at
}
