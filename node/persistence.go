package node

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/persist"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/node/server"
	"slotmesh/node/store"
)

// persistence is what a node has on its disk: it saves and loads RDB files.
type persistence struct {
	n  *Node
	fs persist.FS

	// saving is true while a file is written, or about to be; keys of total are in it.
	saving      atomic.Bool
	keys, total atomic.Int64
	// failing is true when the last save in the background failed.
	failing atomic.Bool
	// loading is what is read at the start, or nil.
	loading atomic.Pointer[loading]

	mu sync.Mutex
	// scheduled is true when BGSAVE SCHEDULE waits for what is under way.
	scheduled bool
	begun     time.Time
	// saved is when the last file was complete, and dirty the engine's count of
	// changes at its cut.
	saved time.Time
	dirty int64
	// tried is when the last save in the background ended, took how long it took;
	// took is negative before the first.
	tried time.Time
	took  time.Duration
	saves int64
	// loaded is what the file at the start held.
	loaded persist.LoadedRDB
}

func newPersistence(n *Node) *persistence {
	return &persistence{n: n, fs: persist.OS{}, saved: n.started, took: -1}
}

// directory is where files are. A process stands in dir, so that a relative one is
// where it stands.
func (p *persistence) directory() string {
	if dir := p.n.cfg.Text("dir").Load(); filepath.IsAbs(dir) {
		return dir
	}
	return "."
}

// path is where the RDB file is.
func (p *persistence) path() string {
	return filepath.Join(p.directory(), p.n.cfg.Text("dbfilename").Load())
}

// dataSource gives snapshots of the engine's keyspace.
type dataSource struct {
	engine     *command.Engine
	usedMemory func() int64
}

// Snapshot implements rdb.Source.
func (s *dataSource) Snapshot(at func()) rdb.Snapshot {
	sn := &dataSnapshot{source: s}
	s.engine.Exclusive(func() {
		keyspace := s.engine.Store()
		sn.Snapshot = keyspace.Cut(nil)
		for db := range keyspace.Databases() {
			if keys := keyspace.Len(db); keys > 0 {
				sn.sizes = append(sn.sizes, rdb.DatabaseSize{DB: db, Keys: int64(keys), Expires: int64(keyspace.Expires(db))})
			}
		}
		at()
	})
	return sn
}

type dataSnapshot struct {
	*store.Snapshot
	source *dataSource
	sizes  []rdb.DatabaseSize
}

// Sizes implements rdb.Snapshot.
func (sn *dataSnapshot) Sizes() []rdb.DatabaseSize { return sn.sizes }

// Walk implements rdb.Snapshot.
func (sn *dataSnapshot) Walk(emit func([]rdb.Entry) error) error {
	return sn.Snapshot.Walk(sn.source.engine.WithSlot, emit)
}

// UsedMemory implements rdb.Snapshot.
func (sn *dataSnapshot) UsedMemory() int64 {
	if sn.source.usedMemory == nil {
		return 0
	}
	return sn.source.usedMemory()
}

var errSaving = errors.New("a save is under way")

// claim makes the next save the caller's, who ends it with save; false while one is
// under way: only one runs at a time.
func (p *persistence) claim() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.saving.CompareAndSwap(false, true) {
		return false
	}
	p.begun = time.Now()
	p.keys.Store(0)
	p.total.Store(0)
	return true
}

// save writes the data to the file, unless stop is closed before.
func (p *persistence) save(stop <-chan struct{}) (err error) {
	defer p.saving.Store(false)
	n := p.n
	p.mu.Lock()
	begun := p.begun
	p.mu.Unlock()
	var at rdb.Position
	var dirty int64
	sn := n.source.Snapshot(func() {
		id, _, _ := n.journal.IDs()
		at = rdb.Position{ID: id, Offset: n.journal.Offset(), StreamDB: n.journal.StreamDB()}
		dirty = n.engine.Stats().Dirty
	})
	defer sn.Close()
	for _, db := range sn.Sizes() {
		p.total.Add(db.Keys)
	}
	_, err = persist.SaveRDB(p.fs, persist.SaveOptions{
		Dir: p.directory(), Name: n.cfg.Text("dbfilename").Load(),
		Header: rdb.Header{
			RedisVersion: ReportedVersion, CreatedSec: begun.Unix(), Repl: &at,
			Compress: n.cfg.Bool("rdbcompression").Load(), Checksum: n.cfg.Bool("rdbchecksum").Load(),
		},
		Incremental: n.cfg.Bool("rdb-save-incremental-fsync").Load(),
		KeyDelay:    time.Duration(n.cfg.Int("rdb-key-save-delay").Load()) * time.Microsecond,
		Keys:        &p.keys,
		Stop:        stop,
	}, sn)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried, p.took = now, now.Sub(begun)
	if err == nil {
		p.saved, p.dirty = now, dirty
		p.saves++
	}
	return err
}

// saveNow is SAVE and the save of a shutdown.
func (p *persistence) saveNow() error {
	if !p.claim() {
		return errSaving
	}
	err := p.save(nil)
	if err != nil {
		p.n.log.Warn("Error saving DB on disk: " + err.Error())
	} else {
		p.n.log.Info("DB saved on disk")
		p.setFailing(false)
	}
	return err
}

// saveInBackground begins BGSAVE. It is under way when saveInBackground returns;
// false if another one was before.
func (p *persistence) saveInBackground() bool {
	if !p.claim() {
		return false
	}
	p.n.log.Info("Background saving started")
	p.n.background.Go(func() {
		err := p.save(p.n.stopping)
		switch {
		case errors.Is(err, persist.ErrStopped):
		case err != nil:
			p.n.log.Warn("Background saving error: " + err.Error())
			p.setFailing(true)
		default:
			p.n.log.Info("Background saving terminated with success")
			p.setFailing(false)
		}
	})
	return true
}

func (p *persistence) setFailing(failing bool) {
	p.failing.Store(failing)
	p.n.refreshRefusals()
}

// refuses reports whether writes are to be refused because the disk fails.
func (p *persistence) refuses() bool {
	return p.failing.Load() && p.n.cfg.Bool("stop-writes-on-bgsave-error").Load() && len(p.n.cfg.SavePoints()) > 0
}

// changes is how many changes there were since the last save.
func (p *persistence) changes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n.engine.Stats().Dirty - p.dirty
}

// retryAfter is how long a save that failed is not tried again.
const retryAfter = 5 * time.Second

// keepTime begins a rewrite or a save that is scheduled, or a save when a save
// point is reached: one at a time. It is called ten times a second.
func (p *persistence) keepTime(now time.Time) {
	if p.saving.Load() || p.n.appendOnly.rewriting() {
		return
	}
	if p.n.appendOnly.scheduled.CompareAndSwap(true, false) {
		if err := p.n.appendOnly.rewrite(); err != nil {
			p.n.log.Warn("Background AOF rewrite error: " + err.Error())
		}
		return
	}
	p.mu.Lock()
	due := p.scheduled
	p.scheduled = false
	if !due && (!p.failing.Load() || now.Sub(p.tried) > retryAfter) {
		changes := p.n.engine.Stats().Dirty - p.dirty
		for _, point := range p.n.cfg.SavePoints() {
			age := time.Duration(point.Seconds) * time.Second
			if changes >= point.Changes && changes > 0 && now.Sub(p.saved) > age {
				p.n.log.Info(fmt.Sprintf("%d changes in %d seconds. Saving...", point.Changes, point.Seconds))
				due = true
				break
			}
		}
	}
	p.mu.Unlock()
	if due {
		p.saveInBackground()
	}
}

// persistenceRows are the commands that save.
func (n *Node) persistenceRows() []command.Spec {
	flags := command.Admin | command.NoScript | command.NoAsyncLoading
	return []command.Spec{
		{
			Name: "save", Arity: 1, Flags: flags | command.NoMulti, Group: "server", Since: "1.0.0",
			Complexity: "O(N) where N is the total number of keys in all databases",
			Summary:    "Saves the data to the disk and waits for it.", Heavy: command.Always, Run: n.runSave,
		},
		{
			Name: "bgsave", Syntax: "[SCHEDULE]", Arity: -1, Flags: flags, Group: "server", Since: "1.0.0",
			Complexity: "O(1)", Summary: "Saves the data to the disk in the background.", Run: n.runBGSave,
		},
		{
			Name: "lastsave", Arity: 1, Flags: command.Loading | command.Stale | command.Fast,
			Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Returns when the data were last saved, as INFO does.",
			Categories: []string{"admin", "dangerous"},
			Tips:       []string{"nondeterministic_output"},
			Run: func(c *command.Call) error {
				n.persistence.mu.Lock()
				defer n.persistence.mu.Unlock()
				c.Reply.Int(n.persistence.saved.Unix())
				return nil
			},
		},
	}
}

const errSaveUnderWay resp.Error = "ERR Background save already in progress"

// errSaveBesideRewrite is what BGSAVE hears while the AOF is rewritten.
const errSaveBesideRewrite resp.Error = "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible."

// errSaveFailed is what the reference answers when a SAVE fails.
const errSaveFailed resp.Error = "ERR"

func (n *Node) runSave(c *command.Call) error {
	switch err := n.persistence.saveNow(); {
	case errors.Is(err, errSaving):
		return errSaveUnderWay
	case err != nil:
		return errSaveFailed
	}
	c.Reply.OK()
	return nil
}

func (n *Node) runBGSave(c *command.Call) error {
	schedule := false
	if len(c.Args) > 1 {
		if len(c.Args) > 2 || !strings.EqualFold(string(c.Args[1]), "schedule") {
			return resp.ErrSyntax
		}
		schedule = true
	}
	p := n.persistence
	switch rewriting := n.appendOnly.rewriting(); {
	case p.saving.Load():
		return errSaveUnderWay
	case !rewriting && !c.InExec:
		if !p.saveInBackground() {
			return errSaveUnderWay
		}
		c.Reply.Simple("Background saving started")
		return nil
	case !schedule && !c.InExec:
		return errSaveBesideRewrite
	}
	p.mu.Lock()
	p.scheduled = true
	p.mu.Unlock()
	c.Reply.Simple("Background saving scheduled")
	return nil
}

func infoPersistence(n *Node, s *infoScene) {
	p := n.persistence
	syncing := false
	if link := n.replication.linkInfo(); link != nil {
		syncing = link.LoadTotal > 0 && link.LoadRead < link.LoadTotal
	}
	l := p.loading.Load()
	p.mu.Lock()
	begun, saved, took, saves, loaded := p.begun, p.saved, p.took, p.saves, p.loaded
	saving := p.saving.Load()
	p.mu.Unlock()
	seconds := func(d time.Duration) int64 {
		if d < 0 {
			return -1
		}
		return int64(d.Seconds())
	}
	status, current, keys, total := "ok", time.Duration(-1), int64(0), int64(0)
	if p.failing.Load() {
		status = "err"
	}
	if saving {
		current, keys, total = s.now.Sub(begun), p.keys.Load(), p.total.Load()
	}
	s.line("loading", bit(n.gates.Gates()&server.GateLoading != 0))
	s.line("async_loading", bit(syncing))
	s.line("current_cow_peak", 0)
	s.line("current_cow_size", 0)
	s.line("current_cow_size_age", 0)
	s.line("current_fork_perc", "0.00")
	s.line("current_save_keys_processed", keys)
	s.line("current_save_keys_total", total)
	s.line("rdb_changes_since_last_save", p.changes())
	s.line("rdb_bgsave_in_progress", bit(saving))
	s.line("rdb_last_save_time", saved.Unix())
	s.line("rdb_last_bgsave_status", status)
	s.line("rdb_last_bgsave_time_sec", seconds(took))
	s.line("rdb_current_bgsave_time_sec", seconds(current))
	s.line("rdb_saves", saves)
	s.line("rdb_last_cow_size", 0)
	s.line("rdb_last_load_keys_expired", loaded.Expired)
	s.line("rdb_last_load_keys_loaded", loaded.Keys)
	infoAOF(n, s)
	if l != nil {
		total, read := l.Total.Load(), l.Done.Load()
		spent := s.now.Sub(l.begun)
		eta := int64(1)
		if read > 0 {
			eta = int64(spent.Seconds() * float64(total-read) / float64(read))
		}
		s.line("loading_start_time", l.begun.Unix())
		s.line("loading_total_bytes", total)
		s.line("loading_rdb_used_mem", 0)
		s.line("loading_loaded_bytes", read)
		s.fixed("loading_loaded_perc", 100*float64(read)/max(float64(total), 1), 2, "")
		s.line("loading_eta_seconds", eta)
	}
}
