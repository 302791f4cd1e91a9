package server

import (
	"log/slog"

	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// Int, Bool and Text are live configuration values: the handles of node/config,
// or an atomic in tests. Load must be cheap and safe for concurrent use.
type (
	Int  interface{ Load() int64 }
	Bool interface{ Load() bool }
	Text interface{ Load() string }
)

// Settings are the directives that sessions obey, read each time they matter.
type Settings struct {
	MaxClients      Int                 // maxclients
	Timeout         Int                 // timeout, seconds; 0: never
	TCPKeepAlive    Int                 // tcp-keepalive, seconds; 0: off
	TCPBacklog      Int                 // tcp-backlog
	MaxBulk         Int                 // proto-max-bulk-len
	QueryBuffer     Int                 // client-query-buffer-limit
	ClientsMemory   Int                 // maxmemory-clients in bytes; 0: the built-in budget
	Databases       Int                 // databases
	ProtectedMode   Bool                // protected-mode
	RequirePass     Text                // requirepass
	OutputLimits    func() OutputLimits // client-output-buffer-limit
	DebugCommand    Text                // enable-debug-command: yes, no, local
	ModuleCommand   Text                // enable-module-command
	UnixSocketPerm  Int                 // unixsocketperm; 0: as umask says
	ClusterEnabled  bool
	ReportedVersion string // what HELLO answers
}

// OutputLimit is one class of client-output-buffer-limit. Zero means no limit.
type OutputLimit struct {
	HardBytes, SoftBytes int64
	SoftSeconds          int64
}

// OutputLimits are the three classes.
type OutputLimits struct{ Normal, Replica, PubSub OutputLimit }

// Gates are conditions of the node that refuse commands. State reports them.
type Gates uint32

const (
	// GateLoading: the dataset is being loaded.
	GateLoading Gates = 1 << iota
	// GateMasterDown: a replica whose link is down and whose
	// replica-serve-stale-data is no.
	GateMasterDown
	// GateReadOnly: a replica that refuses writes of clients.
	GateReadOnly
	// GateReplica: the role is replica, for HELLO.
	GateReplica
	// GateRefuse: State.Refuse must be asked about each command.
	GateRefuse
)

// State is the node's condition as sessions must know it.
type State interface {
	// Gates is asked before every command: one atomic load.
	Gates() Gates
	// Refuse is asked, while GateRefuse is set, about commands that change data:
	// NOREPLICAS, MISCONF, OOM. An empty error lets the command pass.
	Refuse(spec *command.Spec) resp.Error
}

// Engine runs commands; *command.Engine is one.
type Engine interface {
	Execute(c *command.Call, resume func()) bool
	ExecuteWait(c *command.Call)
	Abandon(c *command.Call)
	ExecuteAll(tx *command.Transaction, resume func()) bool
	ExecuteAllWait(tx *command.Transaction)
	AbandonAll(tx *command.Transaction)
	Unwatch(w *command.Watcher)
	Routing() *slots.Table
	Background() int
	Place(key []byte) command.Place
	Warm(db int, places []command.Place) uint64
	WarmChange(db int, places []command.Place) uint64
	Leave(c *command.Call)
	Recover(c *command.Call)
}

// Options make a Server.
type Options struct {
	Settings Settings
	Log      *slog.Logger
	// State may be nil: no gates.
	State State
	// Fence may be nil: outside cluster mode.
	Fence Fence
	// Barrier may be nil: nothing is promised about a disk.
	Barrier Barrier
	// Loops is the number of event loops; 0 means one for each processor that
	// the Go scheduler uses. Loops have the engine lanes 0 to Loops-1.
	Loops int
}

// defaultInputBudget bounds what all clients together may have sent and not
// yet had executed, when nothing is configured.
const defaultInputBudget = 4 << 30
