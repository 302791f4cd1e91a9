package config

func networkRows() []Row {
	return []Row{
		{Name: "bind", Kind: list{check: checkBind}, Default: []string{"*", "-::*"}},
		word("bind-source-addr", "").inert("connections to other nodes leave from the address that the system chooses"),
		yes("protected-mode"),
		number("port", "6379", 0, maxPort),
		number("tcp-backlog", "511", 0, maxInt).startOnly(),
		word("unixsocket", "").startOnly(),
		{Name: "unixsocketperm", Kind: integer{max: 0o777, octal: true}, Default: []string{"0"}, Immutable: true},
		number("timeout", "0", 0, maxInt),
		number("tcp-keepalive", "300", 0, maxInt),
		number("socket-mark-id", "0", 0, 1<<32-1).startOnly().
			inert("sockets are not marked for routing"),
		number("maxclients", "10000", 1, 1<<32-1),
		size("client-query-buffer-limit", "1073741824", 1<<20),
		size("proto-max-bulk-len", "536870912", 1<<20),
		{
			Name: "client-output-buffer-limit", Kind: bufferLimits{},
			Default: []string{"normal", "0", "0", "0", "replica", "256mb", "64mb", "60", "pubsub", "32mb", "8mb", "60"},
		},
		number("io-threads", "1", 1, 128).startOnly().
			inert("there is an event loop for every core"),
		no("io-threads-do-reads").startOnly().
			inert("event loops read and write their own connections"),
	}
}

func generalRows() []Row {
	return []Row{
		no("daemonize").startOnly(),
		oneOf("supervised", "no", "upstart", "systemd", "auto", "no").startOnly(),
		word("pidfile", "").startOnly(),
		number("databases", "16", 1, maxInt).startOnly(),
		yes("set-proc-title").startOnly(),
		{
			Name: "proc-title-template", Kind: text{check: checkTitle},
			Default: []string{"{title} {listen-addr} {server-mode}"},
		},
		{
			Name: "hz", Kind: integer{max: maxInt, adjust: clampHz}, Default: []string{"10"},
			Inert: "periodic work runs on timers of its own, not on one tick",
		},
		yes("dynamic-hz").inert("see hz"),
		number("active-expire-effort", "1", 1, 10).inert("expired keys are found without looking at others: there is nothing to weigh"),
		number("shutdown-timeout", "10", 0, maxInt),
		{Name: "shutdown-on-sigint", Kind: signalOptions(), Default: []string{"default"}},
		{Name: "shutdown-on-sigterm", Kind: signalOptions(), Default: []string{"default"}},
		{
			Name: "oom-score-adj", Default: []string{"no"},
			Kind: enum{options: []option{{"no", 0}, {"yes", 1}, {"relative", 1}, {"absolute", 2}}},
		},
		{Name: "oom-score-adj-values", Kind: oomScores{}, Default: []string{"0", "200", "800"}},
		{
			Name: "dir", Kind: text{resolve: resolveDir}, Default: []string{"."},
			Protected: true,
		},
		word("requirepass", ""),
		word("aclfile", "").startOnly().inert(noACL),
		number("acllog-max-len", "128", 0, maxLong).inert(noACL),
		oneOf("acl-pubsub-default", "resetchannels", "allchannels", "resetchannels").inert(noACL),
		oneOf("enable-protected-configs", "no", "no", "yes", "local").startOnly(),
		oneOf("enable-debug-command", "no", "no", "yes", "local").startOnly(),
		oneOf("enable-module-command", "no", "no", "yes", "local").startOnly().
			inert("modules are not supported"),
		number("busy-reply-threshold", "5000", 0, maxLong).also("lua-time-limit").inert(noScripts),
		number("watchdog-period", "0", 0, maxInt).hidden().
			inert("the Go runtime prints its stacks on SIGQUIT"),
		no("use-exit-on-panic").hidden().inert("a broken invariant always ends with exit code 2 and the stacks"),
		oneOf("propagation-error-behavior", "ignore", "ignore", "panic", "panic-on-replicas").
			inert("an effect is encoded before it is applied; there is no error to handle"),
		word("ignore-warnings", "").inert("no check of the machine stops the start"),
		word("server_cpulist", "").startOnly().inert(noPinning),
		word("bio_cpulist", "").startOnly().inert(noPinning),
		word("aof_rewrite_cpulist", "").startOnly().inert(noPinning),
		word("bgsave_cpulist", "").startOnly().inert(noPinning),
	}
}

const (
	noPinning  = "the Go scheduler moves work between processors; pin the process with taskset"
	noACL      = "there is one user, default, with requirepass"
	noScripts  = "there are no scripts"
	noPubSub   = "there is no pub/sub"
	noTracking = "there is no client-side caching"
	noSlowlog  = "there is no slow log"
	noCrashLog = "the Go runtime prints the stacks when the process ends by a panic"
)

// clampHz keeps hz in the range that the reference uses.
func clampHz(n int64) int64 { return min(max(n, 1), 500) }

func loggingRows() []Row {
	return []Row{
		oneOf("loglevel", "notice", "debug", "verbose", "notice", "warning"),
		word("logfile", "").startOnly(),
		no("syslog-enabled").startOnly().inert("the log goes to the file or to standard output, for a supervisor to collect"),
		word("syslog-ident", "redis").startOnly().inert("see syslog-enabled"),
		oneOf("syslog-facility", "local0", "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7").
			startOnly().inert("see syslog-enabled"),
		no("always-show-logo").startOnly(),
		yes("crash-log-enabled").inert(noCrashLog),
		yes("crash-memcheck-enabled").inert(noCrashLog),
		number("slowlog-log-slower-than", "10000", -1, maxLong).inert(noSlowlog),
		number("slowlog-max-len", "128", 0, maxLong).inert(noSlowlog),
		number("latency-monitor-threshold", "0", 0, maxLong).inert("there is no latency monitor"),
		yes("latency-tracking"),
		{Name: "latency-tracking-info-percentiles", Kind: percentiles{}, Default: []string{"50", "99", "99.9"}},
		{Name: "notify-keyspace-events", Kind: eventClasses{}, Default: []string{""}, Inert: noPubSub},
		number("tracking-table-max-keys", "1000000", 0, maxLong).inert(noTracking),
	}
}

const (
	noLazyFree = "memory is freed in the background in any case"
)

func memoryRows() []Row {
	return []Row{
		{Name: "maxmemory", Kind: memory{unsigned: true}, Default: []string{"0"}},
		oneOf("maxmemory-policy", "noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
			"allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"),
		number("maxmemory-samples", "5", 1, maxInt),
		number("maxmemory-eviction-tenacity", "10", 0, 100).inert("eviction never holds clients up for long: a turn has a fixed length"),
		{Name: "maxmemory-clients", Kind: memory{unsigned: true, percent: true}, Default: []string{"0"}},
		number("lfu-log-factor", "10", 0, maxInt),
		number("lfu-decay-time", "1", 0, maxInt),
		no("lazyfree-lazy-eviction"),
		no("lazyfree-lazy-expire"),
		no("lazyfree-lazy-server-del").inert(noLazyFree),
		no("lazyfree-lazy-user-del").inert(noLazyFree),
		no("lazyfree-lazy-user-flush").inert(noLazyFree),
		yes("activerehashing").inert("the index of a slot is small and grows by itself"),
		yes("activedefrag"),
		size("active-defrag-ignore-bytes", "104857600", 1),
		number("active-defrag-threshold-lower", "10", 0, 1000),
		number("active-defrag-threshold-upper", "100", 0, 1000),
		number("active-defrag-cycle-min", "1", 1, 99),
		number("active-defrag-cycle-max", "25", 1, 99),
		number("active-defrag-max-scan-fields", "1000", 1, maxLong).inert("a step looks at few blocks, whatever a value has of them"),
		yes("jemalloc-bg-thread").inert("there is no jemalloc"),
		yes("disable-thp").startOnly().inert("huge pages do not hurt a process that never forks"),
	}
}

func encodingRows() []Row {
	return []Row{
		number("hash-max-listpack-entries", "512", 0, maxLong).also("hash-max-ziplist-entries"),
		size("hash-max-listpack-value", "64", 0).also("hash-max-ziplist-value"),
		number("list-max-listpack-size", "-2", minInt, maxInt).also("list-max-ziplist-size"),
		number("list-compress-depth", "0", 0, maxInt).inert("lists are not compressed in memory"),
		number("set-max-intset-entries", "512", 0, maxLong),
		number("zset-max-listpack-entries", "128", 0, maxLong).also("zset-max-ziplist-entries"),
		size("zset-max-listpack-value", "64", 0).also("zset-max-ziplist-value"),
		size("hll-sparse-max-bytes", "3000", 0),
		size("stream-node-max-bytes", "4096", 0),
		number("stream-node-max-entries", "100", 0, maxLong),
	}
}
