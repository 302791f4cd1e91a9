package stream

import (
	"encoding/binary"
	"math"

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

func (m *meta) put(b []byte) {
	for i, n := range [...]uint64{
		m.length, m.added, m.first.Ms, m.first.Seq, m.last.Ms, m.last.Seq, m.maxDeleted.Ms, m.maxDeleted.Seq, m.nodes,
	} {
		binary.LittleEndian.PutUint64(b[i*8:], n)
	}
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
}

// Read returns the reader of a stream's value.
func Read(v value.Value) Reader {
	r := Reader{v: v}
	if v.Roots == 0 {
		r.meta.nodes = 1
		return r
	}
	for i := range int(v.Roots) {
		r.roots[i] = tree.ParseRoot(v.Bytes[i*tree.RootSize:])
	}
	r.meta.parse(v.Rest())
	return r
}

func (r *Reader) view(i int) tree.View { return tree.View{Memory: r.v.Memory, Root: r.roots[i]} }

// Len is the number of entries, Blocks that of blocks.
func (r *Reader) Len() uint64 { return r.meta.length }

func (r *Reader) Blocks() int { return int(r.roots[treeBlocks].Count) }

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

// blockCompare orders blocks of equal milliseconds.
func blockCompare(seq uint64) func([]byte) int {
	return func(item []byte) int {
		switch s := itemSeq(item); {
		case s < seq:
			return -1
		case s > seq:
			return 1
		}
		return 0
	}
}

// blockOf returns the place of the block that has the entry id if any has: the
// last one whose own id is not after it. It is not valid if there is none.
func (r *Reader) blockOf(id ID) tree.Cursor {
	c, found := r.view(treeBlocks).Find(id.Ms, blockCompare(id.Seq))
	if !found {
		c.Prev()
	}
	return c
}

func blockAt(c *tree.Cursor) block {
	item := c.Item()
	return openBlock(ID{c.Prefix(), itemSeq(item)}, item[seqSize:])
}

// Stream is a stream open for change. Changes are kept by Save, which is called
// before anything else is done with the key.
type Stream struct {
	Reader
	cell *value.Cell
}

// Open returns the stream of a cell, which may be new and without a payload. The
// stream in it is written by Save.
func Open(c *value.Cell) Stream { return Stream{Read(c.Value()), c} }

func (s *Stream) tree(i int) tree.Tree { return tree.Tree{View: s.view(i), Space: s.cell.Space()} }

// Save writes what changed into the cell.
func (s *Stream) Save() {
	roots := 1
	if int(s.v.Roots) == treeCount || s.roots[treeNames].Count > 0 {
		roots = treeCount
	}
	size := roots*tree.RootSize + metaSize
	b := s.cell.Splice(0, len(s.v.Bytes), size)
	for i := range roots {
		s.roots[i].Put(b[i*tree.RootSize:])
	}
	s.meta.put(b[roots*tree.RootSize:])
	if int(s.v.Roots) != roots {
		s.cell.SetRoots(roots)
	}
	s.v = s.cell.Value()
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

// NextID returns the id for an entry that is added now and may choose its own.
func (r *Reader) NextID(nowMs int64) ID {
	if now := uint64(nowMs); nowMs > 0 && now > r.meta.last.Ms {
		return ID{Ms: now}
	}
	next, _ := r.meta.last.Next()
	return next
}

// NextIDIn returns the id for an entry with these milliseconds; ok is false if
// there is none left.
func (r *Reader) NextIDIn(ms uint64) (id ID, ok bool) {
	if ms != r.meta.last.Ms {
		return ID{Ms: ms}, true
	}
	return ID{ms, r.meta.last.Seq + 1}, r.meta.last.Seq != math.MaxUint64
}

// Add appends an entry. It fails with an AddError, and has changed nothing then.
func (s *Stream) Add(id ID, args Args, limits Limits) error {
	if !s.meta.last.Less(id) {
		return ErrSmallID
	}
	total := args.size()
	if total > maxBlock {
		return ErrTooLarge
	}
	t := s.tree(treeBlocks)
	if n := t.Len(); n == 0 || !s.extend(&t, n-1, id, args, total, limits) {
		size, pieces := firstSize(args)
		s.meta.nodes += s.radixGain(id)
		item := t.Append(id.Ms, seqSize+size)
		binary.LittleEndian.PutUint64(item, id.Seq)
		putFirst(item[seqSize:], args, pieces)
	}
	s.roots[treeBlocks] = t.Root
	s.meta.length++
	s.meta.added++
	s.meta.last = id
	if s.meta.length == 1 {
		s.meta.first = id
	}
	return nil
}

// extend adds the entry to the block of this rank, the last one, unless that
// is full.
func (s *Stream) extend(t *tree.Tree, rank int, id ID, args Args, total int, limits Limits) bool {
	c := t.At(rank)
	item := c.Item()
	lp := item[seqSize:]
	most := limits.MaxBytes
	if most <= 0 || most > maxBlock {
		most = maxBlock
	}
	if int64(len(lp)+total) >= most {
		return false
	}
	count, deleted, at := counts(lp)
	if limits.MaxEntries > 0 && count+deleted >= limits.MaxEntries {
		return false
	}
	own := ID{c.Prefix(), itemSeq(item)}
	b := block{id: own, lp: lp}
	n, at := integer(lp, at)
	b.fields, b.master = int(n), at
	e := newEntry{int64(id.Ms - own.Ms), int64(id.Seq - own.Seq), b.sameFields(args), args}
	size, pieces := e.size()
	lp = s.resizeCounts(t, &c, len(lp), count, deleted, count+1, deleted, size)
	e.put(lp[len(lp)-1-size:], pieces)
	listpack.Fix(lp, pieces+1)
	return true
}

// resizeCounts changes the counts of the block at the cursor, whose listpack has
// length bytes, and makes room for more bytes before its end. It returns the
// listpack, whose header the caller puts right.
func (s *Stream) resizeCounts(t *tree.Tree, c *tree.Cursor, length int, oldCount, oldDeleted, count, deleted int64, more int) []byte {
	shift := listpack.IntSize(count) + listpack.IntSize(deleted) - listpack.IntSize(oldCount) - listpack.IntSize(oldDeleted)
	if shift < 0 {
		// Moved down while there is room, then cut.
		lp := t.Resize(c, seqSize+length)[seqSize:]
		closeUp(lp, oldCount, oldDeleted, shift)
		putCounts(lp, count, deleted)
		return t.Resize(c, seqSize+length+shift+more)[seqSize:]
	}
	lp := t.Resize(c, seqSize+length+shift+more)[seqSize:]
	if shift > 0 {
		closeUp(lp[:length+shift], oldCount, oldDeleted, shift)
	}
	putCounts(lp, count, deleted)
	return lp
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
	c := s.blockOf(id)
	if !c.Valid() {
		return false
	}
	b := blockAt(&c)
	pos, ok := b.find(id)
	if !ok {
		return false
	}
	t := s.tree(treeBlocks)
	if count, deleted, _ := counts(b.lp); count == 1 {
		t.Delete(&c)
		s.roots[treeBlocks] = t.Root
		s.meta.nodes -= s.radixGain(b.id)
	} else {
		lp := t.Resize(&c, seqSize+len(b.lp))[seqSize:]
		lp[pos] |= flagDeleted
		lp = s.resizeCounts(&t, &c, len(lp), count, deleted, count-1, deleted+1, 0)
		listpack.Fix(lp, 0)
		s.roots[treeBlocks] = t.Root
	}
	s.meta.length--
	return true
}

// find returns the place of the entry id.
func (b *block) find(id ID) (pos int, ok bool) {
	for pos = b.entries; pos < listpack.End(b.lp); {
		e := b.entryAt(pos)
		switch {
		case e.ID == id && !e.deleted:
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
		s.meta.first, _ = s.Edge(false, true)
	}
	return deleted
}
