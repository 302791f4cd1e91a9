package set

import (
	"slices"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
)

// Bundle gathers different members in Go's memory, for results of commands: most
// are small, and then are written to where they stay in one piece. Its zero value
// is empty, and its memory is used again after Reset.
type Bundle struct {
	// ints are the members as long as all are integers, lp is the listpack of all
	// of them from the first other one on.
	ints []int64
	lp   []byte
	n    int
	// bytes has room for an intset.
	bytes []byte
}

// Reset empties the bundle.
func (b *Bundle) Reset() { b.ints, b.lp, b.n = b.ints[:0], b.lp[:0], 0 }

// Len is the number of members.
func (b *Bundle) Len() int { return b.n }

// Add adds the member that it is at, which is not there yet. It does not, and
// returns false, if the set would need a tree then.
func (b *Bundle) Add(it *Iterator, l *Limits) bool {
	n, isInt := it.Int()
	if !isInt {
		n, isInt = value.ParseInt(it.Member())
	}
	if len(b.lp) == 0 {
		if isInt && l.fits(b.n+1) {
			b.ints = append(b.ints, n)
			b.n++
			return true
		}
		if !b.pack() {
			return false
		}
	}
	size := listpack.IntSize(n)
	if !isInt {
		size = listpack.EntrySize(it.Member())
	}
	if b.n == packedEntries || len(b.lp)+size > packedBytes {
		return false
	}
	if isInt {
		b.lp = listpack.PushInt(b.lp, n)
	} else {
		b.lp = listpack.Push(b.lp, it.Member())
	}
	b.n++
	return true
}

// pack makes a listpack of the integers, if they fit into one.
func (b *Bundle) pack() bool {
	if b.n > packedEntries {
		return false
	}
	b.lp = listpack.AppendEmpty(b.lp)
	for _, n := range b.ints {
		b.lp = listpack.PushInt(b.lp, n)
	}
	return true
}

// Only makes it the bundle of one member, and returns the set: see Value. It does not if
// the set needs a tree.
func (b *Bundle) Only(member []byte, l *Limits) (v value.Value, ok bool) {
	b.Reset()
	if n, isInt := value.ParseInt(member); isInt && l.fits(1) {
		b.ints = append(b.ints, n)
	} else if listpack.EmptySize+listpack.EntrySize(member) <= packedBytes {
		b.lp = listpack.Push(listpack.AppendEmpty(b.lp), member)
	} else {
		return v, false
	}
	b.n = 1
	return b.Value(), true
}

// Value returns the set, which has members. It is good until the bundle is used
// again.
func (b *Bundle) Value() value.Value {
	if len(b.lp) > 0 {
		return value.Value{Kind: value.KindSet, Enc: value.EncHashtable, Bytes: b.lp}
	}
	slices.Sort(b.ints)
	width := max(widthOf(b.ints[0]), widthOf(b.ints[len(b.ints)-1]))
	b.bytes = slices.Grow(b.bytes[:0], intsetHeader+width*b.n)[:intsetHeader+width*b.n]
	intset(b.bytes).putHeader(width, b.n)
	for i, n := range b.ints {
		putInt(b.bytes[intsetHeader:], width, i, n)
	}
	return value.Value{Kind: value.KindSet, Enc: value.EncIntset, Bytes: b.bytes}
}

// AddTo adds all members to an empty set that is being built, and will have more
// members than a bundle: it becomes large at once.
func (b *Bundle) AddTo(to *Builder) {
	if b.n == 0 {
		return
	}
	to.begin()
	r := Read(b.Value())
	it := r.All()
	for it.Next() {
		to.Add(it.Member())
	}
}
