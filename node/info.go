package node

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
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
	wanted := make([]string, len(c.Args)-1)
	for i, arg := range c.Args[1:] {
		wanted[i] = string(arg)
	}
	c.Reply.Verbatim("txt", n.info(wanted...))
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
func infoSections() []infoSection {
	return []infoSection{
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
}

// info is the text of the sections that are asked for by name, or by "all",
// "everything" or "default"; without a name the default ones.
func (n *Node) info(wanted ...string) string {
	shows := func(s infoSection) bool {
		for _, name := range wanted {
			switch name = strings.ToLower(name); {
			case name == s.name:
				return true
			case name == "all", name == "everything":
				// Debug is shown by its name only.
				return s.name != "debug"
			case name == "default" && s.byDefault:
				return true
			}
		}
		return len(wanted) == 0 && s.byDefault
	}
	scene := &infoScene{now: time.Now()}
	for _, section := range infoSections() {
		if !shows(section) {
			continue
		}
		if len(scene.out) > 0 {
			scene.out = append(scene.out, "\r\n"...)
		}
		scene.out = append(scene.out, "# "+section.title+"\r\n"...)
		section.write(n, scene)
	}
	return string(scene.out)
}

// infoScene is a text of INFO in the making.
type infoScene struct {
	out []byte
	now time.Time
	// stats is what serverStats returns, once it was asked for.
	stats *server.Stats
}

// serverStats returns the accounts of the server, the same for all sections.
func (s *infoScene) serverStats(n *Node) *server.Stats {
	if s.stats == nil {
		st := n.server.Stats()
		s.stats = &st
	}
	return s.stats
}

// line adds a field.
func (s *infoScene) line(name string, value any) {
	s.out = append(s.out, name...)
	s.out = append(s.out, ':')
	switch value := value.(type) {
	case string:
		s.out = append(s.out, value...)
	case int:
		s.out = strconv.AppendInt(s.out, int64(value), 10)
	case int64:
		s.out = strconv.AppendInt(s.out, value, 10)
	default:
		s.out = fmt.Append(s.out, value)
	}
	s.out = append(s.out, "\r\n"...)
}

// size adds a number of bytes, and again for people.
func (s *infoScene) size(name string, bytes int64) {
	s.line(name, bytes)
	s.line(name+"_human", humanBytes(bytes))
}

// humanBytes writes a size as INFO does: 894.95K.
func humanBytes(bytes int64) string {
	f := float64(bytes)
	for _, unit := range []string{"B", "K", "M", "G", "T"} {
		if f < 1024 || unit == "T" {
			if unit == "B" {
				return strconv.FormatInt(bytes, 10) + "B"
			}
			return strconv.FormatFloat(f, 'f', 2, 64) + unit
		}
		f /= 1024
	}
	return ""
}

func ratio(a, b int64) string {
	if b == 0 {
		return "0.00"
	}
	return strconv.FormatFloat(float64(a)/float64(b), 'f', 2, 64)
}

func percent(a, b int64) string {
	if b == 0 {
		return "0.00%"
	}
	return strconv.FormatFloat(float64(a)*100/float64(b), 'f', 2, 64) + "%"
}

func (n *Node) clusterMode() bool { return n.cfg.Bool("cluster-enabled").Load() }

func infoServer(n *Node, s *infoScene) {
	mode := "standalone"
	if n.clusterMode() {
		mode = "cluster"
	}
	var system unix.Utsname
	kernel := runtime.GOOS
	if unix.Uname(&system) == nil {
		kernel = strings.Join([]string{
			unix.ByteSliceToString(system.Sysname[:]), unix.ByteSliceToString(system.Release[:]), unix.ByteSliceToString(system.Machine[:]),
		}, " ")
	}
	executable, err := os.Executable()
	if err != nil {
		executable = ""
	}
	uptime := s.now.Sub(n.started)
	commit := n.commit
	s.line("redis_version", ReportedVersion)
	s.line("slotmesh_version", Version)
	s.line("redis_git_sha1", commit)
	s.line("redis_git_dirty", 0)
	s.line("redis_build_id", commit)
	s.line("redis_mode", mode)
	s.line("os", kernel)
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
	s.line("executable", executable)
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

// infoPersistence tells that nothing is kept in files: every number is what a
// server shows that never saved.
func infoStats(n *Node, s *infoScene) {
	st, es, repl := s.serverStats(n), n.engine.Stats(), n.replication.Info()
	kilobytes := func(bytes int64) string { return strconv.FormatFloat(float64(bytes)/1024, 'f', 2, 64) }
	s.line("total_connections_received", st.ConnectionsReceived)
	s.line("total_commands_processed", st.Commands)
	s.line("instantaneous_ops_per_sec", st.OpsPerSecond)
	s.line("total_net_input_bytes", st.BytesIn)
	s.line("total_net_output_bytes", st.BytesOut)
	s.line("instantaneous_input_kbps", kilobytes(st.BytesInPerSecond))
	s.line("instantaneous_output_kbps", kilobytes(st.BytesOutPerSecond))
	s.line("rejected_connections", st.ConnectionsRejected)
	s.line("sync_full", repl.SyncFull)
	s.line("sync_partial_ok", repl.SyncPartialOK)
	s.line("sync_partial_err", repl.SyncPartialErr)
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
}

func infoReplication(n *Node, s *infoScene) { s.out = n.replication.Info().AppendSection(s.out) }

func infoCPU(_ *Node, s *infoScene) {
	for _, who := range []struct {
		suffix string
		which  int
	}{{"", unix.RUSAGE_SELF}, {"_children", unix.RUSAGE_CHILDREN}} {
		var usage unix.Rusage
		if unix.Getrusage(who.which, &usage) != nil {
			continue
		}
		s.line("used_cpu_sys"+who.suffix, fmt.Sprintf("%d.%06d", usage.Stime.Sec, usage.Stime.Usec))
		s.line("used_cpu_user"+who.suffix, fmt.Sprintf("%d.%06d", usage.Utime.Sec, usage.Utime.Usec))
	}
}

func infoCommandStats(n *Node, s *infoScene) {
	for _, stat := range n.server.CommandStats() {
		per := 0.0
		if stat.Calls > 0 {
			per = float64(stat.Micros) / float64(stat.Calls)
		}
		s.line("cmdstat_"+stat.Name, fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			stat.Calls, stat.Micros, per, stat.Rejected, stat.Failed))
	}
}

func infoErrorStats(n *Node, s *infoScene) {
	counts := s.serverStats(n).ErrorsByPrefix
	prefixes := make([]string, 0, len(counts))
	for prefix := range counts {
		prefixes = append(prefixes, prefix)
	}
	slices.Sort(prefixes)
	for _, prefix := range prefixes {
		s.line("errorstat_"+prefix, fmt.Sprintf("count=%d", counts[prefix]))
	}
}

func infoCluster(n *Node, s *infoScene) { s.line("cluster_enabled", bit(n.clusterMode())) }

func infoKeyspace(n *Node, s *infoScene) {
	for db := range n.store.Databases() {
		if keys := n.store.Len(db); keys > 0 {
			s.line("db"+strconv.Itoa(db), fmt.Sprintf("keys=%d,expires=%d,avg_ttl=%d",
				keys, n.store.Expires(db), n.store.AverageTTL(db, s.now.UnixMilli())))
		}
	}
}
