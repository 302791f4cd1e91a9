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
}

// gathered is how many bytes of members a Loader has at most.
const gathered = 256 << 10

// Load returns a loader of the set in c, which is an empty draft's with
// value.EncIntset. About n members are expected, which is not quite believed.
func Load(c *value.Cell, l *Limits, n uint64) Loader {
	n = min(n, 1024)
	return Loader{b: Build(c, l), texts: make([]byte, 0, 16*n), list: make([]tree.Hashed, 0, n)}
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
	return len(l.texts) < gathered || l.flush()
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
	lp := listpack.AppendEmpty(make([]byte, 0, size))
	for _, h := range l.list {
		lp = listpack.Push(lp, l.member(h.At))
	}
	cell := l.b.set.cell
	copy(cell.Splice(0, len(cell.Payload()), len(lp)), lp)
	cell.SetEncoding(value.EncHashtable)
	return l.sort()
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

// sort puts the members in the order of a tree, and reports whether they are
// different.
func (l *Loader) sort() bool {
	l.list = tree.SortHashed(l.list, func(a, b uint64) bool { return bytes.Compare(l.member(a), l.member(b)) < 0 })
	for i := range l.list {
		h := &l.list[i]
		if i > 0 && h.Hash == l.list[i-1].Hash && bytes.Equal(l.member(h.At), l.member(l.list[i-1].At)) {
			return false
		}
	}
	return true
}

// flush puts what was gathered into the tree.
func (l *Loader) flush() bool {
	if !l.sort() {
		return false
	}
	b := &l.b
	if !b.large {
		b.begin()
	}
	for _, h := range l.list {
		if !b.addItem(h.Hash, l.member(h.At)) {
			return false
		}
	}
	l.texts, l.list, l.ints = l.texts[:0], l.list[:0], 0
	return true
}
