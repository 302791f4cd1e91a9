package persist_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/persist"
	"slotmesh/node/persist/memfs"
	"slotmesh/node/rdb"
	"slotmesh/slots"
)

// plainDriver is a driver that crashes nothing: the disk does what it is told.
func plainDriver(t *testing.T, settings persist.AOFSettings, hook func(memfs.Op) memfs.Fault) *driver {
	t.Helper()
	d := &driver{t: t, settings: settings}
	d.clear()
	d.fs = memfs.New(root)
	d.fs.Hook = hook
	d.journal = journal.New(journal.Options{BacklogBytes: 1 << 20, ID: firstID})
	return d
}

func (d *driver) start() {
	d.t.Helper()
	var err error
	if d.aof, err = persist.OpenAOF(d.options(d.fs, d.journal)); err != nil {
		d.t.Fatal(err)
	}
	if err := d.aof.Start(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) close() {
	d.t.Helper()
	if err := d.aof.Close(); err != nil {
		d.t.Fatal(err)
	}
}

// set journals one write and has it written.
func (d *driver) set(key, text string) int64 {
	d.gate.Lock()
	d.mu.Lock()
	d.k["0/"+key] = text
	end := d.journal.Append(0, slots.Of([]byte(key)), [][]byte{[]byte("SET"), []byte(key), []byte(text)})
	d.mu.Unlock()
	d.gate.Unlock()
	d.aof.Flush()
	return end
}

// TestHistoryFiles: files that a rewrite has made superfluous go with it, or with the
// next start if it was ended in between, or if they are no longer to be kept.
func TestHistoryFiles(t *testing.T) {
	files := func(d *driver) string {
		names, err := d.fs.List(root + "/appendonlydir")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, " ")
	}
	const (
		both = "appendonly.aof.1.base.rdb appendonly.aof.1.incr.aof appendonly.aof.2.base.rdb appendonly.aof.2.incr.aof appendonly.aof.manifest"
		rest = "appendonly.aof.2.base.rdb appendonly.aof.2.incr.aof appendonly.aof.manifest"
	)
	for name, row := range map[string]struct {
		keep, fails bool
		after       func(d *driver)
		want        string
	}{
		"at once":          {false, false, func(*driver) {}, rest},
		"ended in between": {false, true, func(d *driver) { d.close(); d.start() }, rest},
		"kept":             {true, false, func(d *driver) { d.close(); d.start() }, both},
		"kept no longer":   {true, false, func(d *driver) { d.close(); d.settings.KeepHistory = false; d.start() }, rest},
	} {
		t.Run(name, func(t *testing.T) {
			var failing atomic.Bool
			d := plainDriver(t, persist.AOFSettings{RDBPreamble: true, KeepHistory: row.keep}, func(op memfs.Op) memfs.Fault {
				if op.Kind == "remove" && failing.Load() {
					return memfs.Fault{Err: syscall.EIO}
				}
				return memfs.Fault{}
			})
			d.start()
			d.set("key", "1")
			failing.Store(row.fails)
			if err := d.aof.Rewrite(context.Background()); err != nil {
				t.Fatal(err)
			}
			failing.Store(false)
			row.after(d)
			if got := files(d); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
			d.close()
			if strings.Contains(string(d.fs.Content(root+"/appendonlydir/appendonly.aof.manifest")), " type h\n") != (row.want == both) {
				t.Error("the manifest does not say so")
			}
		})
	}
}

// TestIncrementalFsync: a base, an RDB file and a full sync are fsynced now and
// then while they are written, or once at the end.
func TestIncrementalFsync(t *testing.T) {
	large := keyspace{}
	for i := range 20 {
		large[fmt.Sprintf("0/key:%d", i)] = strings.Repeat("x", 1<<20)
	}
	for _, incremental := range []bool{false, true} {
		for name, write := range map[string]func(d *driver) error{
			"base": func(d *driver) error { return d.aof.Rewrite(context.Background()) },
			"rdb": func(d *driver) error {
				_, err := persist.SaveRDB(d.fs, persist.SaveOptions{Dir: root, Name: "dump.rdb", Incremental: incremental}, snapshotOf(large))
				return err
			},
			"fullsync": func(d *driver) error {
				r := d.aof.Receive()
				_, err := rdb.WriteSnapshot(r, rdb.Header{}, snapshotOf(large), nil)
				r.Seal(rdb.Position{ID: firstID})
				r.Discard()
				return err
			},
		} {
			t.Run(fmt.Sprintf("%s/%v", name, incremental), func(t *testing.T) {
				var syncs atomic.Int64
				d := plainDriver(t, persist.AOFSettings{IncrementalFsync: incremental, RDBPreamble: true}, func(op memfs.Op) memfs.Fault {
					if op.Kind == "sync" && strings.HasPrefix(op.Path, root) && strings.Contains(op.Path, "temp-") && !strings.Contains(op.Path, "manifest") {
						syncs.Add(1)
					}
					return memfs.Fault{}
				})
				d.k = large
				d.start()
				syncs.Store(0)
				if err := write(d); err != nil {
					t.Fatal(err)
				}
				// 20 MiB, and 4 MiB between two.
				if got, want := syncs.Load(), int64(1); !incremental && got != want {
					t.Errorf("%d fsyncs, want %d", got, want)
				} else if incremental && (got < 5 || got > 7) {
					t.Errorf("%d fsyncs of 20 MiB", got)
				}
				d.close()
			})
		}
	}
}

// TestNoFsyncOnRewrite: while a base is written, or an RDB file, nobody waits for an
// fsync with no-appendfsync-on-rewrite, and with everysec there is none, so that the
// disk is left to the other file; afterwards it is made up for.
func TestNoFsyncOnRewrite(t *testing.T) {
	type setting struct {
		always, spared, save bool
	}
	for _, s := range []setting{{false, false, false}, {false, true, false}, {false, true, true}, {true, false, false}, {true, true, false}} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var syncs atomic.Int64
				writing, goOn := make(chan struct{}), make(chan struct{})
				var armed atomic.Bool // not for the first base
				mode := persist.FsyncEverySec
				if s.always {
					mode = persist.FsyncAlways
				}
				d := plainDriver(t, persist.AOFSettings{Fsync: mode, NoFsyncOnRewrite: s.spared, RDBPreamble: true}, func(op memfs.Op) memfs.Fault {
					switch {
					case op.Kind == "sync" && strings.Contains(op.Path, ".incr."):
						syncs.Add(1)
					case op.Kind == "write" && strings.Contains(op.Path, "temp-rewriteaof") && armed.CompareAndSwap(true, false):
						close(writing)
						<-goOn
					}
					return memfs.Fault{}
				})
				var busy atomic.Bool
				d.busy = busy.Load
				d.start()
				done := make(chan error, 1)
				if s.save {
					busy.Store(true)
				} else {
					armed.Store(true)
					go func() { done <- d.aof.Rewrite(context.Background()) }()
					<-writing
				}
				time.Sleep(5 * time.Second) // the old file is complete, and has been fsynced
				syncs.Store(0)
				end := d.set("key", "1")
				if s.always && s.spared && !d.aof.Barrier().Reached(end) {
					t.Error("the reply waits for the disk")
				}
				time.Sleep(5 * time.Second)
				if !d.aof.Barrier().Reached(end) {
					t.Error("the reply still waits")
				}
				if got, want := d.aof.Synced().Reached(end), !s.spared || s.always; got != want {
					t.Errorf("on the disk: %v, want %v", got, want)
				}
				if got, want := syncs.Load() > 0, !s.spared || s.always; got != want {
					t.Errorf("%d fsyncs", syncs.Load())
				}
				busy.Store(false)
				if !s.save {
					close(goOn)
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				time.Sleep(5 * time.Second)
				if !d.aof.Synced().Reached(end) {
					t.Error("afterwards it is not on the disk")
				}
				d.close()
			})
		})
	}
}

// TestAutomaticRewrite: the file is rewritten when it has grown enough, and not
// beside a save; after three failures in a row only after a pause that doubles.
func TestAutomaticRewrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken, busy atomic.Bool
		var tries atomic.Int64
		d := plainDriver(t, persist.AOFSettings{RDBPreamble: true, RewritePercentage: 100, RewriteMinSize: 10 << 10}, func(op memfs.Op) memfs.Fault {
			if op.Kind == "create" && strings.Contains(op.Path, "temp-rewriteaof") {
				tries.Add(1)
				if broken.Load() {
					return memfs.Fault{Err: syscall.ENOSPC}
				}
			}
			return memfs.Fault{}
		})
		d.busy = busy.Load
		d.start()
		tries.Store(0)
		// grow writes for a while.
		grow := func(steps int, pause time.Duration) {
			for range steps {
				d.set("key", strings.Repeat("x", 1<<10))
				time.Sleep(pause)
			}
		}
		grow(8, time.Second)
		if got := tries.Load(); got != 0 {
			t.Errorf("%d rewrites of a small file", got)
		}
		busy.Store(true)
		grow(20, time.Second)
		if got := tries.Load(); got != 0 {
			t.Errorf("%d rewrites beside a save", got)
		}
		busy.Store(false)
		grow(2, time.Second)
		if got := tries.Load(); got != 1 {
			t.Errorf("%d rewrites, want one", got)
		}
		if s := d.aof.Status(); s.CurrentSize > 10<<10 || s.Failures != 0 || !s.RewriteOK {
			t.Errorf("after the rewrite: %+v", s)
		}

		broken.Store(true)
		tries.Store(0)
		grow(20, 500*time.Millisecond)
		if got := tries.Load(); got != 3 {
			t.Errorf("%d tries that fail, want three and a pause", got)
		}
		if s := d.aof.Status(); s.Failures != 3 || s.RewriteOK || s.Failing != nil {
			t.Errorf("after failures: %+v", s)
		}
		grow(60, time.Second)
		if got := tries.Load(); got != 4 {
			t.Errorf("%d tries after the first pause, want four", got)
		}
		grow(100, time.Second)
		if got := tries.Load(); got != 4 {
			t.Errorf("%d tries within the second pause, want four", got)
		}
		broken.Store(false)
		grow(30, time.Second)
		if s := d.aof.Status(); tries.Load() < 5 || s.Failures != 0 || !s.RewriteOK {
			t.Errorf("%d tries when the disk works again: %+v", tries.Load(), s)
		}
		d.close()
	})
}

// TestFailureAsTheRebuildEnds: the disk takes new files and not the write that follows
// them. That failure is known until the write is made up for, although nobody else
// asks for one.
func TestFailureAsTheRebuildEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d *driver
		var armed atomic.Bool
		var end int64
		failed := make(chan struct{})
		d = plainDriver(t, persist.AOFSettings{RDBPreamble: true}, func(op memfs.Op) memfs.Fault {
			switch {
			case op.Kind == "rename" && strings.HasSuffix(op.Path, ".manifest") && armed.Load():
				// The base is there, and this write is all that is missing.
				key := []byte("key")
				end = d.journal.Append(0, slots.Of(key), [][]byte{[]byte("SET"), key, []byte("1")})
			case op.Kind == "write" && strings.Contains(op.Path, ".incr.") && end > 0 && armed.CompareAndSwap(true, false):
				close(failed)
				return memfs.Fault{Err: syscall.ENOSPC}
			}
			return memfs.Fault{}
		})
		d.start()
		armed.Store(true)
		d.journal.Adopt(secondID, 0, 0)
		d.aof.HistoryChanged(nil)
		<-failed
		synctest.Wait()
		if d.aof.Failing() == nil {
			t.Error("the last write has failed, and nobody is told")
		}
		if d.aof.Unfounded() || d.aof.Written().Reached(end) {
			t.Errorf("no file holds the data (%v), or the write is in one", d.aof.Unfounded())
		}
		time.Sleep(5 * time.Second)
		if err := d.aof.Failing(); err != nil || !d.aof.Written().Reached(end) {
			t.Errorf("the disk works again: failing (%v), written %v", err, d.aof.Written().Reached(end))
		}
		d.close()
	})
}
