package node

import (
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"slotmesh/node/command"
	"slotmesh/node/server"
)

// observe takes the samples of what INFO shows over time and looks at what
// makes commands be refused; see housekeep for how often.
func (n *Node) observe() {
	n.server.Sample()
	n.refreshRefusals()
	if n.beat++; n.beat%10 == 0 {
		n.notePeak(n.usedMemory())
		if n.collector.due(time.Now()) {
			runtime.GC()
		}
	}
}

// infoRows is INFO.
func (n *Node) infoRows() []command.Spec {
	return []command.Spec{{
		Name: "info", Syntax: "[section [section ...]]", Arity: -1, Flags: command.Loading | command.Stale,
		Group: "server", Since: "1.0.0", Complexity: "O(1)", Summary: "Tells about the server and its statistics.",
		Categories: []string{"dangerous"},
		Tips:       []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
		Run:        n.runInfo,
	}}
}

func (n *Node) runInfo(c *command.Call) error {
	shown := shownSections(c.Args[1:])
	c.Reply.Text(func(text []byte) []byte { return n.appendInfo(text, shown) })
	return nil
}

// infoSection is one headline of INFO with what writes its lines.
type infoSection struct {
	name, title string
	// byDefault sections are shown without being asked for.
	byDefault bool
	write     func(n *Node, s *infoScene)
}

// infoSections are in the order in which they are shown. The order matters:
// redis-cli takes the first place where a field's name stands.
var infoSections = [...]infoSection{
	{"server", "Server", true, infoServer},
	{"clients", "Clients", true, infoClients},
	{"memory", "Memory", true, infoMemory},
	{"persistence", "Persistence", true, infoPersistence},
	{"stats", "Stats", true, infoStats},
	{"replication", "Replication", true, infoReplication},
	{"cpu", "CPU", true, infoCPU},
	{"modules", "Modules", true, func(*Node, *infoScene) {}},
	{"commandstats", "Commandstats", false, infoCommandStats},
	{"errorstats", "Errorstats", true, infoErrorStats},
	{"latencystats", "Latencystats", false, infoLatencyStats},
	{"cluster", "Cluster", true, infoCluster},
	{"keyspace", "Keyspace", true, infoKeyspace},
	{"debug", "Debug", false, infoDebug},
}

// shownSections says which sections are asked for by name, or by "all",
// "everything" or "default"; without a name the default ones.
func shownSections(wanted [][]byte) (shown [len(infoSections)]bool) {
	all, defaults := false, len(wanted) == 0
	for _, name := range wanted {
		all = all || command.IsWord(name, "all") || command.IsWord(name, "everything")
		defaults = defaults || command.IsWord(name, "default")
		for i := range infoSections {
			shown[i] = shown[i] || command.IsWord(name, infoSections[i].name)
		}
	}
	for i := range infoSections {
		section := &infoSections[i]
		// Debug is shown by its name only.
		shown[i] = shown[i] || defaults && section.byDefault || all && section.name != "debug"
	}
	return shown
}

// appendInfo appends the text of the sections that are to be shown.
func (n *Node) appendInfo(dst []byte, shown [len(infoSections)]bool) []byte {
	begin := len(dst)
	scene := &infoScene{infoText: dst, now: time.Now()}
	for i := range infoSections {
		if !shown[i] {
			continue
		}
		if len(scene.infoText) > begin {
			scene.infoText = append(scene.infoText, "\r\n"...)
		}
		section := &infoSections[i]
		scene.infoText = append(append(append(scene.infoText, "# "...), section.title...), "\r\n"...)
		section.write(n, scene)
	}
	return scene.infoText
}

// infoScene is a text of INFO with what its sections share.
type infoScene struct {
	infoText
	now time.Time
	// stats is what serverStats returns, once it was asked for.
	stats server.Stats
	asked bool
}

// serverStats returns the accounts of the server, the same for all sections.
func (s *infoScene) serverStats(n *Node) *server.Stats {
	if !s.asked {
		s.stats, s.asked = n.server.Stats(), true
	}
	return &s.stats
}

// host is what INFO tells of where the process runs. None of it changes.
type host struct {
	kernel, executable string
	// memory is that of the machine, in bytes.
	memory int64
}

func readHost() *host {
	h := &host{kernel: runtime.GOOS}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		h.kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:]) + " " + unix.ByteSliceToString(name.Machine[:])
	}
	if path, err := os.Executable(); err == nil {
		h.executable = path
	}
	var system unix.Sysinfo_t
	if unix.Sysinfo(&system) == nil {
		h.memory = int64(system.Totalram) * int64(system.Unit)
	}
	return h
}

func (n *Node) clusterMode() bool { return n.cfg.Bool("cluster-enabled").Load() }

func infoServer(n *Node, s *infoScene) {
	mode := "standalone"
	if n.clusterMode() {
		mode = "cluster"
	}
	uptime := s.now.Sub(n.started)
	commit := n.commit
	s.line("redis_version", ReportedVersion)
	s.line("slotmesh_version", Version)
	s.line("redis_git_sha1", commit)
	s.line("redis_git_dirty", 0)
	s.line("redis_build_id", commit)
	s.line("redis_mode", mode)
	s.line("os", n.host.kernel)
	s.line("arch_bits", strconv.IntSize)
	s.line("monotonic_clock", "Go runtime")
	s.line("multiplexing_api", "epoll")
	s.line("go_version", runtime.Version())
	s.line("process_id", os.Getpid())
	s.line("process_supervised", n.cfg.Enum("supervised").Load())
	s.line("run_id", n.runID)
	s.line("tcp_port", n.cfg.Int("port").Load())
	s.line("server_time_usec", s.now.UnixMicro())
	s.line("uptime_in_seconds", int64(uptime/time.Second))
	s.line("uptime_in_days", int64(uptime/(24*time.Hour)))
	s.line("hz", n.cfg.Int("hz").Load())
	s.line("configured_hz", n.cfg.Int("hz").Load())
	s.line("lru_clock", lruClock(s.now.UnixMilli()))
	s.line("executable", n.host.executable)
	s.line("config_file", n.cfg.File())
	s.line("io_threads_active", bit(n.server.Loops() > 1))
	s.line("event_loops", n.server.Loops())
	if left, underWay := n.shutdownIn(); underWay {
		s.line("shutdown_in_milliseconds", left.Milliseconds())
	}
}

func infoClients(n *Node, s *infoScene) {
	st := s.serverStats(n)
	s.line("connected_clients", st.ConnectedClients)
	if n.cluster != nil {
		s.line("cluster_connections", len(n.cluster.links()))
	} else {
		s.line("cluster_connections", 0)
	}
	s.line("maxclients", n.cfg.Int("maxclients").Load())
	s.line("client_recent_max_input_buffer", st.MaxInputBuffer)
	s.line("client_recent_max_output_buffer", st.MaxOutputBuffer)
	s.line("blocked_clients", st.BlockedClients)
	s.line("tracking_clients", 0)
	s.line("clients_in_timeout_table", 0)
	s.line("pubsub_clients", st.PubSubClients)
}

func infoStats(n *Node, s *infoScene) {
	st, es, syncs := s.serverStats(n), n.engine.Stats(), n.replication.primary.Counts()
	s.line("total_connections_received", st.ConnectionsReceived)
	s.line("total_commands_processed", st.Commands)
	s.line("instantaneous_ops_per_sec", st.OpsPerSecond)
	s.line("total_net_input_bytes", st.BytesIn)
	s.line("total_net_output_bytes", st.BytesOut)
	s.fixed("instantaneous_input_kbps", float64(st.BytesInPerSecond)/1024, 2, "")
	s.fixed("instantaneous_output_kbps", float64(st.BytesOutPerSecond)/1024, 2, "")
	s.line("rejected_connections", st.ConnectionsRejected)
	s.line("sync_full", syncs.SyncFull.Load())
	s.line("sync_partial_ok", syncs.SyncPartialOK.Load())
	s.line("sync_partial_err", syncs.SyncPartialErr.Load())
	s.line("expired_keys", es.Expired)
	s.line("expired_subkeys", es.ExpiredFields)
	s.line("expired_stale_perc", "0.00")
	s.line("expired_time_cap_reached_count", 0)
	s.line("evicted_keys", es.Evicted)
	s.line("evicted_clients", st.EvictedClients)
	s.line("total_eviction_exceeded_time", 0)
	s.line("current_eviction_exceeded_time", 0)
	s.line("keyspace_hits", es.Hits)
	s.line("keyspace_misses", es.Misses)
	s.line("pubsub_channels", 0)
	s.line("pubsub_patterns", 0)
	s.line("pubsubshard_channels", 0)
	s.line("latest_fork_usec", 0)
	s.line("total_forks", 0)
	s.line("migrate_cached_sockets", 0)
	defragTotal, defragCurrent := n.defrag.times(s.now)
	s.line("active_defrag_hits", n.defrag.hits.Load())
	s.line("active_defrag_misses", n.defrag.misses.Load())
	s.line("active_defrag_key_hits", n.defrag.keyHits.Load())
	s.line("active_defrag_key_misses", n.defrag.keyMisses.Load())
	s.line("total_active_defrag_time", defragTotal.Milliseconds())
	s.line("current_active_defrag_time", defragCurrent.Milliseconds())
	s.line("tracking_total_keys", 0)
	s.line("tracking_total_items", 0)
	s.line("tracking_total_prefixes", 0)
	s.line("unexpected_error_replies", 0)
	s.line("total_error_replies", st.Errors)
	s.line("dump_payload_sanitizations", 0)
	s.line("client_query_buffer_limit_disconnections", st.QueryLimitDisconnections)
	s.line("client_output_buffer_limit_disconnections", st.OutputLimitDisconnections)
	s.line("eventloop_cycles", st.LoopRounds)
	s.line("eventloop_duration_sum", st.LoopBusy.Microseconds())
}

// infoDebug has what is worth knowing when a node seems slow.
func infoDebug(n *Node, s *infoScene) {
	st := s.serverStats(n)
	s.line("eventloop_duration_max", st.LoopLongest.Microseconds())
	s.line("eventloop_own_duration_max", st.LoopLongestOwn.Microseconds())
	s.line("eventloop_naps", st.LoopNaps)
}

func infoReplication(n *Node, s *infoScene) {
	info := n.replication.Info()
	s.infoText = info.AppendSection(s.infoText)
}

func infoCPU(_ *Node, s *infoScene) {
	for _, who := range [...]struct {
		suffix string
		which  int
	}{{"", unix.RUSAGE_SELF}, {"_children", unix.RUSAGE_CHILDREN}} {
		var usage unix.Rusage
		if unix.Getrusage(who.which, &usage) != nil {
			continue
		}
		s.end(appendSeconds(s.begin("used_cpu_sys", who.suffix), usage.Stime))
		s.end(appendSeconds(s.begin("used_cpu_user", who.suffix), usage.Utime))
	}
}

// appendSeconds appends a time in seconds, with the six digits of its microseconds.
func appendSeconds(dst []byte, t unix.Timeval) []byte {
	dst = appendNumber(dst, "", int64(t.Sec))
	at := len(dst)
	dst = appendNumber(dst, "", 1_000_000+int64(t.Usec))
	dst[at] = '.' // where the million stands
	return dst
}

func infoCommandStats(n *Node, s *infoScene) {
	for _, stat := range n.server.CommandStats() {
		b := s.begin("cmdstat_", stat.Name)
		b = appendNumber(b, "calls=", stat.Calls)
		b = appendNumber(b, ",usec=", stat.Micros)
		b = strconv.AppendFloat(append(b, ",usec_per_call="...), share(stat.Micros, stat.Calls), 'f', 2, 64)
		b = appendNumber(b, ",rejected_calls=", stat.Rejected)
		s.end(appendNumber(b, ",failed_calls=", stat.Failed))
	}
}

func infoErrorStats(n *Node, s *infoScene) {
	for _, of := range n.server.ErrorCounts() {
		s.end(appendNumber(s.begin("errorstat_", of.Prefix), "count=", of.Count))
	}
}

func infoCluster(n *Node, s *infoScene) { s.line("cluster_enabled", bit(n.clusterMode())) }

func infoKeyspace(n *Node, s *infoScene) {
	for db := range n.store.Databases() {
		keys := n.store.Len(db)
		if keys == 0 {
			continue
		}
		b := append(appendNumber(s.infoText, "db", int64(db)), ':')
		b = appendNumber(b, "keys=", int64(keys))
		b = appendNumber(b, ",expires=", int64(n.store.Expires(db)))
		s.end(appendNumber(b, ",avg_ttl=", n.store.AverageTTL(db, s.now.UnixMilli())))
	}
}
