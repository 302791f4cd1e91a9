package store

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// Snapshot is the keyspace as it was when it was cut, while writers go on.
//
// Every record carries the store's version as of its last change, and a cut
// raises the version. So a record belongs to a snapshot as it stands if its
// version is not after the cut. The walk emits those and marks them with a
// later version; a writer that is about to change one hands the old content
// over first and marks it likewise. Either way it is emitted once.
//
// Several snapshots share one mark: whoever marks a record, a writer or the
// walk of one snapshot, first hands it to every other open snapshot that it
// still belongs to.
type Snapshot struct {
	store *Store
	cut   uint32
	// only are the slots of the snapshot; all is true for every slot.
	only slots.Set
	all  bool
	// was maps a database to the number that its content had at the cut: SWAPDB
	// may have moved it. It is changed under Exclusive and read under a slot.
	was []int

	mu sync.Mutex
	// handed is what writers handed over, in pieces, so that a long list is never
	// copied by a writer that has a slot; gone is what was flushed: nobody
	// writes to that any more.
	handed [][]Entry
	// spare are pieces that the walk has emptied, for what is handed over next.
	spare  [][]Entry
	gone   []flushed
	closed bool
}

// flushed are spaces, nil among them, of what was database db at the cut.
type flushed struct {
	db     int
	spaces []*space
}

// Limits of one turn of a walk: how many records are looked at (Store.turn) and
// about how many bytes copied while a slot is locked, and how many bytes are gathered
// before emit is called: few, because it is emit that lets woken threads go first.
const (
	turnRecords = 128
	turnBytes   = 32 << 10
	batchBytes  = 16 << 10
	// yieldRecords is how many records are looked at before the event loops get
	// their turn, over however many slots they are spread.
	yieldRecords = 128
	// handedLen is how many handed over entries stand side by side, and spareLen
	// how many such pieces are kept for use again.
	handedLen = 128
	spareLen  = 4
	// aliasBytes is the size from which a value is lent to the walk instead of
	// copied; its next writer replaces it.
	aliasBytes = 16 << 10
)

// agingPeriod is after how many cuts old marks are brought forward: far less
// than half the range of a version, beyond which before and after are
// confused.
const agingPeriod = 1 << 30

// Cut opens a snapshot of the slots in only, or of all if only is nil. The
// caller holds Engine.Exclusive. It must be closed.
func (s *Store) Cut(only *slots.Set) *Snapshot {
	s.Settle()
	sn := &Snapshot{store: s, cut: s.version, all: only == nil, was: make([]int, len(s.dbs))}
	if only != nil {
		sn.only = *only
	}
	for db := range sn.was {
		sn.was[db] = db
	}
	if s.version-s.aged >= agingPeriod {
		s.age()
	}
	s.version++
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []*Snapshot
	if old := s.open.Load(); old != nil {
		open = slices.Clone(*old)
	}
	open = append(open, sn)
	s.open.Store(&open)
	return sn
}

// age brings the marks of records that have not changed for long forward, so
// that no mark is ever further behind than agingPeriod and a bit. It looks at
// every record, once in a billion cuts.
func (s *Store) age() {
	floor := s.version
	if open := s.open.Load(); open != nil {
		floor = (*open)[0].cut
	}
	for db := range s.dbs {
		d := s.dbs[db].Load()
		if d == nil {
			continue
		}
		for _, sp := range d.spaces {
			if sp == nil {
				continue
			}
			sp.index.each(0, math.MaxInt, func(at arena.Ref) {
				if !after(value.Version(s.memory, at), floor) {
					value.SetVersion(s.memory, at, floor)
				}
			})
		}
	}
	s.aged = s.version
}

// after reports whether version a is later than b, across the wrap.
func after(a, b uint32) bool { return int32(a-b) > 0 }

// Close ends the snapshot: writers serve it no longer. It may be called again.
func (sn *Snapshot) Close() {
	s := sn.store
	s.mu.Lock()
	if old := s.open.Load(); old != nil {
		open := slices.DeleteFunc(slices.Clone(*old), func(other *Snapshot) bool { return other == sn })
		if len(open) == 0 {
			s.open.Store(nil)
		} else {
			s.open.Store(&open)
		}
	}
	s.mu.Unlock()
	sn.mu.Lock()
	sn.closed = true
	sn.handed, sn.spare, sn.gone = nil, nil, nil
	sn.mu.Unlock()
	s.settle()
}

// UnchangedSince reports whether the key is as it was at the cut of sn, which may
// be closed. While sn is open, the trees of a value that was unchanged once may be
// read without a lock. The slot is locked.
func (r Ref) UnchangedSince(sn *Snapshot) bool {
	return !after(value.Version(r.space().store.memory, r.At()), sn.cut)
}

func (sn *Snapshot) covers(slot slots.Slot) bool { return sn.all || sn.only.Has(slot) }

// hand gives the record at at, whose version is given, to every snapshot of
// open, except to the walk that asks.
func (s *Store) hand(open []*Snapshot, except *Snapshot, sp *space, at arena.Ref, version uint32) {
	var e Entry
	for _, sn := range open {
		if sn == except || after(version, sn.cut) || !sn.covers(sp.slot) {
			continue
		}
		if e.Key == nil {
			e = sp.detached(at)
		}
		e.DB = sn.was[sp.home.number]
		sn.mu.Lock()
		if !sn.closed {
			sn.take(e)
		}
		sn.mu.Unlock()
	}
}

// detached returns the record at at with bytes of its own, or, if it is large,
// lends it.
func (sp *space) detached(at arena.Ref) Entry {
	e := sp.entry(at)
	if len(e.Value.Bytes) >= aliasBytes {
		c := sp.cell(at)
		c.Lend()
		e.Key = slices.Clone(e.Key)
		return e
	}
	b := make([]byte, 0, len(e.Key)+len(e.Value.Bytes))
	b = append(append(b, e.Key...), e.Value.Bytes...)
	e.Key = b[:len(e.Key):len(e.Key)]
	if e.Value.Bytes != nil {
		e.Value.Bytes = b[len(e.Key):]
	}
	return e
}

// take adds e to what was handed over. The caller has mu.
func (sn *Snapshot) take(e Entry) {
	last := len(sn.handed) - 1
	if last < 0 || len(sn.handed[last]) == handedLen {
		var piece []Entry
		if n := len(sn.spare); n > 0 {
			piece, sn.spare = sn.spare[n-1], sn.spare[:n-1]
		} else {
			piece = make([]Entry, 0, handedLen)
		}
		sn.handed = append(sn.handed, piece)
		last++
	}
	sn.handed[last] = append(sn.handed[last], e)
}

// entry returns the record at at as a view. The marks of access are left out: a
// snapshot has no clock.
func (sp *space) entry(at arena.Ref) Entry {
	c := sp.cell(at)
	h := c.Header()
	return Entry{
		DB: sp.home.number, Slot: sp.slot, Key: c.Key(), Value: c.Value(),
		ExpireAtMs: sp.keys.of(h.Deadline), IdleSec: -1, Freq: -1,
	}
}

// detach gives spaces of database db, which are being flushed, to the snapshot.
// Everything that has to do with them is locked.
func (sn *Snapshot) detach(db int, spaces []*space) {
	sn.mu.Lock()
	defer sn.mu.Unlock()
	if !sn.closed {
		sn.gone = append(sn.gone, flushed{sn.was[db], spaces})
	}
}

// batch gathers detached entries; their bytes stand in one buffer that is used
// again.
type batch struct {
	entries []Entry
	bytes   []byte
	size    int
}

// add takes the record at at over.
func (b *batch) add(sp *space, at arena.Ref, db int) {
	e := sp.entry(at)
	e.DB = db
	b.size += len(e.Key) + len(e.Value.Bytes)
	if len(e.Value.Bytes) >= aliasBytes {
		c := sp.cell(at)
		c.Lend()
		e.Key = slices.Clone(e.Key)
		b.entries = append(b.entries, e)
		return
	}
	from := len(b.bytes)
	b.bytes = append(b.bytes, e.Key...)
	e.Key = b.bytes[from:len(b.bytes):len(b.bytes)]
	if e.Value.Bytes != nil {
		from = len(b.bytes)
		b.bytes = append(b.bytes, e.Value.Bytes...)
		e.Value.Bytes = b.bytes[from:len(b.bytes):len(b.bytes)]
	}
	b.entries = append(b.entries, e)
}

func (b *batch) reset() {
	clear(b.entries)
	b.entries, b.bytes, b.size = b.entries[:0], b.bytes[:0], 0
}

// Walk emits every entry as of the cut exactly once, in no order. withSlot
// locks one slot around its function (Engine.WithSlot). emit is called without
// locks, with entries that are good until it returns; its error ends the walk
// and is returned. Walk is called once.
func (sn *Snapshot) Walk(withSlot func(slots.Slot, func()), emit func([]Entry) error) error {
	var b batch
	flush := func() error {
		if len(b.entries) > 0 {
			if err := emit(b.entries); err != nil {
				return err
			}
			b.reset()
		}
		return sn.emitHanded(emit)
	}
	sinceYield := 0
	for slot := slots.Slot(0); slot < slots.Count; slot++ {
		if !sn.covers(slot) {
			continue
		}
		db, at := 0, uint32(0)
		for db < len(sn.was) {
			before := b.size
			withSlot(slot, func() {
				var records int
				db, at, records = sn.turn(&b, slot, db, at)
				sinceYield += records + 1
			})
			if b.size >= batchBytes {
				if err := flush(); err != nil {
					return fmt.Errorf("snapshot: emit: %w", err)
				}
			}
			if sinceYield >= yieldRecords || b.size-before >= turnBytes/2 {
				sinceYield = 0
				runtime.Gosched()
			}
		}
	}
	if err := flush(); err != nil {
		return fmt.Errorf("snapshot: emit: %w", err)
	}
	if err := sn.emitGone(&b, emit); err != nil {
		return fmt.Errorf("snapshot: emit: %w", err)
	}
	return nil
}

// turn walks slot on from hash at of what was database db at the cut, and
// returns how far it came and how many records it looked at. The slot is locked.
func (sn *Snapshot) turn(b *batch, slot slots.Slot, db int, at uint32) (nextDB int, next uint32, records int) {
	s := sn.store
	bytes := b.size
	for ; db < len(sn.was); db, at = db+1, 0 {
		sp := s.space(slices.Index(sn.was, db), slot)
		if sp == nil {
			continue
		}
		for at != hashEnd {
			if records >= s.turn || b.size-bytes >= turnBytes {
				return db, at, records
			}
			at = sp.index.each(at, 1, func(record arena.Ref) {
				records++
				version := value.Version(s.memory, record)
				if after(version, sn.cut) {
					return
				}
				if open := s.open.Load(); open != nil {
					s.hand(*open, sn, sp, record, version)
				}
				b.add(sp, record, db)
				// Later than every open cut that has had it, not later than one that
				// has not been made.
				value.SetVersion(s.memory, record, s.version)
			})
		}
	}
	return db, at, records
}

// emitHanded emits what writers handed over.
func (sn *Snapshot) emitHanded(emit func([]Entry) error) error {
	sn.mu.Lock()
	handed := sn.handed
	sn.handed = nil
	sn.mu.Unlock()
	for i, entries := range handed {
		if err := emit(entries); err != nil {
			return err
		}
		handed[i] = nil
		clear(entries)
		sn.mu.Lock()
		if len(sn.spare) < spareLen && !sn.closed {
			sn.spare = append(sn.spare, entries[:0])
		}
		sn.mu.Unlock()
	}
	return nil
}

// emitGone emits what was flushed. Nothing is added any more: every slot was
// walked, and what is in it now is later than the cut. Flushed spaces are
// shared by snapshots and not marked: nobody writes to them.
func (sn *Snapshot) emitGone(b *batch, emit func([]Entry) error) error {
	sn.mu.Lock()
	gone := sn.gone
	sn.gone = nil
	sn.mu.Unlock()
	b.reset()
	for i := range gone {
		for _, sp := range gone[i].spaces {
			if sp == nil || !sn.covers(sp.slot) {
				continue
			}
			if err := sn.emitSpace(b, gone[i].db, sp, emit); err != nil {
				return err
			}
		}
		gone[i].spaces = nil
	}
	return nil
}

// emitSpace emits what a flushed space has of the snapshot.
func (sn *Snapshot) emitSpace(b *batch, db int, sp *space, emit func([]Entry) error) error {
	m := sn.store.memory
	for at := uint32(0); at != hashEnd; {
		at = sp.index.each(at, turnRecords, func(record arena.Ref) {
			if !after(value.Version(m, record), sn.cut) {
				e := sp.entry(record)
				e.DB = db
				b.entries = append(b.entries, e)
			}
		})
		if len(b.entries) > 0 {
			if err := emit(b.entries); err != nil {
				return err
			}
			b.reset()
		}
	}
	return nil
}
