package persist

import (
	"context"
	"errors"
	"io"

	"slotmesh/node/journal"
)

var errSkeleton = errors.New("aof: not built yet")

// ErrRewriting: a rewrite is under way already.
var ErrRewriting = errors.New("aof: a rewrite is under way")

// OpenAOF reads the manifest. It changes nothing on the disk.
func OpenAOF(o AOFOptions) (*AOF, error) { return nil, errSkeleton }

// Exists reports whether there are files to load: those of the manifest, or a
// file of the old layout in Dir.
func (a *AOF) Exists() bool { return false }

// Size is how many bytes Load is going to read, for the log and INFO.
func (a *AOF) Size() int64 { return 0 }

// Load gives the files' content to t. p, if not nil, is kept up to date. It cuts
// off an incomplete end (if aof-load-truncated), upgrades the old layout, and
// changes nothing on the disk otherwise. An error says which file and byte it
// is about and what can be done; the node must not start then.
func (a *AOF) Load(t Target, p *Progress) (Loaded, error) { return Loaded{}, errSkeleton }

// Start begins to follow the journal, which it activates, from its offset now on.
// The keyspace must be what Load gave, or empty if there was nothing to load, and
// the journal must already have the history and offset that it goes on with.
// The caller holds Engine.Exclusive, or nothing is served yet.
func (a *AOF) Start() error { return errSkeleton }

// StartAnew is Start for a keyspace that the files do not hold: CONFIG SET
// appendonly yes, or data from elsewhere. It begins a rewrite in the background;
// until that is done the files, if any, stay what they were, and a crash
// recovers those. The caller holds nothing.
func (a *AOF) StartAnew() error { return errSkeleton }

// Written is the journal offset up to which everything is written, Synced the
// one up to which everything is on the disk. They are other watermarks after
// HistoryChanged: do not keep them.
func (a *AOF) Written() *journal.Watermark { return nil }

// Synced: see Written.
func (a *AOF) Synced() *journal.Watermark { return nil }

// Barrier is the watermark that replies wait for under the settings in force:
// Synced with appendfsync always, else Written.
func (a *AOF) Barrier() *journal.Watermark { return nil }

// Flush writes what the journal holds, unless somebody else is at it, who then
// writes this too. It does not wait for the disk beyond write(2), and returns at
// once while Failing.
func (a *AOF) Flush() {}

// Failing returns why writes must be refused now, for the MISCONF error, or nil.
// It is one atomic load.
func (a *AOF) Failing() error { return nil }

// HistoryChanged tells that the journal adopted another history at its offset
// now, and that the keyspace was replaced: a full sync was loaded. It is called
// where journal.Adopt was, before anything else is appended. A rewrite begins in
// the background. (Promote and Rename need no call.)
func (a *AOF) HistoryChanged() {}

// Rewrite is BGREWRITEAOF: it writes a new base from a snapshot and returns when
// that is in force and on the disk. Only one runs at a time (ErrRewriting).
// Automatic rewrites happen by themselves.
func (a *AOF) Rewrite(ctx context.Context) error { return errSkeleton }

// SetBusy tells that a save runs in the background, so that no automatic rewrite
// begins.
func (a *AOF) SetBusy(busy bool) {}

// SyncTo returns when everything up to the journal offset now is on the disk, or
// ctx is done, or the disk fails.
func (a *AOF) SyncTo(ctx context.Context) error { return errSkeleton }

// Status is what INFO tells.
func (a *AOF) Status() AOFStatus { return AOFStatus{} }

// Close writes and fsyncs what is there and ends everything: orderly shutdown, or
// CONFIG SET appendonly no. The watermarks are then at their end, so that
// nothing waits for them any more.
func (a *AOF) Close() error { return errSkeleton }

// CheckAOF is slotmesh check-aof [--fix] [--truncate-to-timestamp t] file. It
// returns the exit code.
func CheckAOF(args []string, stdin io.Reader, stdout io.Writer) int { return 1 }
