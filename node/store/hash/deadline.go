package hash

import (
	"encoding/binary"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
)

// nextSize is the length of what a packed hash with deadlines has behind its
// listpack: the next deadline.
const nextSize = 8

// Expire sets the deadline of a field, 0 for none, and reports whether there is
// such a field, hidden or not.
func (h *Hash) Expire(field []byte, deadline int64) bool {
	deadline = min(deadline, MaxDeadline)
	if h.cell.Roots() > 0 {
		return h.expireInTree(field, deadline)
	}
	lp, width := unpack(h.cell.Payload())
	pos := listpack.Find(lp, listpack.First(lp), width-1, field)
	if pos < 0 {
		return false
	}
	if width == 2 {
		if deadline == 0 {
			return true
		}
		h.addDeadlines()
		return h.Expire(field, deadline)
	}
	if len(lp)+nextSize+10 > packedMax {
		h.toTree()
		return h.expireInTree(field, deadline)
	}
	h.setPackedDeadline(pos, deadline)
	h.recount()
	return true
}

func (h *Hash) expireInTree(field []byte, deadline int64) bool {
	t := h.cell.Tree(fieldTree)
	root := t.Root
	prefix, c, found := find(t.View, field)
	if !found {
		return false
	}
	item := c.Item()
	_, val, old := splitItem(item)
	if old == deadline {
		return true
	}
	// The item grows or shrinks by the deadline, which stands before the rest.
	size, length := itemSize(len(field), len(val), deadline), len(val)
	switch {
	case size == len(item):
		b := t.Resize(&c, size)
		_, n := binary.Uvarint(b)
		binary.LittleEndian.PutUint64(b[n:], uint64(deadline))
	case size > len(item):
		b := t.Resize(&c, size)
		copy(b[size-length:], b[size-length-8:])
		putItem(b, field, b[size-length:], deadline)
	default:
		b := t.Resize(&c, len(item))
		copy(b[size-length:], b[len(b)-length:])
		putItem(b, field, b[size-length:size], deadline)
		t.Resize(&c, size)
	}
	if t.Root != root {
		h.cell.SetRoot(fieldTree, t.Root)
	}
	h.moveDeadline(prefix, old, deadline)
	return true
}

// moveDeadline keeps the tree of deadlines right when that of the field with the
// hash prefix changes; 0 is none.
func (h *Hash) moveDeadline(prefix uint64, old, deadline int64) {
	if h.cell.Roots() <= deadlineTree {
		var none tree.Root
		none.Put(h.cell.Splice(tree.RootSize, 0, tree.RootSize)[tree.RootSize:])
		h.cell.SetRoots(deadlineTree + 1)
	}
	t := h.cell.Tree(deadlineTree)
	before := nextOf(t.View)
	if old != 0 {
		if c, found := findDeadline(t.View, old, prefix); found {
			t.Delete(&c)
		}
	}
	if deadline != 0 {
		insertDeadline(&t, prefix, deadline)
	}
	h.cell.SetRoot(deadlineTree, t.Root)
	if after := nextOf(t.View); after != before {
		h.cell.FieldsExpire(after)
	}
}

func insertDeadline(t *tree.Tree, prefix uint64, deadline int64) {
	c, _ := findDeadline(t.View, deadline, prefix)
	binary.BigEndian.PutUint64(t.Insert(&c, deadlinePrefix(deadline, prefix), 8), prefix)
}

// nextOf is the first deadline of a tree of them, 0 for none.
func nextOf(v tree.View) int64 {
	if c := v.At(0); c.Valid() {
		return int64(c.Prefix() >> hashBits)
	}
	return 0
}

// addDeadlines gives every field of a packed hash room for a deadline, or turns
// it into trees if that is too much.
func (h *Hash) addDeadlines() {
	lp, _ := unpack(h.cell.Payload())
	n := listpack.Len(lp) / 2
	none := listpack.IntSize(0)
	length := len(lp) + n*none
	if length+nextSize > packedMax-64 {
		h.toTree()
		return
	}
	var old [packedMax]byte
	copy(old[:], lp)
	p := h.cell.Splice(0, len(h.cell.Payload()), length+nextSize)
	listpack.PutEmpty(p)
	at, end := listpack.HeaderSize, len(lp)-1
	for from := listpack.HeaderSize; from < end; {
		to := listpack.Skip(old[:end+1], from, 2)
		at += copy(p[at:], old[from:to])
		at += listpack.PutInt(p[at:], 0)
		from = to
	}
	listpack.Fix(p[:length], 3*n)
	clear(p[length:])
}

// setPackedDeadline changes the deadline of the field at pos. The next one of all
// is not looked after: see recount.
func (h *Hash) setPackedDeadline(pos int, deadline int64) {
	lp, _ := unpack(h.cell.Payload())
	at := listpack.Skip(lp, pos, 2)
	old := listpack.Skip(lp, at, 1) - at
	size := listpack.IntSize(deadline)
	p := h.cell.Splice(at, old, size)
	listpack.PutInt(p[at:], deadline)
	listpack.Fix(p[:len(lp)+size-old], 0)
}

// recount works out the next deadline of a packed hash that has deadlines. When
// the last one is gone, the hash takes its plain form again.
func (h *Hash) recount() {
	payload := h.cell.Payload()
	lp, width := unpack(payload)
	next := int64(0)
	for pos := listpack.First(lp); pos >= 0; {
		var item Item
		item, pos = packedItem(lp, width, pos)
		if at := item.Deadline; at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	before := int64(binary.LittleEndian.Uint64(payload[len(lp):]))
	if next == 0 {
		h.dropDeadlines(lp)
	} else if next != before {
		binary.LittleEndian.PutUint64(h.cell.Edit()[len(lp):], uint64(next))
	}
	if next != before {
		h.cell.FieldsExpire(next)
	}
}

// dropDeadlines gives a packed hash whose deadlines are all 0 its plain form.
func (h *Hash) dropDeadlines(lp []byte) {
	n := listpack.Len(lp) / 3
	size := len(lp) - n*listpack.IntSize(0)
	p := h.cell.Edit()
	at := listpack.HeaderSize
	for from := listpack.HeaderSize; from < len(lp)-1; {
		to := listpack.Skip(p[:len(lp)], from, 2)
		next := listpack.Skip(p[:len(lp)], to, 1)
		at += copy(p[at:], p[from:to])
		from = next
	}
	p = h.cell.Splice(size, len(p)-size, 0)
	binary.LittleEndian.PutUint16(p[4:], 0)
	listpack.Fix(p, 2*n)
}

// Purge deletes a field if its deadline is not after now, and reports whether it
// did.
func (h *Hash) Purge(field []byte, now int64) bool {
	r := h.Reader(0)
	if next := r.NextDeadline(); next == 0 || next > now {
		return false
	}
	at, ok := r.Deadline(field)
	return ok && !live(at, now) && h.Delete(field)
}

// ExpireFields deletes up to limit fields whose deadlines are not after now, the
// earliest first, shows each to each before it goes, and reports whether there
// are more of them. If no field is left, the key is the caller's to delete.
func (h *Hash) ExpireFields(now int64, limit int, each func(field []byte)) (more bool) {
	for ; ; limit-- {
		r := h.Reader(0)
		next := r.NextDeadline()
		if next == 0 || next > now {
			return false
		}
		if limit <= 0 {
			return true
		}
		if r.isTree() {
			h.expireFirst(next, each)
		} else {
			h.expirePacked(next, each)
		}
	}
}

// expireFirst deletes the field of the first deadline, next, from the trees.
func (h *Hash) expireFirst(next int64, each func(field []byte)) {
	deadlines := h.cell.Value().Tree(deadlineTree)
	first := deadlines.At(0)
	prefix := binary.BigEndian.Uint64(first.Item())
	t := h.cell.Tree(fieldTree)
	for c, _ := t.Find(prefix, nil); c.Valid() && c.Prefix() == prefix; c.Next() {
		field, _, deadline := splitItem(c.Item())
		if deadline == next {
			each(field)
			h.deleteFromTree(&t, &c, prefix)
			return
		}
	}
	panic("hash: a deadline without a field")
}

// expirePacked deletes the first field with the deadline next.
func (h *Hash) expirePacked(next int64, each func(field []byte)) {
	lp, width := unpack(h.cell.Payload())
	for pos := listpack.First(lp); pos >= 0; {
		item, following := packedItem(lp, width, pos)
		if item.Deadline == next {
			var buf [20]byte
			each(item.Field.bytes(&buf))
			h.cutPacked(lp, width, pos)
			h.recount()
			return
		}
		pos = following
	}
	panic("hash: a deadline without a field")
}
