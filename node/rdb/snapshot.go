package rdb

import (
	"io"

	"slotmesh/node/crew"
)

// Source gives the state of a keyspace at one instant, to whoever makes a file,
// a full sync or a base of it.
type Source interface {
	// Snapshot cuts the keyspace. at runs at the cut, while nothing is executed or
	// appended to the journal; it is short.
	Snapshot(at func()) Snapshot
}

// Snapshot is the keyspace as of a cut.
type Snapshot interface {
	// Sizes tells how many keys each database has, and how many of them with an
	// expiry: hints for whoever loads them.
	Sizes() []DatabaseSize
	// Walk hands every entry to emit, in pieces, without a lock held.
	Walk(emit func([]Entry) error) error
	// UsedMemory is what the data take.
	UsedMemory() int64
	Close()
}

// NoData is the Snapshot of an empty keyspace.
type NoData struct{}

// Sizes implements Snapshot.
func (NoData) Sizes() []DatabaseSize { return nil }

// Walk implements Snapshot.
func (NoData) Walk(func([]Entry) error) error { return nil }

// UsedMemory implements Snapshot.
func (NoData) UsedMemory() int64 { return 0 }

// Close implements Snapshot.
func (NoData) Close() {}

// DatabaseSize is how much a database holds.
type DatabaseSize struct {
	DB            int
	Keys, Expires int64
}

// yieldBytes is how much of a snapshot is written before the event loops get
// their turn: some 50 microseconds' worth.
const yieldBytes = 4 << 10

// WriteSnapshot writes a file of everything in sn to w and returns its size.
// UsedMemory of h is filled in. each, if not nil, is told of every piece of
// entries that was written; its error ends the writing.
func WriteSnapshot(w io.Writer, h Header, sn Snapshot, each func(entries int) error) (size int64, err error) {
	crew.Aside(func() { size, err = writeSnapshot(w, h, sn, each) })
	return size, err
}

func writeSnapshot(w io.Writer, h Header, sn Snapshot, each func(entries int) error) (size int64, err error) {
	h.UsedMemory = sn.UsedMemory()
	out := NewWriter(w, h)
	for _, db := range sn.Sizes() {
		if err := out.SelectDB(db.DB, db.Keys, db.Expires); err != nil {
			return out.Written, err
		}
	}
	sinceYield := 0
	var turns crew.Turns
	err = sn.Walk(func(entries []Entry) error {
		for _, e := range entries {
			if err := out.Entry(e); err != nil {
				return err
			}
			if sinceYield += len(e.Key) + e.Value.TextLen(); sinceYield >= yieldBytes {
				sinceYield = 0
				turns.Yield()
			}
		}
		if each == nil {
			return nil
		}
		return each(len(entries))
	})
	if err != nil {
		return out.Written, err
	}
	err = out.Close()
	return out.Written, err
}
