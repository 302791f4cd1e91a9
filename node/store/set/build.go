package set

import (
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Builder fills a set with many members. Until Close nobody else may look at
// its cell. Members that come in the order of a tree, as an Iterator over a
// large set gives them, are appended without a search.
type Builder struct {
	set    Set
	limits *Limits
	// tree is the set once it is large, last the hash of its last item.
	large bool
	tree  tree.Tree
	last  uint64
	// run takes the members of a large set as long as they come in order, before
	// there is a tree.
	run     tree.Builder
	running bool
}

// Build returns a builder of the set in c, which is best a draft's. An empty one
// with value.EncIntset becomes what the members make of it; one with
// value.EncHashtable stays that.
func Build(c *value.Cell, l *Limits) Builder {
	b := Builder{set: Set{c, true}, limits: l}
	b.look()
	return b
}

// look finds out whether the set is large now.
func (b *Builder) look() {
	if b.set.cell.Roots() == 0 {
		return
	}
	b.large, b.tree = true, b.set.cell.Tree(0)
	if n := b.tree.Len(); n > 0 {
		c := b.tree.At(n - 1)
		b.last = c.Prefix()
	}
}

// begin makes the set, which is empty, a large one. It gets a member before Close.
func (b *Builder) begin() {
	b.run = tree.Build(tree.Tree{View: tree.View{Memory: b.set.cell.Memory()}, Space: b.set.cell.Space()})
	b.large, b.running = true, true
}

// settle ends the run.
func (b *Builder) settle() {
	if !b.running {
		return
	}
	b.running = false
	t, cell := b.run.Close(), b.set.cell
	t.Root.Put(cell.Splice(0, len(cell.Payload()), tree.RootSize))
	cell.SetRoots(1)
	cell.SetEncoding(value.EncHashtable)
	b.look()
}

// Add adds member and reports whether it was missing.
func (b *Builder) Add(member []byte) bool {
	if !b.large {
		return b.addSmall(member)
	}
	return b.addItem(b.set.cell.Memory().Hash(member), member)
}

// AddFrom is Add of the member that it is at.
func (b *Builder) AddFrom(it *Iterator) bool {
	if !b.large {
		return b.addSmall(it.Member())
	}
	return b.addItem(it.Hash(), it.Member())
}

func (b *Builder) addSmall(member []byte) bool {
	added := b.set.Add(member, b.limits)
	if added {
		b.look()
	}
	return added
}

func (b *Builder) addItem(hash uint64, member []byte) bool {
	if b.running {
		if hash > b.last {
			b.last = hash
			copy(b.run.Append(hash, len(member)), member)
			return true
		}
		b.settle()
	}
	if hash > b.last {
		b.last = hash
		copy(b.tree.Append(hash, len(member)), member)
		return true
	}
	c, found := findMember(&b.tree.View, hash, member)
	if !found {
		copy(b.tree.Insert(&c, hash, len(member)), member)
	}
	return !found
}

// Remove removes the member that it is at and reports whether it was there.
func (b *Builder) Remove(it *Iterator) bool {
	if !b.large {
		return b.set.Remove(it.Member())
	}
	b.settle()
	c, found := findMember(&b.tree.View, it.Hash(), it.Member())
	if found {
		b.tree.Delete(&c)
	}
	return found
}

// Len is the number of members so far.
func (b *Builder) Len() int {
	if b.running {
		return b.run.Len()
	}
	if b.large {
		return b.tree.Len()
	}
	return b.set.Reader().Len()
}

// Close ends the building.
func (b *Builder) Close() {
	b.settle()
	if b.large {
		b.set.cell.SetRoot(0, b.tree.Root)
	}
}

// SetInts makes ints, which is valid, the content of the new set in c, as an
// RDB file holds it.
func SetInts(c *value.Cell, ints []byte, l *Limits) {
	copy(c.Splice(0, 0, len(ints)), ints)
	if s := Open(c); !l.fits(intset(ints).len()) {
		s.widen(s.Reader(), nil)
	}
}

// SetPacked adds the members of lp, a valid listpack, to the new set in c. It
// returns false if one comes twice.
func SetPacked(c *value.Cell, lp []byte, l *Limits) bool {
	b := Build(c, l)
	defer b.Close()
	var s Scratch
	for pos := listpack.First(lp); pos >= 0; {
		text, n, isInt, next := listpack.Entry(lp, pos)
		if isInt {
			text = s.format(n)
		}
		if !b.Add(text) {
			return false
		}
		pos = next
	}
	return true
}
