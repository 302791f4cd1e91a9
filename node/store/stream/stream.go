package stream

import (
	"encoding/binary"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// Limits say when a block is full: the directives stream-node-max-bytes and
// stream-node-max-entries. 0 is no limit.
type Limits struct {
	MaxBytes   int64
	MaxEntries int64
}

// DefaultLimits are the reference's.
var DefaultLimits = Limits{MaxBytes: 4096, MaxEntries: 100}

// maxBlock is the longest block, and the most that the fields and values of one
// entry may have together.
const maxBlock = 1 << 30

// The trees of a stream. One that never had a group has only the first.
const (
	treeBlocks  = iota // block id → listpack
	treeNames          // names of groups and of consumers → what is known of them
	treeNumbers        // number of a group or consumer → its name
	treePending        // number and entry id → delivery
	treeCount
)

// meta is what the payload holds behind the roots.
type meta struct {
	length, added uint64
	// first is that of the first entry as it was recorded: it is right after every
	// command, but a file may say otherwise.
	first, last, maxDeleted ID
	// nodes is the number of nodes that the blocks take in the reference's radix
	// tree, see radix.go.
	nodes uint64
}

const metaSize = 9 * 8

// The last block usually lies in the payload itself, behind meta: its id and the
// listpack. So adding an entry goes to no tree. It moves to the tree when the
// next one begins, and is there from the beginning, or from then on, if it is
// longer than maxTail.
const (
	tailIDSize = 16
	maxTail    = 8 << 10
)

func (m *meta) put(b []byte) {
	b = b[:metaSize]
	put := func(i int, n uint64) { binary.LittleEndian.PutUint64(b[i*8:], n) }
	put(0, m.length)
	put(1, m.added)
	put(2, m.first.Ms)
	put(3, m.first.Seq)
	put(4, m.last.Ms)
	put(5, m.last.Seq)
	put(6, m.maxDeleted.Ms)
	put(7, m.maxDeleted.Seq)
	put(8, m.nodes)
}

func (m *meta) parse(b []byte) {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[i*8:]) }
	m.length, m.added = word(0), word(1)
	m.first, m.last, m.maxDeleted = ID{word(2), word(3)}, ID{word(4), word(5)}, ID{word(6), word(7)}
	m.nodes = word(8)
}

// Reader reads a stream. It is a view, good as long as the value it was made
// from.
type Reader struct {
	v     value.Value
	meta  meta
	roots [treeCount]tree.Root
	// tail is the listpack of the last block if that lies in the payload, else
	// nil; tailID is its id.
	tail   []byte
	tailID ID
}

// Read returns the reader of a stream's value.
func Read(v value.Value) (r Reader) {
	r.read(&v)
	return r
}

// read makes r, which is zero, the reader of v.
func (r *Reader) read(v *value.Value) {
	r.v = *v
	if v.Roots == 0 {
		r.meta.nodes = 1
		return
	}
	for i := range int(v.Roots) {
		r.roots[i].Parse(v.Bytes[i*tree.RootSize:])
	}
	rest := v.Bytes[int(v.Roots)*tree.RootSize:]
	r.meta.parse(rest)
	r.tailID, r.tail = tailOf(rest)
}

// Len is the number of entries of a stream's value, for those who want to know
// no more.
func Len(v value.Value) uint64 {
	if v.Roots == 0 {
		return 0
	}
	return binary.LittleEndian.Uint64(v.Rest())
}

// tailOf returns the tail, if there is one in what follows the roots.
func tailOf(rest []byte) (id ID, lp []byte) {
	if b := rest[metaSize:]; len(b) > 0 {
		return ID{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}, b[tailIDSize:]
	}
	return ID{}, nil
}

func (r *Reader) view(i int) tree.View { return tree.View{Memory: r.v.Memory, Root: r.roots[i]} }

// Len is the number of entries, Blocks that of blocks.
func (r *Reader) Len() uint64 { return r.meta.length }

func (r *Reader) Blocks() int {
	n := int(r.roots[treeBlocks].Count)
	if r.tail != nil {
		n++
	}
	return n
}

// RadixNodes is the number of nodes that the reference's tree of blocks has.
func (r *Reader) RadixNodes() uint64 { return r.meta.nodes }

// LastID is the greatest id that the stream ever gave, or was told it had; FirstID
// that of the first entry, as recorded; MaxDeletedID the greatest id that XDEL
// removed. They are zero when there is none.
func (r *Reader) LastID() ID { return r.meta.last }

func (r *Reader) FirstID() ID { return r.meta.first }

func (r *Reader) MaxDeletedID() ID { return r.meta.maxDeleted }

// EntriesAdded counts all entries that were ever added.
func (r *Reader) EntriesAdded() uint64 { return r.meta.added }

// Stream is a stream open for change. Changes are kept by Save, which is called
// before anything else is done with the key.
type Stream struct {
	Reader
	cell *value.Cell
	// edited is true once the payload was opened for change: then it is written
	// directly.
	edited bool
}

// Open returns the stream of a cell, which may be new and without a payload. The
// stream in it is written by Save. A Stream is large: handing one on costs as much
// as changing something in it.
func Open(c *value.Cell) (s Stream) {
	s.cell = c
	v := c.Value()
	s.read(&v)
	return s
}

// tree opens a tree for change. What it refers to comes from the cell and not
// from s, so that the compiler sees that s and the cell can stay on the stack.
func (s *Stream) tree(i int) tree.Tree {
	return tree.Tree{View: tree.View{Memory: s.cell.Memory(), Root: s.roots[i]}, Space: s.cell.Space()}
}

// View returns a reader of the stream as it is now, which does not hold on to s.
func (s *Stream) View() Reader {
	r := Reader{meta: s.meta, roots: s.roots}
	r.v = value.Value{Kind: value.KindStream, Enc: value.EncStream, Roots: s.v.Roots, Memory: s.cell.Memory(), Bytes: s.cell.Payload()}
	if r.v.Roots > 0 {
		r.tailID, r.tail = tailOf(r.v.Rest())
	}
	return r
}

// Save writes what changed into the cell.
func (s *Stream) Save() {
	had, roots := int(s.v.Roots), s.rootCount()
	switch {
	case had == 0:
		s.begin(roots, 0)
		return
	case had == roots && s.edited:
		s.write(s.v.Bytes, roots)
		return
	}
	var b []byte
	if had == roots {
		b = s.cell.Edit()
	} else {
		b = s.cell.Splice(0, had*tree.RootSize, roots*tree.RootSize)
	}
	s.write(b, roots)
	if had != roots {
		s.cell.SetRoots(roots)
		b = s.cell.Edit()
	}
	s.refresh(b, roots)
}

// rootCount is how many roots the payload is to have.
func (s *Stream) rootCount() int {
	if s.v.Roots == treeCount || s.roots[treeNames].Count > 0 {
		return treeCount
	}
	return 1
}

// begin gives a stream without a payload one, with room for so many bytes of a tail.
func (s *Stream) begin(roots, tail int) {
	base := roots*tree.RootSize + metaSize
	b := s.cell.SpliceRoom(0, 0, base+tail, tailRoom(base, base, base+tail))
	s.write(b, roots)
	s.cell.SetRoots(roots)
	s.refresh(s.cell.Edit(), roots)
}

// write puts roots and numbers into a payload.
func (s *Stream) write(b []byte, roots int) {
	for i := range roots {
		s.roots[i].Put(b[i*tree.RootSize:])
	}
	s.meta.put(b[roots*tree.RootSize:])
}

// refresh takes note of a payload that has changed its place or size.
func (s *Stream) refresh(payload []byte, roots int) {
	s.v.Bytes, s.v.Roots = payload, uint8(roots)
	s.tailID, s.tail = tailOf(payload[roots*tree.RootSize:])
	s.edited = true
}

// resizeTail gives the tail's listpack size bytes, of which the first ones are
// kept; 0 drops the tail.
func (s *Stream) resizeTail(size int) []byte {
	base := int(s.v.Roots)*tree.RootSize + metaSize
	have, want := len(s.v.Bytes), base
	if size > 0 {
		want += tailIDSize + size
	}
	at := min(have, want)
	return s.spliceTail(at, have-at, want)
}

// replaceTail makes the tail one with this id, whatever it was before; the size
// bytes of its listpack are to be filled.
func (s *Stream) replaceTail(id ID, size int) []byte {
	if s.v.Roots == 0 {
		s.begin(s.rootCount(), tailIDSize+size)
	} else {
		base := int(s.v.Roots)*tree.RootSize + metaSize
		s.spliceTail(base, len(s.v.Bytes)-base, base+tailIDSize+size)
	}
	base := int(s.v.Roots)*tree.RootSize + metaSize
	binary.LittleEndian.PutUint64(s.v.Bytes[base:], id.Ms)
	binary.LittleEndian.PutUint64(s.v.Bytes[base+8:], id.Seq)
	s.tailID = id
	return s.tail
}

// spliceTail replaces the last bytes of the payload, remove of them from at on, so
// that it gets want bytes, and returns the tail's listpack.
func (s *Stream) spliceTail(at, remove, want int) []byte {
	base := int(s.v.Roots)*tree.RootSize + metaSize
	b := s.cell.SpliceRoom(at, remove, want-at, tailRoom(base, len(s.v.Bytes), want))
	s.refresh(b, int(s.v.Roots))
	if want == base {
		return nil
	}
	return b[base+tailIDSize:]
}

// putBlock appends a block of size bytes to the tree, with lp in it if that is
// given, and returns its listpack.
func putBlock(t *tree.Tree, id ID, size int, lp []byte) []byte {
	item := t.Append(id.Ms, seqSize+size)
	binary.LittleEndian.PutUint64(item, id.Seq)
	copy(item[seqSize:], lp)
	return item[seqSize:]
}

// shelve copies the tail, if there is one, to the tree.
func (s *Stream) shelve() {
	if s.tail != nil {
		t := s.tree(treeBlocks)
		putBlock(&t, s.tailID, len(s.tail), s.tail)
		s.roots[treeBlocks] = t.Root
	}
}

// newBlock returns the listpack of a new last block, to be filled.
func (s *Stream) newBlock(id ID, size int) []byte {
	s.meta.nodes += s.radixGain(id)
	s.shelve()
	if size <= maxTail {
		return s.replaceTail(id, size)
	}
	if s.tail != nil {
		s.resizeTail(0)
	}
	t := s.tree(treeBlocks)
	lp := putBlock(&t, id, size, nil)
	s.roots[treeBlocks] = t.Root
	return lp
}

// SetID sets what XSETID sets.
func (s *Stream) SetID(last ID) { s.meta.last = last }

// SetAdded sets the number of entries ever added, SetMaxDeleted the greatest id
// deleted.
func (s *Stream) SetAdded(n uint64) { s.meta.added = n }

func (s *Stream) SetMaxDeleted(id ID) { s.meta.maxDeleted = id }

// AddError is why an entry was not added.
type AddError string

func (e AddError) Error() string { return "stream: " + string(e) }

const (
	// ErrSmallID says that the id is not after the last one.
	ErrSmallID AddError = "id is not greater than the last one"
	// ErrTooLarge says that fields and values are longer than a block can be.
	ErrTooLarge AddError = "entry is too large"
)

// Add appends an entry. It fails with an AddError, and has changed nothing then.
func (s *Stream) Add(id ID, args Args, limits Limits) error {
	if !s.meta.last.Less(id) {
		return ErrSmallID
	}
	total := args.size()
	if total > maxBlock {
		return ErrTooLarge
	}
	if !s.extend(id, args, total, limits) {
		size, pieces := firstSize(args)
		putFirst(s.newBlock(id, size), args, pieces)
	}
	s.meta.length++
	s.meta.added++
	s.meta.last = id
	if s.meta.length == 1 {
		s.meta.first = id
	}
	return nil
}

// extend adds the entry to the last block, unless there is none or it is full.
func (s *Stream) extend(id ID, args Args, total int, limits Limits) bool {
	o := s.lastBlock()
	if !o.there {
		return false
	}
	most := limits.MaxBytes
	if most <= 0 || most > maxBlock {
		most = maxBlock
	}
	if int64(len(o.lp)+total) >= most {
		return false
	}
	count, deleted, at := counts(o.lp)
	if limits.MaxEntries > 0 && count+deleted >= limits.MaxEntries {
		return false
	}
	b := block{id: o.id, lp: o.lp}
	n, at := integer(o.lp, at)
	b.fields, b.master = int(n), at
	e := newEntry{int64(id.Ms - o.id.Ms), int64(id.Seq - o.id.Seq), b.sameFields(args), args}
	size, pieces := e.size()
	if o.isTail && len(o.lp)+size > maxTail {
		s.shelve()
		s.resizeTail(0)
		o = s.lastBlock()
	}
	o.setCounts(s, count, deleted, count+1, deleted, size)
	e.put(o.lp[len(o.lp)-1-size:], pieces)
	listpack.Fix(o.lp, pieces+1)
	o.end(s)
	return true
}

// openedBlock is a block open for change, in the tree or in the payload.
type openedBlock struct {
	id            ID
	lp            []byte
	there, isTail bool
	tree          tree.Tree
	cursor        tree.Cursor
}

// lastBlock opens the last block.
func (s *Stream) lastBlock() openedBlock {
	if s.tail != nil {
		id, lp := tailOf(s.cell.Payload()[int(s.v.Roots)*tree.RootSize:])
		return openedBlock{there: true, isTail: true, id: id, lp: lp}
	}
	t := s.tree(treeBlocks)
	if n := t.Len(); n > 0 {
		return openAt(t, t.At(n-1))
	}
	return openedBlock{}
}

// openAt opens the block of t at c.
func openAt(t tree.Tree, c tree.Cursor) openedBlock {
	item := c.Item()
	return openedBlock{there: true, id: ID{c.Prefix(), itemSeq(item)}, lp: item[seqSize:], tree: t, cursor: c}
}

// opened opens the block with this id.
func (s *Stream) opened(id ID) openedBlock {
	if s.tail != nil && id == s.tailID {
		return s.lastBlock()
	}
	t := s.tree(treeBlocks)
	c, _ := t.Find(id.Ms, blockCompare(id.Seq))
	return openAt(t, c)
}

// resize gives the listpack size bytes, of which the first ones are kept; to the
// same size, it is then open to be written.
func (o *openedBlock) resize(s *Stream, size int) {
	if o.isTail {
		o.lp = s.resizeTail(size)
		return
	}
	o.lp = o.tree.Resize(&o.cursor, seqSize+size)[seqSize:]
}

// end keeps what became of the tree.
func (o *openedBlock) end(s *Stream) {
	if !o.isTail {
		s.roots[treeBlocks] = o.tree.Root
	}
}

// drop removes the block.
func (o *openedBlock) drop(s *Stream) {
	if o.isTail {
		s.resizeTail(0)
	} else {
		o.tree.Delete(&o.cursor)
		o.end(s)
	}
	s.meta.nodes -= s.radixGain(o.id)
}

// setCounts changes the counts and makes room for more bytes before the end. The
// caller puts the header right.
func (o *openedBlock) setCounts(s *Stream, oldCount, oldDeleted, count, deleted int64, more int) {
	length := len(o.lp)
	shift := listpack.IntSize(count) + listpack.IntSize(deleted) - listpack.IntSize(oldCount) - listpack.IntSize(oldDeleted)
	if shift < 0 {
		// Moved down while there is room, then cut.
		o.resize(s, length)
		closeUp(o.lp, oldCount, oldDeleted, shift)
	}
	o.resize(s, length+shift+more)
	if shift > 0 {
		closeUp(o.lp[:length+shift], oldCount, oldDeleted, shift)
	}
	putCounts(o.lp, count, deleted)
}

// closeUp moves what stands behind the counts by shift.
func closeUp(lp []byte, oldCount, oldDeleted int64, shift int) {
	from := listpack.HeaderSize + listpack.IntSize(oldCount) + listpack.IntSize(oldDeleted)
	if shift > 0 {
		copy(lp[from+shift:], lp[from:len(lp)-shift])
	} else {
		copy(lp[from+shift:], lp[from:])
	}
}

// Delete marks the entry id as deleted, or drops its block with the last one of
// it. It reports whether the entry was there.
func (s *Stream) Delete(id ID) bool {
	p := s.blockOf(id)
	if !p.valid() {
		return false
	}
	b := p.block()
	pos, ok := b.find(id)
	if !ok {
		return false
	}
	o := s.opened(b.id)
	if count, deleted, _ := counts(b.lp); count == 1 {
		o.drop(s)
	} else {
		o.resize(s, len(b.lp))
		o.lp[pos] |= flagDeleted
		o.setCounts(s, count, deleted, count-1, deleted+1, 0)
		listpack.Fix(o.lp, 0)
		o.end(s)
	}
	s.meta.length--
	return true
}

// find returns the place of the entry id. What is marked as deleted may be followed by
// entries before it: XSETID looks only at what is there.
func (b *block) find(id ID) (pos int, ok bool) {
	for pos = b.entries; pos < listpack.End(b.lp); {
		e := b.entryAt(pos)
		switch {
		case e.deleted:
		case e.ID == id:
			return pos, true
		case id.Less(e.ID):
			return 0, false
		}
		pos = e.end()
	}
	return 0, false
}

// DeleteAll deletes the entries with these ids, as XDEL does, and returns how
// many there were.
func (s *Stream) DeleteAll(ids []ID) (deleted int) {
	first := false
	for _, id := range ids {
		if s.Delete(id) {
			first = first || id == s.meta.first
			if s.meta.maxDeleted.Less(id) {
				s.meta.maxDeleted = id
			}
			deleted++
		}
	}
	switch {
	case deleted == 0:
	case s.meta.length == 0:
		s.meta.first = ID{}
	case first:
		r := s.View()
		s.meta.first, _ = r.Edge(false, true)
	}
	return deleted
}
