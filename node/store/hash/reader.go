package hash

import (
	"encoding/binary"
	"slices"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
)

// Reader shows a hash as of a time.
type Reader struct {
	v   value.Value
	now int64
}

// Read returns a reader of v, which is a hash. Fields whose deadline is not after
// now, Unix milliseconds, are hidden; 0 shows all.
func Read(v value.Value, now int64) Reader { return Reader{v, now} }

// isTree reports whether the hash is kept in trees.
func (r *Reader) isTree() bool { return r.v.Roots > 0 }

// Bytes is how many bytes the fields and their values take.
func (r *Reader) Bytes() int {
	if r.isTree() {
		return int(r.v.Tree(fieldTree).Root.Bytes)
	}
	return len(r.v.Bytes)
}

// Size is the number of fields, hidden ones included.
func (r *Reader) Size() int {
	if r.isTree() {
		return r.v.Tree(fieldTree).Len()
	}
	lp, width := unpack(r.v.Bytes)
	return listpack.Len(lp) / width
}

// Len is the number of fields that are not hidden, at the cost of one lookup.
func (r *Reader) Len() int {
	n := r.Size()
	if next := r.NextDeadline(); next == 0 || next > r.now {
		return n
	}
	if r.isTree() {
		c, _ := r.v.Tree(deadlineTree).Find(deadlinePrefix(r.now+1, 0), nil)
		return n - c.Rank()
	}
	n = 0
	it := r.All()
	for it.Next() {
		n++
	}
	return n
}

// NextDeadline is when the next field expires, hidden ones included, 0 for never.
func (r *Reader) NextDeadline() int64 {
	if r.isTree() {
		if r.v.Roots <= deadlineTree {
			return 0
		}
		return nextOf(r.v.Tree(deadlineTree))
	}
	lp, width := unpack(r.v.Bytes)
	if width == 2 {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(r.v.Bytes[len(lp):]))
}

// lookup returns the item of a field in the tree of fields.
func (r *Reader) lookup(field []byte) (item []byte, found bool) {
	v := r.v.Tree(fieldTree)
	prefix := v.Memory.Hash(field)
	if item, found = v.Lookup(prefix); !found {
		return nil, false
	}
	if holds(item, field) {
		return item, true
	}
	// Another field of the same hash.
	c, found := findHashed(v, prefix, field)
	if !found {
		return nil, false
	}
	return c.Item(), true
}

// Get returns the value of a field.
func (r *Reader) Get(field []byte) (Text, bool) {
	if r.isTree() {
		item, found := r.lookup(field)
		if !found {
			return Text{}, false
		}
		_, val, deadline := splitItem(item)
		return Text{Bytes: val}, live(deadline, r.now)
	}
	lp, width := unpack(r.v.Bytes)
	pos := listpack.Find(lp, listpack.First(lp), width-1, field)
	if pos < 0 {
		return Text{}, false
	}
	if width == 2 {
		var t Text
		t.Bytes, t.Int, t.IsInt, _ = listpack.Entry(lp, listpack.Skip(lp, pos, 1))
		return t, true
	}
	item, _ := packedItem(lp, width, pos)
	return item.Value, live(item.Deadline, r.now)
}

// Deadline returns when a field expires, 0 for never; ok is false if there is no
// such field.
func (r *Reader) Deadline(field []byte) (at int64, ok bool) {
	if r.isTree() {
		item, found := r.lookup(field)
		if !found {
			return 0, false
		}
		_, _, at = splitItem(item)
		return at, live(at, r.now)
	}
	lp, width := unpack(r.v.Bytes)
	pos := listpack.Find(lp, listpack.First(lp), width-1, field)
	if pos < 0 {
		return 0, false
	}
	at = packedDeadline(lp, width, pos)
	return at, live(at, r.now)
}

// At returns the item at place i, 0 to Size-1, in the order of All; ok is false
// if it is hidden.
func (r *Reader) At(i int) (item Item, ok bool) {
	if r.isTree() {
		c := r.v.Tree(fieldTree).At(i)
		item = treeItem(c.Item())
		return item, live(item.Deadline, r.now)
	}
	lp, width := unpack(r.v.Bytes)
	item, _ = packedItem(lp, width, listpack.Seek(lp, i*width))
	return item, live(item.Deadline, r.now)
}

// Packed returns the hash as a listpack of fields and values, ready for a file,
// if that is how it is kept; else nil. No field has a deadline then.
func (r *Reader) Packed() []byte {
	if r.isTree() {
		return nil
	}
	if lp, width := unpack(r.v.Bytes); width == 2 {
		return lp
	}
	return nil
}

// Packs reports whether the hash lies in a tree and would be taken over as the
// listpack that AppendPacked makes of it.
func (r *Reader) Packs() bool {
	return r.isTree() && r.v.Enc == value.EncListpack && r.NextDeadline() == 0 && r.Size() <= takenFields && r.Bytes() <= takenMax
}

// AppendPacked appends the hash, which Packs says yes of, as a listpack.
func (r *Reader) AppendPacked(dst []byte) []byte {
	from := len(dst)
	dst = listpack.AppendEmpty(dst)
	at := len(dst) - 1
	items := r.v.Tree(fieldTree).Items()
	for item, ok := items.Next(); ok; item, ok = items.Next() {
		field, val, _ := splitItem(item)
		// The lengths take ten bytes at most, each time, and one ends it all.
		if need := len(field) + len(val) + 2*10 + 1; need > len(dst)-at {
			dst = slices.Grow(dst[:at], max(need, r.Bytes()))
			dst = dst[:cap(dst)]
		}
		at += listpack.Put(dst[at:], field)
		at += listpack.Put(dst[at:], val)
	}
	dst = dst[:at+1]
	listpack.Fix(dst[from:], 2*r.Size())
	return dst
}
