package set

import (
	"bytes"

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
func (s Set) Reader() (r Reader) {
	v := s.cell.Value()
	r.read(&v)
	return r
}

// Empty reports whether there is no member left.
func (s Set) Empty() bool {
	if s.cell.Roots() > 0 {
		return tree.ParseRoot(s.cell.Payload()).Count == 0
	}
	r := s.Reader()
	return r.size() == 0
}

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

// AddAll is Add of several members, one after the other. It returns how many were
// missing.
func (s Set) AddAll(members [][]byte, l *Limits) (added int) {
	for len(members) > 0 {
		r := s.Reader()
		switch {
		case r.form == formTree:
			return added + s.addItems(&r.tree, members)
		case r.form == formPacked && len(r.bytes) == 0 && len(members) > packedEntries:
			return added + s.plantAll(members)
		case r.form == formPacked && len(members) > 1:
			n, left := s.pushAll(r.bytes, members)
			added += n
			if members = left; len(left) == 0 {
				return added
			}
		}
		if s.Add(members[0], l) {
			added++
		}
		members = members[1:]
	}
	return added
}

// pushAll adds members to the listpack lp, which may be missing, as long as it may
// grow so far. It returns how many, and those that are left.
func (s Set) pushAll(lp []byte, members [][]byte) (added int, left [][]byte) {
	var room [packedBytes]byte
	grown := append(room[:0], lp...)
	if len(lp) == 0 {
		grown = listpack.AppendEmpty(grown)
	}
	count := listpack.Len(grown)
	for ; len(members) > 0; members = members[1:] {
		member := members[0]
		if findPacked(grown, member) >= 0 {
			continue
		}
		if count == packedEntries || len(grown)+listpack.EntrySize(member) > packedBytes {
			break
		}
		grown = listpack.Push(grown, member)
		count++
		added++
	}
	if added > 0 {
		copy(s.cell.Splice(len(lp), 0, len(grown)-len(lp)), grown)
	}
	return added, members
}

// plantAll makes an empty set a tree of members and returns how many are different.
func (s Set) plantAll(members [][]byte) int {
	memory := s.cell.Memory()
	list := make([]tree.Hashed, len(members))
	for i, member := range members {
		list[i] = tree.Hashed{Hash: memory.Hash(member), At: uint64(i)}
	}
	list = tree.SortHashed(list, func(a, b uint64) bool { return bytes.Compare(members[a], members[b]) < 0 })
	b := tree.Build(tree.Tree{View: tree.View{Memory: memory}, Space: s.cell.Space()})
	for i, h := range list {
		if member := members[h.At]; i == 0 || h.Hash != list[i-1].Hash || !bytes.Equal(member, members[list[i-1].At]) {
			copy(b.Append(h.Hash, len(member)), member)
		}
	}
	t := b.Close()
	t.Root.Put(s.cell.Splice(0, 0, tree.RootSize))
	s.cell.SetRoots(1)
	return t.Len()
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
	var c tree.Cursor
	if seekMember(&c, v, hash, member) {
		return false
	}
	t := tree.Tree{View: *v, Space: s.cell.Space()}
	copy(t.Insert(&c, hash, len(member)), member)
	s.cell.SetRoot(0, t.Root)
	return true
}

// addItems is AddAll for a large set.
func (s Set) addItems(v *tree.View, members [][]byte) int {
	t := tree.Tree{View: *v, Space: s.cell.Space()}
	before := t.Len()
	var c tree.Cursor
	for _, member := range members {
		hash := t.Memory.Hash(member)
		if item, found := t.Lookup(hash); found && string(item) == string(member) {
			continue
		}
		if !seekMember(&c, &t.View, hash, member) {
			copy(t.Insert(&c, hash, len(member)), member)
		}
	}
	if t.Len() != before {
		s.cell.SetRoot(0, t.Root)
	}
	return t.Len() - before
}

// RemoveAll is Remove of several members, one after the other, until none is left. It
// returns how many were there.
func (s Set) RemoveAll(members [][]byte) (removed int) {
	r := s.Reader()
	if r.form != formTree {
		size := r.Len()
		for i := 0; i < len(members) && removed < size; i++ {
			if s.Remove(members[i]) {
				removed++
			}
		}
		return removed
	}
	t := tree.Tree{View: r.tree, Space: s.cell.Space()}
	before := t.Len()
	var c tree.Cursor
	for i := 0; i < len(members) && t.Len() > 0; i++ {
		if seekMember(&c, &t.View, t.Memory.Hash(members[i]), members[i]) {
			t.Delete(&c)
		}
	}
	if t.Len() != before {
		s.cell.SetRoot(0, t.Root)
	}
	return before - t.Len()
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
	var c tree.Cursor
	found := seekMember(&c, &r.tree, r.Hash(member), member)
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
