package repl

import (
	"time"

	"slotmesh/node/journal"
)

// Settings are the directives that replication heeds. They are asked for
// whenever one is needed and may change at any time.
type Settings struct {
	// Version is the redis_version that snapshots claim.
	Version string
	// PingPeriod is repl-ping-replica-period, Timeout repl-timeout.
	PingPeriod, Timeout time.Duration
	// BacklogTTL is repl-backlog-ttl: how long a primary without replicas keeps
	// its backlog; 0 means for ever.
	BacklogTTL time.Duration
	// OutputLimit is client-output-buffer-limit of class replica.
	OutputLimit journal.Limit
	// Compress is rdbcompression, Checksum rdbchecksum.
	Compress, Checksum bool
	// TempDir is where a snapshot is kept whose length must be told before it.
	TempDir string

	// User and Password are masteruser and masterauth.
	User, Password string
	// AnnounceIP and AnnouncePort are what a primary shall report of this
	// replica: replica-announce-ip ("" for none) and -port or the port that it
	// listens on.
	AnnounceIP   string
	AnnouncePort int
}

// tick is how often replicas are looked after: acknowledgements, limits, lag.
const tick = time.Second

// yieldBytes is how much of a snapshot or a stream is worked on before the
// event loops get their turn: some 50 microseconds' worth.
const yieldBytes = 4 << 10
