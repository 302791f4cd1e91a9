package hash

import (
	"bytes"
	"slices"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// gatherer keeps fields with their values, without deadlines, that are on their way
// into a tree.
type gatherer struct {
	// texts are the items of the tree one after the other, list the hashes of their
	// fields and where they are there: the offset and, in the low 32 bits, the length.
	texts []byte
	list  []tree.Hashed
	// room is what they are sorted in.
	room tree.Sorter
}

// reset empties g for about n fields. Much memory is not kept.
func (g *gatherer) reset(n int) {
	const keep = 64 << 10
	if cap(g.texts) > keep || cap(g.list) > keep/16 {
		*g = gatherer{}
	}
	g.texts = slices.Grow(g.texts[:0], 16*n)
	g.list = slices.Grow(g.list[:0], n)
}

func (g *gatherer) add(hash uint64, field, val []byte) {
	at, size := len(g.texts), itemSize(len(field), len(val), 0)
	g.texts = slices.Grow(g.texts, size)[:at+size]
	putItem(g.texts[at:], field, val, 0)
	g.list = append(g.list, tree.Hashed{Hash: hash, At: uint64(at)<<32 | uint64(size)})
}

func (g *gatherer) item(at uint64) []byte { return g.texts[at>>32:][:uint32(at)] }

func (g *gatherer) field(at uint64) []byte {
	field, _, _ := splitItem(g.item(at))
	return field
}

// plant adds all fields to t, in its order, and empties g. It returns false if one is
// there twice; t is good then, too.
func (g *gatherer) plant(t *tree.Tree) bool {
	sorted := g.room.Sort(g.list, func(a, b uint64) bool { return bytes.Compare(g.field(a), g.field(b)) < 0 })
	for i := 1; i < len(sorted); i++ {
		if h, before := sorted[i], sorted[i-1]; h.Hash == before.Hash && bytes.Equal(g.field(h.At), g.field(before.At)) {
			return false
		}
	}
	if t.Len() == 0 {
		b := tree.Build(*t)
		for _, h := range sorted {
			item := g.item(h.At)
			copy(b.Append(h.Hash, len(item)), item)
		}
		*t = b.Close()
	} else {
		for _, h := range sorted {
			c, found := findHashed(t.View, h.Hash, g.field(h.At))
			if found {
				return false
			}
			item := g.item(h.At)
			copy(t.Insert(&c, h.Hash, len(item)), item)
		}
	}
	g.texts, g.list = g.texts[:0], g.list[:0]
	return true
}

// Loader fills a new hash with fields that come in any order, and are to be
// different. It gathers many of them before it puts them where they belong: what
// they would have to be compared with and moved for on their way there is left out.
// Until Close nobody else may look at the cell.
type Loader struct {
	gatherer
	h Hash
	// longest is the length of the longest text of all.
	longest int
	// direct is set from the first field with a deadline on: nothing is gathered then.
	direct bool
}

// gathered is how many bytes a Loader has at most, of items and of what it keeps
// beside each.
const gathered = 512 << 10

// Begin makes l a loader of the hash in c, which is an empty draft's with
// value.EncListpack. It keeps the memory that it had before unless that is much.
// About n fields are expected, which is not quite believed.
func (l *Loader) Begin(c *value.Cell, limits Limits, n uint64) {
	l.reset(int(min(n, 1024)))
	l.h, l.longest, l.direct = Open(c, limits), 0, false
}

// Add adds a field, with a deadline or 0. It returns false if it is known by now that
// one came twice.
func (l *Loader) Add(field, val []byte, deadline int64) bool {
	if deadline != 0 && !l.direct {
		if !l.Close() {
			return false
		}
		l.direct = true
	}
	if l.direct {
		return l.h.SetUntil(field, val, deadline)
	}
	l.longest = max(l.longest, len(field), len(val))
	l.add(l.h.cell.Memory().Hash(field), field, val)
	return len(l.texts)+16*len(l.list) < gathered || l.flush()
}

// Close puts what was gathered into the hash, in the smallest form, and returns
// whether all fields were different. If they were not, the hash is in no defined
// state, to be discarded.
func (l *Loader) Close() bool {
	if len(l.list) == 0 {
		return true
	}
	if l.h.cell.Roots() == 0 && len(l.texts) <= 2*packedMax {
		size := listpack.EmptySize
		for _, h := range l.list {
			field, val, _ := splitItem(l.item(h.At))
			size += listpack.EntrySize(field) + listpack.EntrySize(val)
		}
		if size <= packedMax {
			return l.pack(size)
		}
	}
	return l.flush()
}

// pack makes a listpack of size bytes of what was gathered, which is all there is.
func (l *Loader) pack(size int) bool {
	l.encode(len(l.list))
	lp := l.h.cell.Splice(0, len(l.h.cell.Payload()), size)
	listpack.PutEmpty(lp[:listpack.EmptySize])
	at := listpack.HeaderSize
	for _, h := range l.list {
		field, val, _ := splitItem(l.item(h.At))
		at += listpack.Put(lp[at:], field)
		at += listpack.Put(lp[at:], val)
	}
	listpack.Fix(lp, 2*len(l.list))
	l.texts, l.list = l.texts[:0], l.list[:0]
	return listpack.Distinct(lp, listpack.HeaderSize, 2, l.h.cell.Memory().Hash)
}

// flush puts what was gathered into the tree.
func (l *Loader) flush() bool {
	cell := l.h.cell
	t := tree.Tree{View: tree.View{Memory: cell.Memory()}, Space: cell.Space()}
	if cell.Roots() > 0 {
		t = cell.Tree(fieldTree)
	}
	different := l.plant(&t)
	// Whatever there is of it is the draft's, to be discarded with it.
	if cell.Roots() == 0 {
		cell.Splice(0, len(cell.Payload()), tree.RootSize)
		cell.SetRoots(1)
	}
	cell.SetRoot(fieldTree, t.Root)
	l.encode(t.Len())
	return different
}

// encode gives a hash of n fields its encoding.
func (l *Loader) encode(n int) {
	if l.h.cell.Encoding() == value.EncListpack && (n > l.h.limits.Entries || l.longest > l.h.limits.Value) {
		l.h.cell.SetEncoding(value.EncHashtable)
	}
}

// load is LoadPacked for a listpack that does not become the payload.
func (h *Hash) load(lp []byte) bool {
	var l Loader
	l.Begin(h.cell, h.limits, uint64(listpack.Len(lp)/2))
	for it := (Iter{lp: lp, width: 2, next: listpack.First(lp)}); it.Next(); {
		var fieldBuf, valBuf [20]byte
		if !l.Add(it.Field.bytes(&fieldBuf), it.Value.bytes(&valBuf), 0) {
			return false
		}
	}
	return l.Close()
}

// toLargeTree is toTree for a listpack that was taken over.
func (h *Hash) toLargeTree() {
	r := h.Reader(0)
	t := tree.Tree{View: tree.View{Memory: h.cell.Memory()}, Space: h.cell.Space()}
	var g gatherer
	g.reset(r.Size())
	it := r.All()
	for it.Next() {
		var fieldBuf, valBuf [20]byte
		field := it.Field.bytes(&fieldBuf)
		g.add(t.Memory.Hash(field), field, it.Value.bytes(&valBuf))
	}
	g.plant(&t)
	t.Root.Put(h.cell.Splice(0, len(r.v.Bytes), tree.RootSize))
	h.cell.SetRoots(1)
}
