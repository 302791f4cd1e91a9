package persist

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/rdb"
	"slotmesh/slots"
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
	Source   Source
	Settings func() AOFSettings
	Log      *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// OnHealth, if set, is told, on some goroutine, whenever Failing may have
	// changed: held replies and refused writes are to be looked at again.
	OnHealth func()
}

// Source gives the state of the keyspace at one instant.
type Source interface {
	// Snapshot cuts the keyspace. at runs at the cut, while nothing is executed or
	// appended to the journal (Engine.Exclusive); it is short.
	Snapshot(at func()) Snapshot
}

// Snapshot is the keyspace as of a cut.
type Snapshot interface {
	// Sizes tells how many keys each database has, and how many of them with an
	// expiry: hints for whoever loads them.
	Sizes() []DatabaseSize
	// Walk hands every entry to emit, in pieces, without a lock held.
	Walk(emit func([]rdb.Entry) error) error
	// UsedMemory is what the data take.
	UsedMemory() int64
	Close()
}

// DatabaseSize is how much a database holds.
type DatabaseSize struct {
	DB            int
	Keys, Expires int64
}

// Command is one command of a file.
type Command struct {
	DB   int
	Args [][]byte
}

// Target takes what is loaded. It is used by one goroutine.
type Target interface {
	// Target says where collections of a slot come to lie while they are read.
	Target(slot slots.Slot) rdb.Target
	// Insert adds one key of an RDB part, which it takes over (see
	// store.Entry.Draft). A key that is there already is replaced.
	Insert(e rdb.Entry) error
	// Apply runs commands as one step. Nothing of them is kept. An error ends the
	// load; a command that its handler refuses is not one.
	Apply(commands []Command) error
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
	// Rewriting is aof_rewrite_in_progress, RewriteScheduled that one begins
	// when a save in the background has ended (the caller's to keep).
	Rewriting bool
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
	o AOFOptions

	mu sync.Mutex
}
