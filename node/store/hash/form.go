package hash

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"strconv"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// packedMax is the longest packed form. Up to here a walk over it costs no more
// than a tree would, and it is always smaller.
const packedMax = 2 << 10

// A packed form of up to takenMax bytes and takenFields fields is taken over as it
// comes from a file or a payload, if the reference keeps such a hash packed. It is
// looked through as it is; the first field that is set makes trees of it.
const (
	takenMax    = 64 << 10
	takenFields = 512
)

// The numbers of the trees.
const (
	fieldTree    = 0
	deadlineTree = 1
)

// Text is a field or a value: bytes, or an integer in the packed form.
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

// Len is the length of the text.
func (t Text) Len() int {
	if !t.IsInt {
		return len(t.Bytes)
	}
	var buf [20]byte
	return len(strconv.AppendInt(buf[:0], t.Int, 10))
}

// ParseInt returns the integer that the text is, if it is the canonical form of
// one.
func (t Text) ParseInt() (int64, bool) {
	if t.IsInt {
		return t.Int, true
	}
	return value.ParseInt(t.Bytes)
}

// Item is a field with what belongs to it.
type Item struct {
	Field, Value Text
	// Deadline is when the field expires, Unix milliseconds, 0 for never.
	Deadline int64
}

// live reports whether a field with this deadline is there at now.
func live(deadline, now int64) bool { return deadline == 0 || deadline > now }

// unpack returns the listpack of a packed payload and how many entries a field
// has: 2, or 3 with deadlines.
func unpack(payload []byte) (lp []byte, width int) {
	if len(payload) == 0 {
		return emptyPack[:], 2
	}
	n := int(binary.LittleEndian.Uint32(payload))
	if n == len(payload) {
		return payload, 2
	}
	return payload[:n], 3
}

// emptyPack stands for the payload of a hash that was just made. It is only read.
var emptyPack = [listpack.EmptySize]byte{listpack.EmptySize, 0, 0, 0, 0, 0, 0xff}

// packedItem returns the item at pos of a listpack and where the next one is, -1
// for none.
func packedItem(lp []byte, width, pos int) (item Item, next int) {
	item.Field.Bytes, item.Field.Int, item.Field.IsInt, next = listpack.Entry(lp, pos)
	item.Value.Bytes, item.Value.Int, item.Value.IsInt, next = listpack.Entry(lp, next)
	if width == 3 {
		_, item.Deadline, _, next = listpack.Entry(lp, next)
	}
	return item, next
}

// packedDeadline returns the deadline of the field at pos.
func packedDeadline(lp []byte, width, pos int) int64 {
	if width == 2 {
		return 0
	}
	_, at, _, _ := listpack.Entry(lp, listpack.Skip(lp, pos, 2))
	return at
}

// itemSize is the length of a tree's item.
func itemSize(field, val int, deadline int64) int {
	n := 1 + field + val
	for f := field << 1 >> 7; f > 0; f >>= 7 {
		n++
	}
	if deadline != 0 {
		n += 8
	}
	return n
}

// putItem fills b, itemSize bytes. It writes the value first: b may still hold
// the old item, whose field is the same.
func putItem(b, field, val []byte, deadline int64) {
	head := uint64(len(field)) << 1
	if deadline != 0 {
		head |= 1
	}
	n := binary.PutUvarint(b, head)
	if deadline != 0 {
		binary.LittleEndian.PutUint64(b[n:], uint64(deadline))
		n += 8
	}
	n += copy(b[n:], field)
	copy(b[n:], val)
}

// splitItem takes a tree's item apart.
func splitItem(b []byte) (field, val []byte, deadline int64) {
	head, n := uint64(b[0]), 1
	if head >= 0x80 {
		head, n = binary.Uvarint(b)
	}
	if head&1 != 0 {
		deadline = int64(binary.LittleEndian.Uint64(b[n:]))
		n += 8
	}
	end := n + int(head>>1)
	return b[n:end:end], b[end:], deadline
}

func treeItem(b []byte) Item {
	field, val, deadline := splitItem(b)
	return Item{Field: Text{Bytes: field}, Value: Text{Bytes: val}, Deadline: deadline}
}

// find looks a field up in the tree of fields.
func find(v tree.View, field []byte) (prefix uint64, c tree.Cursor, found bool) {
	prefix = v.Memory.Hash(field)
	c, found = findHashed(v, prefix, field)
	return prefix, c, found
}

// findHashed is find for a field whose hash is known.
func findHashed(v tree.View, prefix uint64, field []byte) (c tree.Cursor, found bool) {
	found = seekHashed(&c, &v, prefix, field)
	return c, found
}

// seekHashed is findHashed into a cursor that is there. Two fields have one hash so seldom
// that they are not compared on the way.
func seekHashed(c *tree.Cursor, v *tree.View, prefix uint64, field []byte) bool {
	if !v.Seek(c, prefix, nil) {
		return false
	}
	return holds(c.Item(), field) || v.Seek(c, prefix, func(item []byte) int { return compareField(item, field) })
}

// holds reports whether a tree's item is that of a field.
func holds(item, field []byte) bool {
	f, _, _ := splitItem(item)
	return string(f) == string(field)
}

func compareField(item, field []byte) int {
	f, _, _ := splitItem(item)
	return bytes.Compare(f, field)
}

// MaxDeadline is the latest deadline; a later one is taken for it. The reference
// keeps as many bits.
const MaxDeadline = 1<<46 - 1

// hashBits is how many bits of a field's hash stand behind a deadline, so that
// many fields with the same one are still told apart by their prefixes.
const hashBits = 64 - 46

// deadlinePrefix is the prefix in the tree of deadlines, for a field whose hash is
// hash.
func deadlinePrefix(at int64, hash uint64) uint64 {
	return uint64(min(at, MaxDeadline))<<hashBits | hash>>(64-hashBits)
}

// findDeadline looks an entry up in the tree of deadlines.
func findDeadline(v tree.View, at int64, hash uint64) (tree.Cursor, bool) {
	return v.Find(deadlinePrefix(at, hash), func(item []byte) int {
		return cmp.Compare(binary.BigEndian.Uint64(item), hash)
	})
}
