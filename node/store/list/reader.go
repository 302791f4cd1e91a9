package list

import (
	"encoding/binary"
	"strconv"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Text is an element: bytes, or an integer that stands for its decimal form.
type Text struct {
	Bytes []byte
	Int   int64
	IsInt bool
}

// Append appends the text to dst.
func (t Text) Append(dst []byte) []byte {
	if t.IsInt {
		return strconv.AppendInt(dst, t.Int, 10)
	}
	return append(dst, t.Bytes...)
}

// emptyPack stands for the payload of a list that was just made. It is only read.
var emptyPack = [listpack.EmptySize]byte{listpack.EmptySize, 0, 0, 0, 0, 0, 0xff}

// Reader reads a list. It is good as long as the value is.
type Reader struct {
	// pack is the whole list, or nil for a large one: then view are its blocks,
	// first is the position of its first element and n the number of elements.
	pack  []byte
	view  tree.View
	first uint64
	n     int
}

// Read returns a reader of v, which is of KindList.
func Read(v value.Value) Reader {
	if v.Roots > 0 {
		first, n := parseState(v.Rest())
		return Reader{view: v.Tree(0), first: first, n: n}
	}
	if len(v.Bytes) == 0 {
		return Reader{pack: emptyPack[:]}
	}
	return Reader{pack: v.Bytes, n: listpack.Len(v.Bytes)}
}

// stateSize is what a large list keeps beside the root.
const stateSize = 16

func parseState(rest []byte) (first uint64, n int) {
	return binary.LittleEndian.Uint64(rest), int(binary.LittleEndian.Uint64(rest[8:]))
}

func putState(rest []byte, first uint64, n int) {
	binary.LittleEndian.PutUint64(rest, first)
	binary.LittleEndian.PutUint64(rest[8:], uint64(n))
}

// Bytes is how many bytes the elements take.
func (r *Reader) Bytes() int {
	if r.pack != nil {
		return len(r.pack)
	}
	return int(r.view.Root.Bytes)
}

// Len is the number of elements.
func (r *Reader) Len() int { return r.n }

// Iter is a place in a list: at an element, or nowhere.
type Iter struct {
	lp  []byte
	pos int // -1 for nowhere
	// cursor is at the block of a large list.
	cursor tree.Cursor
	large  bool
}

// At returns the place of element i, counted from 0; nowhere if there is none.
func (r *Reader) At(i int) (it Iter) {
	if i < 0 || i >= r.n {
		it.pos = -1
		return it
	}
	if r.pack != nil {
		it.lp = r.pack
		it.pos = listpack.Seek(it.lp, i)
		return it
	}
	it.large = true
	var start uint64
	it.cursor, start = find(&r.view, r.first, i)
	it.lp = packOf(it.cursor.Item())
	it.pos = listpack.Seek(it.lp, int(r.first+uint64(i)-start))
	return it
}

// find returns the place of the block that element i is in, and the position of
// that block's first element.
func find(view *tree.View, first uint64, i int) (c tree.Cursor, start uint64) {
	switch {
	case i == 0:
		return view.At(0), first
	case i == int(view.Root.Count)-1 && view.Root.Count == 1:
		return view.At(0), first
	}
	c, _ = view.Find(first+uint64(i)+1, nil)
	if !c.Prev() {
		return view.At(0), first
	}
	if c.Rank() == 0 {
		return c, first
	}
	return c, c.Prefix()
}

// Back returns the place of the last element.
func (r *Reader) Back() (it Iter) {
	if r.pack == nil && r.n > 0 {
		it.large = true
		it.cursor = r.view.At(r.view.Len() - 1)
		it.lp = packOf(it.cursor.Item())
		it.pos = listpack.Last(it.lp)
		return it
	}
	return r.At(r.n - 1)
}

// Valid reports whether the place is at an element.
func (it *Iter) Valid() bool { return it.pos >= 0 }

// Text returns the element.
func (it *Iter) Text() (t Text) {
	t.Bytes, t.Int, t.IsInt, _ = listpack.Entry(it.lp, it.pos)
	return t
}

// Equal reports whether the element is text.
func (it *Iter) Equal(text []byte) bool { return listpack.Equal(it.lp, it.pos, text) }

// Next moves to the element behind, or nowhere from the last one.
func (it *Iter) Next() {
	if it.pos = listpack.Next(it.lp, it.pos); it.pos < 0 && it.large && it.cursor.Next() {
		it.lp = packOf(it.cursor.Item())
		it.pos = listpack.First(it.lp)
	}
}

// Take returns the element and moves to the one behind.
func (it *Iter) Take() (t Text) {
	t.Bytes, t.Int, t.IsInt, it.pos = listpack.Entry(it.lp, it.pos)
	if it.pos < 0 && it.large && it.cursor.Next() {
		it.lp = packOf(it.cursor.Item())
		it.pos = listpack.First(it.lp)
	}
	return t
}

// Prev moves to the element before, or nowhere from the first one.
func (it *Iter) Prev() {
	if it.pos = listpack.Prev(it.lp, it.pos); it.pos < 0 && it.large && it.cursor.Prev() {
		it.lp = packOf(it.cursor.Item())
		it.pos = listpack.Last(it.lp)
	}
}

// Packs calls yield for the listpacks that the list consists of, in order: what a
// file holds of a list. None is empty.
func (r *Reader) Packs(yield func(lp []byte) bool) {
	if r.pack != nil {
		if r.n > 0 {
			yield(r.pack)
		}
		return
	}
	c := r.view.At(0)
	for ; c.Valid() && yield(packOf(c.Item())); c.Next() {
	}
}

// PackCount is how many listpacks Packs yields.
func (r *Reader) PackCount() int {
	if r.pack != nil {
		return min(r.n, 1)
	}
	return r.view.Len()
}

// Index returns the index of the first element at or behind the place of from
// that equals text, or -1. With back it goes towards the front. It looks at
// limit elements at most.
func (r *Reader) Index(text []byte, from, limit int, back bool) int {
	it := r.At(from)
	step := 1
	if back {
		step = -1
	}
	for ; it.Valid() && limit > 0; limit-- {
		if it.Equal(text) {
			return from
		}
		from += step
		if back {
			it.Prev()
		} else {
			it.Next()
		}
	}
	return -1
}
