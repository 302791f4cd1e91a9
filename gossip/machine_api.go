package gossip

import (
	"time"

	"slotmesh/slots"
)

// Instant is monotonic time since an arbitrary point of the process.
type Instant = time.Duration

// Forever is a lease that does not end: this node needs nobody's renewal.
const Forever Instant = 1<<63 - 1

// Address is where a node is reached. Host is the name that
// cluster-announce-hostname gives, or "".
type Address struct {
	IP            string
	Port, TLSPort int
	BusPort       int
	Host          string
}

// Config is what the operator decides. It may change while the node runs: see
// Reconfigure.
type Config struct {
	Address Address
	// NodeTimeout is cluster-node-timeout.
	NodeTimeout time.Duration
	// ReplicaValidityFactor is cluster-replica-validity-factor; 0 means that a
	// replica's data never is too old.
	ReplicaValidityFactor int
	ReplicaNoFailover     bool
	RequireFullCoverage   bool
	AllowReadsWhenDown    bool
	// Endpoint is cluster-preferred-endpoint-type.
	Endpoint EndpointKind
}

// EndpointKind is what MOVED, CLUSTER SLOTS and CLUSTER SHARDS name.
type EndpointKind uint8

const (
	EndpointIP EndpointKind = iota
	EndpointHostname
	EndpointUnknown
)

// Event is something that happened. The kinds are in this file.
type Event interface{ isEvent() }

// Way says how a message came.
type Way uint8

const (
	// ByLink is a message that From itself sent over an authenticated link.
	ByLink Way = iota
	// ByBroadcast is gossip that any member may have carried.
	ByBroadcast
	// ByRepair is another member's whole state, exchanged now and then.
	ByRepair
)

type (
	// Tick says that time has passed. Machine.Due says when the next one must
	// come; earlier ones do no harm. Served is true when clients were served under
	// the lease since the one before.
	Tick struct{ Served bool }

	// Received brings bytes. From is zero unless Way is ByLink. Step returns an
	// error for bytes that are not a message of this version.
	Received struct {
		From    slots.NodeID
		Way     Way
		Message []byte
	}

	// Member brings a node's identity record (Machine.Meta of that node), as
	// membership or a MEET handshake learned it, with the IP it was seen at.
	// Met is true when it is the fruit of a MEET, this node's own or the other
	// one's: then it is let in even if it was forgotten.
	Member struct {
		Meta []byte
		IP   string
		Met  bool
	}

	// Answered says that Node answered a probe of this node's own.
	Answered struct{ Node slots.NodeID }

	// LinkUp and LinkDown tell of the link to Node. Refused is hard evidence:
	// the dial was answered with connection refused, nobody listens there.
	LinkUp   struct{ Node slots.NodeID }
	LinkDown struct {
		Node    slots.NodeID
		Refused bool
	}

	// Suspected says that membership lost Node: a hint to probe it now.
	Suspected struct{ Node slots.NodeID }

	// Replication tells the state of this node's own data.
	Replication struct {
		// History names the line of writes in which Offset counts, and Past the one
		// that it goes on from: up to Shared both are the same. 0 is none.
		History, Past uint64
		Shared        int64
		// Offset is the replication offset: of what was written here on a
		// primary, of what was applied on a replica.
		Offset int64
		// Empty is true when the node started without the data that its slots
		// had: no history id. A replica stays Empty until its first full sync.
		Empty bool
		// LinkUp is a replica's: the stream from its primary is flowing.
		// SinceHeard is how long ago it last did.
		LinkUp     bool
		SinceHeard time.Duration
		// Synced says that it has flowed since this node began to follow that
		// primary, though it may have ended meanwhile.
		Synced bool
		// Replicas is a primary's: how many replicas follow its stream.
		Replicas int
		// Drained is a primary's during a handover: every reply of a write is
		// out or held, and Offset will not grow.
		Drained bool
	}

	// Reconfigure brings a changed configuration.
	Reconfigure struct{ Config Config }
)

// Recovery is what a node's own files held when it was started: the writes of a
// history up to an offset.
type Recovery struct {
	History uint64
	Offset  int64
}

// The operator's commands, one for each CLUSTER subcommand that changes
// something. Step returns a CommandError with the reference's text when the
// command cannot be done, and then nothing has changed.
type (
	AddSlots struct{ Slots []slots.Slot }
	DelSlots struct{ Slots []slots.Slot }
	// FlushSlots and Reset need an empty keyspace, and Replicate needs one when
	// this node is a primary: HasKeys tells.
	FlushSlots struct{ HasKeys bool }
	Reset      struct {
		Hard, HasKeys bool
	}
	Replicate struct {
		Primary slots.NodeID
		HasKeys bool
	}
	SetSlot struct {
		Slot slots.Slot
		To   SlotState
		// Node is the other node for Migrating and Importing, the owner for
		// OwnedBy.
		Node slots.NodeID
		// KeysInSlot is how many keys of the slot are here.
		KeysInSlot int
	}
	// Meet starts a handshake with an address. Ready.Dial carries it on.
	Meet struct {
		IP            string
		Port, BusPort int
	}
	Forget         struct{ Node slots.NodeID }
	BumpEpoch      struct{}
	SetConfigEpoch struct{ Epoch uint64 }
	Failover       struct{ Kind FailoverKind }
)

// SlotState is the third word of CLUSTER SETSLOT.
type SlotState uint8

const (
	Stable SlotState = iota
	Migrating
	Importing
	OwnedBy
)

// FailoverKind is the option of CLUSTER FAILOVER.
type FailoverKind uint8

const (
	// FailoverAgreed hands over with the primary's consent; no write is lost.
	FailoverAgreed FailoverKind = iota
	// FailoverForce asks for votes without the primary.
	FailoverForce
	// FailoverTakeover asks nobody before the slots are taken. Replies leave
	// when a majority of the other primaries has granted a lease.
	FailoverTakeover
)

// CommandError is the text of the error a client gets, with its prefix.
type CommandError string

func (e CommandError) Error() string { return string(e) }

func (Tick) isEvent()           {}
func (Received) isEvent()       {}
func (Member) isEvent()         {}
func (Answered) isEvent()       {}
func (LinkUp) isEvent()         {}
func (LinkDown) isEvent()       {}
func (Suspected) isEvent()      {}
func (Replication) isEvent()    {}
func (Reconfigure) isEvent()    {}
func (AddSlots) isEvent()       {}
func (DelSlots) isEvent()       {}
func (FlushSlots) isEvent()     {}
func (Reset) isEvent()          {}
func (Replicate) isEvent()      {}
func (SetSlot) isEvent()        {}
func (Meet) isEvent()           {}
func (Forget) isEvent()         {}
func (BumpEpoch) isEvent()      {}
func (SetConfigEpoch) isEvent() {}
func (Failover) isEvent()       {}

// Ready is what the caller must carry out, in the order that the package
// comment gives.
type Ready struct {
	// Save is the whole persistent state, encoded and checksummed, or nil.
	Save []byte
	// SaveSoftly says that Save must outlast a crash of the process, but need
	// not wait for the disk: nothing was promised on it.
	SaveSoftly bool
	// View is a new picture to publish, or nil when nothing visible changed.
	View *View
	// Lease is until when this node may acknowledge writes, or Forever.
	Lease Instant
	// Send are messages for links; a link that is down is dialled.
	Send []Outbound
	// Broadcast are messages of at most MaxBroadcast bytes for everybody.
	// Key replaces an older queued broadcast with the same Key.
	Broadcast []Broadcast
	// Dial are addresses to shake hands with (MEET, and known nodes that have
	// not answered for long). Expect is the node that should be there, or zero
	// for MEET.
	Dial []Dial
	// Drop are forgotten nodes: close their links and refuse them.
	Drop []slots.NodeID
	// Log are lines for the operator, in the reference's words where it has them.
	Log []LogLine
	// MetaChanged says that Machine.Meta has a new value to announce.
	MetaChanged bool
	// NewIdentity follows CLUSTER RESET: this node has left its cluster, with
	// HARD under a new id. The membership must be shut down and made anew.
	NewIdentity bool
}

// MaxBroadcast is the largest broadcast in bytes: one fits a UDP packet.
const MaxBroadcast = 1200

type (
	Outbound struct {
		To      slots.NodeID
		Message []byte
	}
	Broadcast struct {
		Key     string
		Message []byte
	}
	Dial struct {
		IP      string
		BusPort int
		Expect  slots.NodeID
	}
	LogLine struct {
		Warning bool
		Text    string
	}
)

// View is an immutable picture of the cluster for commands, replication and
// routing.
type View struct {
	Table *slots.Table
	Self  *Node
	// Nodes holds every known node, Self included, ascending by ID.
	Nodes        []*Node
	CurrentEpoch uint64
	// OK is cluster_state; Reason says in words why it is not.
	OK     bool
	Reason string
	// Size is how many primaries own slots.
	Size int
	// HoldWrites is true while a handover drains this primary: new writes are
	// held, not refused.
	HoldWrites bool
	// MayServe is false while a primary without its data waits for a replica
	// to take over: it neither serves nor feeds replicas.
	MayServe bool
}

// Node is one member as this node sees it. It is immutable.
type Node struct {
	ID          slots.NodeID
	Shard       slots.ShardID
	Address     Address
	IsReplica   bool
	Primary     slots.NodeID // of a replica
	Slots       slots.Set    // of a primary
	ConfigEpoch uint64
	NoFailover  bool
	NoAddress   bool
	Handshake   bool
	PFail, Fail bool
	Linked      bool
	Offset      int64
	// PingSent and PongReceived are when this node last asked and was last
	// answered; 0 for never.
	PingSent, PongReceived Instant
	// Reports is how many primaries reported it as failing, freshly.
	Reports int
	// Migrating and Importing are the open slots; of Self only.
	Migrating, Importing map[slots.Slot]slots.NodeID
}

// Node returns the node with id, or nil.
func (v *View) Node(id slots.NodeID) *Node {
	for _, n := range v.Nodes {
		if n.ID == id {
			return n
		}
	}
	return nil
}
