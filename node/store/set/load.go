package set

import (
	"bytes"
	"slices"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Loader fills a new set with members that come in any order, and are to be
// different. It gathers many of them before it puts them where they belong: what
// they would have to be compared with and moved for on their way there is left
// out. Until Close nobody else may look at the cell.
type Loader struct {
	b Builder
	// texts are the members one after the other, list their hashes and where they
	// are there: the offset and, in the low 32 bits, the length.
	texts []byte
	list  []tree.Hashed
	// ints is how many of them are integers.
	ints int
	// room is what they are sorted in.
	room tree.Sorter
}

// gathered is how many bytes a Loader has at most, of members and of what it keeps
// beside each: that of an empty one counts, too, however often it comes.
const gathered = 512 << 10

// Load returns a loader of the set in c, which is an empty draft's with
// value.EncIntset. About n members are expected, which is not quite believed.
func Load(c *value.Cell, l *Limits, n uint64) (loader Loader) {
	loader.Begin(c, l, n)
	return loader
}

// Begin makes l what Load returns, with the memory that it had before unless that is
// much.
func (l *Loader) Begin(c *value.Cell, limits *Limits, n uint64) {
	const keep = 64 << 10
	n = min(n, 1024)
	l.b, l.ints = Build(c, limits), 0
	if cap(l.texts) > keep || cap(l.list) > keep/16 {
		*l = Loader{b: l.b}
	}
	l.texts = slices.Grow(l.texts[:0], int(16*n))
	l.list = slices.Grow(l.list[:0], int(n))
}

// Add adds member. It returns false if it is known by now that one came twice.
func (l *Loader) Add(member []byte) bool {
	if l.ints == len(l.list) {
		if _, ok := value.ParseInt(member); ok {
			l.ints++
		}
	}
	l.list = append(l.list, tree.Hashed{
		Hash: l.b.set.cell.Memory().Hash(member),
		At:   uint64(len(l.texts))<<32 | uint64(len(member)),
	})
	l.texts = append(l.texts, member...)
	return len(l.texts)+16*len(l.list) < gathered || l.flush()
}

func (l *Loader) member(at uint64) []byte { return l.texts[at>>32:][:uint32(at)] }

// Close ends the loading and returns whether all members were different. If they
// were not, the set is in no defined state, to be discarded.
func (l *Loader) Close() bool {
	defer l.b.Close()
	switch {
	case len(l.list) == 0:
		return true
	case l.b.large:
		return l.flush()
	case l.ints == len(l.list) && l.b.limits.fits(l.ints):
		return l.putInts()
	case len(l.list) > packedEntries:
		return l.flush()
	}
	size := listpack.EmptySize
	for _, h := range l.list {
		size += listpack.EntrySize(l.member(h.At))
	}
	if size > packedBytes {
		return l.flush()
	}
	cell := l.b.set.cell
	lp := cell.Splice(0, len(cell.Payload()), size)
	listpack.PutEmpty(lp[:listpack.EmptySize])
	at := listpack.HeaderSize
	for _, h := range l.list {
		at += listpack.Put(lp[at:], l.member(h.At))
	}
	listpack.Fix(lp, len(l.list))
	cell.SetEncoding(value.EncHashtable)
	return listpack.Distinct(lp, listpack.HeaderSize, 1, cell.Memory().Hash)
}

// putInts makes an intset of the members.
func (l *Loader) putInts() bool {
	ints := make([]int64, 0, len(l.list))
	for _, h := range l.list {
		n, _ := value.ParseInt(l.member(h.At))
		ints = append(ints, n)
	}
	slices.Sort(ints)
	width := max(widthOf(ints[0]), widthOf(ints[len(ints)-1]))
	cell := l.b.set.cell
	b := cell.Splice(0, len(cell.Payload()), intsetHeader+width*len(ints))
	intset(b).putHeader(width, len(ints))
	for i, n := range ints {
		if i > 0 && n == ints[i-1] {
			return false
		}
		putInt(b[intsetHeader:], width, i, n)
	}
	return true
}

// sort returns the members in the order of a tree, and whether they are different.
func (l *Loader) sort() (sorted []tree.Hashed, different bool) {
	sorted = l.room.Sort(l.list, func(a, b uint64) bool { return bytes.Compare(l.member(a), l.member(b)) < 0 })
	for i := 1; i < len(sorted); i++ {
		if h, before := sorted[i], sorted[i-1]; h.Hash == before.Hash && bytes.Equal(l.member(h.At), l.member(before.At)) {
			return nil, false
		}
	}
	return sorted, true
}

// flush puts what was gathered into the tree.
func (l *Loader) flush() bool {
	sorted, different := l.sort()
	if !different {
		return false
	}
	b := &l.b
	if !b.large {
		b.begin()
	}
	for _, h := range sorted {
		if !b.addItem(h.Hash, l.member(h.At)) {
			return false
		}
	}
	l.texts, l.list, l.ints = l.texts[:0], l.list[:0], 0
	return true
}
