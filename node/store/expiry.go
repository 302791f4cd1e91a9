package store

import (
	"encoding/binary"
	"math"

	"slotmesh/node/store/arena"
	"slotmesh/slots"
)

// deadlines are when keys, or the first fields of hashes, expire: a binary
// heap, the earliest first, so that what expired is found without looking at
// what did not. Each record knows its place in it. It lies in the arena, in
// pieces of deadlinesLen; the first grows by doubling.
type deadlines struct {
	heap   *arena.Heap
	pieces []arena.Ref
	n      int
	// room is how many deadlines the first piece has room for.
	room     uint16
	ofFields bool
}

const (
	deadlinesLen = 256
	deadlineLen  = 16
)

// deadline is one of them.
type deadline struct {
	at     int64
	record arena.Ref
}

func (d *deadlines) bytes(i int) []byte {
	piece := d.pieces[i/deadlinesLen]
	return d.heap.Memory().Bytes(piece+arena.Ref(i%deadlinesLen*deadlineLen/8), deadlineLen)
}

func (d *deadlines) get(i int) deadline {
	b := d.bytes(i)
	return deadline{int64(binary.LittleEndian.Uint64(b)), arena.Ref(binary.LittleEndian.Uint64(b[8:]))}
}

// set writes deadline i and tells its record its place.
func (d *deadlines) set(sp *space, i int, v deadline) {
	b := d.bytes(i)
	binary.LittleEndian.PutUint64(b, uint64(v.at))
	binary.LittleEndian.PutUint64(b[8:], uint64(v.record))
	d.tell(sp, v.record, uint32(i+1))
}

// tell gives the record its place, and returns where the record is then: a
// record without a place needs more room.
func (d *deadlines) tell(sp *space, record arena.Ref, place uint32) arena.Ref {
	c := sp.cell(record)
	h := c.Header()
	if d.ofFields {
		h.FieldDeadline = place
	} else {
		h.Deadline = place
	}
	c.SetDeadlines(h.Deadline, h.FieldDeadline)
	return c.At()
}

// moved enters the new place of the record whose place here is given, if any.
func (d *deadlines) moved(place uint32, to arena.Ref) {
	if place != 0 {
		binary.LittleEndian.PutUint64(d.bytes(int(place - 1))[8:], uint64(to))
	}
}

// of returns the deadline at place, 0 for none.
func (d *deadlines) of(place uint32) int64 {
	if place == 0 {
		return 0
	}
	return d.get(int(place - 1)).at
}

// first is the earliest.
func (d *deadlines) first() int64 {
	if d.n == 0 {
		return math.MaxInt64
	}
	return d.get(0).at
}

// grow makes room for one more.
func (d *deadlines) grow() {
	switch {
	case d.n == 0 && d.room == 0:
		d.room = 4
		d.pieces = append(d.pieces, d.heap.Alloc(int(d.room)*deadlineLen))
	case d.n == int(d.room) && d.room < deadlinesLen:
		old := d.pieces[0]
		d.pieces[0] = d.heap.Alloc(2 * int(d.room) * deadlineLen)
		m := d.heap.Memory()
		copy(m.Bytes(d.pieces[0], d.n*deadlineLen), m.Bytes(old, d.n*deadlineLen))
		d.heap.Free(old)
		d.room *= 2
	case d.n == len(d.pieces)*deadlinesLen:
		d.pieces = append(d.pieces, d.heap.Alloc(deadlinesLen*deadlineLen))
	}
	d.n++
}

// compact moves pieces out of sparse pages, from piece from on, limit at most to
// be looked at. It returns where to go on and how many it moved; next is the
// number of pieces at the end.
func (d *deadlines) compact(from, limit int) (next, moved int) {
	for ; from < len(d.pieces) && limit > 0; from, limit = from+1, limit-1 {
		old := d.pieces[from]
		if !d.heap.Sparse(old) {
			continue
		}
		size := deadlinesLen * deadlineLen
		if from == 0 {
			size = int(d.room) * deadlineLen
		}
		m, to := d.heap.Memory(), d.heap.Alloc(size)
		copy(m.Bytes(to, size), m.Bytes(old, size))
		d.heap.Free(old)
		d.pieces[from] = to
		moved++
	}
	return from, moved
}

// shrink takes the last one away.
func (d *deadlines) shrink() {
	d.n--
	if d.n == 0 {
		d.free()
		return
	}
	// One empty piece is kept, so that going to and fro costs nothing.
	if last := len(d.pieces) - 1; last > 0 && d.n <= (last-1)*deadlinesLen {
		d.heap.Free(d.pieces[last])
		d.pieces = d.pieces[:last]
	}
}

// free gives everything back.
func (d *deadlines) free() {
	for _, piece := range d.pieces {
		d.heap.Free(piece)
	}
	d.pieces, d.room, d.n = nil, 0, 0
}

// up brings deadline i, which may be too early for its place and is told to its
// record, to where it belongs; down does it with one that may be too late.
func (d *deadlines) up(sp *space, i int) {
	v, from := d.get(i), i
	for i > 0 {
		parent := (i - 1) / 2
		p := d.get(parent)
		if p.at <= v.at {
			break
		}
		d.set(sp, i, p)
		i = parent
	}
	if i != from {
		d.set(sp, i, v)
	}
}

func (d *deadlines) down(sp *space, i int) {
	v, from := d.get(i), i
	for {
		child := 2*i + 1
		if child >= d.n {
			break
		}
		if child+1 < d.n && d.get(child+1).at < d.get(child).at {
			child++
		}
		c := d.get(child)
		if v.at <= c.at {
			break
		}
		d.set(sp, i, c)
		i = child
	}
	if i != from {
		d.set(sp, i, v)
	}
}

// touch reads what the next deadline will be compared with, and the record of that,
// which is told if they change places.
func (d *deadlines) touch() uint64 {
	if d.n == 0 {
		return 0
	}
	return d.heap.Memory().Peek(d.get((d.n - 1) / 2).record)
}

// fix brings deadline i, which changed, to where it belongs.
func (d *deadlines) fix(sp *space, i int) {
	if i > 0 && d.get(i).at < d.get((i-1)/2).at {
		d.up(sp, i)
		return
	}
	d.down(sp, i)
}

// setDeadline sets or, with 0, ends a deadline of the record at at, and returns
// where the record is then.
func (sp *space) setDeadline(d *deadlines, record arena.Ref, at int64) arena.Ref {
	c := sp.cell(record)
	h := c.Header()
	place := h.Deadline
	if d.ofFields {
		place = h.FieldDeadline
	}
	if place == 0 && at == 0 {
		return record
	}
	switch {
	case place == 0:
		record = sp.addDeadline(d, record, at)
	case at == 0:
		sp.giveUpDeadline(d, place)
		record = d.tell(sp, record, 0)
	default:
		due := sp.dueBefore()
		i := int(place - 1)
		sp.count(d, 0, at-d.get(i).at)
		binary.LittleEndian.PutUint64(d.bytes(i), uint64(at))
		d.fix(sp, i)
		sp.dueAfter(due)
	}
	return record
}

// addDeadline sets a deadline of a record that had none here, and returns where the
// record is then.
func (sp *space) addDeadline(d *deadlines, record arena.Ref, at int64) arena.Ref {
	due := sp.dueBefore()
	d.grow()
	record = d.tell(sp, record, uint32(d.n))
	sp.enter(d, record, at)
	sp.dueAfter(due)
	return record
}

// giveUpDeadline ends the deadline at place, if any, and returns when it was, 0 for
// never. Its record is not told.
func (sp *space) giveUpDeadline(d *deadlines, place uint32) (at int64) {
	if place == 0 {
		return 0
	}
	due := sp.dueBefore()
	i := int(place - 1)
	at = d.get(i).at
	sp.count(d, -1, -at)
	last := d.get(d.n - 1)
	d.shrink()
	if i < d.n {
		d.set(sp, i, last)
		d.fix(sp, i)
	}
	sp.dueAfter(due)
	return at
}

// enter puts in the last deadline, for which there is room and whose record knows
// its place.
func (sp *space) enter(d *deadlines, record arena.Ref, at int64) {
	sp.count(d, 1, at)
	b := d.bytes(d.n - 1)
	binary.LittleEndian.PutUint64(b, uint64(at))
	binary.LittleEndian.PutUint64(b[8:], uint64(record))
	d.up(sp, d.n-1)
}

// dueBefore is what a change of deadlines begins with, and dueAfter gets at its end:
// the database is told if another one is the first.
func (sp *space) dueBefore() int64 {
	if sp.store.unsettled {
		return 0
	}
	return sp.firstDue()
}

func (sp *space) dueAfter(before int64) {
	if sp.store.unsettled {
		return
	}
	if now := sp.firstDue(); now != before {
		sp.home.due[sp.slot].Store(now)
	}
}

// count keeps the numbers of keys that expire, or have fields that do.
func (sp *space) count(d *deadlines, by int, sum int64) {
	if d.ofFields {
		sp.home.fielded.Add(int64(by))
		return
	}
	if sp.store.unsettled {
		sp.untold += sum
		return
	}
	sp.home.expires.Add(int64(by))
	sp.home.deadlines.Add(sum)
}

// firstDue is when the first key, or field, of sp expires.
func (sp *space) firstDue() int64 { return min(sp.keys.first(), sp.fields.first()) }

// FieldsExpire sets when the first field of the record at at expires, 0 for
// never.
func (sp *space) FieldsExpire(at arena.Ref, atMs int64) arena.Ref {
	return sp.setDeadline(&sp.fields, at, atMs)
}

// NextDue returns the first slot from on that has a key, or a field of one,
// which expired at now or before. It needs no lock, so that what it finds must
// be looked at again.
func (s *Store) NextDue(from slots.Slot, now int64) (slots.Slot, bool) {
	first := int(slots.Count)
	for db := range s.dbs {
		d := s.dbs[db].Load()
		if d == nil || d.expires.Load() == 0 && d.fielded.Load() == 0 {
			continue
		}
		for slot := int(from); slot < first; slot++ {
			if d.due[slot].Load() <= now {
				first = slot
			}
		}
	}
	return slots.Slot(first), first < slots.Count
}

// FirstExpired returns a key of slot that expired at now or before, if there
// is one. The caller is expected to delete it and ask again.
func (s *Store) FirstExpired(slot slots.Slot, now int64) (Ref, bool) {
	for db := range s.dbs {
		if sp := s.space(db, slot); sp != nil && sp.keys.first() <= now {
			return sp.ref(sp.keys.get(0).record), true
		}
	}
	return Ref{}, false
}

// FirstWithExpiredFields returns a hash of slot that has a field which expired
// at now or before, if there is one. The caller is expected to delete such
// fields and ask again.
func (s *Store) FirstWithExpiredFields(slot slots.Slot, now int64) (Ref, bool) {
	for db := range s.dbs {
		if sp := s.space(db, slot); sp != nil && sp.fields.first() <= now {
			return sp.ref(sp.fields.get(0).record), true
		}
	}
	return Ref{}, false
}
