package stream

import (
	"encoding/binary"

	"slotmesh/node/store/tree"
)

// The tree of what is pending is ordered by number and entry id. Under the number
// of a group stands each entry that was delivered and not acknowledged, with
//
//	consumer's number, deliveries, time of delivery (uvarints)
//
// and under the number of a consumer, with nothing, each that it owns. The prefix
// has 20 bits of the number and 44 of the milliseconds; where they do not fit,
// the item begins with the whole number u32 and milliseconds u64. The sequence
// (uvarint) follows in any case.

const (
	pendingMsBits = 44
	pendingMaxMs  = 1<<pendingMsBits - 1
	pendingMaxNum = 1<<20 - 1
)

// pendingPrefix returns the prefix and whether it says all but the sequence.
func pendingPrefix(number uint32, id ID) (prefix uint64, exact bool) {
	switch {
	case number >= pendingMaxNum:
		return pendingMaxNum<<pendingMsBits | pendingMaxMs, false
	case id.Ms >= pendingMaxMs:
		return uint64(number)<<pendingMsBits | pendingMaxMs, false
	}
	return uint64(number)<<pendingMsBits | id.Ms, true
}

// pendingKey splits the item of a cursor.
func pendingKey(prefix uint64, item []byte) (number uint32, id ID, rest []byte) {
	number = uint32(prefix >> pendingMsBits)
	id.Ms = prefix & pendingMaxMs
	if id.Ms == pendingMaxMs {
		number = binary.LittleEndian.Uint32(item)
		id.Ms = binary.LittleEndian.Uint64(item[4:])
		item = item[12:]
	}
	seq, n := uvarint(item)
	id.Seq = seq
	return number, id, item[n:]
}

// uvarint is binary.Uvarint with a short way for what is short.
func uvarint(b []byte) (uint64, int) {
	if b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}

// findPending finds an entry under a number; without it, the place of the first
// one after it.
func (r *Reader) findPending(number uint32, id ID) (tree.Cursor, bool) {
	prefix, exact := pendingPrefix(number, id)
	if exact {
		return r.view(treePending).Find(prefix, func(item []byte) int {
			seq, _ := uvarint(item)
			return ID{Seq: seq}.Compare(ID{Seq: id.Seq})
		})
	}
	return r.view(treePending).Find(prefix, func(item []byte) int {
		itemNumber, itemID, _ := pendingKey(prefix, item)
		switch {
		case itemNumber < number:
			return -1
		case itemNumber > number:
			return 1
		}
		return itemID.Compare(id)
	})
}

// maxPending is the longest item.
const maxPending = 12 + 4*binary.MaxVarintLen64

// appendPendingKey begins an item.
func appendPendingKey(b []byte, number uint32, id ID, exact bool) []byte {
	if !exact {
		b = binary.LittleEndian.AppendUint32(b, number)
		b = binary.LittleEndian.AppendUint64(b, id.Ms)
	}
	return binary.AppendUvarint(b, id.Seq)
}

// Delivery is one entry that is pending in a group.
type Delivery struct {
	ID ID
	// Consumer is the number of the one that has it.
	Consumer uint32
	// TimeMs is when it was delivered last, Unix milliseconds, and Count how often
	// it was.
	TimeMs int64
	Count  uint64
}

func (d *Delivery) parse(rest []byte) {
	consumer, n := uvarint(rest)
	count, m := uvarint(rest[n:])
	at, _ := binary.Uvarint(rest[n+m:])
	d.Consumer, d.Count, d.TimeMs = uint32(consumer), count, int64(at)
}

func (d *Delivery) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(d.Consumer))
	b = binary.AppendUvarint(b, d.Count)
	return binary.AppendUvarint(b, uint64(d.TimeMs))
}

// Delivery returns the pending entry id of a group.
func (r *Reader) Delivery(group uint32, id ID) (d Delivery, ok bool) {
	c, found := r.findPending(group, id)
	if !found {
		return Delivery{}, false
	}
	_, d.ID, _ = pendingKey(c.Prefix(), c.Item())
	_, _, rest := pendingKey(c.Prefix(), c.Item())
	d.parse(rest)
	return d, true
}

// PendingCount is the number of entries that are pending in a group or with a
// consumer.
func (r *Reader) PendingCount(number uint32) int {
	from, to := r.pendingRange(number)
	return to - from
}

// Pendings is about how many entries are pending in all groups, counted once
// for the group and once for the consumer.
func (r *Reader) Pendings() int { return int(r.roots[treePending].Count) }

func (r *Reader) pendingRange(number uint32) (from, to int) {
	if r.roots[treePending].Count == 0 {
		return 0, 0
	}
	c, _ := r.findPending(number, ID{})
	from = c.Rank()
	c, _ = r.findPending(number+1, ID{})
	return from, c.Rank()
}

// Deliver makes an entry pending in a group, with one of its consumers; one that
// is pending there already goes over to that consumer.
func (s *Stream) Deliver(group uint32, d Delivery) {
	c, found := s.findPending(group, d.ID)
	prefix, exact := pendingPrefix(group, d.ID)
	t := s.tree(treePending)
	var room [maxPending]byte
	b := d.append(appendPendingKey(room[:0], group, d.ID, exact))
	owner := uint32(0)
	if found {
		var old Delivery
		_, _, rest := pendingKey(prefix, c.Item())
		old.parse(rest)
		owner = old.Consumer
		copy(t.Resize(&c, len(b)), b)
	} else {
		copy(t.Insert(&c, prefix, len(b)), b)
	}
	s.roots[treePending] = t.Root
	if owner == d.Consumer {
		return
	}
	if owner != 0 {
		s.dropPending(owner, d.ID)
	}
	if c, found = s.findPending(d.Consumer, d.ID); found {
		return
	}
	prefix, exact = pendingPrefix(d.Consumer, d.ID)
	t = s.tree(treePending)
	b = appendPendingKey(room[:0], d.Consumer, d.ID, exact)
	copy(t.Insert(&c, prefix, len(b)), b)
	s.roots[treePending] = t.Root
}

// Acknowledge ends that an entry is pending in a group and reports whether it
// was.
func (s *Stream) Acknowledge(group uint32, id ID) bool {
	c, found := s.findPending(group, id)
	if !found {
		return false
	}
	var d Delivery
	_, _, rest := pendingKey(c.Prefix(), c.Item())
	d.parse(rest)
	t := s.tree(treePending)
	t.Delete(&c)
	s.roots[treePending] = t.Root
	s.dropPending(d.Consumer, id)
	return true
}

func (s *Stream) dropPending(number uint32, id ID) {
	if c, found := s.findPending(number, id); found {
		t := s.tree(treePending)
		t.Delete(&c)
		s.roots[treePending] = t.Root
	}
}

func (s *Stream) dropAllPending(number uint32) {
	if from, to := s.pendingRange(number); from < to {
		t := s.tree(treePending)
		t.DeleteRange(from, to)
		s.roots[treePending] = t.Root
	}
}

// dropOwned ends that entries are pending with a consumer of a group, and returns
// how many these were.
func (s *Stream) dropOwned(group, consumer uint32) (pending int) {
	n := s.PendingCount(consumer)
	if n == 0 {
		return 0
	}
	if t := s.tree(treePending); t.Many(n) {
		t.DeleteIf(func(prefix uint64, item []byte) bool {
			number, _, rest := pendingKey(prefix, item)
			if number != group {
				return number == consumer
			}
			var d Delivery
			d.parse(rest)
			return d.Consumer == consumer
		})
		s.roots[treePending] = t.Root
		return n
	}
	for it := s.Owned(consumer, ID{}); it.Next(); pending++ {
		s.dropPending(group, it.ID)
		it.at(&s.Reader, it.ID)
	}
	s.dropAllPending(consumer)
	return pending
}

// Pending walks the entries that are pending in a group, in order.
type Pending struct {
	Delivery
	owned
}

// Owned walks the ids that are pending with a consumer.
type Owned struct {
	ID ID
	owned
}

// owned is a place in what is pending under a number.
type owned struct {
	number uint32
	cursor tree.Cursor
	begun  bool
}

// Pending returns the entries that are pending in a group, beginning with id or
// the first after it.
func (r *Reader) Pending(group uint32, id ID) Pending {
	p := Pending{owned: owned{number: group}}
	p.place(r, id)
	return p
}

// Owned returns the ids that are pending with a consumer, beginning with id or
// the first after it.
func (r *Reader) Owned(consumer uint32, id ID) Owned {
	p := Owned{owned: owned{number: consumer}}
	p.place(r, id)
	return p
}

func (p *owned) place(r *Reader, id ID) {
	p.begun = false
	p.cursor, _ = r.findPending(p.number, id)
}

// at puts the walk right after the stream changed: it is at id, or just before
// where id was, and Next goes on behind it.
func (p *owned) at(r *Reader, id ID) {
	next, ok := id.Next()
	if !ok {
		p.cursor, _ = r.findPending(p.number, MaxID)
		p.begun = p.cursor.Valid()
		return
	}
	p.place(r, next)
}

// At puts the walk right after the stream changed: Next goes to the first entry
// behind id.
func (p *Pending) At(r *Reader, id ID) { p.at(r, id) }

// At puts the walk right after the stream changed: Next goes to the first entry
// behind id.
func (p *Owned) At(r *Reader, id ID) { p.at(r, id) }

func (p *owned) next() (id ID, rest []byte, ok bool) {
	if p.begun {
		p.cursor.Next()
	}
	p.begun = true
	if !p.cursor.Valid() {
		return ID{}, nil, false
	}
	number, id, rest := pendingKey(p.cursor.Prefix(), p.cursor.Item())
	return id, rest, number == p.number
}

// Next goes to the next entry.
func (p *Pending) Next() bool {
	id, rest, ok := p.next()
	if ok {
		p.Delivery.ID = id
		p.parse(rest)
	}
	return ok
}

// Next goes to the next id.
func (p *Owned) Next() bool {
	id, _, ok := p.next()
	if ok {
		p.ID = id
	}
	return ok
}

// LastPending returns the last id that is pending in a group.
func (r *Reader) LastPending(group uint32) (ID, bool) {
	c, _ := r.findPending(group+1, ID{})
	if !c.Prev() {
		return ID{}, false
	}
	number, id, _ := pendingKey(c.Prefix(), c.Item())
	return id, number == group
}
