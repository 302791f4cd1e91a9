package config

const (
	noDiskSync = "a full synchronization never touches the disk"
	noTLS      = "connections are plain TCP"
)

func persistenceRows() []Row {
	return []Row{
		{Name: "save", Kind: savePoints{}, Default: []string{"3600", "1", "300", "100", "60", "10000"}},
		{
			Name: "dbfilename", Kind: text{check: checkFileName("dbfilename", "filename", true)},
			Default: []string{"dump.rdb"}, Protected: true,
		},
		yes("rdbcompression"),
		yes("rdbchecksum").startOnly(),
		no("rdb-del-sync-files").inert(noDiskSync),
		yes("rdb-save-incremental-fsync"),
		yes("stop-writes-on-bgsave-error"),
		number("rdb-key-save-delay", "0", minInt, maxInt).hidden(),
		number("key-load-delay", "0", minInt, maxInt).hidden(),
		number("loading-process-events-interval-bytes", "2097152", 1024, maxInt).hidden().
			inert("loading runs beside the event loops and never holds them up"),
		oneOf("sanitize-dump-payload", "no", "no", "yes", "clients").
			inert("every payload is checked in full"),
		no("appendonly"),
		{
			Name: "appendfilename", Kind: text{check: checkFileName("appendfilename", "filename", false)},
			Default: []string{"appendonly.aof"}, Immutable: true,
		},
		{
			Name: "appenddirname", Kind: text{check: checkFileName("appenddirname", "dirname", false)},
			Default: []string{"appendonlydir"}, Immutable: true,
		},
		oneOf("appendfsync", "everysec", "everysec", "always", "no"),
		no("no-appendfsync-on-rewrite"),
		number("auto-aof-rewrite-percentage", "100", 0, maxInt),
		size("auto-aof-rewrite-min-size", "67108864", 0),
		yes("aof-load-truncated"),
		yes("aof-use-rdb-preamble"),
		yes("aof-rewrite-incremental-fsync"),
		no("aof-timestamp-enabled"),
		no("aof-disable-auto-gc"),
	}
}

// minBacklog is the least backlog that the reference keeps, in bytes.
const minBacklog = 16 << 10

func replicationRows() []Row {
	return []Row{
		{Name: "replicaof", Aliases: []string{"slaveof"}, Kind: primaryAddress{}, Immutable: true},
		word("masterauth", ""),
		word("masteruser", ""),
		yes("replica-serve-stale-data").also("slave-serve-stale-data"),
		yes("replica-read-only").also("slave-read-only"),
		yes("replica-ignore-maxmemory").also("slave-ignore-maxmemory").inert("a replica never evicts: its primary tells it what goes"),
		no("replica-lazy-flush").also("slave-lazy-flush").inert(noLazyFree),
		number("replica-priority", "100", 0, maxInt).also("slave-priority"),
		word("replica-announce-ip", "").also("slave-announce-ip"),
		number("replica-announce-port", "0", 0, maxPort).also("slave-announce-port"),
		yes("replica-announced"),
		no("replica-ignore-disk-write-errors").inert("a replica takes what its primary sends, whatever its disk does"),
		yes("repl-diskless-sync").inert(noDiskSync),
		number("repl-diskless-sync-delay", "5", 0, maxInt).inert("every replica gets its own snapshot at once"),
		number("repl-diskless-sync-max-replicas", "0", 0, maxInt).inert("every replica gets its own snapshot at once"),
		oneOf("repl-diskless-load", "disabled", "disabled", "on-empty-db", "swapdb").
			inert("a snapshot is loaded beside the old data, which is dropped when the load is complete"),
		no("repl-disable-tcp-nodelay").inert("the stream is sent as it comes"),
		number("repl-ping-replica-period", "10", 1, maxInt).also("repl-ping-slave-period"),
		number("repl-timeout", "60", 1, maxInt),
		{Name: "repl-backlog-size", Kind: memory{min: 1, adjust: atLeastMinBacklog}, Default: []string{"1048576"}},
		number("repl-backlog-ttl", "3600", 0, maxLong),
		number("min-replicas-to-write", "0", 0, maxInt).also("min-slaves-to-write"),
		number("min-replicas-max-lag", "10", 0, maxInt).also("min-slaves-max-lag"),
	}
}

func atLeastMinBacklog(n int64) int64 { return max(n, minBacklog) }

func clusterRows() []Row {
	return []Row{
		no("cluster-enabled").startOnly(),
		word("cluster-config-file", "nodes.conf").startOnly(),
		number("cluster-port", "0", 0, maxPort).startOnly(),
		number("cluster-node-timeout", "15000", 0, maxLong),
		{Name: "cluster-announce-ip", Kind: text{check: checkAnnounceIP}, Default: []string{""}},
		number("cluster-announce-port", "0", 0, maxPort),
		number("cluster-announce-tls-port", "0", 0, maxPort).inert(noTLS),
		number("cluster-announce-bus-port", "0", 0, maxPort),
		{Name: "cluster-announce-hostname", Kind: text{check: checkHostname}, Default: []string{""}},
		oneOf("cluster-preferred-endpoint-type", "ip", "ip", "hostname", "unknown-endpoint"),
		yes("cluster-require-full-coverage"),
		no("cluster-allow-reads-when-down"),
		yes("cluster-allow-pubsubshard-when-down").inert(noPubSub),
		yes("cluster-allow-replica-migration").inert("a replica stays with the primary it was given"),
		number("cluster-migration-barrier", "1", 0, maxInt).inert("see cluster-allow-replica-migration"),
		number("cluster-replica-validity-factor", "10", 0, maxInt).also("cluster-slave-validity-factor"),
		no("cluster-replica-no-failover").also("cluster-slave-no-failover"),
		size("cluster-link-sendbuf-limit", "0", 0).inert("the queues between nodes have fixed limits"),
	}
}

func tlsRows() []Row {
	all := []Row{
		number("tls-port", "0", 0, maxPort),
		number("tls-session-cache-size", "20480", 0, maxInt),
		number("tls-session-cache-timeout", "300", 0, maxInt),
		no("tls-cluster"),
		no("tls-replication"),
		oneOf("tls-auth-clients", "yes", "no", "yes", "optional"),
		no("tls-prefer-server-ciphers"),
		yes("tls-session-caching"),
		word("tls-cert-file", ""),
		word("tls-key-file", ""),
		word("tls-key-file-pass", ""),
		word("tls-client-cert-file", ""),
		word("tls-client-key-file", ""),
		word("tls-client-key-file-pass", ""),
		word("tls-dh-params-file", ""),
		word("tls-ca-cert-file", ""),
		word("tls-ca-cert-dir", ""),
		word("tls-protocols", ""),
		word("tls-ciphers", ""),
		word("tls-ciphersuites", ""),
	}
	for i := range all {
		all[i] = all[i].inert(noTLS)
	}
	return all
}

// ownRows are the directives that the reference does not have.
func ownRows() []Row {
	return []Row{
		// The secret that encrypts and authenticates the bus: a file with one key
		// a line, the first of which is used to send.
		word("cluster-secret-file", "").startOnly(),
		// Without a secret the bus takes only loopback peers unless this is yes.
		no("cluster-allow-open-bus").startOnly(),
		oneOf("log-format", "text", "text", "logfmt", "json").startOnly(),
	}
}
