package persist

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/rdb"
)

// FsyncMode is appendfsync.
type FsyncMode uint8

// When the file is fsynced.
const (
	// FsyncEverySec: once a second, in the background.
	FsyncEverySec FsyncMode = iota
	// FsyncAlways: before a reply leaves.
	FsyncAlways
	// FsyncNo: when the system likes to.
	FsyncNo
)

// AOFSettings are the directives that the AOF heeds. They are asked again and
// again, so that CONFIG SET works at once.
type AOFSettings struct {
	Fsync             FsyncMode // appendfsync
	NoFsyncOnRewrite  bool      // no-appendfsync-on-rewrite
	RewritePercentage int64     // auto-aof-rewrite-percentage, 0: never
	RewriteMinSize    int64     // auto-aof-rewrite-min-size
	LoadTruncated     bool      // aof-load-truncated
	RDBPreamble       bool      // aof-use-rdb-preamble
	IncrementalFsync  bool      // aof-rewrite-incremental-fsync
	Timestamps        bool      // aof-timestamp-enabled
	KeepHistory       bool      // aof-disable-auto-gc
	Compress          bool      // rdbcompression
	Checksum          bool      // rdbchecksum
	// Version is the version that RDB files claim to be written by.
	Version string
}

// AOFOptions are what an AOF is made of.
type AOFOptions struct {
	// FS is the disk; nil means OS.
	FS FS
	// Dir is the data directory (dir), DirName the directory in it
	// (appenddirname), FileName the name that all files begin with
	// (appendfilename).
	Dir, DirName, FileName string
	Journal                *journal.Journal
	// Source gives snapshots for rewrites.
	Source   rdb.Source
	Settings func() AOFSettings
	Log      *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// OnHealth, if set, is told, on some goroutine, whenever Failing may have
	// changed: held replies and refused writes are to be looked at again.
	OnHealth func()
	// Rewrites, if set, is where account is kept of rewrites.
	Rewrites *Rewrites
	// Busy, if set, reports whether a save runs in the background, so that no
	// automatic rewrite begins.
	Busy func() bool
}

// Command is one command of a file.
type Command struct {
	DB   int
	Args [][]byte
}

// Progress is how far a load is. It may be read at any time.
type Progress struct {
	// Total and Done are bytes of all files that are loaded, Keys what the RDB
	// parts held, Commands what the other parts did.
	Total, Done, Keys, Commands atomic.Int64
}

// Loaded is what a load found.
type Loaded struct {
	// Files is how many files there were: 0 means that there was nothing to
	// load.
	Files int
	// At is where in a replication history the data stand. It is known only if
	// Known: files of another server do not say it.
	At    rdb.Position
	Known bool
	// CutBytes were an incomplete end; they were moved to the file CutTo.
	CutBytes int64
	CutTo    string
}

// AOFStatus is what INFO tells.
type AOFStatus struct {
	// Failing is why writes must be refused now, nil if they need not.
	Failing error
	// WriteOK is aof_last_write_status, RewriteOK aof_last_bgrewrite_status.
	WriteOK, RewriteOK bool
	// Rewriting is aof_rewrite_in_progress.
	Rewriting bool
	// Failures is aof_rewrites_consecutive_failures.
	Failures int64
	// Rewrites is aof_rewrites, LastRewrite how long the last took (-1 s: none
	// yet) and CurrentRewrite how long the one under way takes.
	Rewrites                    int64
	LastRewrite, CurrentRewrite time.Duration
	// CurrentSize and BaseSize are aof_current_size and aof_base_size in bytes.
	CurrentSize, BaseSize int64
	// PendingBytes are journaled and not written (aof_buffer_length).
	PendingBytes int64
	// SyncsPending is aof_pending_bio_fsync, DelayedSyncs aof_delayed_fsync.
	SyncsPending, DelayedSyncs int64
	// RewriteKeys is how many keys the rewrite under way has written.
	RewriteKeys int64
}

// AOF is the append only file of a node: a directory of files, what is being
// written to them, and how far that is.
//
// The order of calls is OpenAOF, then Load, then Start (or, without Load,
// StartAnew), then anything, then Close. Methods may be called from any
// goroutine after Start.
//
// A reply may leave when Barrier().Reached(journal.Offset()), with the offset
// taken after the command ran: the caller asks, calls Flush if it is not so,
// asks again, and, if it is still not so, holds the reply and lets
// Barrier().Notify release it. Flush does no fsync. While Failing, the replies
// of writes stay held, new writes are refused, and what only read may leave.
type AOF struct {
	o   AOFOptions
	fs  FS
	now func() time.Time

	marks atomic.Pointer[watermarks]
	// failing is why writes must be refused, nil if they need not.
	failing atomic.Pointer[error]

	// requests counts who has asked for a write since there was nothing to do.
	// Whoever raises it from zero writes for all of them.
	requests atomic.Int64
	// rotation is the switch to another file that the writer makes when it comes to
	// its offset; nil if there is none.
	rotation atomic.Pointer[rotation]
	// dirty is set by a write and cleared before the fsync that covers it.
	dirty atomic.Bool
	// unfounded is true from HistoryChanged until files hold the new data.
	unfounded atomic.Bool
	// epoch is raised when the files no longer are what the keyspace came from.
	epoch atomic.Int64

	// writing guards w: who has it may write to the file. It is held for one
	// write(2), never for an fsync.
	writing sync.Mutex
	w       writer

	// admin guards the manifest on the disk, which is what manifest says, and is
	// held while files come and go. It is locked before writing.
	admin gate
	// syncing is held for an fsync.
	syncing  gate
	manifest manifest

	rewriting atomic.Pointer[rewrite]
	stats     aofStats
	auto      automatic

	kickWrite, kickSync, kickRebuild chan struct{}
	// rebuild is true while the keyspace has to be written anew, received what that
	// begins with, if not with a snapshot; guarded by writing.
	rebuild  bool
	received *Received
	// receipts counts full syncs, to name their files.
	receipts atomic.Int64
	stop     context.CancelFunc
	ctx      context.Context
	running  sync.WaitGroup
}

// gate is a lock that is held for long: for a rewrite, or an fsync. (It is no mutex, so
// that the clock of a synctest bubble goes on while somebody waits for it.)
type gate chan struct{}

func (g gate) lock()   { g <- struct{}{} }
func (g gate) unlock() { <-g }

func (g gate) tryLock() bool {
	select {
	case g <- struct{}{}:
		return true
	default:
		return false
	}
}

// watermarks are those of one history.
type watermarks struct{ written, synced *journal.Watermark }

func newWatermarks(offset int64) *watermarks {
	return &watermarks{journal.NewWatermark(offset), journal.NewWatermark(offset)}
}

// nothing is where watermarks stand while no file holds the data: before the
// offset 0 too, at which data are that were written while nobody followed.
const nothing = -1

// release lets go of everybody who waits.
func (m *watermarks) release() {
	m.written.Advance(math.MaxInt64)
	m.synced.Advance(math.MaxInt64)
}

// Rewrites is what is known of the rewrites of a node, which may have several AOFs,
// one after the other.
type Rewrites struct {
	count atomic.Int64
	// last is how long the last one took, and one second more, so that zero means
	// that there was none.
	last   atomic.Int64
	failed atomic.Bool
	// failures counts those that failed since one did not.
	failures atomic.Int64
}

// note keeps account of one more.
func (r *Rewrites) note(took time.Duration, failed, counts bool) {
	r.count.Add(1)
	r.last.Store(int64(took + time.Second))
	r.failed.Store(failed)
	switch {
	case !failed:
		r.failures.Store(0)
	case counts:
		r.failures.Add(1)
	}
}

// Fill puts what is known into s.
func (r *Rewrites) Fill(s *AOFStatus) {
	s.Rewrites, s.Failures = r.count.Load(), r.failures.Load()
	s.LastRewrite = time.Duration(r.last.Load()) - time.Second
	s.RewriteOK = !r.failed.Load()
}

// aofStats is what Status tells.
type aofStats struct {
	currentSize, baseSize atomic.Int64
	writeFailed           atomic.Bool
	rewriteKeys           atomic.Int64
	syncs, delayed        atomic.Int64
	position              atomic.Int64 // what of the stream is in the file
	pending               atomic.Int64
}

// OpenAOF reads the manifest. It changes nothing on the disk.
func OpenAOF(o AOFOptions) (*AOF, error) {
	a := &AOF{
		o: o, fs: o.FS, now: o.Now, admin: make(gate, 1), syncing: make(gate, 1),
		kickWrite: make(chan struct{}, 1), kickSync: make(chan struct{}, 1), kickRebuild: make(chan struct{}, 1),
	}
	if a.fs == nil {
		a.fs = OS{}
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.o.Rewrites == nil {
		a.o.Rewrites = new(Rewrites)
	}
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.marks.Store(newWatermarks(0))
	var err error
	if a.manifest, err = readManifest(a.fs, a.manifestPath()); err != nil {
		return nil, err
	}
	return a, nil
}

// Written is the journal offset up to which everything is written, Synced the
// one up to which everything is on the disk. They are other watermarks after
// HistoryChanged: do not keep them.
func (a *AOF) Written() *journal.Watermark { return a.marks.Load().written }

// Synced: see Written.
func (a *AOF) Synced() *journal.Watermark { return a.marks.Load().synced }

// Barrier is the watermark that replies wait for under the settings in force:
// Synced with appendfsync always, else Written.
func (a *AOF) Barrier() *journal.Watermark {
	marks := a.marks.Load()
	s := a.o.Settings()
	if s.Fsync == FsyncAlways && !(s.NoFsyncOnRewrite && a.diskBusy()) {
		return marks.synced
	}
	return marks.written
}

// diskBusy reports whether a base or an RDB file is being written.
func (a *AOF) diskBusy() bool {
	return a.rewriting.Load() != nil || a.o.Busy != nil && a.o.Busy()
}

// Failing returns why writes must be refused now, for the MISCONF error, or nil.
// It is one atomic load.
func (a *AOF) Failing() error {
	if err := a.failing.Load(); err != nil {
		return *err
	}
	return nil
}

// Unfounded reports whether the files are still of the data that a full sync has
// replaced: replies that only read need not wait for the new ones.
func (a *AOF) Unfounded() bool { return a.unfounded.Load() }

// Status is what INFO tells.
func (a *AOF) Status() AOFStatus {
	s := AOFStatus{
		Failing:      a.Failing(),
		WriteOK:      !a.stats.writeFailed.Load(),
		CurrentSize:  a.stats.currentSize.Load(),
		BaseSize:     a.stats.baseSize.Load(),
		PendingBytes: max(a.o.Journal.Offset()-a.stats.position.Load(), 0),
		SyncsPending: a.stats.pending.Load(),
		DelayedSyncs: a.stats.delayed.Load(),
		RewriteKeys:  a.stats.rewriteKeys.Load(),
	}
	a.o.Rewrites.Fill(&s)
	if r := a.rewriting.Load(); r != nil {
		s.Rewriting = true
		s.CurrentRewrite = a.now().Sub(r.began)
	}
	return s
}

// kick wakes a goroutine, if it is not awake.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
