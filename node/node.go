package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"slotmesh/gossip"
	"slotmesh/gossip/bus"
	"slotmesh/migrate"
	"slotmesh/node/command"
	"slotmesh/node/config"
	"slotmesh/node/journal"
	"slotmesh/node/persist"
	"slotmesh/node/server"
	"slotmesh/node/store"
	"slotmesh/node/store/arena"
	"slotmesh/slots"
)

// busPortOffset is how far the bus port lies above the client port unless
// cluster-port says otherwise.
const busPortOffset = 10000

// Node is one server. New builds it, Run runs it until it is told to stop.
type Node struct {
	cfg     *config.Config
	log     *slog.Logger
	started time.Time
	// runID is new with every start; INFO shows it.
	runID string
	// commit is what the binary was built from.
	commit string

	store       *store.Store
	journal     *journal.Journal
	table       *command.Table
	engine      *command.Engine
	server      *server.Server
	gates       *gates
	replication *Replication
	// source gives snapshots to files, rewrites and full syncs.
	source      *dataSource
	persistence *persistence
	appendOnly  *appendOnly
	// background are the goroutines that Run waits for.
	background sync.WaitGroup
	sender     *migrate.Sender
	cluster    *cluster // nil outside cluster mode
	busPort    int      // where the cluster bus listens, 0 outside cluster mode

	// activeExpiry is on unless DEBUG SET-ACTIVE-EXPIRE turned it off.
	activeExpiry atomic.Bool
	// peakMemory is the most that n.usedMemory was since the last RESETSTAT.
	peakMemory atomic.Int64
	shutdowns  shutdowns
	refusals   refusals
	defrag     defrag
	collector  collector
	sampler    memorySampler
	host       *host
	// startMemory is n.usedMemory before there were data or clients.
	startMemory int64
	// beat counts calls of observe, which one goroutine makes.
	beat int

	// listening is told when clients can connect, onRole after a change of role.
	listening, onRole func()
	// prepared is closed when prepare has succeeded.
	prepared chan struct{}
	// stopping is closed once by requestStop.
	stopping chan struct{}
	stopOnce sync.Once
	// failure is what ended the node when nobody asked for it.
	failure error
}

// New builds a node from its configuration. Nothing listens yet.
func New(cfg *config.Config, log *slog.Logger) (*Node, error) {
	n := &Node{
		cfg:      cfg,
		log:      log,
		started:  time.Now(),
		runID:    randomID(),
		commit:   buildCommit(),
		host:     readHost(),
		sender:   migrate.NewSender(),
		prepared: make(chan struct{}),
		stopping: make(chan struct{}),
	}
	n.activeExpiry.Store(true)
	setLogRole(log, 'M')
	var err error
	clusterMode := cfg.Bool("cluster-enabled").Load()
	databases := int(cfg.Int("databases").Load())
	if clusterMode {
		databases = 1
		if n.busPort, err = busPortOf(cfg); err != nil {
			return nil, err
		}
	}
	// Four for each that may need memory at once: every heap has a page that is half
	// full of each size, so more than help cost memory.
	memory, err := arena.New(arena.Options{Heaps: min(store.Heaps, 4*runtime.GOMAXPROCS(0))})
	if err != nil {
		return nil, fmt.Errorf("set memory aside: %w", err)
	}
	n.store = store.New(store.Options{Databases: databases, Memory: memory})
	n.journal = journal.New(journal.Options{BacklogBytes: cfg.Int("repl-backlog-size").Load(), ID: randomID()})
	n.gates = newGates(cfg)
	n.appendOnly = &appendOnly{n: n}

	var f *fence
	var serverFence server.Fence
	if clusterMode {
		n.cluster = n.newCluster()
		f = n.cluster.fence
		serverFence = f
	}
	n.server = server.New(server.Options{
		Settings: n.serverSettings(clusterMode),
		Log:      log,
		State:    n.gates,
		Fence:    serverFence,
		Barrier:  n.appendOnly,
		Loops:    runtime.GOMAXPROCS(0),
	})
	n.engine = command.NewEngine(command.EngineOptions{
		Store: n.store, Journal: n.journal,
		Databases: int(cfg.Int("databases").Load()),
		Lanes:     n.server.Loops(),
		Now:       unixMs,
		Seed:      seed(),
	})
	n.source = &dataSource{engine: n.engine, usedMemory: n.usedMemory}
	n.persistence = newPersistence(n)
	n.replication = newReplication(replicationOptions{
		Engine: n.engine, Journal: n.journal, Log: log,
		Settings:    replicationSettings(cfg, ReportedVersion, n.listeningPort),
		Cluster:     clusterMode,
		Prepared:    n.prepared,
		Empty:       clusterMode && n.cluster.hasState(),
		Now:         unixMs,
		Source:      n.source,
		RoleChanged: n.roleChanged,
		PauseWrites: n.pauseWrites,
		Static:      n.staticReplicationInfo,
		Receive:     n.appendOnly.receive,
		Replaced:    n.appendOnly.replaced,
		Disk:        n.appendOnly.disk,
	})
	families, err := renameCommands(cfg.Statements("rename-command"),
		command.Strings(), command.Hashes(), command.SortedSets(), command.Geo(), command.Lists(), command.Streams(), command.Bitmaps(), command.HyperLogLogs(), command.Sorting(), command.Sets(), command.Keys(), command.Introspection(),
		n.server.Rows(), n.rows(clusterMode),
	)
	if err != nil {
		return nil, err
	}
	if n.table, err = command.NewTable(families...); err != nil {
		return nil, err
	}
	n.engine.SetTable(n.table)
	if err := n.server.Start(n.table, n.engine); err != nil {
		return nil, err
	}
	if n.cluster != nil {
		n.cluster.engine, n.cluster.replication = n.engine, n.replication
	}
	n.watchConfig()
	n.startMemory = n.usedMemory()
	n.peakMemory.Store(n.startMemory)
	return n, nil
}

// rows are the families of this package.
func (n *Node) rows(clusterMode bool) []command.Spec {
	rows := []command.Spec{migrateRow(n.sender, clusterMode)}
	rows = append(rows, clusterRows(n.cluster, n.engine)...)
	rows = append(rows, n.replication.Rows()...)
	rows = append(rows, n.configRows()...)
	rows = append(rows, n.infoRows()...)
	rows = append(rows, n.debugRows()...)
	rows = append(rows, n.serverRows()...)
	rows = append(rows, n.persistenceRows()...)
	rows = append(rows, n.aofRows()...)
	return rows
}

// Run listens, joins the cluster and serves until ctx ends, SHUTDOWN is called
// or the node must give up. It returns nil after an orderly stop.
func (n *Node) Run(ctx context.Context) error {
	if err := n.prepare(); err != nil {
		n.server.Close()
		n.replication.Stop()
		return err
	}
	close(n.prepared)
	if n.cluster != nil {
		if err := n.cluster.start(); err != nil {
			n.server.Close()
			return err
		}
	}
	n.background.Go(n.housekeep)
	n.background.Go(n.prepareMemory)
	n.background.Go(n.reap)
	n.background.Go(n.defragment)
	n.logReady()
	if n.listening != nil {
		n.listening()
	}
	n.log.Info("Ready to accept connections")
	select {
	case <-ctx.Done():
		n.requestStop(nil)
	case <-n.stopping:
	}
	n.server.Close()
	n.replication.Stop()
	if n.cluster != nil {
		n.cluster.stop()
	}
	n.sender.Close()
	n.appendOnly.stop()
	n.background.Wait()
	return n.failure
}

// prepare loads the data and the cluster's state, and listens. While data are
// loaded, clients hear so. An append only file is preferred to an RDB file; one
// that is switched on and not there yet begins with what the RDB file holds.
func (n *Node) prepare() error {
	p := n.persistence
	stored, err := persist.HasRDB(p.fs, p.path())
	if err != nil {
		return &errLoad{err}
	}
	var aof *persist.AOF
	if n.cfg.Bool("appendonly").Load() {
		if aof, err = n.appendOnly.open(); err != nil {
			return &errLoad{err}
		}
	}
	fromAOF := aof != nil && aof.Exists()
	if stored || fromAOF {
		n.gates.set(server.GateLoading, true)
		if err := n.listen(); err != nil {
			return err
		}
		if fromAOF {
			err = p.recoverAOF(aof)
		} else {
			err = p.recoverRDB()
		}
		if err != nil {
			return err
		}
	}
	if n.cluster != nil {
		if err := n.cluster.load(); err != nil {
			return err
		}
	}
	p.settleHistory()
	p.expireLoaded()
	if aof != nil {
		start := aof.Start
		if stored && !fromAOF {
			start = aof.StartAnew
		}
		if err := start(); err != nil {
			return &errLoad{err}
		}
		n.appendOnly.aof.Store(aof)
		n.refreshRefusals()
	}
	if n.cluster != nil {
		if err := n.cluster.settleKeys(p); err != nil {
			return err
		}
	}
	// Before the first client may write: what it wrote would stand in the primary's
	// stream.
	if host, port, ok := n.cfg.ReplicaOf(); ok && n.cluster == nil {
		n.replication.Follow(host, port)
	}
	n.gates.set(server.GateLoading, false)
	if stored || fromAOF {
		return nil
	}
	return n.listen()
}

// requestStop ends Run; err is nil when somebody asked for it.
func (n *Node) requestStop(err error) {
	n.stopOnce.Do(func() {
		n.failure = err
		close(n.stopping)
	})
}

// errListen is what stops a start on a port that is in use.
type errListen struct {
	port int
	err  error
}

func (e *errListen) Error() string {
	return fmt.Sprintf("Failed listening on port %d (tcp), aborting.", e.port)
}

func (e *errListen) Unwrap() error { return e.err }

// listen opens the client port on every bind address, and the Unix socket. An
// address with a leading '-' may be missing.
func (n *Node) listen() error {
	port := int(n.cfg.Int("port").Load())
	if (port == 0 || len(n.bindAddresses()) == 0) && n.cfg.Text("unixsocket").Load() == "" {
		n.server.Close()
		return config.Refusal("Configured to not listen anywhere, exiting.")
	}
	if port != 0 && len(n.bindAddresses()) > 0 {
		opened := 0
		for _, addr := range n.bindAddresses() {
			err := n.server.Listen("tcp", net.JoinHostPort(addr.host, strconv.Itoa(port)))
			if err != nil && !addr.optional {
				n.log.Warn(fmt.Sprintf("Could not create server TCP listening socket %s:%d: %v", addr.host, port, err))
				n.server.Close()
				return &errListen{port, err}
			}
			if err == nil {
				opened++
			}
		}
		if opened == 0 {
			n.server.Close()
			return &errListen{port, errors.New("no bind address is available")}
		}
	}
	if path := n.cfg.Text("unixsocket").Load(); path != "" {
		if err := n.server.Listen("unix", path); err != nil {
			n.server.Close()
			return fmt.Errorf("listen on unix socket %s: %w", path, err)
		}
	}
	return nil
}

type bindAddress struct {
	host     string
	optional bool
}

// bindAddresses reads bind: "*" is all IPv4 addresses, "::*" all IPv6 ones.
func (n *Node) bindAddresses() []bindAddress {
	var list []bindAddress
	for _, word := range n.cfg.Words("bind").Load() {
		addr := bindAddress{host: word}
		if addr.host != "" && addr.host[0] == '-' {
			addr = bindAddress{host: addr.host[1:], optional: true}
		}
		switch addr.host {
		case "*":
			addr.host = "0.0.0.0"
		case "::*":
			addr.host = "::"
		}
		list = append(list, addr)
	}
	return list
}

// Paces of housekeep: while there is something to keep up with, and when there
// has been nothing for idleBeats beats. An idle process is woken by nothing else
// but its cluster.
const (
	busyPace  = 100 * time.Millisecond
	idlePace  = time.Second
	idleBeats = 10
)

// housekeep runs the active expiry cycle, keeps the gates true about the link to the
// primary, and gives back the memory that nobody needs. A replica's engine expires nothing.
func (n *Node) housekeep() {
	const expiryBudget = 10_000
	timer := time.NewTimer(busyPace)
	defer timer.Stop()
	var before command.Stats
	for quiet := 0; ; {
		select {
		case <-n.stopping:
			return
		case <-timer.C:
			n.observe()
			n.persistence.keepTime(time.Now())
			if n.activeExpiry.Load() {
				n.engine.ExpireCycle(expiryBudget)
			}
			n.gates.setRole(n.replication.IsReplica(), n.replication.LinkUp())
			for n.store.Memory().Settle() {
				runtime.Gosched()
			}
		}
		now := n.engine.Stats()
		quiet++
		if now != before || n.keepsPace() {
			quiet = 0
		}
		before = now
		if quiet < idleBeats {
			timer.Reset(busyPace)
		} else {
			timer.Reset(idlePace)
		}
	}
}

// prepareMemory has memory made ready before an event loop needs it, which otherwise waits
// for the system to find and clear it.
func (n *Node) prepareMemory() {
	memory := n.store.Memory()
	for {
		select {
		case <-n.stopping:
			return
		case <-memory.Low():
			for memory.Prepare() {
			}
		}
	}
}

// keepsPace reports whether something depends on housekeep that changes without
// a command.
func (n *Node) keepsPace() bool {
	for db := range n.store.Databases() {
		if n.store.Expires(db) > 0 || n.store.FieldsExpire(db) {
			return true
		}
	}
	return n.cfg.Int("min-replicas-to-write").Load() > 0 || n.cfg.Int("maxmemory").Load() > 0 ||
		!n.cfg.Bool("replica-serve-stale-data").Load()
}

// reap gives back what was deleted and is too large to be given back at once.
func (n *Node) reap() {
	// A turn takes less than the event loops are to wait for.
	const turn = 256
	for {
		select {
		case <-n.stopping:
			return
		case <-n.store.Garbage():
			for n.store.Reap(turn) {
				runtime.Gosched()
			}
		}
	}
}

// roleChanged follows a change of role.
func (n *Node) roleChanged(replica bool) {
	n.gates.setRole(replica, false)
	LogRole(n.log, replica)
	n.showPrimary()
	if n.onRole != nil {
		n.onRole()
	}
}

// listeningPort is the port that this node tells its primary.
func (n *Node) listeningPort() int { return int(n.cfg.Int("port").Load()) }

func (n *Node) staticReplicationInfo() staticReplicationInfo {
	cfg := n.cfg
	return staticReplicationInfo{
		Priority:           cfg.Int("replica-priority").Load(),
		ReadOnly:           cfg.Bool("replica-read-only").Load(),
		Announced:          cfg.Bool("replica-announced").Load(),
		MinReplicasToWrite: cfg.Int("min-replicas-to-write").Load(),
		MinReplicasMaxLag:  time.Duration(cfg.Int("min-replicas-max-lag").Load()) * time.Second,
	}
}

func unixMs() int64 { return time.Now().UnixMilli() }

// newCluster prepares the driver of the cluster state; start begins to drive.
func (n *Node) newCluster() *cluster {
	c := &cluster{
		log:       n.log,
		settings:  n.gossipConfig,
		statePath: stateFile(n.cfg.Text("dir").Load(), n.cfg.Text("cluster-config-file").Load()),
		started:   n.started,
		fatal:     n.requestStop,
		events:    make(chan gossip.Event, clusterQueueSize),
		alerts:    make(chan struct{}, 1),
		opened:    make(chan struct{}),
		done:      make(chan struct{}),
	}
	c.openBus = func(id slots.NodeID) (*bus.Bus, error) { return n.openBus(c, id) }
	c.fence = newFence(c.now, n.gossipConfig().NodeTimeout)
	return c
}

// gossipConfig reads what the cluster state machine must know.
func (n *Node) gossipConfig() gossip.Config {
	cfg := n.cfg
	port := int(cfg.Int("port").Load())
	g := gossip.Config{
		Address: gossip.Address{
			IP:      cfg.Text("cluster-announce-ip").Load(),
			Port:    port,
			BusPort: n.busPort,
			Host:    cfg.Text("cluster-announce-hostname").Load(),
		},
		NodeTimeout:           time.Duration(cfg.Int("cluster-node-timeout").Load()) * time.Millisecond,
		ReplicaValidityFactor: int(cfg.Int("cluster-replica-validity-factor").Load()),
		ReplicaNoFailover:     cfg.Bool("cluster-replica-no-failover").Load(),
		RequireFullCoverage:   cfg.Bool("cluster-require-full-coverage").Load(),
		AllowReadsWhenDown:    cfg.Bool("cluster-allow-reads-when-down").Load(),
	}
	if announced := int(cfg.Int("cluster-announce-port").Load()); announced != 0 {
		g.Address.Port = announced
	}
	if announced := int(cfg.Int("cluster-announce-bus-port").Load()); announced != 0 {
		g.Address.BusPort = announced
	}
	switch cfg.Enum("cluster-preferred-endpoint-type").Load() {
	case "hostname":
		g.Endpoint = gossip.EndpointHostname
	case "unknown-endpoint":
		g.Endpoint = gossip.EndpointUnknown
	}
	return g
}

// clusterDirectives are those that gossipConfig reads.
var clusterDirectives = []string{
	"port", "cluster-announce-ip", "cluster-announce-port", "cluster-announce-bus-port",
	"cluster-announce-hostname", "cluster-node-timeout", "cluster-replica-validity-factor",
	"cluster-replica-no-failover", "cluster-require-full-coverage",
	"cluster-allow-reads-when-down", "cluster-preferred-endpoint-type",
}

// busPortOf is the port of the cluster bus that a configuration asks for. The
// bus stays there when CONFIG SET moves the client port.
func busPortOf(cfg *config.Config) (int, error) {
	if port := int(cfg.Int("cluster-port").Load()); port != 0 {
		return port, nil
	}
	port := int(cfg.Int("port").Load()) + busPortOffset
	if port > 65535 {
		return 0, config.Refusal(fmt.Sprintf("The cluster bus listens %d above the client port, which must be %d or less unless cluster-port names another.", busPortOffset, 65535-busPortOffset))
	}
	return port, nil
}

func (n *Node) openBus(c *cluster, id slots.NodeID) (*bus.Bus, error) {
	var keys [][]byte
	if path := n.cfg.Text("cluster-secret-file").Load(); path != "" {
		var err error
		if keys, err = bus.LoadSecret(path); err != nil {
			return nil, err
		}
	}
	var addrs []string
	for _, addr := range n.bindAddresses() {
		addrs = append(addrs, addr.host)
	}
	b, err := bus.Listen(bus.Options{
		ID: id, BindAddrs: addrs, Port: n.busPort,
		AdvertiseIP:   n.cfg.Text("cluster-announce-ip").Load(),
		AdvertisePort: n.gossipConfig().Address.BusPort,
		Keys:          keys,
		AllowOpen:     n.cfg.Bool("cluster-allow-open-bus").Load(),
		Log:           n.log,
		Handler:       c,
	})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &errListen{n.busPort, err}
	case err != nil:
		return nil, fmt.Errorf("cluster bus on port %d: %w", n.busPort, err)
	}
	return b, nil
}

// randomID returns 40 hex digits, as run ids and replication ids have.
func randomID() string {
	var b [20]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func seed() uint64 {
	var b [8]byte
	rand.Read(b[:])
	var s uint64
	for _, x := range b {
		s = s<<8 | uint64(x)
	}
	return s
}
