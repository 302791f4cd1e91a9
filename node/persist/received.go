package persist

import (
	"fmt"

	"slotmesh/node/journal"
	"slotmesh/node/rdb"
)

// receivedPrefix begins the names of files that hold a full sync.
const receivedPrefix = "temp-fullsync-"

// Received is the snapshot of a full sync on its way to the disk. Its bytes, as
// the primary sends them, are a base: with them the data need not be written a
// second time when they are loaded. A nil *Received keeps nothing, and a disk that
// fails is no failure of the sync: the data are then written anew.
type Received struct {
	a    *AOF
	name string
	file *baseFile
	err  error

	// at and reader are where the stream goes on, once HistoryChanged was told.
	at     rdb.Position
	epoch  int64
	reader *journal.Reader
}

// Receive begins to keep a snapshot. It returns nil when a base of commands is
// wanted, or there can be no file. The caller ends with HistoryChanged or Discard.
func (a *AOF) Receive() *Received {
	settings := a.o.Settings()
	if !settings.RDBPreamble {
		return nil
	}
	if err := a.makeDir(); err != nil {
		a.o.Log.Warn(err.Error())
		return nil
	}
	r := &Received{a: a, name: fmt.Sprintf("%s%d.rdb", receivedPrefix, a.receipts.Add(1))}
	f, err := a.fs.Create(a.path(r.name))
	if err != nil {
		a.o.Log.Warn("Creating a file for the full sync failed", "err", err)
		return nil
	}
	r.file = &baseFile{File: f, incremental: settings.IncrementalFsync}
	return r
}

// Write keeps bytes. It never fails.
func (r *Received) Write(b []byte) (int, error) {
	if r != nil && r.err == nil {
		_, r.err = r.file.Write(b)
	}
	return len(b), nil
}

// Seal makes the file lasting. The data are those of at, as the file itself says.
func (r *Received) Seal(at rdb.Position) {
	if r == nil {
		return
	}
	r.at = at
	if r.err == nil {
		r.err = r.file.Sync()
	}
	if err := r.file.Close(); r.err == nil {
		r.err = err
	}
	r.file.File = nil
	if r.err != nil {
		r.a.o.Log.Warn("Keeping the full sync in a file failed", "err", r.err)
	}
}

// Discard ends it without use.
func (r *Received) Discard() {
	if r == nil {
		return
	}
	if r.file.File != nil {
		r.file.Close()
	}
	if r.reader != nil {
		r.reader.Close()
	}
	// What is left of it goes with the next start.
	_ = r.a.fs.Remove(r.a.path(r.name))
}

// usable reports whether the file is a base of what the journal holds now, for a.
func (r *Received) usable(a *AOF) bool {
	if r == nil || r.a != a || r.err != nil || r.file.File != nil {
		return false
	}
	j := r.a.o.Journal
	id, _, _ := j.IDs()
	return r.at.ID == id && r.at.Offset == j.Offset()
}

// HistoryChanged tells that the journal adopted another history at its offset
// now, and that the keyspace was replaced: a full sync was loaded. It is called
// where journal.Adopt was, before anything else is appended. If received is what
// was loaded, it becomes the base, which takes moments; else the data are
// written anew in the background. Until the files are in force, a crash recovers
// the former data, and the watermarks stand at nothing. (Promote and Rename need
// no call.)
func (a *AOF) HistoryChanged(received *Received) {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.detach()
	if received.usable(a) {
		var err error
		if received.reader, err = a.o.Journal.NewReader(received.at.Offset, journal.ReaderOptions{}); err == nil {
			received.epoch = a.epoch.Load()
			a.received, received = received, nil
		}
	}
	if received != nil {
		go received.Discard()
	}
	a.unfounded.Store(true)
	a.stats.position.Store(a.o.Journal.Offset())
	old := a.marks.Swap(newWatermarks(nothing))
	go old.release()
}

// takeReceived returns the full sync that is to become the base, or nil.
func (a *AOF) takeReceived() *Received {
	a.writing.Lock()
	defer a.writing.Unlock()
	r := a.received
	a.received = nil
	return r
}
