package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/gossip"
	"slotmesh/node/command"
	"slotmesh/node/config"
	"slotmesh/node/journal"
	"slotmesh/node/persist"
	"slotmesh/node/rdb"
	"slotmesh/node/repl"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// Replication is this node's part in replication, in both roles: it has
// replicas, and at most one primary. Outside cluster mode REPLICAOF decides
// whom it follows, in cluster mode the cluster's driver does.
//
// All methods may be called from any goroutine, but not from inside a command
// that has keys: they may wait for one.
type Replication struct {
	o       replicationOptions
	primary *repl.Primary
	target  *replicationTarget

	// empty is true while this node has no data of any history: it started
	// without, and has neither loaded nor been promoted since.
	empty atomic.Bool
	// feeding is false while replicas must not take this node's data.
	feeding atomic.Bool

	// link is the link to the primary, nil on a primary. Changed under mu.
	mu   sync.Mutex
	link atomic.Pointer[repl.Replica]
	// failover is the FAILOVER under way, nil if there is none. Changed under mu.
	failover atomic.Pointer[failover]
}

// replicationOptions are what a Replication is made of.
type replicationOptions struct {
	Engine   *command.Engine
	Journal  *journal.Journal
	Settings func() repl.Settings
	Log      *slog.Logger
	Cluster  bool
	// Prepared, if set, is closed when the node's files are loaded and followed:
	// see repl.ReplicaOptions.Begin.
	Prepared <-chan struct{}
	// Empty says that the node starts without data that it once had or may have
	// had; see gossip.Replication.
	Empty bool
	// Now is the clock in Unix milliseconds.
	Now func() int64
	// Source gives the snapshots that full syncs send.
	Source rdb.Source
	// RoleChanged, if set, is told when the node begins to follow or becomes a
	// primary. It may look at the Replication, and not change it.
	RoleChanged func(replica bool)
	// PauseWrites, if set, holds the writes of clients back, or lets them go.
	PauseWrites func(bool)
	// Static are the parts of INFO that replication does not decide itself.
	Static func() staticReplicationInfo
	// Receive, if set, gives what keeps the bytes of a full sync, or nil. Replaced, if
	// set, is told, while nothing else runs, that a full sync has put other data in
	// the place of this node's, and what has kept them, if anything.
	Receive  func() *persist.Received
	Replaced func(*persist.Received)
	// Disk, if set, is how far this node's own file is on the disk; see
	// repl.ReplicaOptions.
	Disk func() *journal.Watermark
}

// staticReplicationInfo are directives that INFO repeats.
type staticReplicationInfo struct {
	Priority           int64
	ReadOnly           bool
	Announced          bool
	MinReplicasToWrite int64
	MinReplicasMaxLag  time.Duration
}

func newReplication(o replicationOptions) *Replication {
	r := &Replication{o: o}
	r.feeding.Store(true)
	r.empty.Store(o.Empty)
	r.target = &replicationTarget{engine: o.Engine, now: o.Now, log: o.Log, applier: o.Engine.NewApplier(), receive: o.Receive, replaced: o.Replaced}
	r.primary = repl.NewPrimary(repl.PrimaryOptions{
		Journal:  o.Journal,
		Source:   o.Source,
		Settings: o.Settings,
		Log:      o.Log,
	})
	return r
}

// replicationSettings reads the directives that replication heeds.
func replicationSettings(cfg *config.Config, version string, listening func() int) func() repl.Settings {
	var (
		period       = cfg.Int("repl-ping-replica-period")
		timeout      = cfg.Int("repl-timeout")
		ttl          = cfg.Int("repl-backlog-ttl")
		compress     = cfg.Bool("rdbcompression")
		checksum     = cfg.Bool("rdbchecksum")
		dir          = cfg.Text("dir")
		user         = cfg.Text("masteruser")
		password     = cfg.Text("masterauth")
		announceIP   = cfg.Text("replica-announce-ip")
		announcePort = cfg.Int("replica-announce-port")
		limit        atomic.Pointer[journal.Limit]
	)
	readLimit := func() error {
		l := cfg.BufferLimits().Replica
		limit.Store(&journal.Limit{
			HardBytes: l.HardBytes,
			SoftBytes: l.SoftBytes,
			SoftFor:   time.Duration(l.SoftSeconds) * time.Second,
		})
		return nil
	}
	readLimit()
	cfg.OnChangeAtOnce("client-output-buffer-limit", readLimit)
	seconds := func(n *config.Int) time.Duration { return time.Duration(n.Load()) * time.Second }
	return func() repl.Settings {
		s := repl.Settings{
			Version:      version,
			PingPeriod:   seconds(period),
			Timeout:      seconds(timeout),
			BacklogTTL:   seconds(ttl),
			OutputLimit:  *limit.Load(),
			Compress:     compress.Load(),
			Checksum:     checksum.Load(),
			TempDir:      dir.Load(),
			User:         user.Load(),
			Password:     password.Load(),
			AnnounceIP:   announceIP.Load(),
			AnnouncePort: int(announcePort.Load()),
		}
		if s.AnnouncePort == 0 {
			s.AnnouncePort = listening()
		}
		return s
	}
}

// Follow makes this node a replica of the primary at host and port. Its data
// stay until the primary's have come. When it returns, nothing of a former
// primary is applied any more and replicas have been let go, to come back when
// the new link is up.
func (r *Replication) Follow(host string, port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endFailover()
	r.follow(host, port, nil)
}

// follow is Follow; the caller holds mu. takeOver, if not nil, is told whether
// the other side, asked to take over as a primary, did so.
func (r *Replication) follow(host string, port int, takeOver func(error)) {
	if old := r.link.Load(); old != nil {
		if h, p := old.Primary(); h == host && p == port {
			return
		}
		old.Halt()
	}
	r.o.Engine.SetReplica(true)
	r.primary.SetTop(false)
	r.link.Store(repl.Follow(host, port, repl.ReplicaOptions{
		Journal:  r.o.Journal,
		Target:   r.target,
		Settings: r.o.Settings,
		Log:      r.o.Log,
		Begin:    r.o.Prepared,
		// Commands that began while this was a primary are over after this.
		Settle:    func() { r.o.Engine.Exclusive(func() {}) },
		OnSynced:  func() { r.empty.Store(false) },
		OnHistory: r.primary.DropAll,
		Disk:      r.o.Disk,
		TakeOver:  takeOver,
	}))
	r.primary.Depose()
	r.primary.DropAll()
	if r.o.RoleChanged != nil {
		r.o.RoleChanged(true)
	}
}

// Promote makes this node a primary, under a new history id that shares the
// past of the old one. When it returns, nothing of the former primary is
// applied any more. On a primary it does nothing.
func (r *Replication) Promote() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.promote()
}

// promote is Promote; the caller holds mu.
func (r *Replication) promote() {
	link := r.link.Load()
	if link == nil {
		return
	}
	link.Halt()
	r.o.Journal.Promote(repl.NewHistoryID())
	r.link.Store(nil)
	r.empty.Store(false)
	r.primary.SetTop(true)
	r.primary.DropAll()
	r.o.Engine.SetReplica(false)
	if r.o.RoleChanged != nil {
		r.o.RoleChanged(false)
	}
}

// Stop leaves the primary and all replicas and waits for what runs.
func (r *Replication) Stop() {
	r.mu.Lock()
	r.endFailover()
	link := r.link.Load()
	r.mu.Unlock()
	if link != nil {
		link.Halt()
		<-link.Stopped()
	}
	r.primary.Close()
}

// IsReplica reports the role.
func (r *Replication) IsReplica() bool { return r.link.Load() != nil }

// LinkUp reports whether the stream of the primary flows; false on a primary.
func (r *Replication) LinkUp() bool {
	link := r.link.Load()
	return link != nil && link.Status().Link == repl.LinkConnected
}

// GoodReplicas is how many replicas follow and were heard within maxLag.
func (r *Replication) GoodReplicas(maxLag time.Duration) int { return r.primary.Online(maxLag) }

// AskAcks has the replicas acknowledge what they have now, without waiting for
// their next regular report; cancel ends the interest in the answers.
func (r *Replication) AskAcks() (cancel func() bool) {
	return r.primary.Wait(r.o.Journal.Offset(), math.MaxInt, 0, func(int, bool) {})
}

// SetFeeding says whether replicas may take this node's data: not while it
// waits for one of them to take over.
func (r *Replication) SetFeeding(feeding bool) { r.feeding.Store(feeding) }

// SetQuiet keeps PINGs out of the stream, so that its end stands still while a
// handover waits for a replica to reach it.
func (r *Replication) SetQuiet(quiet bool) { r.primary.SetQuiet(quiet) }

// HistoryID is the id of the data's history, which the data directory carries.
// Adopted is called when the node's data are known to be complete although no
// full sync brought them: they were recovered, or the slots are new.
func (r *Replication) HistoryID() string { id, _, _ := r.o.Journal.IDs(); return id }

// Adopted ends the state in which the node counts as empty.
func (r *Replication) Adopted() { r.empty.Store(false) }

// State tells the cluster's state machine about this node's data. Drained is
// the driver's to fill in.
func (r *Replication) State() gossip.Replication {
	s := gossip.Replication{
		Offset:   r.o.Journal.Offset(),
		Empty:    r.empty.Load(),
		Replicas: r.primary.Online(0),
	}
	if link := r.link.Load(); link != nil {
		status := link.Status()
		s.LinkUp, s.Synced = status.Link == repl.LinkConnected, status.Synced
		s.SinceHeard = status.SinceHeard
		if s.SinceHeard < 0 {
			s.SinceHeard = status.Down
		}
	}
	return s
}

// replicationTarget takes a primary's data into the engine. It is used by one
// link at a time.
type replicationTarget struct {
	engine  *command.Engine
	now     func() int64
	log     *slog.Logger
	applier *command.Applier
	batch   []command.Applied
	// receive and replaced are those of replicationOptions.
	receive  func() *persist.Received
	replaced func(*persist.Received)
	// complained is when a refused command was last reported: a keyspace that
	// has diverged must not fill the log.
	complained time.Time
}

// Apply implements repl.Target. All entries are tagged with journal.SlotAll:
// only a primary's journal is read by slot.
func (t *replicationTarget) Apply(commands []repl.Command, done func(slots.Slot)) error {
	t.batch = t.batch[:0]
	databases := t.engine.Store().Databases()
	for _, c := range commands {
		if c.DB >= databases {
			return fmt.Errorf("a write to database %d of %d", c.DB, databases)
		}
		t.batch = append(t.batch, command.Applied{DB: c.DB, Args: c.Args})
	}
	err := t.applier.Apply(t.batch, func() { done(journal.SlotAll) })
	clear(t.batch)
	var refused *command.ReplyError
	if errors.As(err, &refused) {
		if now := time.Now(); now.Sub(t.complained) > time.Second {
			t.complained = now
			t.log.Warn("== CRITICAL == This replica is sending an error to its master: '" + refused.Err.Error() +
				"' after processing the command '" + refused.Command + "'")
		}
		return nil
	}
	return err
}

// Load implements repl.Target.
func (t *replicationTarget) Load() (repl.Load, error) {
	l := &replicationLoad{target: t, into: t.engine.Sibling(), now: t.now()}
	if t.receive != nil {
		l.received = t.receive()
	}
	return l, nil
}

type replicationLoad struct {
	target *replicationTarget
	into   *store.Store
	now    int64
	// received keeps the snapshot on the disk; it may be nil.
	received *persist.Received
}

// Write implements repl.Load.
func (l *replicationLoad) Write(b []byte) (int, error) { return l.received.Write(b) }

// Seal implements repl.Load. A file that Redis 7.0 could not read, or that does
// not say where its data stand, is no base.
func (l *replicationLoad) Seal(version int, at rdb.Position, known bool) {
	if known && version <= rdb.Version {
		l.received.Seal(at)
	}
}

// Target implements repl.Load.
func (l *replicationLoad) Target(slot slots.Slot) rdb.Target {
	return rdb.Target{Space: l.into.DraftSpace(slot), Limits: &l.target.engine.Limits().Limits}
}

// Insert implements repl.Load.
func (l *replicationLoad) Insert(entries []rdb.Entry) (int, error) {
	return insertInto(l.into, entries, l.now)
}

func (l *replicationLoad) Commit(adopt func()) error {
	l.target.engine.Replace(l.into, func() {
		adopt()
		if l.target.replaced != nil {
			l.target.replaced(l.received)
		}
	})
	return nil
}

func (l *replicationLoad) Abort() {
	l.received.Discard()
	l.target.engine.Discard(l.into)
	l.into = nil
}
