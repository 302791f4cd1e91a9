package set

import (
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Limits are the thresholds of the encodings.
type Limits struct {
	// IntsetEntries is set-max-intset-entries: the greatest intset.
	IntsetEntries int
}

// maxIntset is the greatest intset whatever the limits say. Source: the
// reference's setTypeAdd.
const maxIntset = 1 << 30

// DefaultLimits are those of a server without configuration.
func DefaultLimits() Limits { return Limits{IntsetEntries: 512} }

// Fits reports whether ints, a valid intset, stays one.
func (l *Limits) Fits(ints []byte) bool { return l.fits(intset(ints).len()) }

func (l *Limits) fits(ints int) bool { return ints <= min(l.IntsetEntries, maxIntset) }

// What a listpack holds at most: a search through all of it takes as long as one
// in a large tree.
const (
	packedEntries = 64
	packedBytes   = 2048
)

// Encoding is what a set has that begins with member.
func Encoding(member []byte) value.Encoding {
	if _, ok := value.ParseInt(member); ok {
		return value.EncIntset
	}
	return value.EncHashtable
}

// Set changes a set. Its cell may be new and without a payload.
type Set struct {
	cell *value.Cell
	// growing is set for a draft that more members come to: its block gets more
	// room than it needs now.
	growing bool
}

// Open returns the set in c.
func Open(c *value.Cell) Set { return Set{cell: c} }

// insert makes room for n bytes at at.
func (s Set) insert(at, n int) []byte {
	room := 0
	if s.growing {
		room = at/2 + 32
	}
	return s.cell.SpliceRoom(at, 0, n, room)
}

// Reader reads the set as it is now.
func (s Set) Reader() Reader { return Read(s.cell.Value()) }

// Add adds member and reports whether it was missing. member is no view of the
// set itself.
func (s Set) Add(member []byte, l *Limits) bool {
	r := s.Reader()
	switch r.form {
	case formInts:
		n, ok := value.ParseInt(member)
		if ok {
			return s.addInt(intset(r.bytes), n, l)
		}
		s.widen(r, member)
		return s.Add(member, l)
	case formPacked:
		if findPacked(r.bytes, member) >= 0 {
			return false
		}
		if s.push(r.bytes, member) {
			return true
		}
		s.plant(r)
		r = s.Reader()
	}
	return s.addItem(&r.tree, r.Hash(member), member)
}

func (s Set) addInt(ints intset, n int64, l *Limits) bool {
	i, found := ints.search(n)
	if found {
		return false
	}
	size, width := ints.len(), ints.width()
	if wide := widthOf(n); wide > width {
		// Every member gets wider, from the last one on, so that none is written
		// over before it was read. The new one is the first or the last.
		old := len(ints)
		grown := s.cell.Splice(old, 0, intsetHeader+(size+1)*wide-old)
		shift := 1
		if n > 0 {
			shift = 0
		}
		for b, j := grown[intsetHeader:], size-1; j >= 0; j-- {
			putInt(b, wide, j+shift, intAt(b, width, j))
		}
		intset(grown).putHeader(wide, size+1)
		putInt(grown[intsetHeader:], wide, i, n)
	} else {
		at, insert := intsetHeader+i*width, width
		if len(ints) == 0 {
			at, insert = 0, intsetHeader+width
		}
		grown := s.insert(at, insert)
		intset(grown).putHeader(width, size+1)
		putInt(grown[intsetHeader:], width, i, n)
	}
	if !l.fits(size + 1) {
		s.widen(s.Reader(), nil)
	}
	return true
}

// widen turns an intset into the smallest form that takes other members, of
// which more may follow.
func (s Set) widen(r Reader, more []byte) {
	if r.Len() == 0 {
		s.cell.Splice(0, len(r.bytes), 0)
		s.cell.SetEncoding(value.EncHashtable)
		return
	}
	size := listpack.EmptySize
	if more != nil {
		size += listpack.EntrySize(more)
	}
	if r.Len() >= packedEntries {
		size = packedBytes + 1
	}
	it := r.All()
	for size <= packedBytes && it.Next() {
		n, _ := it.Int()
		size += listpack.IntSize(n)
	}
	if size > packedBytes {
		s.plant(r)
		return
	}
	var room [packedBytes]byte
	lp := listpack.AppendEmpty(room[:0])
	it = r.All()
	for it.Next() {
		n, _ := it.Int()
		lp = listpack.PushInt(lp, n)
	}
	copy(s.cell.Splice(0, len(r.bytes), len(lp)), lp)
	s.cell.SetEncoding(value.EncHashtable)
}

// push appends member to the listpack lp and returns true, if it may grow so
// far.
func (s Set) push(lp, member []byte) bool {
	size := listpack.EntrySize(member)
	if len(lp) == 0 {
		if listpack.EmptySize+size > packedBytes {
			return false
		}
		grown := s.insert(0, listpack.EmptySize+size)
		listpack.PutEmpty(grown)
		listpack.Put(grown[listpack.HeaderSize:], member)
		listpack.Fix(grown, 1)
		return true
	}
	if len(lp)+size > packedBytes || listpack.Len(lp) >= packedEntries {
		return false
	}
	at := listpack.End(lp)
	grown := s.insert(at, size)
	listpack.Put(grown[at:], member)
	listpack.Fix(grown, 1)
	return true
}

// plant makes a tree of a smaller form.
func (s Set) plant(r Reader) {
	t := tree.Tree{View: tree.View{Memory: s.cell.Memory()}, Space: s.cell.Space()}
	it := r.All()
	for it.Next() {
		member := it.Member()
		hash := r.Hash(member)
		c, _ := findMember(&t.View, hash, member)
		copy(t.Insert(&c, hash, len(member)), member)
	}
	t.Root.Put(s.cell.Splice(0, len(r.bytes), tree.RootSize))
	s.cell.SetRoots(1)
	s.cell.SetEncoding(value.EncHashtable)
}

func (s Set) addItem(v *tree.View, hash uint64, member []byte) bool {
	c, found := findMember(v, hash, member)
	if found {
		return false
	}
	t := tree.Tree{View: *v, Space: s.cell.Space()}
	copy(t.Insert(&c, hash, len(member)), member)
	s.cell.SetRoot(0, t.Root)
	return true
}

// Remove removes member and reports whether it was there. The last one may go:
// the set is empty then and its key has to go too.
func (s Set) Remove(member []byte) bool {
	r := s.Reader()
	switch r.form {
	case formInts:
		n, ok := value.ParseInt(member)
		if !ok {
			return false
		}
		i, found := intset(r.bytes).search(n)
		if found {
			s.removeInt(intset(r.bytes), i)
		}
		return found
	case formPacked:
		at := findPacked(r.bytes, member)
		if at >= 0 {
			s.removeEntry(r.bytes, at)
		}
		return at >= 0
	}
	c, found := findMember(&r.tree, r.Hash(member), member)
	if found {
		s.removeItem(&r.tree, &c)
	}
	return found
}

// RemoveAt removes member i of the set's own order.
func (s Set) RemoveAt(i int) {
	r := s.Reader()
	switch r.form {
	case formInts:
		s.removeInt(intset(r.bytes), i)
	case formPacked:
		s.removeEntry(r.bytes, listpack.Seek(r.bytes, i))
	default:
		c := r.tree.At(i)
		s.removeItem(&r.tree, &c)
	}
}

func (s Set) removeInt(ints intset, i int) {
	size, width := ints.len(), ints.width()
	rest := intset(s.cell.Splice(intsetHeader+i*width, width, 0))
	rest.putHeader(width, size-1)
}

func (s Set) removeEntry(lp []byte, at int) {
	rest := s.cell.Splice(at, listpack.Skip(lp, at, 1)-at, 0)
	listpack.Fix(rest, -1)
}

func (s Set) removeItem(v *tree.View, c *tree.Cursor) {
	t := tree.Tree{View: *v, Space: s.cell.Space()}
	t.Delete(c)
	s.cell.SetRoot(0, t.Root)
}
