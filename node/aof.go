package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/config"
	"slotmesh/node/persist"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// appendOnly is the node's append only file, while it is on, and what waits for
// it: it is the server's Barrier.
type appendOnly struct {
	n   *Node
	aof atomic.Pointer[persist.AOF]

	mu sync.Mutex
	// waiting are those to be told when the disk fails or works again.
	waiting map[*waiter]struct{}
}

// waiter is one of them.
type waiter struct {
	once sync.Once
	fn   func()
}

func (w *waiter) call() { w.once.Do(w.fn) }

// Position implements server.Barrier.
func (a *appendOnly) Position() int64 { return a.n.journal.Offset() }

// Passed implements server.Barrier.
func (a *appendOnly) Passed(pos int64, wrote bool) bool {
	aof := a.aof.Load()
	if aof == nil || aof.Barrier().Reached(pos) {
		return true
	}
	if aof.Failing() != nil {
		return !wrote
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
	w := &waiter{fn: fn}
	a.mu.Lock()
	if a.waiting == nil {
		a.waiting = make(map[*waiter]struct{})
	}
	a.waiting[w] = struct{}{}
	a.mu.Unlock()
	aof.Barrier().Notify(pos, func() {
		a.mu.Lock()
		delete(a.waiting, w)
		a.mu.Unlock()
		w.call()
	})
}

// wakeAll has everybody who waits ask again.
func (a *appendOnly) wakeAll() {
	a.mu.Lock()
	waiting := a.waiting
	a.waiting = nil
	a.mu.Unlock()
	for w := range waiting {
		w.call()
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
	// It returns nil: nothing is validated.
	_ = a.n.refreshRefusals()
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

// aofTarget takes what the files hold into the keyspace.
type aofTarget struct {
	n       *Node
	applier *command.Applier
	batch   []command.Applied
	now     int64
	refused int
}

// Target implements persist.Target.
func (t *aofTarget) Target(slot slots.Slot) rdb.Target {
	return rdb.Target{Space: t.n.store.DraftSpace(slot), Limits: &t.n.engine.Limits().Limits}
}

// Insert implements persist.Target.
func (t *aofTarget) Insert(e rdb.Entry) error {
	if e.DB >= t.n.store.Databases() {
		if e.Draft != nil {
			e.Draft.Discard()
		}
		return fmt.Errorf("key %.128q is of database %d, and there are %d", e.Key, e.DB, t.n.store.Databases())
	}
	t.n.engine.WithSlot(e.Slot, func() { t.n.store.Insert(e, t.now) })
	return nil
}

// Apply implements persist.Target.
func (t *aofTarget) Apply(commands []persist.Command) error {
	t.batch = t.batch[:0]
	for _, c := range commands {
		if c.DB >= t.n.store.Databases() {
			return fmt.Errorf("a write to database %d of %d", c.DB, t.n.store.Databases())
		}
		t.batch = append(t.batch, command.Applied{DB: c.DB, Args: c.Args})
	}
	err := t.applier.Apply(t.batch, func() {})
	clear(t.batch)
	var refused *command.ReplyError
	if errors.As(err, &refused) {
		if t.refused++; t.refused <= 10 {
			t.n.log.Warn("A command of the append only file was refused: '" + refused.Err.Error() + "' for '" + refused.Command + "'")
		}
		return nil
	}
	return err
}

// recoverAOF loads the files of aof.
func (p *persistence) recoverAOF(aof *persist.AOF) error {
	n := p.n
	l := &loading{begun: time.Now()}
	p.loading.Store(l)
	defer p.loading.Store(nil)
	stop := p.report(l)
	t := &aofTarget{n: n, applier: n.engine.NewApplier(), now: unixMs()}
	loaded, err := aof.Load(t, &l.Progress)
	stop()
	if err != nil {
		return &errLoad{err}
	}
	n.log.Info(fmt.Sprintf("DB loaded from append only file: %.3f seconds", time.Since(l.begun).Seconds()))
	if loaded.CutBytes > 0 {
		n.log.Warn(fmt.Sprintf("%d bytes of an incomplete end were cut off and moved to %s", loaded.CutBytes, loaded.CutTo))
	}
	p.mu.Lock()
	p.loaded.Keys, p.loaded.At, p.loaded.Known = l.Keys.Load(), loaded.At, loaded.Known
	p.saved, p.dirty = time.Now(), n.engine.Stats().Dirty
	p.mu.Unlock()
	if loaded.Known {
		n.journal.Adopt(loaded.At.ID, loaded.At.Offset, loaded.At.StreamDB)
	}
	n.replication.Adopted()
	return nil
}

// follow is CONFIG SET appendonly.
func (a *appendOnly) follow() error {
	on := a.n.cfg.Bool("appendonly").Load()
	old := a.aof.Load()
	switch {
	case on && old == nil:
		aof, err := a.open()
		if err == nil {
			err = aof.StartAnew()
		}
		if err != nil {
			a.n.log.Warn("Unable to turn on AOF: " + err.Error())
			return config.Refusal("Unable to turn on AOF. Check server logs.")
		}
		a.aof.Store(aof)
	case !on && old != nil:
		a.aof.Store(nil)
		if err := old.Close(); err != nil {
			a.n.log.Warn("Closing the append only file: " + err.Error())
		}
		old.Release()
		a.health()
	}
	return nil
}

// stop ends the file in order, when nothing is served any more.
func (a *appendOnly) stop() {
	aof := a.aof.Swap(nil)
	if aof == nil {
		return
	}
	if err := aof.Close(); err != nil {
		a.n.log.Warn("Closing the append only file: " + err.Error())
	}
	aof.Release()
}

// aofRows are the commands about the append only file.
func (n *Node) aofRows() []command.Spec {
	return []command.Spec{
		{
			Name: "bgrewriteaof", Arity: 1, Flags: command.Admin | command.NoScript | command.NoAsyncLoading, Group: "server", Since: "1.0.0",
			Complexity: "O(1)", Summary: "Rewrites the append only file in the background.", Run: n.runRewrite,
		},
		{
			Name: "waitaof", Syntax: "numlocal numreplicas timeout", Arity: 4, Flags: command.NoScript | command.Blocking,
			Group: "generic", Since: "7.2.0", Complexity: "O(1)",
			Summary: "Waits until the writes of this connection are on the disk.",
			Tips:    []string{"request_policy:all_shards", "response_policy:agg_min"}, Run: n.runWaitAOF,
		},
	}
}

func (n *Node) runRewrite(c *command.Call) error {
	aof := n.appendOnly.aof.Load()
	if aof == nil {
		return resp.Error("ERR the append only file is off: see CONFIG SET appendonly")
	}
	if aof.Status().Rewriting {
		return resp.Error("ERR Background append only file rewriting already in progress")
	}
	n.log.Info("Background append only file rewriting started")
	n.background.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case <-n.stopping:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := aof.Rewrite(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("Background AOF rewrite error: " + err.Error())
		}
	})
	c.Reply.Simple("Background append only file rewriting started")
	return nil
}

// runWaitAOF answers how many of the copies asked for have the writes: this
// node's, and no replica's, for replicas do not tell.
func (n *Node) runWaitAOF(c *command.Call) error {
	numbers := make([]int64, 3)
	for i := range numbers {
		v, ok := value.ParseInt(c.Args[i+1])
		if !ok {
			return resp.ErrNotInteger
		}
		numbers[i] = v
	}
	aof := n.appendOnly.aof.Load()
	switch {
	case n.replication.IsReplica():
		return resp.Error("ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.")
	case numbers[0] < 0 || numbers[0] > 1:
		return resp.Error("ERR value is out of range, must be between 0 and 1")
	case numbers[1] < 0 || numbers[2] < 0:
		return resp.Error("ERR value is out of range, must be positive")
	case numbers[0] > 0 && aof == nil:
		return resp.Error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
	}
	answer := func(w *resp.Writer, local int64) {
		w.Array(2)
		w.Int(local)
		w.Int(0)
	}
	if aof == nil {
		answer(c.Reply, 0)
		return nil
	}
	timeout := time.Duration(numbers[2]) * time.Millisecond
	c.Conn.Park(func(wake func(func(*resp.Writer))) (cancel func()) {
		ctx, stop := context.WithCancel(context.Background())
		if timeout > 0 {
			ctx, stop = context.WithTimeout(context.Background(), timeout)
		}
		go func() {
			local := int64(0)
			if aof.SyncTo(ctx) == nil {
				local = 1
			}
			stop()
			wake(func(w *resp.Writer) { answer(w, local) })
		}()
		return stop
	})
	return nil
}

// infoAOF is the part of INFO persistence about the append only file.
func infoAOF(n *Node, s *infoScene) {
	aof := n.appendOnly.aof.Load()
	st := persist.AOFStatus{WriteOK: true, RewriteOK: true, LastRewrite: -time.Second, CurrentRewrite: -time.Second}
	if aof != nil {
		st = aof.Status()
	}
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
	current := int64(-1)
	if st.Rewriting {
		current = seconds(st.CurrentRewrite)
	}
	s.line("aof_enabled", bit(aof != nil))
	s.line("aof_rewrite_in_progress", bit(st.Rewriting))
	s.line("aof_rewrite_scheduled", 0)
	s.line("aof_last_rewrite_time_sec", seconds(st.LastRewrite))
	s.line("aof_current_rewrite_time_sec", current)
	s.line("aof_last_bgrewrite_status", word(st.RewriteOK))
	s.line("aof_rewrites", st.Rewrites)
	s.line("aof_rewrites_consecutive_failures", 0)
	s.line("aof_last_write_status", word(st.WriteOK))
	s.line("aof_last_cow_size", 0)
	s.line("module_fork_in_progress", 0)
	s.line("module_fork_last_cow_size", 0)
	if aof != nil {
		s.line("aof_current_size", st.CurrentSize)
		s.line("aof_base_size", st.BaseSize)
		s.line("aof_pending_rewrite", 0)
		s.line("aof_buffer_length", st.PendingBytes)
		s.line("aof_pending_bio_fsync", st.SyncsPending)
		s.line("aof_delayed_fsync", st.DelayedSyncs)
	}
}

// errAOF is what a write hears while the file cannot be written.
func errAOF(err error) resp.Error {
	return resp.Error("MISCONF Errors writing to the AOF file: " + strings.TrimSpace(err.Error()))
}
