package journal

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"slotmesh/node/resp"
	"slotmesh/slots"
)

// Options of a Journal.
type Options struct {
	// BacklogBytes is repl-backlog-size.
	BacklogBytes int64
	// ID is the history id, 40 hex digits.
	ID string
}

// Effect is one command in its final form, on a slot or SlotAll.
type Effect struct {
	DB   int
	Slot slots.Slot
	Args [][]byte
}

// Journal is the stream of effects of one node. All methods may be called from
// any goroutine.
type Journal struct {
	active atomic.Bool
	// end is the offset after the last published byte. It is written under mu
	// and read without.
	end atomic.Int64
	// asleep is set by a reader that is about to wait, so that the writer looks
	// for readers to wake only when there may be one.
	asleep atomic.Bool

	_ [64]byte // mu is contended; keep it off the line that everybody reads

	mu sync.Mutex
	// tail is the chunk that is being filled and used its filled part, equal to
	// tail.bytes; both are meaningless while inactive.
	head, tail *chunk
	used       int
	// db is what the last SELECT of the stream chose, or -1: the next effect
	// must say it again.
	db int
	// effect is the offset after the last entry that is an effect.
	effect       int64
	backlogBytes int64
	history      history
	readers      map[*Reader]struct{}
}

// New returns an inactive journal at offset 0 of history o.ID.
func New(o Options) *Journal {
	return &Journal{
		db:           -1,
		backlogBytes: o.BacklogBytes,
		history:      newHistory(o.ID),
		readers:      make(map[*Reader]struct{}),
	}
}

// Active reports whether entries are kept.
func (j *Journal) Active() bool { return j.active.Load() }

// Activate begins to keep entries. What was appended before is not part of the
// stream, so that whoever wants to follow needs a snapshot from now on.
func (j *Journal) Activate() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.active.Load() {
		j.reset(j.end.Load())
		j.active.Store(true)
	}
}

// Deactivate drops the backlog and stops keeping entries, under a new history
// id: offsets no longer say what was written. It does nothing and returns false
// while there are readers.
func (j *Journal) Deactivate(newID string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.readers) > 0 {
		return false
	}
	if j.active.Load() {
		j.active.Store(false)
		j.head, j.tail, j.used = nil, nil, 0
		j.history = newHistory(newID)
	}
	return true
}

// reset starts an empty stream at offset. The caller holds mu.
func (j *Journal) reset(offset int64) {
	c := newChunk(offset, make([]byte, chunkSize(j.backlogBytes)))
	j.head, j.tail, j.used = c, c, 0
	j.db, j.effect = -1, offset
	j.end.Store(offset)
}

// Append adds one effect on slot, or SlotAll, in database db and returns the
// offset after it. The caller holds the slot's lock, or all of them. args are
// copied.
func (j *Journal) Append(db int, slot slots.Slot, args [][]byte) int64 {
	if !j.active.Load() {
		return j.end.Load()
	}
	return j.append(db, slot, args)
}

func (j *Journal) append(db int, slot slots.Slot, args [][]byte) int64 {
	size := sizeOf(args)
	if size > largestChunk/4 {
		// A large entry is encoded before the lock is taken, into a chunk of its
		// own, so that a value of many megabytes holds up nobody else.
		return j.link(resp.AppendCommand(make([]byte, 0, size), args...), slot, db, db)
	}
	j.mu.Lock()
	if j.tail == nil { // deactivated meanwhile
		j.mu.Unlock()
		return j.end.Load()
	}
	if db != j.db {
		j.selectDB(db)
	}
	buf := j.room(size)
	end := j.commit(len(resp.AppendCommand(buf, args...)), slot)
	j.mu.Unlock()
	return end
}

// AppendGroup adds effects as one entry, between MULTI and EXEC when there are
// several, and returns the offset after it. The caller holds the locks of all
// slots.
func (j *Journal) AppendGroup(effects []Effect) int64 {
	if !j.active.Load() || len(effects) == 0 {
		return j.end.Load()
	}
	if len(effects) == 1 {
		return j.append(effects[0].DB, effects[0].Slot, effects[0].Args)
	}
	size := len(multiText) + len(execText)
	for _, e := range effects {
		size += sizeOf(e.Args) + selectSize
	}
	slot := effects[0].Slot
	raw := append(make([]byte, 0, size), multiText...)
	db := effects[0].DB
	for _, e := range effects {
		if e.Slot != slot {
			slot = SlotAll
		}
		if e.DB != db {
			raw = appendSelect(raw, e.DB)
			db = e.DB
		}
		raw = resp.AppendCommand(raw, e.Args...)
	}
	raw = append(raw, execText...)
	return j.appendRaw(raw, slot, effects[0].DB, db)
}

// AppendVerbatim adds bytes that the primary sent, whole commands, and returns
// the offset after them. db is the database that the stream has selected when
// they are through. Nothing is inserted: the offset stays the primary's.
func (j *Journal) AppendVerbatim(raw []byte, slot slots.Slot, db int) int64 {
	if !j.active.Load() || len(raw) == 0 {
		return j.end.Load()
	}
	return j.appendRaw(raw, slot, -1, db)
}

// AppendControl adds a command that changes nothing and concerns no database,
// such as PING, and returns the offset after it.
func (j *Journal) AppendControl(args ...[]byte) int64 {
	if !j.active.Load() {
		return j.end.Load()
	}
	return j.appendRaw(resp.AppendCommand(nil, args...), SlotControl, -1, -1)
}

// appendRaw adds an encoded entry that runs in database before (-1: in any) and
// leaves the stream in database after (-1: as it is).
func (j *Journal) appendRaw(raw []byte, slot slots.Slot, before, after int) int64 {
	if len(raw) > largestChunk/4 {
		return j.link(slices.Clone(raw), slot, before, after)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.tail == nil {
		return j.end.Load()
	}
	if before >= 0 && before != j.db {
		j.selectDB(before)
	}
	end := j.commit(copy(j.room(len(raw))[:len(raw)], raw), slot)
	if after >= 0 {
		j.db = after
	}
	return end
}

// link is appendRaw of bytes that become a chunk of their own.
func (j *Journal) link(raw []byte, slot slots.Slot, before, after int) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.tail == nil {
		return j.end.Load()
	}
	if before >= 0 && before != j.db {
		j.selectDB(before)
	}
	j.extend(raw)
	end := j.commit(len(raw), slot)
	if after >= 0 {
		j.db = after
	}
	return end
}

// setStreamDB notes which database the stream has selected.
func (j *Journal) setStreamDB(db int) {
	j.mu.Lock()
	j.db = db
	j.mu.Unlock()
}

// selectDB inserts a SELECT. The caller holds mu.
func (j *Journal) selectDB(db int) {
	j.commit(len(appendSelect(j.room(selectSize), db)), SlotSelect)
	j.db = db
}

// room returns an empty slice with space for size bytes where the next entry
// begins. The caller holds mu, appends within the space and commits.
func (j *Journal) room(size int) []byte {
	if len(j.tail.buf)-j.used < size {
		j.extend(make([]byte, max(chunkSize(j.backlogBytes), size)))
	}
	return j.tail.buf[j.used:j.used]
}

// commit publishes n bytes after the used ones as one entry and wakes readers.
// The caller holds mu.
func (j *Journal) commit(n int, slot slots.Slot) int64 {
	j.used += n
	j.tail.publish(int64(j.used), slot)
	end := j.tail.start + int64(j.used)
	if slot != SlotControl {
		j.effect = end
	}
	j.end.Store(end)
	if j.asleep.Load() {
		j.wake()
	}
	return end
}

// extend goes on in a new chunk over buf, drops what the backlog no longer
// needs and cuts readers that are over their limit. The caller holds mu.
func (j *Journal) extend(buf []byte) {
	c := newChunk(j.tail.start+int64(j.used), buf)
	j.tail.next.Store(c)
	j.tail, j.used = c, 0
	j.trim()
	j.cutSlow()
}

// trim drops chunks from the head as long as the backlog stays whole. The
// caller holds mu.
func (j *Journal) trim() {
	end := j.end.Load()
	for j.head != j.tail && end-j.head.end() >= j.backlogBytes {
		j.head = j.head.next.Load()
	}
}

// SetBacklogBytes changes how much history is kept.
func (j *Journal) SetBacklogBytes(n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.backlogBytes = n
	if j.tail != nil {
		j.trim()
	}
}

// ForceSelect makes the next effect say its database again, as a follower that
// starts at this offset needs. It does nothing for verbatim bytes: there
// StreamDB tells the follower.
func (j *Journal) ForceSelect() { j.setStreamDB(-1) }

// StreamDB returns the database that the stream has selected at Offset, or -1
// when the next effect says it.
func (j *Journal) StreamDB() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.db
}

// Offset returns the offset after the last byte of the stream.
func (j *Journal) Offset() int64 { return j.end.Load() }

// EffectOffset returns the offset after the last effect: what a replica must
// have reached to have every write, whatever PINGs follow.
func (j *Journal) EffectOffset() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.effect
}

// FirstOffset returns the offset of the oldest byte that a new reader may start
// at. It equals Offset while inactive.
func (j *Journal) FirstOffset() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.firstOffset()
}

func (j *Journal) firstOffset() int64 {
	if j.head == nil {
		return j.end.Load()
	}
	return j.head.start
}

// RetainedBytes returns how much of the stream is in memory, for the backlog
// and for readers that are behind it.
func (j *Journal) RetainedBytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := j.firstOffset()
	for r := range j.readers {
		first = min(first, r.pos.Load())
	}
	return j.end.Load() - first
}

// BacklogBytes returns how much history is to be kept.
func (j *Journal) BacklogBytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.backlogBytes
}

const (
	multiText = "*1\r\n$5\r\nMULTI\r\n"
	execText  = "*1\r\n$4\r\nEXEC\r\n"
	// selectSize is room for SELECT and any database number.
	selectSize = 48
	// bulkOverhead bounds what RESP adds to one argument.
	bulkOverhead = 2 + 20 + 4
)

// sizeOf bounds the encoded size of a command from above.
func sizeOf(args [][]byte) int {
	size := bulkOverhead
	for _, arg := range args {
		size += len(arg) + bulkOverhead
	}
	return size
}

func appendSelect(b []byte, db int) []byte {
	var digits [20]byte
	number := strconv.AppendInt(digits[:0], int64(db), 10)
	b = append(b, "*2\r\n$6\r\nSELECT\r\n"...)
	b = resp.AppendHeader(b, '$', len(number))
	b = append(b, number...)
	return append(b, '\r', '\n')
}
