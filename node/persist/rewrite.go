package persist

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"slotmesh/node/crew"
	"slotmesh/node/journal"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
)

// There are two ways to a new base. A rewrite leaves the files that are valid
// now valid until the new ones are complete: it lists a second increment in the
// manifest, has the writer go on in that at the snapshot's offset, and then puts
// the base in the place of what was before. A rebuild does without the files of
// now, because they do not hold the keyspace or cannot be trusted: its increment
// is listed together with its base, and what is written counts when they are.

// ErrRewriting: a rewrite is under way already.
var ErrRewriting = errors.New("aof: a rewrite is under way")

var (
	errEpoch  = errors.New("aof: the data were replaced meanwhile")
	errClosed = errors.New("aof: closed")
)

// rewrite is one under way.
type rewrite struct{ began time.Time }

// cut is where a snapshot stands.
type cut struct {
	rdb.Position
	epoch  int64
	reader *journal.Reader
	err    error
}

const (
	tempPrefix = "temp-rewriteaof-"
	// incrementalSync is after how many bytes a base is fsynced, with
	// aof-rewrite-incremental-fsync: as the reference's.
	incrementalSync = 4 << 20
	// maxRebuildPause bounds the time between two rebuilds that fail.
	maxRebuildPause = 10 * time.Second
)

// Rewrite is BGREWRITEAOF: it writes a new base from a snapshot and returns when
// that is in force and on the disk. Only one runs at a time (ErrRewriting).
// Automatic rewrites happen by themselves.
func (a *AOF) Rewrite(ctx context.Context) error {
	run, err := a.BeginRewrite()
	if err != nil {
		return err
	}
	return run(ctx)
}

// BeginRewrite is Rewrite in two steps. The rewrite is under way when it returns;
// run, which must be called, does it.
func (a *AOF) BeginRewrite() (run func(context.Context) error, err error) {
	if !a.admin.tryLock() {
		return nil, ErrRewriting
	}
	r := a.begin()
	return func(ctx context.Context) error {
		return a.finish(r, func() error { return a.chained(ctx) })
	}, nil
}

// begin notes that a rewrite is under way. The caller holds admin, until finish.
func (a *AOF) begin() *rewrite {
	r := &rewrite{began: a.now()}
	a.stats.rewriteKeys.Store(0)
	a.rewriting.Store(r)
	return r
}

// finish does the work of r, gives admin up and keeps account of r. Who is told that
// none is under way can begin the next.
func (a *AOF) finish(r *rewrite, work func() error) error {
	err := work()
	a.admin.unlock()
	a.rewriting.CompareAndSwap(r, nil)
	a.o.Rewrites.note(a.now().Sub(r.began), err != nil, a.ctx.Err() == nil)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			a.o.Log.Warn("Background AOF rewrite terminated with error", "err", err)
		}
	} else {
		a.o.Log.Info("Background AOF rewrite finished successfully")
	}
	kick(a.kickSync) // it may have waited (no-appendfsync-on-rewrite)
	return err
}

// chained is a rewrite beside files that stay valid. The caller holds admin.
func (a *AOF) chained(ctx context.Context) error {
	if !a.attached() {
		return errEpoch
	}
	incr := a.nextIncr()
	file, err := a.fs.Create(a.path(incr.name))
	if err != nil {
		return fmt.Errorf("aof: create increment: %w", err)
	}
	err = a.syncDir()
	if err == nil {
		err = a.putInForce(a.manifest.withIncr(incr))
	}
	if err != nil {
		file.Close()
		return err
	}
	var at cut
	snapshot := a.o.Source.Snapshot(func() {
		at = a.cutHere()
		old := a.rotation.Swap(&rotation{at: at.Offset, db: at.StreamDB, file: file, name: incr.name})
		if old != nil { // the switch of a rewrite that failed has not happened: it is none now
			old.file.Close()
		}
	})
	defer snapshot.Close()
	a.Flush()
	base, size, err := a.writeBase(ctx, snapshot, at)
	snapshot.Close()
	if err == nil {
		err = a.rotated(ctx, at)
	}
	if err != nil {
		a.dropTemp(tempPrefix)
		return err
	}
	return a.commit(tempName(base), base, size, incr, at.epoch)
}

// attached reports whether there is a file that is written to.
func (a *AOF) attached() bool {
	a.writing.Lock()
	defer a.writing.Unlock()
	return a.w.reader != nil
}

// cutHere notes where a snapshot stands, while nothing is appended.
func (a *AOF) cutHere() cut {
	j := a.o.Journal
	at := cut{epoch: a.epoch.Load()}
	at.Offset, at.StreamDB = j.Offset(), j.StreamDB()
	at.ID, _, _ = j.IDs()
	return at
}

// rotated waits until the writer has gone on in the new increment.
func (a *AOF) rotated(ctx context.Context, at cut) error {
	for {
		a.Flush()
		switch {
		case a.epoch.Load() != at.epoch:
			return errEpoch
		case a.rotation.Load() == nil:
			return nil
		case !a.attached():
			return errEpoch
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.ctx.Done():
			return errClosed
		case <-time.After(idleWrite):
		}
	}
}

// nextIncr names an increment whose number nobody has had.
func (a *AOF) nextIncr() aofFile {
	a.manifest.incrSeq++
	return aofFile{name: a.incrName(a.manifest.incrSeq), seq: a.manifest.incrSeq, kind: kindIncr}
}

// nextBase names a base whose number nobody has had.
func (a *AOF) nextBase(isRDB bool) aofFile {
	a.manifest.baseSeq++
	return aofFile{name: a.baseName(a.manifest.baseSeq, isRDB), seq: a.manifest.baseSeq, kind: kindBase}
}

// putInForce puts m in force, here and on the disk. If the disk fails half-way the
// manifest may be there or not, both of which is safe as long as no file of either
// is removed. The caller holds admin.
func (a *AOF) putInForce(m manifest) error {
	renamed, err := a.saveManifest(m)
	if renamed {
		a.manifest = m
	}
	return err
}

// commit puts a complete base, whose file has a temporary name, and incr in
// force. The caller holds admin.
func (a *AOF) commit(temporary string, base aofFile, size int64, incr aofFile, epoch int64) error {
	if a.epoch.Load() != epoch {
		a.dropTemp(temporary)
		return errEpoch
	}
	if err := a.fs.Rename(a.path(temporary), a.path(base.name)); err != nil {
		a.dropTemp(temporary)
		return fmt.Errorf("aof: name the new base: %w", err)
	}
	if err := a.syncDir(); err != nil {
		return err
	}
	if err := a.putInForce(a.manifest.rebased(base, incr)); err != nil {
		return err
	}
	a.writing.Lock()
	a.stats.currentSize.Store(size + a.w.size)
	a.stats.baseSize.Store(size + a.w.size)
	a.writing.Unlock()
	a.dropHistory()
	return nil
}

// DropHistory removes files that are no longer needed, unless they are to be kept. A
// rewrite that is under way does so at its end.
func (a *AOF) DropHistory() {
	if a.admin.tryLock() {
		a.dropHistory()
		a.admin.unlock()
	}
}

// dropHistory is DropHistory; the caller holds admin. What fails is tried again after
// the next rewrite or start.
func (a *AOF) dropHistory() {
	if len(a.manifest.history) == 0 || a.o.Settings().KeepHistory {
		return
	}
	for _, f := range a.manifest.history {
		if err := a.fs.Remove(a.path(f.name)); err != nil && !isNotExist(err) {
			a.o.Log.Warn("Removing the history file "+f.name+" failed", "err", err)
			return
		}
	}
	m := a.manifest
	m.history = nil
	if err := a.putInForce(m); err != nil {
		a.o.Log.Warn(err.Error())
	}
}

func tempName(base aofFile) string { return tempPrefix + strconv.FormatInt(base.seq, 10) + ".aof" }

// dropTemp removes what is left of files that were not completed, whose names
// begin with one of prefixes.
func (a *AOF) dropTemp(prefixes ...string) {
	names, err := a.fs.List(a.aofDir())
	if err != nil {
		return
	}
	for _, name := range names {
		for _, prefix := range append(prefixes, "temp-"+a.o.FileName+manifestSuffix) {
			if strings.HasPrefix(name, prefix) {
				// One that stays is tried again at the next start.
				_ = a.fs.Remove(a.path(name))
				break
			}
		}
	}
}

// writeBase writes snapshot to a temporary file and fsyncs it.
func (a *AOF) writeBase(ctx context.Context, snapshot rdb.Snapshot, at cut) (aofFile, int64, error) {
	settings := a.o.Settings()
	base := a.nextBase(settings.RDBPreamble)
	f, err := a.fs.Create(a.path(tempName(base)))
	if err != nil {
		return base, 0, fmt.Errorf("aof: create base: %w", err)
	}
	out := &baseFile{File: f, incremental: settings.IncrementalFsync}
	stopped := func() error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case a.ctx.Err() != nil:
			return errClosed
		case a.epoch.Load() != at.epoch:
			return errEpoch
		}
		return nil
	}
	if snapshot == nil {
		snapshot = rdb.NoData{}
	}
	written := func(keys int) error {
		a.stats.rewriteKeys.Add(int64(keys))
		return stopped()
	}
	if settings.RDBPreamble {
		_, err = rdb.WriteSnapshot(out, rdb.Header{
			RedisVersion: settings.Version,
			CreatedSec:   a.now().Unix(),
			Repl:         &at.Position,
			AOFBase:      true,
			Compress:     settings.Compress,
			Checksum:     settings.Checksum,
		}, snapshot, written)
	} else {
		err = writePlain(out, snapshot, at.Position, written)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = stopped()
	}
	if err != nil {
		return base, 0, fmt.Errorf("aof: write base: %w", err)
	}
	return base, out.size, nil
}

// baseFile yields while it is written, and fsyncs now and then.
type baseFile struct {
	File
	incremental    bool
	size, unsynced int64
	turns          crew.Turns
}

func (f *baseFile) Write(b []byte) (int, error) {
	err := writeAll(f.File, b)
	if err != nil {
		return 0, err
	}
	f.size += int64(len(b))
	f.unsynced += int64(len(b))
	if f.incremental && f.unsynced >= incrementalSync {
		f.unsynced = 0
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	f.turns.Yield()
	return len(b), nil
}

func appendSelectCommand(b []byte, db int) []byte {
	return resp.AppendCommand(b, "SELECT", strconv.Itoa(db))
}

// keepRebuilding writes the keyspace anew whenever the writer was detached.
func (a *AOF) keepRebuilding() {
	pause := retryPeriod
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-a.kickRebuild:
		}
		err := a.rebuildNow()
		if err == nil {
			pause = retryPeriod
			continue
		}
		if a.ctx.Err() != nil {
			return
		}
		a.fail("Error writing the AOF anew", err)
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxRebuildPause)
		kick(a.kickRebuild)
	}
}

// rebuildNow writes the keyspace anew, if that is due, until the files hold it or
// the disk fails.
func (a *AOF) rebuildNow() error {
	for {
		a.admin.lock()
		a.writing.Lock()
		due := a.rebuild
		a.writing.Unlock()
		if !due {
			a.admin.unlock()
			return nil
		}
		err := a.finish(a.begin(), a.anew)
		if err == nil || !errors.Is(err, errEpoch) {
			return err
		}
	}
}

// anew is a rebuild. The caller holds admin.
func (a *AOF) anew() error {
	incr := a.nextIncr()
	received := a.takeReceived()
	err := a.makeDir()
	var file File
	if err == nil {
		if file, err = a.fs.Create(a.path(incr.name)); err != nil {
			err = fmt.Errorf("aof: create increment: %w", err)
		}
	}
	if err != nil {
		received.Discard()
		return err
	}
	at, snapshot := a.found(received)
	defer snapshot.Close()
	if at.err == nil {
		at.err = a.attach(at, file, incr.name)
	}
	if at.err != nil {
		if at.reader != nil {
			at.reader.Close()
		}
		received.Discard()
		file.Close()
		return at.err
	}
	var base aofFile
	var size int64
	temporary := ""
	if received != nil {
		base, size, temporary = a.nextBase(true), received.file.size, received.name
	} else {
		base, size, err = a.writeBase(a.ctx, snapshot, at)
		temporary = tempName(base)
		snapshot.Close()
	}
	if err == nil {
		err = a.commit(temporary, base, size, incr, at.epoch)
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if err != nil {
		a.dropTemp(tempPrefix)
		received.Discard()
		if a.epoch.Load() == at.epoch {
			a.detach()
		}
		return err
	}
	if a.epoch.Load() != at.epoch {
		return errEpoch
	}
	a.w.held = false
	a.unfounded.Store(false)
	a.marks.Load().synced.Advance(at.Offset)
	a.dirty.Store(true)
	kick(a.kickSync)
	// The disk works again, unless it fails now: who may say so holds writing, or
	// what fails afterwards would be forgotten.
	failed := a.failing.Load()
	a.write()
	if a.failing.Load() == failed {
		a.recovered()
	}
	return nil
}

// found says where new files begin, and gives what their base is to hold:
// nothing if received holds it.
func (a *AOF) found(received *Received) (at cut, snapshot rdb.Snapshot) {
	if received != nil {
		return cut{Position: received.at, epoch: received.epoch, reader: received.reader}, rdb.NoData{}
	}
	snapshot = a.o.Source.Snapshot(func() {
		a.o.Journal.Activate()
		at = a.cutHere()
		at.reader, at.err = a.o.Journal.NewReader(at.Offset, journal.ReaderOptions{})
	})
	return at, snapshot
}

// attach has the writer go on from a snapshot, in a file that is not listed yet.
func (a *AOF) attach(at cut, file File, name string) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.epoch.Load() != at.epoch {
		return errEpoch
	}
	if next := a.rotation.Swap(nil); next != nil { // of a rewrite that came too late
		next.file.Close()
	}
	a.w = writer{
		reader: at.reader, file: file, name: name, id: at.ID, pos: at.Offset,
		head: a.header(nil, at.StreamDB, at.ID, at.Offset),
		held: true,
	}
	a.rebuild = false
	a.requests.Store(0)
	a.write()
	kick(a.kickWrite)
	return nil
}

// syncDir makes the names of the files lasting, which they must be before the
// manifest names them.
func (a *AOF) syncDir() error {
	if err := a.fs.SyncDir(a.aofDir()); err != nil {
		return fmt.Errorf("aof: fsync directory: %w", err)
	}
	return nil
}

// makeDir makes the directory of the files, lastingly.
func (a *AOF) makeDir() error {
	err := a.fs.Mkdir(a.aofDir())
	if err == nil {
		err = a.fs.SyncDir(filepath.Clean(a.o.Dir))
	}
	if err != nil {
		return fmt.Errorf("aof: make directory: %w", err)
	}
	return nil
}

// After so many automatic rewrites that failed in a row there is a pause, which
// doubles with each, as in the reference.
const (
	failuresBeforePause = 3
	firstRewritePause   = time.Minute
	maxRewritePause     = time.Hour
)

// automatic is what is known of automatic rewrites; only keepWriting uses it.
type automatic struct {
	notUntil time.Time
	done     chan error
}

// considerRewrite begins a rewrite when the files have grown enough.
func (a *AOF) considerRewrite() {
	auto := &a.auto
	if auto.done != nil {
		select {
		case err := <-auto.done:
			auto.done = nil
			if err == nil {
				break
			}
			if failures := a.o.Rewrites.failures.Load(); failures >= failuresBeforePause {
				pause := min(firstRewritePause<<min(failures-failuresBeforePause, 6), maxRewritePause)
				auto.notUntil = a.now().Add(pause)
				a.o.Log.Warn(fmt.Sprintf("Background AOF rewrite has repeatedly failed and triggered the limit, will retry in %d minutes", int(pause.Minutes())))
			}
		default:
			return
		}
	}
	s := a.o.Settings()
	size, base := a.stats.currentSize.Load(), max(a.stats.baseSize.Load(), 1)
	if s.RewritePercentage <= 0 || size <= s.RewriteMinSize || a.diskBusy() ||
		a.failing.Load() != nil || a.now().Before(auto.notUntil) {
		return
	}
	growth := size*100/base - 100
	if growth < s.RewritePercentage {
		return
	}
	a.o.Log.Info(fmt.Sprintf("Starting automatic rewriting of AOF on %d%% growth", growth))
	done := make(chan error, 1)
	auto.done = done
	a.running.Go(func() { done <- a.Rewrite(a.ctx) })
}
