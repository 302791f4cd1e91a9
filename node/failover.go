package node

import (
	"context"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/repl"
	"slotmesh/node/resp"
	"slotmesh/node/server"
	"slotmesh/node/store/value"
)

// Errors of FAILOVER, in the reference's words.
const (
	errFailoverCluster   resp.Error = "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead."
	errFailoverNone      resp.Error = "ERR No failover in progress."
	errFailoverTwice     resp.Error = "ERR FAILOVER already in progress."
	errFailoverTimeout   resp.Error = "ERR FAILOVER timeout must be greater than 0"
	errFailoverReplica   resp.Error = "ERR FAILOVER is not valid when server is a replica."
	errFailoverAlone     resp.Error = "ERR FAILOVER requires connected replicas."
	errFailoverForce     resp.Error = "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
	errFailoverStranger  resp.Error = "ERR FAILOVER target HOST and PORT is not a replica."
	errFailoverOffline   resp.Error = "ERR FAILOVER target replica is not online."
	errPsyncToPrimary    resp.Error = "ERR PSYNC FAILOVER can't be sent to a master."
	errPsyncOtherHistory resp.Error = "ERR PSYNC FAILOVER replid must match my replid."
)

// failover is a FAILOVER under way: writes are held back until a replica has
// everything, then that replica is told to take over and is followed.
type failover struct {
	host   string // "" for any replica
	port   int
	forced bool
	// deadline is zero for none.
	deadline time.Time
	cancel   context.CancelFunc
	// asking is set once the replica is being told to take over.
	asking atomic.Bool
}

func (r *Replication) failoverRow() command.Spec {
	return command.Spec{
		Name: "failover", Syntax: "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]", Arity: -1,
		Flags: command.Admin | command.NoScript | command.Stale,
		Group: "server", Since: "6.2.0", Complexity: "O(1)",
		Summary: "Hands the role of the primary to one of its replicas.",
		Run:     r.failoverCommand,
	}
}

func (r *Replication) failoverCommand(c *command.Call) error {
	if r.o.Cluster {
		return errFailoverCluster
	}
	if len(c.Args) == 2 && strings.EqualFold(string(c.Args[1]), "abort") {
		return r.failoverAbort(c)
	}
	f, err := parseFailover(c.Args[1:])
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.mayFailOver(f); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	r.failover.Store(f)
	r.o.Log.Info("FAILOVER requested.")
	r.pauseWrites(true)
	go r.awaitReplica(ctx, f)
	c.Reply.OK()
	return nil
}

func parseFailover(words [][]byte) (*failover, error) {
	f := &failover{}
	for len(words) > 0 {
		switch word := strings.ToLower(string(words[0])); {
		case word == "timeout" && len(words) >= 2 && f.deadline.IsZero():
			ms, err := parseNumber(words[1])
			if err != nil {
				return nil, err
			}
			if ms <= 0 {
				return nil, errFailoverTimeout
			}
			f.deadline = time.Now().Add(time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond)
			words = words[2:]
		case word == "to" && len(words) >= 3 && f.host == "":
			port, ok := value.ParseInt(words[2])
			if !ok {
				return nil, resp.ErrNotInteger
			}
			f.host, f.port = string(words[1]), int(min(max(port, 0), math.MaxUint16))
			words = words[3:]
		case word == "force" && !f.forced:
			f.forced = true
			words = words[1:]
		default:
			return nil, resp.ErrSyntax
		}
	}
	return f, nil
}

// mayFailOver checks f against what is. The caller holds mu.
func (r *Replication) mayFailOver(f *failover) error {
	replicas := r.primary.Replicas()
	switch {
	case r.failover.Load() != nil:
		return errFailoverTwice
	case r.IsReplica():
		return errFailoverReplica
	case len(replicas) == 0:
		return errFailoverAlone
	case f.forced && (f.deadline.IsZero() || f.host == ""):
		return errFailoverForce
	case f.host == "":
		return nil
	}
	for _, replica := range replicas {
		if replica.IP == f.host && replica.Port == f.port {
			if replica.State != repl.StateOnline {
				return errFailoverOffline
			}
			return nil
		}
	}
	return errFailoverStranger
}

func (r *Replication) failoverAbort(c *command.Call) error {
	f := r.failover.Load()
	if f == nil {
		return errFailoverNone
	}
	// Not here: it may have to wait for a command, and the row runs on a loop.
	go r.abortFailover(f, "Failover manually aborted")
	c.Reply.OK()
	return nil
}

// abortFailover ends f, if it is still under way, and takes the role back.
func (r *Replication) abortFailover(f *failover, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failover.Load() != f {
		return
	}
	r.o.Log.Info("Aborting failover: " + why)
	if f.asking.Load() {
		r.promote()
	}
	r.endFailover()
}

// endFailover forgets the failover under way, if any. The caller holds mu.
func (r *Replication) endFailover() {
	f := r.failover.Swap(nil)
	if f == nil {
		return
	}
	f.cancel()
	r.pauseWrites(false)
}

func (r *Replication) pauseWrites(pause bool) {
	r.primary.SetQuiet(pause)
	if r.o.PauseWrites != nil {
		r.o.PauseWrites(pause)
	}
}

// awaitReplica waits until a replica has every write and goes over to it.
func (r *Replication) awaitReplica(ctx context.Context, f *failover) {
	// Commands that passed the pause before it began are over after this.
	r.o.Engine.Exclusive(func() {})
	r.primary.Wait(r.o.Journal.EffectOffset(), math.MaxInt, time.Second, func(int, bool) {}) // asks replicas how far they are
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		late := !f.deadline.IsZero() && time.Now().After(f.deadline)
		replica, found := r.caughtUp(f)
		switch {
		case found:
			r.o.Log.Info("Failover target is synced, failing over.")
			r.goOver(f, replica.IP, replica.Port)
			return
		case late && f.forced:
			r.o.Log.Info("Failover to a replica that is not synced was forced by the timeout.")
			r.goOver(f, f.host, f.port)
			return
		case late:
			r.abortFailover(f, "Replica never caught up before timeout")
			return
		}
	}
}

// caughtUp returns a replica that has every write and is the target, if there
// is one.
func (r *Replication) caughtUp(f *failover) (repl.ReplicaInfo, bool) {
	offset := r.o.Journal.EffectOffset()
	for _, replica := range r.primary.Replicas() {
		if replica.State == repl.StateOnline && replica.Offset >= offset &&
			(f.host == "" || replica.IP == f.host && replica.Port == f.port) {
			return replica, true
		}
	}
	return repl.ReplicaInfo{}, false
}

// goOver follows the replica and tells it to take over.
func (r *Replication) goOver(f *failover, host string, port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failover.Load() != f {
		return
	}
	f.asking.Store(true)
	r.follow(host, port, func(err error) {
		if err != nil {
			go r.abortFailover(f, "Failover target rejected psync request")
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.failover.Load() == f {
			r.endFailover()
		}
	})
}

// takeOver is PSYNC … FAILOVER: the primary asks this replica to take its place.
func (r *Replication) takeOver(id string) error {
	if err := r.mayTakeOver(id); err != nil {
		return err
	}
	r.o.Log.Info("Failover request received for replid " + id + ".")
	r.Promote()
	return nil
}

func (r *Replication) mayTakeOver(id string) error {
	if !r.IsReplica() {
		return errPsyncToPrimary
	}
	if !strings.EqualFold(id, r.HistoryID()) {
		return errPsyncOtherHistory
	}
	return nil
}

// failoverState is master_failover_state.
func (r *Replication) failoverState() string {
	switch f := r.failover.Load(); {
	case f == nil:
		return "no-failover"
	case f.asking.Load():
		return "failover-in-progress"
	default:
		return "waiting-for-sync"
	}
}

// pauseWrites is Replication's hold on the server: as CLIENT PAUSE WRITE without
// an end.
func (n *Node) pauseWrites(pause bool) {
	const noEnd = 100 * 365 * 24 * time.Hour
	if pause {
		n.server.PauseClients(server.PauseForFailover, server.PauseWrites, noEnd)
		return
	}
	n.server.UnpauseClients(server.PauseForFailover)
}
