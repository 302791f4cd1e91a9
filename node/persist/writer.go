package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"slotmesh/node/journal"
)

// writer is the end of the file. Guarded by AOF.writing.
type writer struct {
	// reader is nil, and nothing is written, while the keyspace has to be written
	// anew first.
	reader *journal.Reader
	file   File
	name   string
	// size is how long the file is, all of it whole entries.
	size int64
	// id is the history that the file last named, pos the offset of the stream up
	// to which everything is in the file.
	id  string
	pos int64
	// run was read of the journal and is not written; it stands at runAt.
	run   []byte
	runAt int64
	// head are annotations that stand before the next bytes.
	head []byte
	// stamped is the second that the last #TS named.
	stamped int64
	// lasting is how much of the file is on the disk, vouched what the last #DISK
	// said of that, in the second vouchedAt.
	lasting, vouched, vouchedAt int64
	// held is true while the file is not yet what a restart would load: the
	// watermarks stay where they are.
	held bool
	// retired are the files before this one that are not fsynced yet.
	retired []File
	scratch []byte
}

// rotation is the switch to another file at an offset of the stream.
type rotation struct {
	at   int64
	db   int
	file File
	name string
}

const (
	// writeBytes is how much is written at once.
	writeBytes = 256 << 10
	// flushRounds is how often a caller of Flush writes what others add while it is
	// at it; then a goroutine goes on.
	flushRounds = 4
	// idleWrite is how long effects may stay in memory that no reply depends on.
	idleWrite = 50 * time.Millisecond
	// retryPeriod is how often a failing disk is tried.
	retryPeriod = time.Second
	// syncPeriod is that of appendfsync everysec; slowSync is how long an fsync
	// takes that INFO counts as delayed.
	syncPeriod = time.Second
	slowSync   = 2 * time.Second
)

// Flush writes what the journal holds, unless somebody else is at it, who then
// writes this too. It does not wait for the disk beyond write(2), and returns at
// once while Failing.
func (a *AOF) Flush() {
	if a.failing.Load() != nil || a.requests.Add(1) > 1 {
		return
	}
	for range flushRounds {
		if a.serve() {
			return
		}
	}
	kick(a.kickWrite) // which has the requests now
}

// serve writes for all who have asked, and reports whether nobody has since.
func (a *AOF) serve() bool {
	n := a.requests.Load()
	a.writing.Lock()
	a.write()
	a.writing.Unlock()
	return a.requests.CompareAndSwap(n, 0)
}

// write writes what there is. The caller holds writing.
func (a *AOF) write() {
	w := &a.w
	settings := a.o.Settings()
	for w.reader != nil {
		if len(w.run) == 0 {
			var err error
			if w.runAt, w.run, err = w.reader.NextRun(writeBytes); err != nil {
				if !a.resume(err) {
					return
				}
				continue
			}
		}
		// A rotation is decided while nothing is appended: whoever sees an entry
		// behind it sees it too.
		next := a.rotation.Load()
		if next != nil && w.runAt >= next.at {
			if !a.rotate(next) {
				return
			}
			continue
		}
		if len(w.run) == 0 {
			w.pos = w.runAt
			break
		}
		part := w.run
		if next != nil && w.runAt+int64(len(part)) > next.at {
			part = part[:next.at-w.runAt]
		}
		if w.runAt != w.pos { // something that is no effect was left out
			w.head = appendRepl(w.head, w.id, w.runAt)
			w.pos = w.runAt
		}
		sec := a.now().Unix()
		if settings.Timestamps && sec > w.stamped {
			w.stamped = sec
			w.head = appendTS(w.head, sec)
		}
		if w.lasting > w.vouched && sec > w.vouchedAt {
			w.vouched, w.vouchedAt = w.lasting, sec
			w.head = appendDisk(w.head, w.lasting)
		}
		b := part
		if len(w.head) > 0 {
			w.scratch = append(append(w.scratch[:0], w.head...), part...)
			b = w.scratch
		}
		if !a.put(b) {
			return
		}
		w.head = w.head[:0]
		if cap(w.scratch) > 2*writeBytes {
			w.scratch = nil
		}
		w.run, w.runAt = w.run[len(part):], w.runAt+int64(len(part))
		w.pos = w.runAt
	}
	if w.reader == nil {
		return
	}
	a.stats.position.Store(w.pos)
	if w.held {
		return
	}
	marks := a.marks.Load()
	marks.written.Advance(w.pos)
	if settings.Fsync == FsyncAlways && !marks.synced.Reached(w.pos) {
		kick(a.kickSync)
	}
}

// put writes b to the file, or none of it. The caller holds writing.
func (a *AOF) put(b []byte) bool {
	w := &a.w
	n, err := w.file.Write(b)
	if n == len(b) && err == nil {
		w.size += int64(n)
		a.stats.currentSize.Add(int64(n))
		if !a.dirty.Swap(true) {
			kick(a.kickSync)
		}
		return true
	}
	if err == nil {
		err = fmt.Errorf("%d of %d bytes: %w", n, len(b), io.ErrShortWrite)
	}
	a.fail("Error writing to the AOF file", err)
	// The part that was written goes, so that the file ends with a whole entry.
	if err := w.file.Truncate(w.size); err != nil {
		a.distrust("Could not remove short write from the append-only file", err)
	}
	return false
}

// rotate goes on in another file. The caller holds writing.
func (a *AOF) rotate(next *rotation) bool {
	w := &a.w
	// The old file ends by saying where: a reader knows then that nothing is
	// missing between the two.
	if !a.put(appendRepl(w.head, w.id, next.at)) {
		return false
	}
	w.retired = append(w.retired, w.file)
	w.file, w.name, w.size = next.file, next.name, 0
	w.lasting, w.vouched = 0, 0
	w.pos, w.stamped = next.at, 0
	w.head = a.header(w.head[:0], next.db, w.id, next.at)
	a.rotation.CompareAndSwap(next, nil)
	kick(a.kickSync)
	return true
}

// header appends what a file begins with.
func (a *AOF) header(b []byte, db int, id string, at int64) []byte {
	b = appendRepl(b, id, at)
	if db >= 0 {
		b = append(b, skipLine+"\r\n"...)
		b = appendSelectCommand(b, db)
	}
	return b
}

// resume goes on after the reader was cut: under another id of the same history,
// or not at all. The caller holds writing.
func (a *AOF) resume(cause error) bool {
	w := &a.w
	if errors.Is(cause, journal.ErrHistory) {
		r, id, err := a.o.Journal.Resume(w.id, w.reader.Position(), journal.ReaderOptions{})
		if err == nil {
			w.reader, w.id = r, id
			w.head = appendRepl(w.head, id, r.Position())
			w.pos = r.Position()
			return true
		}
		cause = err
	}
	if a.ctx.Err() == nil {
		a.o.Log.Warn("The AOF cannot follow the stream of writes any more; the data are written anew", "err", cause)
	}
	a.detach()
	return false
}

// detach ends writing until the keyspace was written anew. The caller holds
// writing.
func (a *AOF) detach() {
	w := &a.w
	if w.reader != nil {
		w.reader.Close()
	}
	for _, f := range w.retired {
		f.Close()
	}
	if w.file != nil {
		w.file.Close()
	}
	if next := a.rotation.Swap(nil); next != nil {
		next.file.Close()
	}
	*w = writer{id: w.id, pos: w.pos}
	a.rebuild = true
	a.epoch.Add(1)
	kick(a.kickRebuild)
}

// fail notes that the disk does not do what it should.
func (a *AOF) fail(what string, err error) {
	wrapped := fmt.Errorf("%s: %w", what, err)
	a.stats.writeFailed.Store(true)
	if a.failing.Swap(&wrapped) == nil {
		a.o.Log.Warn(wrapped.Error())
		a.tellHealth()
	}
	kick(a.kickWrite)
}

// distrust is fail when it is not known what the file holds. The caller holds
// writing.
func (a *AOF) distrust(what string, err error) {
	a.fail(what, err)
	a.detach()
}

// recovered ends the state that fail began.
func (a *AOF) recovered() {
	a.stats.writeFailed.Store(false)
	if a.failing.Swap(nil) != nil {
		a.o.Log.Warn("AOF write error looks solved, the server can write again.")
		a.tellHealth()
	}
}

func (a *AOF) tellHealth() {
	if a.o.OnHealth != nil {
		go a.o.OnHealth()
	}
}

// keepWriting writes what nobody waits for, tries a disk that fails, and begins
// automatic rewrites.
func (a *AOF) keepWriting() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait := func(d time.Duration) bool {
		timer.Reset(d)
		select {
		case <-timer.C:
			return true
		case <-a.ctx.Done():
			return false
		}
	}
	for {
		var more <-chan struct{}
		if a.failing.Load() == nil {
			a.writing.Lock()
			if a.w.reader != nil {
				more = a.w.reader.Ready()
			}
			a.writing.Unlock()
		} else if !wait(retryPeriod) {
			return
		} else {
			a.retry()
			continue
		}
		select {
		case <-a.ctx.Done():
			return
		case <-a.kickWrite:
			if a.requests.Load() == 0 {
				continue
			}
		case <-more:
			if !wait(idleWrite) {
				return
			}
			a.requests.Add(1)
		}
		for a.failing.Load() == nil && !a.serve() {
		}
		if a.failing.Load() != nil {
			a.requests.Store(0)
		}
		a.considerRewrite()
	}
}

// retry writes again after a failure. What was distrusted is for a rebuild.
func (a *AOF) retry() {
	a.writing.Lock()
	defer a.writing.Unlock()
	w := &a.w
	if w.reader == nil || w.held {
		return
	}
	before := w.size
	a.requests.Store(0)
	failed := a.failing.Load()
	a.write()
	// Only a write that the disk took shows that it takes writes again; with
	// nothing to write, an annotation does.
	if w.reader != nil && w.size == before && a.failing.Load() == failed && len(w.run) == 0 {
		if len(w.head) == 0 {
			w.head = appendRepl(w.head, w.id, w.pos)
		}
		if a.put(w.head) {
			w.head = w.head[:0]
		}
	}
	if w.reader != nil && w.size > before && len(w.run) == 0 {
		a.recovered()
	}
}

// keepSyncing fsyncs: at once with appendfsync always, else a second after the
// last time, if something was written.
func (a *AOF) keepSyncing() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var last time.Time
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-a.kickSync:
		}
		settings := a.o.Settings()
		if rest := syncPeriod - time.Since(last); settings.Fsync != FsyncAlways && rest > 0 {
			timer.Reset(rest)
			select {
			case <-a.ctx.Done():
				return
			case <-timer.C:
			case <-a.kickSync: // a file was left, or appendfsync has changed
			}
			settings = a.o.Settings()
		}
		last = time.Now()
		skip := settings.Fsync == FsyncNo ||
			settings.Fsync == FsyncEverySec && settings.NoFsyncOnRewrite && a.diskBusy()
		a.sync(skip)
		if skip && settings.Fsync == FsyncEverySec {
			kick(a.kickSync)
		}
	}
}

// sync makes what is written lasting; with onlyRetired just the files that are
// complete.
func (a *AOF) sync(onlyRetired bool) {
	a.syncing.lock()
	defer a.syncing.unlock()
	a.dirty.Store(false)
	a.writing.Lock()
	w := &a.w
	file, size, pos, held := w.file, w.size, w.pos, w.held
	retired := w.retired
	epoch, marks := a.epoch.Load(), a.marks.Load()
	a.writing.Unlock()
	if file == nil {
		return
	}
	a.stats.pending.Store(1)
	defer a.stats.pending.Store(0)
	began := time.Now()
	err := a.syncRetired(retired, epoch)
	if err == nil && !onlyRetired {
		err = file.Sync()
	}
	if time.Since(began) > slowSync {
		a.stats.delayed.Add(1)
	}
	if err != nil {
		a.writing.Lock()
		defer a.writing.Unlock()
		// A file that was left meanwhile is closed: its end is no failure.
		if a.epoch.Load() == epoch {
			a.distrust("Fail to fsync the AOF file", err)
		}
		return
	}
	a.stats.syncs.Add(1)
	if onlyRetired || a.epoch.Load() != epoch {
		return
	}
	if !held {
		marks.synced.Advance(pos)
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if w.file == file {
		w.lasting = size
	}
}

// syncRetired fsyncs and closes files that others have followed, and notes that
// in the file of now.
func (a *AOF) syncRetired(retired []File, epoch int64) error {
	if len(retired) == 0 {
		return nil
	}
	for _, f := range retired {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	w := &a.w
	if a.epoch.Load() != epoch {
		return nil
	}
	for _, f := range retired {
		f.Close()
	}
	w.retired = append([]File(nil), w.retired[len(retired):]...)
	w.head = appendJoin(w.head, w.pos)
	if len(w.retired) == 0 && a.put(w.head) {
		w.head = w.head[:0]
	}
	return nil
}

// SyncTo returns when everything up to the journal offset target is on the disk,
// however long the disk fails meanwhile, or ctx is done, or the file is closed.
func (a *AOF) SyncTo(ctx context.Context, target int64) error {
	for {
		a.Flush()
		if a.Written().Reached(target) {
			a.sync(false)
		}
		mark := a.Synced()
		if mark.Reached(target) {
			return nil
		}
		done := make(chan struct{})
		forget := mark.Notify(target, func() { close(done) })
		select {
		case <-done:
		case <-ctx.Done():
			forget()
			return ctx.Err()
		case <-a.ctx.Done():
			forget()
			return errClosed
		case <-time.After(idleWrite):
			forget()
		}
	}
}
