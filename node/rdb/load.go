package rdb

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"slotmesh/node/crew"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// LoadOptions say how a file is loaded.
type LoadOptions struct {
	// Workers is how many goroutines build values; 0 means one for each core, and
	// never more than there are heaps.
	Workers int
	// Serving leaves a core to the event loops, if there are several.
	Serving bool
	// Insert takes entries over, all of slots that no other call is about at the
	// same time: those of one heap are always one worker's. Keys and strings are
	// views, good until it returns. It returns how many it has taken and why the
	// next one is refused.
	Insert func(entries []store.Entry) (int, error)
	// Advanced, if not nil, is told now and then how much of the file was read. An
	// error ends the load.
	Advanced func(offset int64) error
	// Stop, if not nil, ends a read that waits for more of the file: a worker that
	// fails calls it.
	Stop func()

	// chunk is chunkBytes, but for tests.
	chunk int
}

const (
	// chunkBytes is how much of a file is cut up at once, and maxChunk how long an
	// entry may be to be a worker's business.
	chunkBytes = 256 << 10
	maxChunk   = 4 << 20
	// batch is how many entries are inserted at once.
	batch = 64
)

// Load reads all of the file and gives what is in it to o.Insert. It is what
// calling Next until io.EOF would be, but that all cores work on it: the caller's
// goroutine only finds where entries begin and end, and sums up. The entries of
// one key, as of one slot, are inserted in the order of the file. The error is
// the first one of the file.
func (r *Reader) Load(o LoadOptions) error {
	if r.err != nil {
		return r.err
	}
	if !r.started {
		if err := r.header(); err != nil {
			return r.fail(err)
		}
		r.started = true
	}
	workers := o.Workers
	if workers == 0 {
		workers = crew.Size(store.Heaps)
		if o.Serving {
			workers = max(1, workers-1)
		}
	}
	l := &loader{r: r, o: o, workers: make([]worker, workers)}
	chunks := 2*workers + 2
	l.free = make(chan *chunk, chunks)
	for range chunks {
		l.free <- &chunk{shares: make([][]piece, workers), spare: make([][]piece, workers)}
	}
	l.crew = crew.New(workers, l.work)
	if l.o.chunk == 0 {
		l.o.chunk = chunkBytes
	}
	l.take(l.sized(len(r.d.buf) - r.d.pos))
	r.d.moveTo(l.chunk.buf)
	r.d.refill = l.refill
	err := l.run()
	// What stands in the file before the error comes first.
	if f := l.crew.Wait(); f != nil {
		err = f.Err
	} else if err != io.EOF {
		err = r.fail(err)
	}
	l.crew.Close()
	r.d.refill = nil
	if r.err = err; err == io.EOF {
		return nil
	}
	return err
}

// fail says where the file was read up to.
func (r *Reader) fail(err error) error {
	r.err = misplaced(r.d.offset(), err)
	return r.err
}

func misplaced(at int64, err error) error { return fmt.Errorf("rdb: at byte %d: %w", at, err) }

// loader is one Load.
type loader struct {
	r       *Reader
	o       LoadOptions
	crew    *crew.Crew[share]
	workers []worker
	// chunk is the one that is being filled and cut up; free are those that nobody
	// looks at.
	chunk *chunk
	free  chan *chunk
	// peeked is for keys that are not stored as they are.
	peeked []byte

	// mu guards what workers tell the Reader.
	mu sync.Mutex
}

// chunk is a part of the file.
type chunk struct {
	buf []byte
	// shares are the pieces of each worker, users how many workers are not done.
	// spare are pieces that are worked off, for the next time.
	shares, spare [][]piece
	users         atomic.Int32
}

// piece is an entry in a chunk, marks included.
type piece struct {
	at   uint32
	slot slots.Slot
	db   int32
}

// share is what one worker does of a chunk.
type share struct {
	*chunk
	// buf is as much of the chunk as there was, read what lies before it.
	buf    []byte
	read   int64
	pieces []piece
}

// run cuts the file up. It returns io.EOF at its end.
func (l *loader) run() error {
	d := &l.r.d
	for {
		slot, end := l.skip(d.buf, d.pos)
		var err error
		switch {
		case end >= 0:
			w := int(slot) % store.Heaps % len(l.workers)
			l.chunk.shares[w] = append(l.chunk.shares[w], piece{uint32(d.pos), slot, int32(l.r.db)})
			d.pos = end
		case end == skipShort && len(d.buf)-d.pos < maxChunk:
			err = l.refill(len(d.buf) - d.pos + 1)
			if errors.Is(err, errTruncated) {
				err = l.alone()
			}
		default:
			err = l.alone()
		}
		if err != nil {
			l.deal()
			return err
		}
	}
}

// skip returns what is behind the entry at b[at:], and its slot.
func (l *loader) skip(b []byte, at int) (slot slots.Slot, end int) {
	for at >= 0 {
		if at >= len(b) {
			return 0, skipShort
		}
		op := b[at]
		switch op {
		case opExpire:
			at = skipBytes(b, at+1, 4)
			continue
		case opExpireMs:
			at = skipBytes(b, at+1, 8)
			continue
		case opFreq:
			at = skipBytes(b, at+1, 1)
			continue
		case opIdle:
			_, at = skipPlain(b, at+1)
			continue
		}
		if op >= opSlotImport {
			return 0, skipOdd
		}
		n, encoded, from := skipLength(b, at+1)
		key := skipBytes(b, from, n)
		if encoded {
			key = skipString(b, at+1)
		}
		if key < 0 {
			return 0, key
		}
		if encoded {
			packed := decoder{buf: b[:key], pos: at + 1, kept: l.peeked[:0], keeping: true}
			t, err := packed.text()
			if err != nil {
				return 0, skipOdd
			}
			slot, l.peeked = slots.Of(packed.contentOf(t)), packed.kept
		} else {
			slot = slots.Of(b[from:key])
		}
		if op == byte(TypeString) {
			return slot, skipString(b, key)
		}
		return slot, l.r.d.skipValue(Type(op), b, key)
	}
	return 0, at
}

// alone reads what the workers do not: what stands between entries, and entries
// that are longer than a chunk or of which something is to be said. Such an entry
// is inserted when nobody else works.
func (l *loader) alone() error {
	r := l.r
	op, err := r.d.byte()
	switch {
	case err != nil:
		return err
	case op == opEOF:
		return r.end()
	case op >= opSlotImport && op < opIdle || op == opAux || op == opResizeDB || op == opSelectDB:
		return r.meta(op)
	}
	r.d.pos--
	l.deal()
	if l.crew.Wait() != nil {
		return errStopped
	}
	e, err := r.next()
	if err != nil {
		return err
	}
	if n, err := l.o.Insert([]store.Entry{e}); n < 1 {
		discard(e)
		return err
	}
	return nil
}

// errStopped is never seen: the failure of a worker comes before it.
var errStopped = errors.New("a worker failed")

func discard(e store.Entry) {
	if e.Draft != nil {
		e.Draft.Discard()
	}
}

// deal gives the workers what they have to do in this chunk.
func (l *loader) deal() {
	c := l.chunk
	for i, pieces := range c.shares {
		if len(pieces) > 0 {
			c.users.Add(1)
			l.crew.Give(i, share{c, l.r.d.buf, l.r.d.read, pieces})
			c.shares[i] = nil
		}
	}
}

// let is called by each user of a chunk that is done with it.
func (l *loader) let(c *chunk) {
	if c.users.Add(-1) == 0 {
		l.free <- c
	}
}

// take makes a chunk that nobody looks at the one that is filled.
func (l *loader) take(size int) {
	c := <-l.free
	c.users.Store(1)
	if cap(c.buf) != size {
		c.buf = make([]byte, 0, size)
	}
	for i, spare := range c.spare {
		c.shares[i] = spare[:0]
	}
	l.chunk = c
}

// sized is how large a chunk is that n bytes fit into.
func (l *loader) sized(n int) int {
	size := l.o.chunk
	for size < n {
		size *= 2
	}
	return size
}

// refill makes at least n unread bytes available, in this chunk or the next.
func (l *loader) refill(n int) error {
	d := &l.r.d
	// Reading may have to wait, which the workers need not.
	l.deal()
	if room := cap(d.buf) - len(d.buf); room < l.o.chunk/8 || cap(d.buf)-d.pos < n {
		if l.crew.Failed() {
			return errStopped
		}
		l.let(l.chunk)
		l.take(l.sized(max(n, len(d.buf)-d.pos)))
		d.moveTo(l.chunk.buf)
		if l.o.Advanced != nil {
			if err := l.o.Advanced(d.offset()); err != nil {
				return err
			}
		}
	}
	return d.fetch(n)
}

// worker is what one of the crew works with.
type worker struct {
	d       decoder
	entries []store.Entry
	// ends are where the entries end in the file.
	ends []int64
	// touched means nothing: it is there for bytes to be read.
	touched byte
}

// work does a share.
func (l *loader) work(i int, s share) *crew.Failure {
	w := &l.workers[i]
	d := &w.d
	d.buf, d.read, d.keeping, d.valkey = s.buf, s.read, true, l.r.d.valkey
	var failed *crew.Failure
	for pieces := s.pieces; len(pieces) > 0 && failed == nil; {
		n := min(len(pieces), batch)
		failed = l.read(w, pieces[:n])
		if f := l.insert(w); f != nil {
			failed = f
		}
		pieces = pieces[n:]
		runtime.Gosched()
	}
	if failed != nil && l.o.Stop != nil {
		l.o.Stop()
	}
	// What the chunk is used for next is not to be seen from here.
	d.buf = nil
	s.spare[i] = s.pieces
	l.let(s.chunk)
	return failed
}

// read builds the entries of a batch.
func (l *loader) read(w *worker, pieces []piece) *crew.Failure {
	d := &w.d
	// Another core has read the file: its beginnings are asked for at once.
	for _, p := range pieces {
		w.touched += d.buf[p.at]
	}
	for _, p := range pieces {
		d.pos = int(p.at)
		e := store.Entry{DB: int(p.db), Slot: p.slot, IdleSec: -1, Freq: -1}
		t, err := d.whole(&e, l.r.target)
		switch {
		case err == nil:
			w.entries, w.ends = append(w.entries, e), append(w.ends, d.offset())
		case errors.Is(err, errEmpty):
			l.mu.Lock()
			l.r.leftOut(e.Key, t)
			l.mu.Unlock()
		default:
			return &crew.Failure{At: d.offset(), Err: misplaced(d.offset(), err)}
		}
	}
	return nil
}

// whole reads an entry of which the slot is known, marks included.
func (d *decoder) whole(e *store.Entry, target func(slots.Slot) Target) (Type, error) {
	for {
		op, err := d.byte()
		if err != nil {
			return 0, err
		}
		if mark, err := d.mark(op, e); err != nil {
			return 0, err
		} else if mark {
			continue
		}
		key, err := d.text()
		if err != nil {
			return 0, err
		}
		e.Key = d.contentOf(key)
		return Type(op), d.value(Type(op), e, target)
	}
}

// insert hands the batch on.
func (l *loader) insert(w *worker) (failed *crew.Failure) {
	if len(w.entries) == 0 {
		return nil
	}
	n, err := l.o.Insert(w.entries)
	if n < len(w.entries) {
		failed = &crew.Failure{At: w.ends[n], Err: misplaced(w.ends[n], err)}
		for _, e := range w.entries[n:] {
			discard(e)
		}
	}
	clear(w.entries)
	w.entries, w.ends = w.entries[:0], w.ends[:0]
	const keep = 1 << 20
	if w.d.kept = w.d.kept[:0]; cap(w.d.kept) > keep {
		w.d.kept = nil
	}
	return failed
}
