package node

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/crew"
	"slotmesh/node/persist"
	"slotmesh/node/rdb"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// loading is a load under way.
type loading struct {
	persist.Progress
	begun time.Time
}

// apart is a keyspace that is loaded while the node's own goes on. It implements
// persist.Target.
type apart struct {
	n      *Node
	engine *command.Engine
	into   *store.Store
	now    int64
	// router finds slots; appliers apply, one for each worker.
	router   *command.Applier
	appliers []*command.Applier
	batches  [][]command.Applied
	refused  atomic.Int64
}

// newApart returns an empty one.
func (n *Node) newApart() *apart {
	a := &apart{n: n, now: unixMs()}
	a.engine = n.engine.Apart(a.Workers())
	a.into = a.engine.Store()
	a.router = a.engine.NewApplier()
	a.batches = make([][]command.Applied, a.Workers())
	for worker := range a.Workers() {
		a.appliers = append(a.appliers, a.engine.LaneApplier(worker))
	}
	return a
}

// Workers implements persist.Target.
func (a *apart) Workers() int { return crew.Size(store.Heaps) }

// Target implements persist.Target.
func (a *apart) Target(slot slots.Slot) rdb.Target {
	return rdb.Target{Space: a.into.DraftSpace(slot), Limits: &a.engine.Limits().Limits}
}

// Expect implements persist.Target.
func (a *apart) Expect(db int, keys int64) {
	if db < a.into.Databases() {
		a.into.Expect(db, keys)
	}
}

// Insert implements persist.Target.
func (a *apart) Insert(entries []rdb.Entry) (int, error) {
	return insertInto(a.into, entries, a.now)
}

// insertInto puts entries into a store that has not been seen yet, and returns how
// many, and why not the next.
func insertInto(into *store.Store, entries []rdb.Entry, now int64) (int, error) {
	for i := range entries {
		if e := &entries[i]; e.DB >= into.Databases() {
			into.InsertAll(entries[:i], now)
			return i, fmt.Errorf("key %.128q is of database %d, and there are %d", e.Key, e.DB, into.Databases())
		}
	}
	into.InsertAll(entries, now)
	return len(entries), nil
}

// Route implements persist.Target.
func (a *apart) Route(c persist.Command) (slot slots.Slot, key int, ok bool) {
	return a.router.Route(c.Args)
}

// Warm implements persist.Target.
func (a *apart) Warm(db int, keys [][]byte) {
	if db < a.into.Databases() {
		a.into.WarmOwn(db, keys)
	}
}

// Apply implements persist.Target.
func (a *apart) Apply(worker int, commands []persist.Command) error {
	batch := a.batches[worker][:0]
	for _, c := range commands {
		if c.DB >= a.into.Databases() {
			return fmt.Errorf("a write to database %d of %d", c.DB, a.into.Databases())
		}
		batch = append(batch, command.Applied{DB: c.DB, Args: c.Args})
	}
	err := a.appliers[worker].Apply(batch, nil)
	clear(batch)
	a.batches[worker] = batch
	var refused *command.ReplyError
	if errors.As(err, &refused) {
		if a.refused.Add(1) <= 10 {
			a.n.log.Warn("A command of the append only file was refused: '" + refused.Err.Error() + "' for '" + refused.Command + "'")
		}
		return nil
	}
	return err
}

// load reads the file into a new store, and gives it to commit.
func (p *persistence) load(commit func(*store.Store)) (loaded persist.LoadedRDB, err error) {
	n := p.n
	l := &loading{begun: time.Now()}
	p.loading.Store(l)
	defer p.loading.Store(nil)
	stop := p.report(l)
	defer stop()
	t := n.newApart()
	options := persist.LoadOptions{
		Path:        p.path(),
		AnyChecksum: !n.cfg.Bool("rdbchecksum").Load(),
		KeyDelay:    time.Duration(n.cfg.Int("key-load-delay").Load()) * time.Microsecond,
		Progress:    &l.Progress,
		Notice:      func(text string) { n.log.Info("RDB: " + text) },
	}
	if !n.replication.IsReplica() && !n.followsAtStart() {
		options.Expired = func(at int64) bool { return at <= t.now }
	}
	loaded, err = persist.LoadRDB(p.fs, options, t)
	if err != nil {
		n.engine.Discard(t.into)
		return loaded, err
	}
	commit(t.into)
	n.log.Info(fmt.Sprintf("Done loading RDB, keys loaded: %d, keys expired: %d.", loaded.Keys, loaded.Expired))
	n.log.Info(fmt.Sprintf("DB loaded from disk: %.3f seconds", time.Since(l.begun).Seconds()))
	return loaded, nil
}

// reportEvery is how often the log tells how far a load is.
const reportEvery = 2 * time.Second

// report tells the log how far a load is, at what rate, and how long it may take
// yet, until stop is called.
func (p *persistence) report(l *loading) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(reportEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				p.n.log.Info("Loading: " + l.text(time.Now()))
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

// text says how far the load is.
func (l *loading) text(now time.Time) string {
	total, read := l.Total.Load(), l.Done.Load()
	seconds := now.Sub(l.begun).Seconds()
	rate := float64(read) / max(seconds, 0.001)
	left := 0.0
	if rate > 0 {
		left = float64(total-read) / rate
	}
	return fmt.Sprintf("%.1f%% of %s, %d keys, %d commands, %s/s, about %.0f seconds left",
		100*float64(read)/max(float64(total), 1), humanBytes(total), l.Keys.Load(), l.Commands.Load(), humanBytes(int64(rate)), left)
}

// followsAtStart reports whether this node begins as a replica.
func (n *Node) followsAtStart() bool {
	_, _, follows := n.cfg.ReplicaOf()
	return follows && n.cluster == nil
}

// errLoad is what a node ends with that cannot load its data.
type errLoad struct{ err error }

func (e *errLoad) Error() string {
	return "Fatal error loading the DB: " + e.err.Error() + ". Exiting."
}
func (e *errLoad) Unwrap() error { return e.err }

// recoverRDB loads what the RDB file holds, if anything, and goes on with the
// history that it is of.
func (p *persistence) recoverRDB() error {
	n := p.n
	n.log.Info("Loading RDB produced by version " + ReportedVersion + " or compatible")
	loaded, err := p.load(func(s *store.Store) { n.engine.Replace(s, func() {}) })
	if err != nil {
		return &errLoad{err}
	}
	p.mu.Lock()
	p.loaded = loaded
	p.saved, p.dirty = time.Now(), n.engine.Stats().Dirty
	p.mu.Unlock()
	if loaded.Known {
		n.journal.Adopt(loaded.At.ID, loaded.At.Offset, loaded.At.StreamDB)
	}
	n.replication.Adopted()
	return nil
}

// settleHistory gives a primary that was started with data a history of its own:
// what it writes from now on is not what it may have written, and lost, before.
// Replicas that are not ahead go on with the old id up to here.
func (p *persistence) settleHistory() {
	p.mu.Lock()
	known := p.loaded.Known
	p.mu.Unlock()
	if known && !p.n.replication.IsReplica() && !p.n.followsAtStart() {
		p.n.journal.Promote(randomID())
	}
}

// expireLoaded deletes what a primary has loaded and whose time was over before.
// It belongs behind settleHistory: files and replicas have the keys too, and hear
// of it in the stream that they go on with.
func (p *persistence) expireLoaded() {
	p.mu.Lock()
	expired := p.loaded.Expired
	p.mu.Unlock()
	if expired == 0 || p.n.followsAtStart() {
		return
	}
	const turn = 10_000
	for p.n.engine.ExpireCycle(turn) > 0 {
	}
}

// dropForeign deletes the keys of slots that others own: they moved while this
// node was down, or the file is another node's. Files and replicas hear of it: they
// have the keys too.
func (p *persistence) dropForeign(foreign slots.Set) {
	dropped := 0
	for slot := range foreign.All() {
		if count := p.n.engine.CountInSlot(slot); count > 0 {
			dropped += count
			p.n.engine.DropSlot(slot)
		}
	}
	if dropped > 0 {
		p.n.log.Warn(fmt.Sprintf("%d keys of slots that other nodes own were deleted.", dropped))
	}
}

// recoverAOF loads the files of aof, and goes on with the history that they are
// of.
func (p *persistence) recoverAOF(aof *persist.AOF) error {
	n := p.n
	loaded, err := p.loadAOF(aof.Load)
	if err != nil {
		return &errLoad{err}
	}
	if loaded.Known {
		n.journal.Adopt(loaded.At.ID, loaded.At.Offset, loaded.At.StreamDB)
	}
	n.replication.Adopted()
	return nil
}

// loadAOF puts what the files hold that load reads in the place of the keyspace.
func (p *persistence) loadAOF(load func(persist.Target, *persist.Progress) (persist.Loaded, error)) (persist.Loaded, error) {
	n := p.n
	l := &loading{begun: time.Now()}
	p.loading.Store(l)
	defer p.loading.Store(nil)
	stop := p.report(l)
	t := n.newApart()
	loaded, err := load(t, &l.Progress)
	stop()
	if err != nil {
		n.engine.Discard(t.into)
		return loaded, err
	}
	n.engine.Replace(t.into, func() {})
	n.log.Info(fmt.Sprintf("DB loaded from append only file: %.3f seconds", time.Since(l.begun).Seconds()))
	if loaded.CutBytes > 0 {
		n.log.Warn(fmt.Sprintf("%d bytes of an incomplete end were cut off and moved to %s", loaded.CutBytes, loaded.CutTo))
	}
	p.mu.Lock()
	p.loaded.Keys, p.loaded.At, p.loaded.Known = l.Keys.Load(), loaded.At, loaded.Known
	p.saved, p.dirty = time.Now(), n.engine.Stats().Dirty
	p.mu.Unlock()
	return loaded, nil
}
