package journal

import (
	"errors"
	"sort"
	"sync/atomic"
	"time"

	"slotmesh/slots"
)

// Why a reader cannot be made or goes no further.
var (
	// ErrGone: the offset is not in the backlog, or not reached yet.
	ErrGone = errors.New("journal: offset is not in the backlog")
	// ErrHistory: the asked history is not this one, or it has changed.
	ErrHistory = errors.New("journal: another history")
	// ErrSlow: the reader was over its limit.
	ErrSlow = errors.New("journal: reader over its limit")
	// ErrClosed: the reader was closed.
	ErrClosed = errors.New("journal: reader is closed")
)

// Limit is how far behind a reader may be: client-output-buffer-limit. A zero
// number means no limit.
type Limit struct {
	HardBytes int64
	SoftBytes int64
	// SoftFor is how long the reader may be over SoftBytes.
	SoftFor time.Duration
}

// ReaderOptions say how a reader is held to its limit and told of a cut.
type ReaderOptions struct {
	// Limit is asked again and again; nil means no limit.
	Limit func() Limit
	// OnCut is called once, on a goroutine of its own, when the reader is cut.
	OnCut func(error)
}

// Reader pulls the stream from one position on. Next, NextEntry and Ready are
// for one goroutine; the rest may be called from any.
type Reader struct {
	j       *Journal
	options ReaderOptions
	// at is the chunk that pos lies in (or at the end of), nil after a cut. The
	// owner moves it; a cut clears it, so that the chunks are let go.
	at  atomic.Pointer[chunk]
	pos atomic.Int64
	// err says why at is nil.
	err     atomic.Pointer[error]
	waiting atomic.Bool
	ready   chan struct{}
	// softSince is when the reader went over its soft limit. Guarded by
	// Journal.mu.
	softSince time.Time
}

// NewReader returns a reader that starts with the byte at offset from. It
// returns ErrGone when that byte is neither in the backlog nor the next one.
func (j *Journal) NewReader(from int64, o ReaderOptions) (*Reader, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.newReader(from, o)
}

// Resume is NewReader for a follower of history id. It returns the id that the
// stream has now, and ErrHistory when id is not this history up to from.
func (j *Journal) Resume(id string, from int64, o ReaderOptions) (*Reader, string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.history.covers(id, from) {
		return nil, "", ErrHistory
	}
	r, err := j.newReader(from, o)
	return r, j.history.id, err
}

func (j *Journal) newReader(from int64, o ReaderOptions) (*Reader, error) {
	if !j.active.Load() || from < j.firstOffset() || from > j.end.Load() {
		return nil, ErrGone
	}
	c := j.head
	for next := c.next.Load(); next != nil && from >= next.start; next = c.next.Load() {
		c = next
	}
	r := &Reader{j: j, options: o, ready: make(chan struct{}, 1)}
	r.at.Store(c)
	r.pos.Store(from)
	j.readers[r] = struct{}{}
	return r, nil
}

// Next returns up to limit bytes that follow, or none when the reader is at the
// end. They are the journal's own and never change. The position moves past
// them: they count as read.
func (r *Reader) Next(limit int) ([]byte, error) {
	c, from, err := r.stand()
	if err != nil || c == nil {
		return nil, err
	}
	b := c.buf[from:c.bytes.Load()]
	if len(b) > limit {
		b = b[:limit]
	}
	r.pos.Add(int64(len(b)))
	return b, nil
}

// Entry is one entry of the stream.
type Entry struct {
	// Offset is where its first byte stands.
	Offset int64
	// Slot is what it is about: a slot, SlotAll, SlotSelect or SlotControl.
	Slot slots.Slot
	// Bytes is one command, or MULTI to EXEC. They never change.
	Bytes []byte
}

// NextEntry returns the entry that follows; ok is false when the reader is at
// the end. The reader must stand between two entries, which it does if it
// started at one and only NextEntry moved it.
func (r *Reader) NextEntry() (e Entry, ok bool, err error) {
	c, from, err := r.stand()
	if err != nil || c == nil {
		return Entry{}, false, err
	}
	n := c.entries.Load()
	marks := (*c.marks.Load())[:n]
	// The first mark that ends after from; the entries before it are behind us.
	low, high := 0, len(marks)
	for low < high {
		if middle := (low + high) / 2; int64(marks[middle].end) > from || len(c.buf) > largestChunk {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if low == len(marks) {
		return Entry{}, false, nil
	}
	end := int64(marks[low].end)
	if len(c.buf) > largestChunk { // alone in its chunk, and perhaps beyond what a mark can say
		end = c.bytes.Load()
	}
	e = Entry{Offset: c.start + from, Slot: marks[low].slot, Bytes: c.buf[from:end]}
	r.pos.Add(int64(len(e.Bytes)))
	return e, true, nil
}

// NextRun returns whole entries that follow and stand side by side, up to about
// limit bytes of them and at least one, as the file of a node wants them: what
// only counts as bytes (SlotControl) is passed over. offset is where the run
// begins. No bytes mean that the reader is at the end. As with NextEntry, the
// reader must stand between two entries.
func (r *Reader) NextRun(limit int) (offset int64, run []byte, err error) {
	for {
		c, from, err := r.stand()
		if err != nil || c == nil {
			return r.pos.Load(), nil, err
		}
		n := int(c.entries.Load())
		marks := (*c.marks.Load())[:n]
		if len(c.buf) > largestChunk { // one entry, perhaps beyond what a mark can say
			if n == 0 {
				return r.pos.Load(), nil, nil
			}
			end := c.bytes.Load()
			r.pos.Store(c.start + end)
			if marks[0].slot == SlotControl {
				continue
			}
			return c.start + from, c.buf[from:end], nil
		}
		i := sort.Search(n, func(i int) bool { return int64(marks[i].end) > from })
		if i == n {
			return r.pos.Load(), nil, nil
		}
		end := from
		if marks[i].slot == SlotControl {
			for ; i < n && marks[i].slot == SlotControl; i++ {
				end = int64(marks[i].end)
			}
			r.pos.Store(c.start + end)
			continue
		}
		for ; i < n && marks[i].slot != SlotControl; i++ {
			if end > from && int64(marks[i].end)-from > int64(limit) {
				break
			}
			end = int64(marks[i].end)
		}
		r.pos.Store(c.start + end)
		return c.start + from, c.buf[from:end], nil
	}
}

// stand moves the reader to the chunk that holds its next byte and returns it
// with the byte's index there; no chunk when there is no next byte yet.
func (r *Reader) stand() (*chunk, int64, error) {
	c := r.at.Load()
	if c == nil {
		return nil, 0, *r.err.Load()
	}
	from := r.pos.Load() - c.start
	for {
		if from < c.bytes.Load() {
			return c, from, nil
		}
		next := c.next.Load()
		if next == nil {
			return nil, 0, nil
		}
		if from < c.bytes.Load() { // bytes that came just before next was set
			return c, from, nil
		}
		if !r.at.CompareAndSwap(c, next) { // cut meanwhile
			return nil, 0, *r.err.Load()
		}
		c, from = next, 0
	}
}

// Ready returns a channel that receives when there may be more to read, or the
// reader was cut. Ask again before every wait.
func (r *Reader) Ready() <-chan struct{} {
	r.waiting.Store(true)
	r.j.asleep.Store(true)
	if r.pos.Load() < r.j.end.Load() || r.at.Load() == nil {
		r.signal()
	}
	return r.ready
}

func (r *Reader) signal() {
	if r.waiting.Swap(false) {
		select {
		case r.ready <- struct{}{}:
		default:
		}
	}
}

// wake tells waiting readers that there is more. The caller holds mu.
func (j *Journal) wake() {
	j.asleep.Store(false)
	for r := range j.readers {
		r.signal()
	}
}

// Position returns the offset of the next byte that the reader will return.
func (r *Reader) Position() int64 { return r.pos.Load() }

// LagBytes returns how much there is left to read.
func (r *Reader) LagBytes() int64 { return r.j.end.Load() - r.pos.Load() }

// Err returns why the reader was cut, nil if it was not.
func (r *Reader) Err() error {
	if err := r.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Close lets go of what the reader kept. OnCut is not called.
func (r *Reader) Close() {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	r.drop(ErrClosed)
}

// CheckLimit cuts the reader if it has been over its limit for too long. The
// journal looks by itself whenever a chunk is full; the owner calls this now
// and then, for the soft limit passes by time alone.
func (r *Reader) CheckLimit() {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	r.checkLimit(time.Now())
}

// cutSlow cuts the readers that are over their limit. The caller holds mu.
func (j *Journal) cutSlow() {
	if len(j.readers) == 0 {
		return
	}
	now := time.Now()
	for r := range j.readers {
		r.checkLimit(now)
	}
}

// cutAll cuts every reader because of cause. The caller holds mu.
func (j *Journal) cutAll(cause error) {
	for r := range j.readers {
		r.cut(cause)
	}
}

// checkLimit is CheckLimit; the caller holds Journal.mu.
func (r *Reader) checkLimit(now time.Time) {
	if r.options.Limit == nil {
		return
	}
	limit, lag := r.options.Limit(), r.LagBytes()
	switch {
	case limit.HardBytes > 0 && lag > limit.HardBytes:
		r.cut(ErrSlow)
	case limit.SoftBytes <= 0 || lag <= limit.SoftBytes:
		r.softSince = time.Time{}
	case r.softSince.IsZero():
		r.softSince = now
	case now.Sub(r.softSince) > limit.SoftFor:
		r.cut(ErrSlow)
	}
}

// cut ends the reader because of cause. The caller holds Journal.mu.
func (r *Reader) cut(cause error) {
	if r.drop(cause) && r.options.OnCut != nil {
		go r.options.OnCut(cause)
	}
}

func (r *Reader) drop(cause error) bool {
	if _, open := r.j.readers[r]; !open {
		return false
	}
	delete(r.j.readers, r)
	r.err.Store(&cause)
	r.at.Store(nil)
	r.signal()
	return true
}
