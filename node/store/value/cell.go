package value

import (
	"encoding/binary"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
)

// Home is what a record belongs to, told of every change.
type Home interface {
	// Preserve is called before the record at at changes: its content is handed
	// to the open snapshots that it belongs to. A second call costs nothing.
	Preserve(at arena.Ref)
	// Moved says that the record has another block now.
	Moved(from, to arena.Ref)
	// Retire frees a block that a snapshot may still read, when none can any more.
	Retire(block arena.Ref)
	// Space is where the nodes of trees come from now.
	Space() tree.Space
	// FieldsExpire sets when the first field of the record at at expires, 0 for
	// never, and returns where the record is then.
	FieldsExpire(at arena.Ref, atMs int64) arena.Ref
}

// Cell is the value of one key open for change. The slot is locked while there
// is one. It is good until the record changes by another way.
type Cell struct {
	home Home
	heap *arena.Heap
	at   arena.Ref
}

// Open returns the cell of the record at at.
func Open(home Home, heap *arena.Heap, at arena.Ref) Cell { return Cell{home, heap, at} }

// Home is where the record lives; nil for no record.
func (c Cell) Home() Home { return c.home }

// At is where the record is; 0 for no record.
func (c Cell) At() arena.Ref { return c.at }

// Memory is where everything is.
func (c Cell) Memory() *arena.Memory { return c.heap.Memory() }

// Header returns the record's header.
func (c Cell) Header() (h Header) {
	h.parse(c.Memory().Bytes(c.at, maxHeader))
	return h
}

func (c Cell) payload(h *Header) []byte {
	n := h.payloadAt + h.PayloadLen
	return c.Memory().Bytes(c.at, n)[h.payloadAt:n:n]
}

// Key returns a view of the key.
func (c Cell) Key() []byte { return Key(c.Memory(), c.at) }

// Kind returns the type, Encoding the encoding.
func (c Cell) Kind() Kind { return Kind(c.Memory().Bytes(c.at, 8)[7] >> 4) }

func (c Cell) Encoding() Encoding { return Encoding(c.Memory().Bytes(c.at, 8)[7] & 0xf) }

// Value returns a view of the content.
func (c Cell) Value() Value {
	m := c.Memory()
	payload := payloadOf(m, c.at)
	kind := m.Bytes(c.at, 8)[7]
	if Kind(kind>>4) == KindString {
		if Encoding(kind) == EncInt {
			return Value{Enc: EncInt, Int: int64(binary.LittleEndian.Uint64(payload))}
		}
		return Value{Enc: Encoding(kind), Bytes: payload}
	}
	return Value{Kind: Kind(kind >> 4), Enc: Encoding(kind & 0xf), Roots: uint8(c.Roots()), Bytes: payload, Memory: m}
}

// Show makes v, which is zero, the view of a collection's content: Value into where it is
// needed, for what is put together in one place and copied to another is waited for.
func (c Cell) Show(v *Value) {
	m := c.Memory()
	kind := m.Bytes(c.at, 8)[7]
	v.Kind, v.Enc, v.Roots = Kind(kind>>4), Encoding(kind&0xf), uint8(c.Roots())
	v.Bytes, v.Memory = payloadOf(m, c.at), m
}

// Text returns the content of a string: text, or the integer n.
func (c Cell) Text() (text []byte, n int64, isInt bool) {
	text = payloadOf(c.Memory(), c.at)
	if c.Encoding() == EncInt {
		return nil, int64(binary.LittleEndian.Uint64(text)), true
	}
	return text, 0, false
}

// Payload returns a view of the payload, to be read.
func (c Cell) Payload() []byte { return payloadOf(c.Memory(), c.at) }

// SetEncoding changes what OBJECT ENCODING says.
func (c *Cell) SetEncoding(e Encoding) {
	c.home.Preserve(c.at)
	b := c.Memory().Bytes(c.at, 8)
	b[7] = b[7]&0xf0 | byte(e)
}

// Edit returns the payload to be changed in place.
func (c *Cell) Edit() []byte {
	c.home.Preserve(c.at)
	if c.lent() {
		return c.Splice(0, 0, 0)
	}
	return payloadOf(c.Memory(), c.at)
}

// Splice replaces remove bytes of the payload at at by insert bytes, and returns
// the whole payload to be changed; what is inserted is undefined as yet.
func (c *Cell) Splice(at, remove, insert int) []byte {
	return c.SpliceRoom(at, remove, insert, 0)
}

// SpliceRoom is Splice for a payload that is expected to grow by about room
// bytes soon: if it needs another block now, that one is larger.
func (c *Cell) SpliceRoom(at, remove, insert, room int) []byte {
	c.home.Preserve(c.at)
	if insert == remove && !c.lent() {
		return payloadOf(c.Memory(), c.at)
	}
	old := c.Header()
	h := old
	h.PayloadLen += insert - remove
	c.rewrite(&old, &h, at, remove, insert, room)
	return c.payload(&h)
}

// rewrite gives the record the header h, whose payload has insert bytes in
// place of the remove bytes at at of the old one.
func (c *Cell) rewrite(old, h *Header, at, remove, insert, room int) {
	size := h.layout()
	if *h == *old && !old.Lent {
		return
	}
	m := c.Memory()
	tail := old.payloadAt + at + remove
	end := old.payloadAt + old.PayloadLen
	newTail := h.payloadAt + at + insert
	if !old.Lent && c.fits(size) {
		// The header grows only if the payload does, or by itself, and shrinks
		// likewise: all parts move the same way.
		b := m.Bytes(c.at, max(size, end))
		if h.keyAt >= old.keyAt && newTail >= tail {
			copy(b[newTail:], b[tail:end])
			copy(b[h.keyAt:], b[old.keyAt:old.payloadAt+at])
		} else {
			copy(b[h.keyAt:], b[old.keyAt:old.payloadAt+at])
			copy(b[newTail:], b[tail:end])
		}
		h.put(b)
		return
	}
	to := c.heap.Alloc(size + room)
	src, dst := m.Bytes(c.at, end), m.Bytes(to, size)
	copy(dst[h.keyAt:], src[old.keyAt:old.payloadAt+at])
	copy(dst[newTail:], src[tail:end])
	h.Lent = false
	h.put(dst)
	from := c.at
	c.at = to
	c.home.Moved(from, to)
	if old.Lent {
		c.home.Retire(from)
	} else {
		c.heap.Free(from)
	}
}

// Adopt makes the record one of home with another key, and takes a block of heap if that
// of it is not right for the length, or if a snapshot may still read it: c is where the
// record is then. Neither home is told, and what they know of the record is the
// caller's concern. key is no view of the record.
func (c *Cell) Adopt(home Home, heap *arena.Heap, key []byte) {
	old := c.Header()
	h := old
	h.KeyLen, h.Lent = len(key), false
	size := h.layout()
	m := c.Memory()
	if end := old.payloadAt + old.PayloadLen; old.Lent || !c.fits(size) {
		at := heap.Alloc(size)
		b := m.Bytes(at, size)
		h.put(b)
		copy(b[h.keyAt:], key)
		copy(b[h.payloadAt:], m.Bytes(c.at, end)[old.payloadAt:])
		if old.Lent {
			c.home.Retire(c.at)
		} else {
			heap.Free(c.at)
		}
		c.at = at
	} else {
		b := m.Bytes(c.at, max(size, end))
		if h.payloadAt != old.payloadAt {
			copy(b[h.payloadAt:size], b[old.payloadAt:end])
			h.put(b)
		}
		copy(b[h.keyAt:], key)
	}
	c.home, c.heap = home, heap
}

// fits reports whether the record's block is right for size bytes: large
// enough, and not far too large.
func (c *Cell) fits(size int) bool {
	have := c.heap.Size(c.at)
	return size <= have && have <= 2*size+64
}

// Compact moves the record out of a sparse page and returns how many bytes that
// was: none if it is not in one, or if a snapshot may still read the block.
func (c *Cell) Compact() int {
	if !c.heap.Sparse(c.at) {
		return 0
	}
	h := c.Header()
	if h.Lent {
		return 0
	}
	size := h.payloadAt + h.PayloadLen
	from, to := c.at, c.heap.Alloc(size)
	copy(c.Memory().Bytes(to, size), c.Memory().Bytes(from, size))
	c.at = to
	c.home.Moved(from, to)
	c.heap.Free(from)
	return size
}

// Replace makes the content that of v, which may be a view of this record. For
// a collection the trees that the payload names go over with it; the old ones
// are the caller's, see Trees.
func (c *Cell) Replace(v Value) {
	c.home.Preserve(c.at)
	size := len(v.Bytes)
	if v.isInt() {
		size = 8
	}
	old := c.Header()
	h := old
	h.Kind, h.Enc, h.Roots, h.PayloadLen = v.Kind, v.Enc, v.Roots, size
	if !old.Lent && h.PayloadLen == old.PayloadLen {
		// The same place: only the first bytes of the header and the content change.
		h.layout()
		h.put(c.Memory().Bytes(c.at, h.payloadAt))
	} else {
		if sameBytes(v.Bytes, c.payload(&old)) {
			v.Bytes = append([]byte(nil), v.Bytes...)
		}
		// Nothing of the old payload is kept.
		c.rewrite(&old, &h, 0, old.PayloadLen, size, 0)
	}
	v.put(c.payload(&h))
}

// lent reports whether a snapshot may still read the block.
func (c *Cell) lent() bool { return c.Memory().Bytes(c.at, 10)[8]&FlagLent != 0 }

// SetInt makes n the content of a string.
func (c *Cell) SetInt(n int64) {
	c.home.Preserve(c.at)
	if b := c.Memory().Bytes(c.at, 10); b[7] == byte(KindString)<<4|byte(EncInt) && b[8]&FlagLent == 0 {
		binary.LittleEndian.PutUint64(payloadOf(c.Memory(), c.at), uint64(n))
		return
	}
	c.Replace(IntValue(n))
}

// sameBytes reports whether a begins inside b.
func sameBytes(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	return &a[0] == &b[0]
}

// Space is where the nodes of the value's trees come from now.
func (c *Cell) Space() tree.Space { return c.home.Space() }

// SpaceOf makes that the space of t, which is where it will be used: a space that is put
// together in one place and copied to another is waited for.
func (c *Cell) SpaceOf(t *tree.Tree) {
	s, by := &t.Space, c.home.Space()
	s.Heap, s.Version, s.Retirer = by.Heap, by.Version, by.Retirer
	s.Frozen, s.Floor = by.Frozen, by.Floor
}

// Frozen reports whether an open snapshot may read the value's trees: then Tree.Resize
// gives an item that may be changed. Else any may be changed where it is, after Edit.
func (c *Cell) Frozen() bool { return c.home.Space().Frozen }

// Roots is how many trees the payload begins with.
func (c Cell) Roots() int {
	return int(binary.LittleEndian.Uint16(c.Memory().Bytes(c.at, 10)[8:]) >> flagRootsShift & MaxRoots)
}

// SetRoots says how many trees the payload begins with. The payload must have
// their roots.
func (c *Cell) SetRoots(n int) {
	c.home.Preserve(c.at)
	b := c.Memory().Bytes(c.at, 10)[8:]
	binary.LittleEndian.PutUint16(b, binary.LittleEndian.Uint16(b)&^(MaxRoots<<flagRootsShift)|uint16(n)<<flagRootsShift)
}

// Tree opens tree i for change. SetRoot keeps what became of it.
func (c *Cell) Tree(i int) tree.Tree {
	return tree.Tree{View: c.Value().Tree(i), Space: c.Space()}
}

// SetRoot keeps the root of tree i.
func (c *Cell) SetRoot(i int, root tree.Root) {
	root.Put(c.Edit()[i*tree.RootSize:])
}

// HasDeadline reports whether the key expires.
func (c Cell) HasDeadline() bool {
	return c.Memory().Bytes(c.at, 10)[8]&FlagDeadline != 0
}

// HasFieldDeadline reports whether the keyspace knows that a field of the value
// expires. A draft does not tell.
func (c Cell) HasFieldDeadline() bool {
	return c.Memory().Bytes(c.at, 10)[8]&FlagFieldDeadline != 0
}

// FieldsExpire sets when the first field of the value expires, 0 for never.
func (c *Cell) FieldsExpire(atMs int64) { c.at = c.home.FieldsExpire(c.at, atMs) }

// NewRecord returns a new record in a block of heap. The trees of v go over
// with it.
func NewRecord(heap *arena.Heap, key []byte, v *Value, version, clock uint32) arena.Ref {
	return NewExpiring(heap, key, v, version, clock, 0)
}

// NewExpiring is NewRecord for a key that expires: deadline is its place in the
// heap of deadlines, 0 for none.
func NewExpiring(heap *arena.Heap, key []byte, v *Value, version, clock, deadline uint32) arena.Ref {
	h := Header{
		Version: version, Clock: clock, Kind: v.Kind, Enc: v.Enc, Roots: v.Roots, Deadline: deadline,
		KeyLen: len(key), PayloadLen: len(v.Bytes),
	}
	if v.isInt() {
		h.PayloadLen = 8
	}
	size := h.layout()
	at := heap.Alloc(size)
	b := heap.Memory().Bytes(at, size)
	h.put(b)
	copy(b[h.keyAt:], key)
	v.put(b[h.payloadAt:])
	return at
}

func (v *Value) isInt() bool { return v.Kind == KindString && v.Enc == EncInt }

// put writes the payload.
func (v *Value) put(payload []byte) {
	if v.isInt() {
		binary.LittleEndian.PutUint64(payload, uint64(v.Int))
		return
	}
	copy(payload, v.Bytes)
}

// SetDeadlines changes the places in the heaps of deadlines, without telling
// snapshots: they are not content.
func (c *Cell) SetDeadlines(deadline, fieldDeadline uint32) {
	old := c.Header()
	h := old
	h.Deadline, h.FieldDeadline = deadline, fieldDeadline
	if (old.Deadline != 0) == (deadline != 0) && (old.FieldDeadline != 0) == (fieldDeadline != 0) {
		// They stand right before the key, and nothing else changes.
		places := c.Memory().Bytes(c.at, h.keyAt)
		if fieldDeadline != 0 {
			binary.LittleEndian.PutUint32(places[len(places)-4:], fieldDeadline)
			places = places[:len(places)-4]
		}
		if deadline != 0 {
			binary.LittleEndian.PutUint32(places[len(places)-4:], deadline)
		}
		return
	}
	c.rewrite(&old, &h, 0, 0, 0, 0)
}

// Lend marks the block as one that a snapshot may read.
func (c *Cell) Lend() {
	b := c.Memory().Bytes(c.at, 10)
	b[8] |= FlagLent
}
