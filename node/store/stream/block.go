package stream

import (
	"encoding/binary"
	"math"

	"slotmesh/node/store/listpack"
)

// A block is a run of entries in one listpack, byte for byte as the reference
// has it. It begins with the master entry, whose fields the entries that follow
// need not repeat:
//
//	count, deleted, number of fields, fields..., 0
//
// count is the number of entries that are there, deleted that of those that are
// only marked as gone. Then, for each entry:
//
//	flags, ms, seq, [number of fields,] [field,] value..., pieces
//
// ms and seq are relative to the block's own id, that of its first entry. With
// flagSame the fields are those of the master entry and not written. pieces is
// how many elements stand before it in the entry, by which one walks backwards.
const (
	flagDeleted = 1 << 0
	flagSame    = 1 << 1
)

// block is a block that is being read.
type block struct {
	id ID
	lp []byte
	// fields is the number of the master's fields, which begin at master; the
	// entries begin at entries.
	fields          int
	master, entries int
}

// integer returns the integer at pos and what follows it.
func integer(lp []byte, pos int) (n int64, next int) {
	if b := lp[pos]; b < 0x80 {
		return int64(b), pos + 2
	}
	_, n, _, next = listpack.Entry(lp, pos)
	if next < 0 {
		next = listpack.End(lp)
	}
	return n, next
}

func openBlock(id ID, lp []byte) block {
	b := block{id: id, lp: lp}
	_, pos := integer(lp, listpack.HeaderSize)
	_, pos = integer(lp, pos)
	n, pos := integer(lp, pos)
	b.fields, b.master = int(n), pos
	_, b.entries = integer(lp, listpack.Skip(lp, pos, b.fields))
	return b
}

// counts returns the number of entries and of those marked as deleted, and where
// the number of fields stands.
func counts(lp []byte) (count, deleted int64, next int) {
	count, next = integer(lp, listpack.HeaderSize)
	deleted, next = integer(lp, next)
	return count, deleted, next
}

// Entry is one entry of a stream, a view of its block.
type Entry struct {
	ID ID
	// Fields is the number of its fields.
	Fields  int
	deleted bool
	same    bool
	lp      []byte
	// at is where the flags stand; fields and values begin at content, names at
	// the master's if same.
	at, content, master int
}

// entryAt reads the entry at pos.
func (b *block) entryAt(pos int) (e Entry) {
	e.lp, e.at = b.lp, pos
	flags, pos := integer(b.lp, pos)
	ms, pos := integer(b.lp, pos)
	seq, pos := integer(b.lp, pos)
	e.ID = ID{b.id.Ms + uint64(ms), b.id.Seq + uint64(seq)}
	e.deleted, e.same = flags&flagDeleted != 0, flags&flagSame != 0
	e.Fields, e.master = b.fields, b.master
	if !e.same {
		n, after := integer(b.lp, pos)
		e.Fields, pos = int(n), after
	}
	e.content = pos
	return e
}

// end returns where the entry behind e begins.
func (e *Entry) end() int {
	n := e.Fields
	if !e.same {
		n *= 2
	}
	return listpack.Skip(e.lp, e.content, n+1)
}

// before returns the place of the entry that ends at end, -1 for none.
func (b *block) before(end int) int {
	if end <= b.entries {
		return -1
	}
	pos := listpack.Prev(b.lp, end)
	pieces, _ := integer(b.lp, pos)
	for range pieces {
		pos = listpack.Prev(b.lp, pos)
	}
	return pos
}

// Pairs walks the fields and values of an entry.
type Pairs struct {
	lp          []byte
	left        int
	name, value int
	same        bool
	numbers     [2][20]byte
}

// Pairs returns the fields and values of e. They are views, good until the next
// call of Next and the next change of the stream.
func (e *Entry) Pairs() Pairs {
	p := Pairs{lp: e.lp, left: e.Fields, same: e.same, value: e.content, name: e.content}
	if e.same {
		p.name = e.master
	}
	return p
}

// Next returns the next field with its value, in order.
func (p *Pairs) Next() (field, value []byte, ok bool) {
	if p.left == 0 {
		return nil, nil, false
	}
	p.left--
	if p.same {
		field, p.name = text(p.lp, p.name, p.numbers[0][:0])
		value, p.value = text(p.lp, p.value, p.numbers[1][:0])
	} else {
		field, p.value = text(p.lp, p.value, p.numbers[0][:0])
		value, p.value = text(p.lp, p.value, p.numbers[1][:0])
	}
	return field, value, true
}

// text returns the element at pos as text, in room if it is an integer, and what
// follows it.
func text(lp []byte, pos int, room []byte) ([]byte, int) {
	text, _, isInt, next := listpack.Entry(lp, pos)
	if isInt {
		text = listpack.AppendText(room, lp, pos)
	}
	return text, next
}

// Args are the fields and values of a new entry, one after the other as XADD
// has them.
type Args [][]byte

// size is the sum of the lengths of all fields and values.
func (a Args) size() int {
	n := 0
	for _, arg := range a {
		n += len(arg)
	}
	return n
}

// TooLarge reports whether no block can have an entry with these.
func (a Args) TooLarge() bool { return a.size() > maxBlock }

// sameFields reports whether the fields of a are those of the master entry.
func (b *block) sameFields(a Args) bool {
	if len(a)/2 != b.fields {
		return false
	}
	pos := b.master
	for i := 0; i < len(a); i += 2 {
		if !listpack.Equal(b.lp, pos, a[i]) {
			return false
		}
		pos = listpack.Next(b.lp, pos)
	}
	return true
}

// newEntry is an entry that is to be written.
type newEntry struct {
	ms, seq int64
	same    bool
	args    Args
}

// size is how many bytes put writes, pieces how many elements.
func (e *newEntry) size() (size, pieces int) {
	n := len(e.args) / 2
	size, pieces = 2+listpack.IntSize(e.ms)+listpack.IntSize(e.seq), 3+n
	if e.same {
		for i := 1; i < len(e.args); i += 2 {
			size += listpack.EntrySize(e.args[i])
		}
	} else {
		size += listpack.IntSize(int64(n))
		pieces += n + 1
		for _, arg := range e.args {
			size += listpack.EntrySize(arg)
		}
	}
	return size + listpack.IntSize(int64(pieces)), pieces
}

func (e *newEntry) put(b []byte, pieces int) int {
	flags, step := int64(0), 1
	if e.same {
		flags, step = flagSame, 2
	}
	at := listpack.PutInt(b, flags)
	at += listpack.PutInt(b[at:], e.ms)
	at += listpack.PutInt(b[at:], e.seq)
	if !e.same {
		at += listpack.PutInt(b[at:], int64(len(e.args)/2))
	}
	for i := step - 1; i < len(e.args); i += step {
		at += listpack.Put(b[at:], e.args[i])
	}
	return at + listpack.PutInt(b[at:], int64(pieces))
}

// firstSize is the length of a block whose only entry has these fields.
func firstSize(args Args) (size, pieces int) {
	e := newEntry{same: true, args: args}
	size, pieces = e.size()
	size += listpack.EmptySize + 2 + 2 + 2 + listpack.IntSize(int64(len(args)/2))
	for i := 0; i < len(args); i += 2 {
		size += listpack.EntrySize(args[i])
	}
	return size, pieces
}

// putFirst writes a block with one entry into b, firstSize bytes.
func putFirst(b []byte, args Args, pieces int) {
	listpack.PutEmpty(b)
	at := listpack.HeaderSize
	at += listpack.PutInt(b[at:], 1)
	at += listpack.PutInt(b[at:], 0)
	at += listpack.PutInt(b[at:], int64(len(args)/2))
	for i := 0; i < len(args); i += 2 {
		at += listpack.Put(b[at:], args[i])
	}
	at += listpack.PutInt(b[at:], 0)
	e := newEntry{same: true, args: args}
	e.put(b[at:], pieces)
	listpack.Fix(b, 4+len(args)/2+pieces+1)
}

// putCounts writes new counts into a listpack whose old ones took old bytes and
// whose new ones take as many as their sizes say; the bytes behind have been
// moved.
func putCounts(lp []byte, count, deleted int64) {
	at := listpack.HeaderSize
	at += listpack.PutInt(lp[at:], count)
	listpack.PutInt(lp[at:], deleted)
}

// ErrBlock is what ValidateBlock finds wrong.
type blockError string

func (e blockError) Error() string { return "stream: " + string(e) }

// ErrBlock says that bytes are no block of entries.
const ErrBlock blockError = "bytes are not a block of entries"

// ValidateBlock checks that lp is a block, so that nothing here reads outside it
// or goes round in it, and returns how many entries it holds.
func ValidateBlock(lp []byte) (count int64, err error) {
	if !listpack.Framed(lp) {
		return 0, ErrBlock
	}
	count, deletedAt := listpack.CheckInt(lp, listpack.HeaderSize)
	deleted, fieldsAt := checkNext(lp, deletedAt)
	// What is changed in place has its shortest form.
	short := fieldsAt == listpack.HeaderSize+listpack.IntSize(count)+listpack.IntSize(deleted)
	fields, pos := checkNext(lp, fieldsAt)
	pos = checkSkip(lp, pos, fields)
	zero, pos := checkNext(lp, pos)
	if pos < 0 || zero != 0 || count < 0 || deleted < 0 || !short {
		return 0, ErrBlock
	}
	entries := 4 + fields
	var live, gone int64
	for end := listpack.End(lp); pos < end; {
		flags := lp[pos]
		if flags > flagDeleted|flagSame {
			return 0, ErrBlock
		}
		next := checkHead(lp, pos)
		n, pieces := fields, fields+3
		if flags&flagSame == 0 {
			if n, next = checkNext(lp, next); n < 0 || n > math.MaxInt32 {
				return 0, ErrBlock
			}
			n *= 2
			pieces = n + 4
		}
		if next < 0 || n > int64(len(lp)) {
			return 0, ErrBlock
		}
		next, have := listpack.CheckEntries(lp, next, int(n))
		if int64(have) != n {
			return 0, ErrBlock
		}
		if pieces < 128 && lp[next] == byte(pieces) && lp[next+1] == 1 {
			pos = next + 2
		} else {
			var told int64
			if told, pos = checkNext(lp, next); pos < 0 || told != pieces {
				return 0, ErrBlock
			}
		}
		entries += pieces + 1
		if flags&flagDeleted != 0 {
			gone++
		} else {
			live++
		}
	}
	if live != count || gone != deleted || live+gone == 0 || !listpack.LenFits(lp, int(entries)) {
		return 0, ErrBlock
	}
	return count, nil
}

// The flags, milliseconds and sequence of nearly all entries, as the eight bytes that
// they begin with: a byte of a number and the length behind it, 1, three times, but that
// the milliseconds may have 13 bits (110 and 5 of them, a byte more, 2) or 16 (f1, two
// bytes, 3). The masks leave out what is the number's.
const (
	headMask, head     = 0x0000_ff80_ff80_ff80, 0x0000_0100_0100_0100
	headMask13, head13 = 0x00ff_80ff_00e0_ff80, 0x0001_0002_00c0_0100
	headMask16, head16 = 0xff80_ff00_00ff_ff80, 0x0100_0300_00f1_0100
)

// checkHead checks the three integers at pos of a block, which is Framed, that an entry
// begins with, and returns what is behind them; next < 0 if they are none.
func checkHead(lp []byte, pos int) (next int) {
	if pos+8 <= len(lp) {
		switch w := binary.LittleEndian.Uint64(lp[pos:]); {
		case w&headMask == head:
			return pos + 6
		case w&headMask13 == head13:
			return pos + 7
		case w&headMask16 == head16:
			return pos + 8
		}
	}
	return listpack.CheckInts(lp, pos, 3)
}

// checkNext is listpack.CheckInt for what is behind something that may be broken, with
// pos < 0 then.
func checkNext(lp []byte, pos int) (n int64, next int) {
	if pos < 0 {
		return 0, -1
	}
	return listpack.CheckInt(lp, pos)
}

// checkSkip is checkNext for n entries of any kind. There are not as many as n may say.
func checkSkip(lp []byte, pos int, n int64) (next int) {
	if pos < 0 || n < 0 || n > int64(len(lp)) {
		return -1
	}
	next, have := listpack.CheckEntries(lp, pos, int(n))
	if int64(have) != n {
		return -1
	}
	return next
}

// A block's item in the tree of blocks is the sequence of its id, whose milliseconds are
// the prefix, and the listpack.
const seqSize = 8

func itemSeq(item []byte) uint64 { return binary.LittleEndian.Uint64(item) }
