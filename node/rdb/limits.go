package rdb

import (
	"slotmesh/node/store/hash"
	"slotmesh/node/store/set"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/zset"
)

// Limits say up to what size collections keep the encodings of small ones. They
// are the directives of those names. A value that is read gets the encoding that
// the limits in force give it.
type Limits struct {
	Hash   hash.Limits
	Set    set.Limits
	Stream stream.Limits
	ZSet   zset.Limits
}

// DefaultLimits are those of the reference's configuration.
func DefaultLimits() Limits {
	return Limits{
		Hash:   hash.Limits{Entries: 512, Value: 64},
		Set:    set.DefaultLimits(),
		Stream: stream.DefaultLimits,
		ZSet:   zset.DefaultLimits,
	}
}
