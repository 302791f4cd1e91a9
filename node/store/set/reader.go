package set

import (
	"slices"
	"strconv"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// form is how the members lie in memory.
type form uint8

const (
	formInts form = iota
	formPacked
	formTree
)

// Reader reads a set. It is good until the set changes.
type Reader struct {
	form form
	// bytes are the intset or the listpack.
	bytes []byte
	// tree is the tree of the third form; its Memory is set in all three.
	tree tree.View
}

// Read returns a reader of v, which is a set.
func Read(v value.Value) (r Reader) {
	r.read(&v)
	return r
}

// Append appends a reader of v to sets. It is made where it lies: moving it about takes
// as long as looking a member up.
func Append(sets []Reader, v *value.Value) []Reader {
	n := len(sets)
	sets = slices.Grow(sets, 1)[:n+1]
	sets[n].read(v)
	return sets
}

// read makes r, whatever it was, a reader of v.
func (r *Reader) read(v *value.Value) {
	r.bytes, r.tree.Memory = v.Bytes, v.Memory
	switch {
	case v.Roots > 0:
		r.form = formTree
		r.tree.Root.Parse(v.Bytes)
	case v.Enc != value.EncIntset:
		r.form = formPacked
	default:
		r.form = formInts
	}
}

// Len is the number of members.
func (r Reader) Len() int { return r.size() }

func (r *Reader) size() int {
	switch r.form {
	case formInts:
		return intset(r.bytes).len()
	case formPacked:
		if len(r.bytes) == 0 {
			return 0
		}
		return listpack.Len(r.bytes)
	}
	return int(r.tree.Root.Count)
}

// Sizes returns the number of members of the smallest of some sets, and of all together.
func Sizes(sets []Reader) (least, all int) {
	for i := range sets {
		n := sets[i].size()
		all += n
		if i == 0 || n < least {
			least = n
		}
	}
	return least, all
}

// Ints returns the bytes of the intset, if the set is one: what an RDB file
// holds of it.
func (r Reader) Ints() (b []byte, ok bool) { return r.bytes, r.form == formInts }

// Hash is the hash of a member, for Place and the methods that take one.
func (r Reader) Hash(member []byte) uint64 { return r.tree.Memory.Hash(member) }

// Has reports whether member is in the set.
func (r Reader) Has(member []byte) bool {
	switch r.form {
	case formInts:
		n, ok := value.ParseInt(member)
		return ok && r.hasInt(n)
	case formPacked:
		return findPacked(r.bytes, member) >= 0
	}
	return hasMember(&r.tree, r.Hash(member), member)
}

// hasMember reports whether member is in a tree.
func hasMember(v *tree.View, hash uint64, member []byte) bool {
	item, found := v.Lookup(hash)
	if !found || string(item) == string(member) {
		return found
	}
	// Another member of the same hash.
	_, found = findMember(v, hash, member)
	return found
}

func (r Reader) hasInt(n int64) bool {
	_, found := intset(r.bytes).search(n)
	return found
}

// findPacked returns the place of member in a listpack that may be missing.
func findPacked(lp, member []byte) int {
	if len(lp) == 0 {
		return -1
	}
	return listpack.Find(lp, listpack.First(lp), 0, member)
}

// findMember returns the place of member, or one where it belongs: equal hashes
// have no order among them.
func findMember(v *tree.View, hash uint64, member []byte) (c tree.Cursor, found bool) {
	found = seekMember(&c, v, hash, member)
	return c, found
}

// seekMember is findMember into a cursor that is there.
func seekMember(c *tree.Cursor, v *tree.View, hash uint64, member []byte) (found bool) {
	found = v.Seek(c, hash, nil)
	for found && string(c.Item()) != string(member) {
		found = c.Next() && c.Prefix() == hash
	}
	return found
}

// Scratch is room for the text of an integer.
type Scratch [20]byte

func (s *Scratch) format(n int64) []byte { return strconv.AppendInt(s[:0], n, 10) }

// Member returns member i, 0 to Len-1, of the set's own order. It is a view, or
// lies in s.
func (r Reader) Member(i int, s *Scratch) []byte {
	switch r.form {
	case formInts:
		return s.format(intset(r.bytes).at(i))
	case formPacked:
		text, n, isInt, _ := listpack.Entry(r.bytes, listpack.Seek(r.bytes, i))
		if isInt {
			return s.format(n)
		}
		return text
	}
	c := r.tree.At(i)
	return c.Item()
}

// Iterator walks the members of a set: Next, then Member. It is good until the
// set changes.
type Iterator struct {
	form  form
	bytes []byte
	// pos is the next place in the intset or the listpack, -1 behind the last.
	pos  int
	tree tree.Cursor
	// fresh is set before the first member of a tree.
	fresh  bool
	memory *arena.Memory

	text    []byte
	n       int64
	isInt   bool
	scratch Scratch
}

// All returns an iterator before the first member.
func (r Reader) All() (it Iterator) {
	it.begin(&r)
	return it
}

// begin puts it before the first member of r.
func (it *Iterator) begin(r *Reader) {
	it.form, it.bytes, it.memory = r.form, r.bytes, r.tree.Memory
	it.pos, it.isInt = 0, false
	switch r.form {
	case formPacked:
		it.pos = -1
		if len(r.bytes) > 0 {
			it.pos = listpack.First(r.bytes)
		}
	case formTree:
		it.tree, it.fresh = r.tree.At(0), true
	}
}

// Next goes on to the next member and reports whether there is one.
func (it *Iterator) Next() bool {
	switch it.form {
	case formInts:
		if it.pos == intset(it.bytes).len() {
			return false
		}
		it.n, it.isInt = intset(it.bytes).at(it.pos), true
		it.pos++
		return true
	case formPacked:
		if it.pos < 0 {
			return false
		}
		it.text, it.n, it.isInt, it.pos = listpack.Entry(it.bytes, it.pos)
		return true
	}
	if it.fresh {
		it.fresh = false
		return it.tree.Valid()
	}
	return it.tree.Next()
}

// Member returns the text of the member: a view, or in the iterator.
func (it *Iterator) Member() []byte {
	switch {
	case it.form == formTree:
		return it.tree.Item()
	case it.isInt:
		return it.scratch.format(it.n)
	}
	return it.text
}

// Int returns the member as an integer if it is kept as one.
func (it *Iterator) Int() (n int64, ok bool) { return it.n, it.isInt }

// Hash returns the hash of the member.
func (it *Iterator) Hash() uint64 {
	if it.form == formTree {
		return it.tree.Prefix()
	}
	return it.memory.Hash(it.Member())
}

// Place is where a walk in steps goes on: the first bits of a hash. 0 is the
// beginning and the end. It has 53 bits, so that clients that know no larger
// numbers than those of a double keep it exactly.
type Place uint64

const placeShift = 64 - 53

// Scan visits members from place on, count of them or a few more if there are so
// many, and returns where to go on. Every member that is in the set from the
// first step to the last is visited; members that come and go do no harm. A set
// in one of the small forms is visited at once.
func (r Reader) Scan(place Place, count int, visit func(member []byte)) Place {
	if r.form != formTree {
		it := r.All()
		for it.Next() {
			visit(it.Member())
		}
		return 0
	}
	if place >= 1<<53 {
		return 0
	}
	c, _ := r.tree.Find(uint64(place)<<placeShift, nil)
	for visited := 0; c.Valid(); visited++ {
		at := Place(c.Prefix() >> placeShift)
		if visited >= count && at != place {
			return at
		}
		place = at
		visit(c.Item())
		c.Next()
	}
	return 0
}
