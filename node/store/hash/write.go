package hash

import (
	"encoding/binary"
	"errors"
	"slices"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Limits are up to where the encoding is a listpack: the directives
// hash-max-listpack-entries and hash-max-listpack-value.
type Limits struct{ Entries, Value int }

// Hash changes the hash in a cell. What it is given must not be a view of that
// hash.
type Hash struct {
	cell   *value.Cell
	limits Limits
	room   int
}

// Open returns the hash in c, whose payload may be empty.
func Open(c *value.Cell, limits Limits) Hash { return Hash{cell: c, limits: limits} }

// Reader returns a view of the hash as of now, see Read; good until the hash
// changes.
func (h *Hash) Reader(now int64) Reader { return Read(h.cell.Value(), now) }

// Reserve says that fields and values of so many bytes are going to be set.
func (h *Hash) Reserve(bytes int) { h.room = bytes }

// Set sets a field, without a deadline, and reports whether it is new.
func (h *Hash) Set(field, val []byte) (added bool) { return h.set(field, val, 0, false) }

// Update is Set, but a field that has a deadline keeps it.
func (h *Hash) Update(field, val []byte) (added bool) { return h.set(field, val, 0, true) }

// SetUntil is Set with a deadline, 0 for none.
func (h *Hash) SetUntil(field, val []byte, deadline int64) (added bool) {
	return h.set(field, val, min(deadline, MaxDeadline), false)
}

func (h *Hash) set(field, val []byte, deadline int64, keep bool) (added bool) {
	if max(len(field), len(val)) > h.limits.Value && h.cell.Encoding() == value.EncListpack {
		h.cell.SetEncoding(value.EncHashtable)
	}
	if h.cell.Roots() > 0 {
		return h.setInTree(field, val, deadline, keep)
	}
	return h.setPacked(field, val, deadline, keep)
}

// grown sees to the encoding after the hash got its n-th field.
func (h *Hash) grown(n int) {
	if n > h.limits.Entries && h.cell.Encoding() == value.EncListpack {
		h.cell.SetEncoding(value.EncHashtable)
	}
}

func (h *Hash) setPacked(field, val []byte, deadline int64, keep bool) (added bool) {
	payload := h.cell.Payload()
	lp, width := unpack(payload)
	if deadline != 0 && width == 2 {
		h.addDeadlines()
		return h.set(field, val, deadline, keep)
	}
	valSize := listpack.EntrySize(val)
	pos := listpack.Find(lp, listpack.First(lp), width-1, field)
	if pos < 0 {
		size := listpack.EntrySize(field) + valSize
		if width == 3 {
			size += listpack.IntSize(deadline)
		}
		if len(payload)+size > packedMax {
			h.toTree()
			return h.setInTree(field, val, deadline, keep)
		}
		h.appendPacked(lp, width, field, val, deadline, size, len(payload) == 0)
		return true
	}
	at := listpack.Skip(lp, pos, 1)
	old := listpack.Skip(lp, at, 1) - at
	if len(payload)+valSize-old > packedMax {
		h.toTree()
		return h.setInTree(field, val, deadline, keep)
	}
	newDeadline := !keep && packedDeadline(lp, width, pos) != deadline
	p := h.cell.Splice(at, old, valSize)
	listpack.Put(p[at:], val)
	if valSize != old {
		listpack.Fix(p[:len(lp)+valSize-old], 0)
	}
	if newDeadline {
		h.setPackedDeadline(pos, deadline)
		h.recount()
	}
	return false
}

// appendPacked adds a field behind the last one of a packed hash. size is the
// length of its entries.
func (h *Hash) appendPacked(lp []byte, width int, field, val []byte, deadline int64, size int, isNew bool) {
	end, length := listpack.End(lp), len(lp)+size
	next := int64(0)
	if width == 3 {
		r := h.Reader(0)
		next = r.NextDeadline()
	}
	room := h.room
	if room == 0 && !isNew {
		// One field after the other: every other time or so goes without a new block.
		room = size
	}
	var p []byte
	if isNew {
		p = h.cell.SpliceRoom(0, 0, length, max(h.room-size, 0))
		listpack.PutEmpty(p)
	} else {
		p = h.cell.SpliceRoom(end, 0, size, room)
	}
	at := end + listpack.Put(p[end:], field)
	at += listpack.Put(p[at:], val)
	if width == 3 {
		listpack.PutInt(p[at:], deadline)
	}
	listpack.Fix(p[:length], width)
	h.room = max(h.room-size, 0)
	h.grown(listpack.Len(p) / width)
	if deadline != 0 && (next == 0 || deadline < next) {
		binary.LittleEndian.PutUint64(p[length:], uint64(deadline))
		h.cell.FieldsExpire(deadline)
	}
}

func (h *Hash) setInTree(field, val []byte, deadline int64, keep bool) (added bool) {
	t := h.cell.Tree(fieldTree)
	root := t.Root
	prefix, c, found := find(t.View, field)
	if found {
		_, _, old := splitItem(c.Item())
		if keep {
			deadline = old
		}
		if old != deadline {
			h.moveDeadline(prefix, old, deadline)
		}
		putItem(t.Resize(&c, itemSize(len(field), len(val), deadline)), field, val, deadline)
	} else {
		putItem(t.Insert(&c, prefix, itemSize(len(field), len(val), deadline)), field, val, deadline)
		if deadline != 0 {
			h.moveDeadline(prefix, 0, deadline)
		}
	}
	if t.Root != root {
		h.cell.SetRoot(fieldTree, t.Root)
	}
	if !found {
		h.grown(t.Len())
	}
	return !found
}

// toTree turns a packed hash into trees.
func (h *Hash) toTree() {
	r := h.Reader(0)
	if len(r.Packed()) > packedMax {
		h.toLargeTree()
		return
	}
	space, memory := h.cell.Space(), h.cell.Memory()
	fields := tree.Tree{View: tree.View{Memory: memory}, Space: space}
	deadlines := fields
	var fieldBuf, valBuf [20]byte
	it := r.All()
	for it.Next() {
		field, val := it.Field.bytes(&fieldBuf), it.Value.bytes(&valBuf)
		prefix, c, _ := find(fields.View, field)
		putItem(fields.Insert(&c, prefix, itemSize(len(field), len(val), it.Deadline)), field, val, it.Deadline)
		if it.Deadline != 0 {
			insertDeadline(&deadlines, prefix, it.Deadline)
		}
	}
	roots := 1
	if deadlines.Len() > 0 {
		roots = 2
	}
	p := h.cell.Splice(0, len(r.v.Bytes), roots*tree.RootSize)
	fields.Root.Put(p)
	if roots == 2 {
		deadlines.Root.Put(p[tree.RootSize:])
	}
	h.cell.SetRoots(roots)
}

// Pack appends to dst what a new hash with these fields and values would lie in the
// record as, and returns its encoding. It refuses what is too much for one
// listpack or has a field twice.
func Pack(dst []byte, pairs [][]byte, limits Limits) (_ []byte, enc value.Encoding, ok bool) {
	enc = value.EncListpack
	if len(pairs)/2 > limits.Entries {
		enc = value.EncHashtable
	}
	from := len(dst)
	dst = listpack.AppendEmpty(dst)
	for i := 0; i < len(pairs); i += 2 {
		field, val := pairs[i], pairs[i+1]
		if max(len(field), len(val)) > limits.Value {
			enc = value.EncHashtable
		}
		size := listpack.EntrySize(field) + listpack.EntrySize(val)
		length := len(dst) - from
		if length+size > packedMax || i > 0 && listpack.Find(dst[from:], listpack.HeaderSize, 1, field) >= 0 {
			return dst[:from], enc, false
		}
		dst = slices.Grow(dst, size)[:from+length+size]
		lp := dst[from:]
		at := length - 1
		at += listpack.Put(lp[at:], field)
		listpack.Put(lp[at:], val)
		listpack.Fix(lp, 2)
	}
	return dst, enc, true
}

// bytes returns the text as bytes, a number written into buf.
func (t *Text) bytes(buf *[20]byte) []byte {
	if t.IsInt {
		return t.Append(buf[:0])
	}
	return t.Bytes
}

// Delete removes a field and reports whether it was there, hidden or not.
func (h *Hash) Delete(field []byte) bool {
	if h.cell.Roots() > 0 {
		t := h.cell.Tree(fieldTree)
		prefix := t.Memory.Hash(field)
		var c tree.Cursor
		if !seekHashed(&c, &t.View, prefix, field) {
			return false
		}
		h.deleteFromTree(&t, &c, prefix)
		return true
	}
	lp, width := unpack(h.cell.Payload())
	pos := listpack.Find(lp, listpack.First(lp), width-1, field)
	if pos < 0 {
		return false
	}
	deadline := packedDeadline(lp, width, pos)
	h.cutPacked(lp, width, pos)
	if deadline != 0 {
		h.recount()
	}
	return true
}

// DeleteAll is Delete of several fields. It returns how many were there.
func (h *Hash) DeleteAll(fields [][]byte) (deleted int) {
	if len(fields) == 1 || h.cell.Roots() != 1 {
		// Fields with deadlines are in another tree, too.
		for _, field := range fields {
			if h.Delete(field) {
				deleted++
			}
		}
		return deleted
	}
	t := h.cell.Tree(fieldTree)
	before := t.Len()
	var c tree.Cursor
	for i := 0; i < len(fields) && t.Len() > 0; i++ {
		if seekHashed(&c, &t.View, t.Memory.Hash(fields[i]), fields[i]) {
			t.Delete(&c)
		}
	}
	if t.Len() != before {
		h.cell.SetRoot(fieldTree, t.Root)
	}
	return before - t.Len()
}

func (h *Hash) deleteFromTree(t *tree.Tree, c *tree.Cursor, prefix uint64) {
	_, _, deadline := splitItem(c.Item())
	t.Delete(c)
	h.cell.SetRoot(fieldTree, t.Root)
	if deadline != 0 {
		h.moveDeadline(prefix, deadline, 0)
	}
}

// cutPacked removes the field at pos of a packed hash.
func (h *Hash) cutPacked(lp []byte, width, pos int) {
	size := listpack.Skip(lp, pos, width) - pos
	p := h.cell.Splice(pos, size, 0)
	listpack.Fix(p[:len(lp)-size], -width)
}

// Errors of Packed and LoadPacked.
var (
	ErrOdd       = errors.New("hash: a field without a value")
	ErrDuplicate = errors.New("hash: a field twice")
	ErrEmpty     = errors.New("hash: no fields")
)

// Packed tells how a hash is kept whose fields and values are those of lp, of which
// nothing is believed, not even that it is a listpack: ok says that these bytes are the
// hash as they are, with the encoding enc. Without an error lp is a valid listpack of
// fields and values. sum is any hash of texts.
func Packed(lp []byte, limits Limits, sum func([]byte) uint64) (enc value.Encoding, ok bool, err error) {
	distinct := false
	if len(lp) > takenMax {
		err = listpack.Validate(lp)
	} else {
		distinct, err = listpack.CheckDistinct(lp, 2, sum)
	}
	if err != nil {
		return 0, false, err
	}
	n := listpack.Len(lp)
	switch {
	case n == 0:
		return 0, false, ErrEmpty
	case n%2 != 0:
		return 0, false, ErrOdd
	case len(lp) > takenMax || len(lp) > packedMax && n/2 > min(limits.Entries, takenFields):
		return 0, false, nil
	case !distinct:
		return 0, false, ErrDuplicate
	}
	if n/2 > limits.Entries || limits.Value < len(lp) && longest(lp) > limits.Value {
		return value.EncHashtable, len(lp) <= packedMax, nil
	}
	return value.EncListpack, true, nil
}

// longest returns the length of the longest text of lp.
func longest(lp []byte) (most int) {
	for pos := listpack.First(lp); pos >= 0; pos = listpack.Next(lp, pos) {
		most = max(most, listpack.TextLen(lp, pos))
	}
	return most
}

// LoadPacked fills a new hash with what Packed is about.
func (h *Hash) LoadPacked(lp []byte) error {
	enc, ok, err := Packed(lp, h.limits, h.cell.Memory().Hash)
	switch {
	case err != nil:
		return err
	case !ok:
		if !h.load(lp) {
			return ErrDuplicate
		}
		return nil
	}
	copy(h.cell.Splice(0, 0, len(lp)), lp)
	if h.cell.Encoding() == value.EncListpack {
		h.cell.SetEncoding(enc)
	}
	return nil
}
