package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/config"
	"slotmesh/node/journal"
	"slotmesh/node/persist"
	"slotmesh/node/resp"
)

// appendOnly is the node's append only file, while it is on, and what waits for
// it: it is the server's Barrier.
type appendOnly struct {
	n   *Node
	aof atomic.Pointer[persist.AOF]

	// switching is held while the file goes on or off. beginning is the start under
	// way, if any, and latest the last one that CONFIG SET asked for: both are
	// changed under switching.
	switching sync.Mutex
	beginning atomic.Pointer[beginning]
	latest    *beginning
	// rewrites outlives the file, as INFO does.
	rewrites persist.Rewrites
	// scheduled is true when a rewrite waits for the end of a save.
	scheduled atomic.Bool

	mu sync.Mutex
	// waiting are those who are told when the file is far enough, or the disk fails or
	// works again. last is the group that was made last.
	waiting map[*waiters]struct{}
	last    *waiters
}

// waiters wait for the same position: the sessions of one round, mostly.
type waiters struct {
	mark *journal.Watermark
	pos  int64
	fns  []func()
}

// Position implements server.Barrier.
func (a *appendOnly) Position() int64 { return a.n.journal.Offset() }

// Passed implements server.Barrier.
func (a *appendOnly) Passed(pos int64, wrote bool) bool {
	aof := a.aof.Load()
	if aof == nil || aof.Barrier().Reached(pos) {
		return true
	}
	if aof.Failing() != nil || aof.Unfounded() {
		return !wrote
	}
	if aof.Written().Reached(pos) {
		return false // it waits for the disk
	}
	aof.Flush()
	return aof.Barrier().Reached(pos)
}

// Notify implements server.Barrier.
func (a *appendOnly) Notify(pos int64, fn func()) {
	aof := a.aof.Load()
	if aof == nil {
		fn()
		return
	}
	mark := aof.Barrier()
	a.mu.Lock()
	if w := a.last; w != nil && w.mark == mark && w.pos == pos {
		w.fns = append(w.fns, fn)
		a.mu.Unlock()
		return
	}
	w := &waiters{mark: mark, pos: pos, fns: []func(){fn}}
	if a.waiting == nil {
		a.waiting = make(map[*waiters]struct{})
	}
	a.waiting[w] = struct{}{}
	a.last = w
	a.mu.Unlock()
	mark.Notify(pos, func() { a.wake(w) })
}

// wake has a group ask again, unless it was woken before.
func (a *appendOnly) wake(w *waiters) {
	a.mu.Lock()
	_, waiting := a.waiting[w]
	delete(a.waiting, w)
	if a.last == w {
		a.last = nil
	}
	a.mu.Unlock()
	if waiting {
		for _, fn := range w.fns {
			fn()
		}
	}
}

// wakeAll has everybody who waits ask again.
func (a *appendOnly) wakeAll() {
	a.mu.Lock()
	waiting := a.waiting
	a.waiting, a.last = nil, nil
	a.mu.Unlock()
	for w := range waiting {
		for _, fn := range w.fns {
			fn()
		}
	}
}

// failing is why writes are to be refused, or nil.
func (a *appendOnly) failing() error {
	if aof := a.aof.Load(); aof != nil {
		return aof.Failing()
	}
	return nil
}

// health follows the state of the disk.
func (a *appendOnly) health() {
	a.n.refreshRefusals()
	a.wakeAll()
}

// open reads the manifest.
func (a *appendOnly) open() (*persist.AOF, error) {
	n := a.n
	return persist.OpenAOF(persist.AOFOptions{
		FS: n.persistence.fs, Dir: n.persistence.directory(),
		DirName: n.cfg.Text("appenddirname").Load(), FileName: n.cfg.Text("appendfilename").Load(),
		Journal:  n.journal,
		Source:   n.source,
		Settings: aofSettings(n.cfg), Log: n.log, OnHealth: a.health,
		Busy: n.persistence.saving.Load, Rewrites: &a.rewrites,
	})
}

// aofSettings reads the directives that the file heeds. It is asked for every
// reply: the directives are looked up once.
func aofSettings(cfg *config.Config) func() persist.AOFSettings {
	var (
		fsync       = cfg.Enum("appendfsync")
		noRewrite   = cfg.Bool("no-appendfsync-on-rewrite")
		percentage  = cfg.Int("auto-aof-rewrite-percentage")
		minSize     = cfg.Int("auto-aof-rewrite-min-size")
		truncated   = cfg.Bool("aof-load-truncated")
		preamble    = cfg.Bool("aof-use-rdb-preamble")
		incremental = cfg.Bool("aof-rewrite-incremental-fsync")
		timestamps  = cfg.Bool("aof-timestamp-enabled")
		keep        = cfg.Bool("aof-disable-auto-gc")
		compress    = cfg.Bool("rdbcompression")
		checksum    = cfg.Bool("rdbchecksum")
	)
	return func() persist.AOFSettings {
		mode := persist.FsyncEverySec
		switch fsync.Load() {
		case "always":
			mode = persist.FsyncAlways
		case "no":
			mode = persist.FsyncNo
		}
		return persist.AOFSettings{
			Fsync:             mode,
			NoFsyncOnRewrite:  noRewrite.Load(),
			RewritePercentage: percentage.Load(),
			RewriteMinSize:    minSize.Load(),
			LoadTruncated:     truncated.Load(),
			RDBPreamble:       preamble.Load(),
			IncrementalFsync:  incremental.Load(),
			Timestamps:        timestamps.Load(),
			KeepHistory:       keep.Load(),
			Compress:          compress.Load(),
			Checksum:          checksum.Load(),
			Version:           ReportedVersion,
		}
	}
}

// beginning is a start of the file while the node serves: its base is being
// written, and nothing waits for it yet.
type beginning struct {
	aof *persist.AOF
	// keep is false for BGREWRITEAOF while the file is switched off: it ends when
	// its base is there.
	keep atomic.Bool
	// done is closed when it is over; err says how.
	done chan struct{}
	err  error
}

// begin starts a new file in the background. The caller holds switching.
func (a *appendOnly) begin(keep bool) error {
	aof, err := a.open()
	if err != nil {
		return err
	}
	b := &beginning{aof: aof, done: make(chan struct{})}
	b.keep.Store(keep)
	a.beginning.Store(b)
	if keep {
		a.latest = b
	}
	a.n.background.Go(func() {
		defer close(b.done)
		b.err = aof.StartAnew()
		a.switching.Lock()
		wanted := b.keep.Load()
		if b.err == nil && wanted {
			// It is one of the two at every moment: see replaced.
			a.aof.Store(aof)
		} else {
			a.end(aof, b.err == nil)
		}
		a.beginning.Store(nil)
		a.switching.Unlock()
		if b.err != nil && wanted {
			a.n.log.Warn("Unable to turn on AOF: " + b.err.Error())
			// It returns nil: "no" is a value that there is.
			_ = a.n.cfg.Assign("appendonly", "no")
		}
	})
	return nil
}

// end closes a file. An error that is known already is not told again.
func (a *appendOnly) end(aof *persist.AOF, tell bool) {
	if err := aof.Close(); err != nil && tell {
		a.n.log.Warn("Closing the append only file: " + err.Error())
	}
	aof.Release()
}

// follow is CONFIG SET appendonly: it begins to write the file, or ends it. The
// file is on when its base holds the data; see begun.
func (a *appendOnly) follow() error {
	a.switching.Lock()
	defer a.switching.Unlock()
	on := a.n.cfg.Bool("appendonly").Load()
	b := a.beginning.Load()
	switch {
	case on && b != nil:
		b.keep.Store(true)
		a.latest = b
	case on && a.aof.Load() == nil:
		if err := a.begin(true); err != nil {
			a.n.log.Warn("Unable to turn on AOF: " + err.Error())
			return config.Refusal(cannotTurnOn)
		}
	case !on && b != nil:
		b.keep.Store(false)
		b.aof.Interrupt()
	case !on:
		if old := a.aof.Swap(nil); old != nil {
			a.end(old, true)
			a.health()
		}
	}
	return nil
}

const cannotTurnOn = "Unable to turn on AOF. Check server logs."

// begun waits until the file that CONFIG SET has switched on holds the data: what
// is acknowledged after its OK is there after a crash. If the disk fails, the file
// is off again.
func (a *appendOnly) begun() error {
	a.switching.Lock()
	b := a.latest
	a.switching.Unlock()
	if b == nil {
		return nil
	}
	select {
	case <-b.done:
	case <-a.n.stopping:
		return config.Refusal("the server is going down")
	}
	if b.err == nil || !b.keep.Load() {
		return nil
	}
	return config.Refusal("CONFIG SET failed (possibly related to argument 'appendonly') - " + cannotTurnOn)
}

// stop ends the file in order, when nothing is served any more.
func (a *appendOnly) stop() {
	a.switching.Lock()
	defer a.switching.Unlock()
	if b := a.beginning.Load(); b != nil {
		b.keep.Store(false)
		b.aof.Interrupt()
	}
	if aof := a.aof.Swap(nil); aof != nil {
		a.end(aof, true)
	}
}

// rewriting reports whether a base is being written, or about to be.
func (a *appendOnly) rewriting() bool {
	if a.beginning.Load() != nil {
		return true
	}
	aof := a.aof.Load()
	return aof != nil && aof.Status().Rewriting
}

// dropHistory is CONFIG SET aof-disable-auto-gc.
func (a *appendOnly) dropHistory() error {
	if aof := a.aof.Load(); aof != nil {
		aof.DropHistory()
	}
	return nil
}

// receive gives what keeps the bytes of a full sync; see replicationOptions.
func (a *appendOnly) receive() *persist.Received {
	if aof := a.aof.Load(); aof != nil {
		return aof.Receive()
	}
	return nil
}

// replaced is told that a full sync has put other data, of another history, in
// the place of this node's.
func (a *appendOnly) replaced(received *persist.Received) {
	if b := a.beginning.Load(); b != nil {
		b.aof.HistoryChanged(nil)
	}
	if aof := a.aof.Load(); aof != nil {
		aof.HistoryChanged(received)
		return
	}
	go received.Discard()
}

// disk is how far the file is on the disk; nil when it is off.
func (a *appendOnly) disk() *journal.Watermark {
	if aof := a.aof.Load(); aof != nil {
		return aof.Synced()
	}
	return nil
}

// aofRows are the commands about the append only file.
func (n *Node) aofRows() []command.Spec {
	return []command.Spec{
		{
			Name: "bgrewriteaof", Arity: 1, Flags: command.Admin | command.NoScript | command.NoAsyncLoading, Group: "server", Since: "1.0.0",
			Complexity: "O(1)", Summary: "Rewrites the append only file in the background.", Run: n.runRewrite,
		},
		n.waitAOFRow(),
	}
}

const errRewriteUnderWay resp.Error = "ERR Background append only file rewriting already in progress"

// runRewrite is BGREWRITEAOF. Beside a save, and in a transaction, the rewrite is
// for later, as in the reference.
func (n *Node) runRewrite(c *command.Call) error {
	a := n.appendOnly
	switch {
	case a.rewriting():
		return errRewriteUnderWay
	case n.persistence.saving.Load() || c.InExec:
		a.scheduled.Store(true)
		c.Reply.Simple("Background append only file rewriting scheduled")
		return nil
	}
	switch err := a.rewrite(); {
	case errors.Is(err, persist.ErrRewriting):
		return errRewriteUnderWay
	case err != nil:
		n.log.Warn("Background AOF rewrite error: " + err.Error())
		return resp.Error("ERR Can't execute an AOF background rewriting. Please check the server logs for more information.")
	}
	c.Reply.Simple("Background append only file rewriting started")
	return nil
}

// rewrite begins a rewrite, which is under way when rewrite returns.
func (a *appendOnly) rewrite() error {
	a.n.log.Info("Background append only file rewriting started")
	a.switching.Lock()
	defer a.switching.Unlock()
	aof := a.aof.Load()
	if aof == nil {
		if a.beginning.Load() != nil {
			return nil
		}
		return a.begin(false)
	}
	run, err := aof.BeginRewrite()
	if err != nil {
		return err
	}
	a.n.background.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case <-a.n.stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := run(ctx); err != nil && ctx.Err() == nil {
			a.n.log.Warn("Background AOF rewrite error: " + err.Error())
		}
	})
	return nil
}

// infoAOF is the part of INFO persistence about the append only file.
func infoAOF(n *Node, s *infoScene) {
	a := n.appendOnly
	st := persist.AOFStatus{WriteOK: true, RewriteOK: true, LastRewrite: -time.Second, CurrentRewrite: -time.Second}
	aof := a.aof.Load()
	on := aof != nil
	if b := a.beginning.Load(); b != nil && !on {
		aof, on = b.aof, b.keep.Load()
	}
	a.rewrites.Fill(&st)
	if aof != nil {
		st = aof.Status()
	}
	scheduled := bit(a.scheduled.Load())
	word := func(ok bool) string {
		if ok {
			return "ok"
		}
		return "err"
	}
	seconds := func(d time.Duration) int64 {
		if d < 0 {
			return -1
		}
		return int64(d.Seconds())
	}
	current, rewriting := int64(-1), a.rewriting()
	if rewriting {
		current = seconds(st.CurrentRewrite)
	}
	s.line("aof_enabled", bit(on))
	s.line("aof_rewrite_in_progress", bit(rewriting))
	s.line("aof_rewrite_scheduled", scheduled)
	s.line("aof_last_rewrite_time_sec", seconds(st.LastRewrite))
	s.line("aof_current_rewrite_time_sec", current)
	s.line("aof_last_bgrewrite_status", word(st.RewriteOK))
	s.line("aof_rewrites", st.Rewrites)
	s.line("aof_rewrites_consecutive_failures", st.Failures)
	s.line("aof_last_write_status", word(st.WriteOK))
	s.line("aof_last_cow_size", 0)
	s.line("module_fork_in_progress", 0)
	s.line("module_fork_last_cow_size", 0)
	if on {
		s.line("aof_current_size", st.CurrentSize)
		s.line("aof_base_size", st.BaseSize)
		s.line("aof_pending_rewrite", scheduled)
		s.line("aof_buffer_length", st.PendingBytes)
		s.line("aof_pending_bio_fsync", st.SyncsPending)
		s.line("aof_delayed_fsync", st.DelayedSyncs)
	}
}

// errAOF is what a write hears while the file cannot be written.
func errAOF(err error) resp.Error {
	return resp.Error("MISCONF Errors writing to the AOF file: " + strings.TrimSpace(err.Error()))
}
