package server

import (
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// levelVerbose is the reference's "verbose".
const levelVerbose = slog.Level(-2)

// Server takes connections and runs what they send. Make one with New, give
// its Rows to the command table, hand table and engine to Start, then Listen.
// All methods may be called from any goroutine.
type Server struct {
	set   Settings
	log   *slog.Logger
	state State
	fence Fence
	// barrier is nil when nothing is promised about a disk.
	barrier Barrier
	auth    auth
	nodes   int // loops asked for
	base    time.Time

	// Set by Start, then read-only.
	table   *command.Table
	engine  Engine
	rows    []row
	loops   []owner
	started bool

	ids     atomic.Uint64
	input   atomic.Int64
	blocked atomic.Int64
	pause   pause

	counters counters
	// offLoop and streams count the goroutines of requests and of connections.
	offLoop, streams sync.WaitGroup
	offLoopCount     atomic.Int64

	mu        sync.Mutex
	closing   bool
	listeners map[string]listener
	clients   map[uint64]*session
	handed    map[uint64]net.Conn
	// benches are those of the owners that exist; retired sums up the others.
	benches map[*bench]struct{}
	retired benchStats
	// sum is room for a sum of them all, surveyed what survey found.
	sum      rowSums
	surveyed survey
	// spread is the owner that gets the next connection.
	spread int
	ops    opsSampler
}

// owner is a place where sessions live: an event loop.
type owner interface {
	// adopt takes a connected socket. Any goroutine may call it.
	adopt(fd int, remote, local string)
	// stop ends the loop and closes its sessions.
	stop()
}

// row is what sessions know of a command beyond its Spec.
type row struct {
	spec  *command.Spec
	index int
	keyed bool
	// several is true where it is worthwhile to look for a few keys ahead.
	several bool
	// contains is true for a command that has subcommands.
	contains bool
	// writes is true for what a reply may have to wait for.
	writes   bool
	needs    needs
	heavy    func(*command.Call) bool
	rejected atomic.Int64
	failed   atomic.Int64
}

// name is the full name of the row's command, or NULL for none.
func (r *row) name() string {
	if r == nil {
		return "NULL"
	}
	return r.spec.FullName()
}

// needs are the facts of a row for which the plain way is not enough.
type needs uint8

const (
	// neverQueued marks what MULTI does not queue.
	neverQueued needs = 1 << iota
	isExec
	isAsking
	// needsPermission marks DEBUG and MODULE.
	needsPermission
)

// New returns a server that does not listen yet.
func New(o Options) *Server {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	loops := o.Loops
	if loops <= 0 {
		loops = runtime.GOMAXPROCS(0)
	}
	srv := &Server{
		set: o.Settings, log: log, state: o.State, fence: o.Fence, barrier: o.Barrier, nodes: loops, base: time.Now(),
		auth:      auth{password: o.Settings.RequirePass},
		listeners: make(map[string]listener),
		clients:   make(map[uint64]*session),
		handed:    make(map[uint64]net.Conn),
		benches:   make(map[*bench]struct{}),
	}
	srv.counters.errors = make(map[string]*int64)
	return srv
}

// Loops is the number of event loops: the engine needs that many lanes.
func (srv *Server) Loops() int { return srv.nodes }

// Start begins to serve with the given rows and engine. It is called once.
func (srv *Server) Start(table *command.Table, engine Engine) error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.started {
		return fmt.Errorf("server: started twice")
	}
	srv.table, srv.engine = table, engine
	all := table.All()
	srv.rows = make([]row, len(all))
	srv.retired, srv.sum = newBenchStats(len(all)), newRowSums(len(all))
	for i, spec := range all {
		r := &srv.rows[i]
		r.spec, r.index, r.keyed, r.several, r.heavy = spec, i, spec.Keyed(), spec.PlainKeys(), spec.Heavy
		r.contains = len(spec.Sub) > 0
		r.writes = spec.Flags&(command.Write|command.MayReplicate) != 0
		if spec.Parent() != nil {
			if spec.Parent().Flags&command.ProtectedCommand != 0 {
				r.needs |= needsPermission
			}
			continue
		}
		switch spec.Name {
		case "multi", "watch", "discard", "quit", "reset":
			r.needs |= neverQueued
		case "exec":
			r.needs |= neverQueued | isExec
		case "asking":
			r.needs |= isAsking
		}
		if spec.Flags&command.ProtectedCommand != 0 {
			r.needs |= needsPermission
		}
	}
	loops, err := startLoops(srv, srv.nodes)
	if err != nil {
		return fmt.Errorf("server: start event loops: %w", err)
	}
	srv.loops, srv.started = loops, true
	return nil
}

// clock is monotonic, in nanoseconds since the server was made.
func (srv *Server) clock() int64 { return int64(time.Since(srv.base)) }

// gated reports whether requests must go through more than the plain gates.
func (srv *Server) gated() bool {
	return srv.pause.mode.Load() != 0 || srv.state != nil && srv.state.Gates()&^GateReplica != 0
}

// inputBudget is how much unexecuted input all clients together may hold.
func (srv *Server) inputBudget() int64 {
	if configured := srv.set.ClientsMemory.Load(); configured > 0 {
		return configured
	}
	return defaultInputBudget
}

// admitClient registers s, unless the server is full, closing or protected:
// then it returns what to tell the peer before closing.
func (srv *Server) admitClient(s *session) string {
	srv.counters.accepted.Add(1)
	if s.flags&flagUnix == 0 && srv.set.ProtectedMode.Load() && !srv.auth.required() && !isLoopback(s.remote) {
		srv.counters.rejected.Add(1)
		return "-" + string(resp.ErrProtected) + "\r\n"
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	switch {
	case srv.closing:
		return ""
	case int64(len(srv.clients)) >= srv.set.MaxClients.Load():
		srv.counters.rejected.Add(1)
		return "-" + string(resp.ErrMaxClients) + "\r\n"
	}
	srv.clients[s.id] = s
	srv.surveyed.taken = false
	return admitted
}

// admitted is what admitClient returns for a client that is let in.
const admitted = "+"

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// handedOver notes that s has given its socket away.
func (srv *Server) handedOver(s *session, socket net.Conn) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if _, known := srv.clients[s.id]; known {
		srv.handed[s.id] = socket
	}
}

// forget takes s out of the list of clients.
func (srv *Server) forget(s *session) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if socket, given := srv.handed[s.id]; given && s.doomed.Load() {
		socket.Close()
	}
	delete(srv.handed, s.id)
	delete(srv.clients, s.id)
	srv.surveyed.taken = false
}

// addBench and dropBench keep the list of owners' accounts.
func (srv *Server) addBench(b *bench) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.benches[b] = struct{}{}
}

func (srv *Server) dropBench(b *bench) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	delete(srv.benches, b)
	b.mu.Lock()
	defer b.mu.Unlock()
	srv.retired.traffic.add(&b.stats.traffic)
	srv.retired.rowSums.add(&b.stats.rowSums)
	srv.retired.times.add(b.stats.times)
}

// closeGrace is how long Close lets requests off the loops come to their end
// while their clients can still be answered.
const closeGrace = 300 * time.Millisecond

// awaitOffLoop waits until no request runs off the loops, at most for limit.
func (srv *Server) awaitOffLoop(limit time.Duration) {
	for deadline := time.Now().Add(limit); srv.offLoopCount.Load() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// Close stops listening, lets replies that are ready leave, closes all
// connections and waits for what still runs. What a pause holds back never runs:
// the replicas that a shutdown waited for would not hear of it.
func (srv *Server) Close() {
	srv.mu.Lock()
	if srv.closing {
		srv.mu.Unlock()
		return
	}
	srv.closing = true
	listeners := srv.listeners
	srv.listeners = make(map[string]listener)
	handed := make([]net.Conn, 0, len(srv.handed))
	for _, socket := range srv.handed {
		handed = append(handed, socket)
	}
	srv.mu.Unlock()
	for _, l := range listeners {
		l.close()
	}
	srv.awaitOffLoop(closeGrace)
	for _, socket := range handed {
		socket.Close()
	}
	srv.mu.Lock()
	streams := make([]*session, 0)
	for _, s := range srv.clients {
		if _, isStream := s.tr.(*stream); isStream {
			streams = append(streams, s)
		}
	}
	srv.mu.Unlock()
	for _, s := range streams {
		s.doom()
	}
	for _, l := range srv.loops {
		l.stop()
	}
	srv.offLoop.Wait()
	srv.streams.Wait()
}
