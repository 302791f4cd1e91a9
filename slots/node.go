package slots

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// NodeID names a node for its whole life: 20 bytes, written as 40 lower-case
// hex digits. The zero NodeID means "no node".
type NodeID [20]byte

// ShardID names a shard: a primary and its replicas share one. It is written
// like a NodeID, and the zero ShardID means "not known".
type ShardID NodeID

// ParseNodeID reads 40 hex digits.
func ParseNodeID(text string) (NodeID, error) {
	var id NodeID
	if len(text) != 2*len(id) {
		return NodeID{}, fmt.Errorf("node id %q is not %d hex digits", text, 2*len(id))
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		return NodeID{}, fmt.Errorf("node id %q is not hexadecimal", text)
	}
	return id, nil
}

// String returns 40 lower-case hex digits.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// Append appends what String returns.
func (id NodeID) Append(dst []byte) []byte { return hex.AppendEncode(dst, id[:]) }

// IsZero reports whether id names no node.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// Compare orders ids as their bytes, which is the order of their hex text.
func (id NodeID) Compare(other NodeID) int { return bytes.Compare(id[:], other[:]) }

// String returns 40 lower-case hex digits.
func (id ShardID) String() string { return NodeID(id).String() }

// IsZero reports whether the shard is not known.
func (id ShardID) IsZero() bool { return id == ShardID{} }
