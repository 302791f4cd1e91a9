package persist

import (
	"errors"
	"fmt"
	"io/fs"

	"slotmesh/node/journal"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Start begins to follow the journal, which it activates, from its offset now on.
// The keyspace must be what Load gave, or empty if there was nothing to load, and
// the journal must already have the history and offset that it goes on with.
// A disk that takes no writes is no error where nothing but writes is missing: see
// Failing. The caller holds Engine.Exclusive, or nothing is served yet.
func (a *AOF) Start() error {
	a.admin.lock()
	defer a.admin.unlock()
	j := a.o.Journal
	j.Activate()
	at := a.cutHere()
	if err := a.makeDir(); err != nil {
		return err
	}
	a.dropTemp(tempPrefix, receivedPrefix)
	if err := a.firstFiles(at); err != nil {
		return err
	}
	last := a.manifest.incr[len(a.manifest.incr)-1]
	file, err := a.fs.Append(a.path(last.name))
	if err != nil {
		return fmt.Errorf("aof: open %s: %w", last.name, err)
	}
	size, err := a.fs.Size(a.path(last.name))
	if err != nil {
		file.Close()
		return fmt.Errorf("aof: open %s: %w", last.name, err)
	}
	at.reader, err = j.NewReader(at.Offset, journal.ReaderOptions{})
	if err != nil {
		file.Close()
		return fmt.Errorf("aof: follow the journal: %w", err)
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	a.w = writer{reader: at.reader, file: file, name: last.name, size: size, lasting: size, id: at.ID, pos: at.Offset}
	a.w.head = a.header(nil, at.StreamDB, at.ID, at.Offset)
	if len(a.manifest.incr) > 1 {
		a.w.head = appendJoin(a.w.head, at.Offset)
	}
	a.marks.Store(newWatermarks(at.Offset))
	a.stats.position.Store(at.Offset)
	a.stats.currentSize.Store(a.filesSize())
	a.stats.baseSize.Store(a.stats.currentSize.Load())
	if a.put(a.w.head) {
		a.w.head = nil
	}
	a.run()
	a.dropHistory()
	return nil
}

// run starts what works in the background.
func (a *AOF) run() {
	a.running.Go(a.keepWriting)
	a.running.Go(a.keepSyncing)
	a.running.Go(a.keepRebuilding)
}

// firstFiles sees to it that there is a base and an increment, and that all files
// that there are lie on the disk, as the watermarks are going to say. The caller
// holds admin.
func (a *AOF) firstFiles(at cut) error {
	m := a.manifest
	if m.empty() {
		base, _, err := a.writeBase(a.ctx, nil, at)
		if err != nil {
			return err
		}
		if err := a.fs.Rename(a.path(tempName(base)), a.path(base.name)); err != nil {
			return fmt.Errorf("aof: name the first base: %w", err)
		}
		a.o.Log.Info(fmt.Sprintf("Creating AOF base file %s on server start", base.name))
		m.base, m.baseSeq = &base, base.seq
	}
	for _, f := range a.manifest.files() {
		if err := a.syncFile(f.name); err != nil {
			return err
		}
	}
	if len(m.incr) == 0 {
		incr := a.nextIncr()
		f, err := a.fs.Create(a.path(incr.name))
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return fmt.Errorf("aof: create increment: %w", err)
		}
		a.o.Log.Info(fmt.Sprintf("Creating AOF incr file %s on server start", incr.name))
		m = m.withIncr(incr)
	}
	if len(m.files()) == len(a.manifest.files()) {
		return nil
	}
	if err := a.syncDir(); err != nil {
		return err
	}
	return a.putInForce(m)
}

// syncFile fsyncs a file that an earlier process wrote.
func (a *AOF) syncFile(name string) error {
	f, err := a.fs.Append(a.path(name))
	if err == nil {
		err = f.Sync()
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		return fmt.Errorf("aof: fsync %s: %w", name, err)
	}
	return nil
}

// filesSize is how long all files are that the manifest lists.
func (a *AOF) filesSize() int64 {
	var sum int64
	for _, f := range a.manifest.files() {
		size, err := a.fs.Size(a.path(f.name))
		if err == nil {
			sum += size
		}
	}
	return sum
}

// StartAnew is Start for a keyspace that the files do not hold: CONFIG SET
// appendonly yes, or data from an RDB file. It returns when a base holds the
// data, so that nothing that is written afterwards can be lost; until then the
// files, if any, stay what they were. Interrupt ends it early. After an error only
// Close may follow. The caller holds nothing.
func (a *AOF) StartAnew() error {
	a.admin.lock()
	err := a.makeDir()
	if err == nil {
		a.dropTemp(tempPrefix, receivedPrefix)
	}
	a.admin.unlock()
	if err != nil {
		return err
	}
	a.writing.Lock()
	a.marks.Store(newWatermarks(nothing))
	a.rebuild = true
	a.stats.position.Store(a.o.Journal.Offset())
	a.writing.Unlock()
	a.running.Go(a.keepWriting)
	a.running.Go(a.keepSyncing)
	if err := a.rebuildNow(); err != nil {
		return err
	}
	a.running.Go(a.keepRebuilding)
	return nil
}

// Interrupt has StartAnew return soon.
func (a *AOF) Interrupt() { a.stop() }

// Close writes and fsyncs what is there and ends everything: orderly shutdown, or
// CONFIG SET appendonly no. When it succeeds the watermarks are at their end, so
// that nothing waits for them any more; when it fails only Release lets go of
// who waits.
func (a *AOF) Close() error {
	a.stop()
	a.running.Wait()
	a.admin.lock()
	defer a.admin.unlock()
	a.writing.Lock()
	defer a.writing.Unlock()
	a.received.Discard()
	a.received = nil
	w := &a.w
	if w.file == nil {
		if a.rebuild {
			return fmt.Errorf("aof: close: %w", errors.Join(errors.New("the data are not in the file"), a.Failing()))
		}
		return nil
	}
	a.write()
	var err error
	if len(w.run) > 0 || w.reader == nil || w.held {
		err = fmt.Errorf("aof: close: %w", errors.Join(errors.New("not everything is in the file"), a.Failing()))
	}
	for _, f := range append(w.retired, w.file) {
		if f == nil {
			continue
		}
		if syncErr := f.Sync(); err == nil && syncErr != nil {
			err = fmt.Errorf("aof: close: %w", syncErr)
		}
		if f == w.file && err == nil {
			w.vouch()
		}
		f.Close()
	}
	if w.reader != nil {
		w.reader.Close()
	}
	if next := a.rotation.Swap(nil); next != nil {
		next.file.Close()
	}
	a.w = writer{}
	if err == nil {
		a.Release()
	}
	return err
}

// vouch says at the end of the file that all of it is on the disk. It is no loss if
// that fails.
func (w *writer) vouch() {
	mark := appendDisk(nil, w.size)
	if n, err := w.file.Write(mark); n != len(mark) || err != nil {
		_ = w.file.Truncate(w.size)
	}
}

// Release lets go of everybody who waits for a watermark, although nothing was
// written: after Close, when the AOF was switched off.
func (a *AOF) Release() { a.marks.Load().release() }
