package persist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"slotmesh/node/rdb"
)

// SaveOptions say how an RDB file is written.
type SaveOptions struct {
	// Dir and Name say where: dir and dbfilename.
	Dir, Name string
	// Header is what the file says about itself. Its Repl is filled in by the
	// caller at the cut.
	Header rdb.Header
	// Incremental fsyncs now and then (rdb-save-incremental-fsync), so that the
	// last fsync is short.
	Incremental bool
	// KeyDelay slows the writing down, for tests: so long after each key.
	KeyDelay time.Duration
	// Keys, if not nil, counts what was written.
	Keys *atomic.Int64
	// Stop, when it is closed, ends the save with ErrStopped.
	Stop <-chan struct{}
}

// ErrStopped: the node ends before the save does.
var ErrStopped = errors.New("the save was stopped")

const (
	// incrementalBytes is how much is written between two fsyncs.
	incrementalBytes = 4 << 20
	// yieldBytes is how much a background goroutine does before the event loops
	// get their turn.
	yieldBytes = 16 << 10
	fileBuffer = 64 << 10
)

// SaveRDB writes a snapshot to a file, so that the file that was there before
// stays until the new one is whole and on the disk. It returns the file's size.
func SaveRDB(fsys FS, o SaveOptions, sn rdb.Snapshot) (size int64, err error) {
	temporary := filepath.Join(o.Dir, "temp-"+strconv.FormatInt(o.Header.CreatedSec, 10)+"-"+o.Name)
	f, err := fsys.Create(temporary)
	if err != nil {
		return 0, fmt.Errorf("save rdb: %w", err)
	}
	defer func() {
		if err != nil {
			// What is left of it is of no use; that it stays is no worse.
			_ = fsys.Remove(temporary)
		}
	}()
	out := &syncingWriter{f: f, incremental: o.Incremental}
	size, err = writeRDB(out, o, sn)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = fsys.Rename(temporary, filepath.Join(o.Dir, o.Name))
	}
	if err == nil {
		err = fsys.SyncDir(o.Dir)
	}
	if err != nil {
		return 0, fmt.Errorf("save rdb: %w", err)
	}
	return size, nil
}

// writeRDB writes the snapshot's entries, database by database as they come.
func writeRDB(out io.Writer, o SaveOptions, sn rdb.Snapshot) (int64, error) {
	buffered := bufio.NewWriterSize(out, fileBuffer)
	size, err := rdb.WriteSnapshot(buffered, o.Header, sn, o.written)
	if err == nil {
		err = buffered.Flush()
	}
	return size, err
}

// written counts keys, each with its delay, and reports whether to stop.
func (o *SaveOptions) written(keys int) error {
	if o.KeyDelay <= 0 {
		o.count(int64(keys))
		select {
		case <-o.Stop:
			return ErrStopped
		default:
			return nil
		}
	}
	for range keys {
		o.count(1)
		select {
		case <-o.Stop:
			return ErrStopped
		case <-time.After(o.KeyDelay):
		}
	}
	return nil
}

func (o *SaveOptions) count(keys int64) {
	if o.Keys != nil {
		o.Keys.Add(keys)
	}
}

// syncingWriter fsyncs now and then.
type syncingWriter struct {
	f           File
	incremental bool
	unsynced    int
}

func (w *syncingWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	w.unsynced += n
	if err == nil && w.incremental && w.unsynced >= incrementalBytes {
		w.unsynced = 0
		err = w.f.Sync()
	}
	return n, err
}
