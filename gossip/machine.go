package gossip

import (
	"errors"
	"math/rand/v2"

	"slotmesh/slots"
)

// Options is what a Machine starts from.
type Options struct {
	Config Config
	// Saved is the content of the cluster config file, or nil for a new node.
	Saved []byte
	// Rand is the machine's only source of chance: ids, jitter. The caller
	// seeds it and uses it nowhere else.
	Rand *rand.Rand
	// Now is the instant of the start.
	Now Instant
}

// ErrVersion marks bytes of another version of the wire or file format. The
// error's text names both versions.
var ErrVersion = errors.New("version not spoken here")

// Identity is the content of a Meta record: what a node says of itself.
type Identity struct {
	ID          slots.NodeID
	Shard       slots.ShardID
	Address     Address // IP is the announced one, or ""
	IsReplica   bool
	Primary     slots.NodeID // of a replica
	ConfigEpoch uint64
	// Digest is a digest of the node's claims: who knows another one asks.
	Digest uint64
	// Empty tells that the node started without the data of its slots.
	Empty bool
	// NoFailover is cluster-replica-no-failover.
	NoFailover bool
}

// Machine is the cluster state of one node. It is not safe for concurrent use.
type Machine struct {
	id slots.NodeID
}

// New builds the machine of a new node, or of the node that Saved describes.
// Damaged, foreign or other-version bytes are an error that names the offset.
func New(opts Options) (*Machine, error) { return &Machine{}, nil }

// Self returns this node's id.
func (m *Machine) Self() slots.NodeID { return m.id }

// Step takes in what happened. A CommandError is an operator's command that
// cannot be done; then nothing has changed.
func (m *Machine) Step(ev Event, now Instant) error { return nil }

// Ready returns what the caller must carry out before the next Step.
func (m *Machine) Ready(now Instant) Ready { return Ready{} }

// Meta returns this node's identity record, at most 512 bytes.
func (m *Machine) Meta() []byte { return nil }

// ParseMeta reads an identity record.
func ParseMeta(meta []byte) (Identity, error) { return Identity{}, nil }

// LocalState returns all that this node knows, for push/pull. Others take it
// as Received{Way: ByRepair}.
func (m *Machine) LocalState() []byte { return nil }
