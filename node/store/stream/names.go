package stream

import (
	"bytes"
	"encoding/binary"
	"sort"

	"slotmesh/node/store/tree"
)

// The tree of names is ordered by owner and name: the owner of a group is 0, that of
// a consumer the number of its group. Its items are
//
//	owner, length of the name (uvarints), name, number u32, what is known
//
// The tree of numbers has the name of each number:
//
//	owner (uvarint), name
//
// The prefix of a name is 24 bits of the owner and 40 of the name: of a group's, its
// first five bytes. Consumers of one group nearly always begin alike, and among names
// of one prefix one is found by reading others, each somewhere else in memory. So the
// prefix of a consumer's name has the five bytes behind what most names of the group
// begin with, which is in the group's record. A name that begins otherwise has the
// least prefix of its owner or the greatest, as it is before or after those. Whatever
// the beginning is, prefixes follow the order of names.
//
// refit chooses the beginning, and gives all names of the group other prefixes then. So
// it looks for one only where a name came to many of its prefix and made the group's
// number of names a power of two, changes it only if it gets longer, or if a quarter of
// the names begin otherwise, which takes adding or removing an eighth of them first, and
// leaves groups of more than maxRefit names alone.

// exactOwners is the number of owners that a prefix tells apart. The others share one
// prefix.
const exactOwners = 1<<24 - 1

const (
	nameBits   = 40
	lastPrefix = 1<<nameBits - 1
	// maxRefit is how many names refit changes at most: two milliseconds.
	maxRefit = 1 << 16
	// crowd is how many names of one prefix take some time to look through.
	crowd = 16
)

// beginning is what most names of a group's consumers begin with, or as much of it
// as fits.
type beginning struct {
	size uint8
	text [47]byte
}

// shared returns the beginning that two names share.
func shared(a, b []byte) (s beginning) {
	most := min(len(a), len(b), len(s.text))
	for int(s.size) < most && a[s.size] == b[s.size] {
		s.text[s.size] = a[s.size]
		s.size++
	}
	return s
}

func (s *beginning) bytes() []byte { return s.text[:s.size] }

// namePrefix is what an owner's names are ordered by first if they begin alike, name
// being what follows that.
func namePrefix(owner uint32, name []byte) uint64 {
	if owner >= exactOwners {
		return exactOwners << nameBits
	}
	if len(name) >= 8 {
		return uint64(owner)<<nameBits | binary.BigEndian.Uint64(name)>>(64-nameBits)
	}
	prefix := uint64(owner)
	for i := range nameBits / 8 {
		prefix <<= 8
		if i < len(name) {
			prefix |= uint64(name[i])
		}
	}
	return prefix
}

// consumerPrefix is what the names of the group's consumers are ordered by first.
func (g *Group) consumerPrefix(name []byte) uint64 {
	begin := g.begin.bytes()
	if len(name) >= len(begin) && string(name[:len(begin)]) == string(begin) {
		return namePrefix(g.Number, name[len(begin):])
	}
	prefix := namePrefix(g.Number, nil)
	if bytes.Compare(name, begin) > 0 && g.Number < exactOwners {
		prefix |= lastPrefix
	}
	return prefix
}

// ownerAndName splits an item of the tree of names.
func ownerAndName(item []byte) (owner uint32, name, known []byte) {
	u, n := uvarint(item)
	length, m := uvarint(item[n:])
	at := n + m
	return uint32(u), item[at : at+int(length)], item[at+int(length):]
}

// findName finds the name of an owner's group or consumer; without it, the place
// to put it.
func (r *Reader) findName(prefix uint64, owner uint32, name []byte) (tree.Cursor, bool) {
	return r.view(treeNames).Find(prefix, func(item []byte) int {
		itemOwner, itemName, _ := ownerAndName(item)
		switch {
		case itemOwner < owner:
			return -1
		case itemOwner > owner:
			return 1
		}
		return bytes.Compare(itemName, name)
	})
}

func (r *Reader) findGroup(name []byte) (tree.Cursor, bool) {
	return r.findName(namePrefix(0, name), 0, name)
}

func (r *Reader) findConsumer(g *Group, name []byte) (tree.Cursor, bool) {
	return r.findName(g.consumerPrefix(name), g.Number, name)
}

// lookup returns what is known of an owner's name.
func (r *Reader) lookup(prefix uint64, owner uint32, name []byte) (known []byte, found bool) {
	// Hardly ever is another one before it with the same prefix.
	v := r.view(treeNames)
	item, found := v.Lookup(prefix)
	if !found {
		return nil, false
	}
	if itemOwner, itemName, known := ownerAndName(item); itemOwner == owner && string(itemName) == string(name) {
		return known, true
	}
	c, found := r.findName(prefix, owner, name)
	if !found {
		return nil, false
	}
	_, _, known = ownerAndName(c.Item())
	return known, true
}

// firstName returns the place of an owner's first name; without any, that of the first
// one of the owners after it.
func (r *Reader) firstName(owner uint32) tree.Cursor {
	c, _ := r.findName(namePrefix(owner, nil), owner, nil)
	return c
}

// ownerRange returns the ranks of an owner's names.
func (r *Reader) ownerRange(owner uint32) (from, to int) {
	c := r.firstName(owner)
	from = c.Rank()
	c = r.firstName(owner + 1)
	return from, c.Rank()
}

// addName puts a name that is not there at the cursor and returns the number
// that it got and the room for what is known.
func (s *Stream) addName(c *tree.Cursor, prefix uint64, owner uint32, name []byte, size int) (number uint32, known []byte) {
	var head [2 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(owner))
	short := n
	n += binary.PutUvarint(head[n:], uint64(len(name)))

	t := s.tree(treeNumbers)
	number, place := freeNumber(t.View)
	item := t.Insert(&place, uint64(number), short+len(name))
	copy(item[copy(item, head[:short]):], name)
	s.roots[treeNumbers] = t.Root

	t.Root = s.roots[treeNames]
	item = t.Insert(c, prefix, n+len(name)+size)
	at := copy(item, head[:n])
	at += copy(item[at:], name)
	s.roots[treeNames] = t.Root
	binary.LittleEndian.PutUint32(item[at:], number)
	return number, item[at:]
}

// freeNumber returns the least number that nothing has, and its place in the tree of
// numbers.
func freeNumber(v tree.View) (number uint32, place tree.Cursor) {
	n := v.Len()
	if n == 0 {
		return 1, v.At(0)
	}
	// Hardly ever has one been given up.
	place = v.At(n - 1)
	if place.Prefix() == uint64(n) {
		place.Next()
		return uint32(n) + 1, place
	}
	rank := sort.Search(n, func(i int) bool {
		c := v.At(i)
		return c.Prefix() > uint64(i)+1
	})
	return uint32(rank) + 1, v.At(rank)
}

// dropName removes the name at the cursor, and its number.
func (s *Stream) dropName(c *tree.Cursor, number uint32) {
	t := s.tree(treeNames)
	t.Delete(c)
	s.roots[treeNames] = t.Root

	t.Root = s.roots[treeNumbers]
	if place, found := t.Find(uint64(number), nil); found {
		t.Delete(&place)
		s.roots[treeNumbers] = t.Root
	}
}

// nameOf returns the name that has a number.
func (r *Reader) nameOf(number uint32) []byte {
	c, found := r.view(treeNumbers).Find(uint64(number), nil)
	if !found {
		return nil
	}
	item := c.Item()
	_, n := binary.Uvarint(item)
	return item[n:]
}

// editName opens an owner's name for change and returns what is known under it.
func (s *Stream) editName(prefix uint64, owner uint32, name []byte) (known []byte, found bool) {
	if !s.cell.Frozen() {
		return s.lookup(prefix, owner, name)
	}
	c, found := s.findName(prefix, owner, name)
	if !found {
		return nil, false
	}
	return s.edit(&c), true
}

// edit opens the name at the cursor for change and returns what is known under it.
func (s *Stream) edit(c *tree.Cursor) (known []byte) {
	t := s.tree(treeNames)
	item := t.Resize(c, len(c.Item()))
	s.roots[treeNames] = t.Root
	_, _, known = ownerAndName(item)
	return known
}

// crowded reports whether many names next to a place have this prefix.
func crowded(at tree.Cursor, prefix uint64) bool {
	back, n := at, 0
	for ; n < crowd && at.Valid() && at.Prefix() == prefix; n++ {
		at.Next()
	}
	for n < crowd && back.Prev() && back.Prefix() == prefix {
		n++
	}
	return n == crowd
}

// refit looks for a better beginning of the names of the group's consumers, after one
// was added whose prefix many have.
func (s *Stream) refit(g *Group) {
	from, to := s.ownerRange(g.Number)
	n := to - from
	if n&(n-1) != 0 || n > maxRefit || g.Number >= exactOwners {
		return
	}
	nameAt := func(rank int) []byte {
		c := s.view(treeNames).At(rank)
		_, name, _ := ownerAndName(c.Item())
		return name
	}
	// A few names that begin otherwise do not matter.
	begin := shared(nameAt(from+n/16), nameAt(to-1-n/16))
	if begin == g.begin || begin.size <= g.begin.size && s.strays(g.Number, from, to) <= n/4 {
		return
	}
	g.begin = begin

	c, _ := s.findGroup(s.nameOf(g.Number))
	_, _, known := ownerAndName(c.Item())
	size := len(c.Item()) - len(known) + groupSize
	t := s.tree(treeNames)
	copy(t.Resize(&c, size+int(begin.size))[size:], begin.bytes())
	c = t.At(from)
	for range n {
		_, name, _ := ownerAndName(c.Item())
		t.SetPrefix(&c, g.consumerPrefix(name))
		c.Next()
	}
	s.roots[treeNames] = t.Root
}

// strays counts the names with an owner's least or greatest prefix: those that do not
// begin as most do. from and to are the ranks of the owner's names.
func (r *Reader) strays(owner uint32, from, to int) int {
	v, prefix := r.view(treeNames), namePrefix(owner, nil)
	low, _ := v.Find(prefix+1, nil)
	high, _ := v.Find(prefix|lastPrefix, nil)
	return low.Rank() - from + to - high.Rank()
}
