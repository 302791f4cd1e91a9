package command

import (
	"slotmesh/node/store/hash"
	"slotmesh/node/store/zset"
)

// Limits say up to what size collections keep the encodings of small ones. They
// are the directives of those names.
type Limits struct {
	Hash hash.Limits
	ZSet zset.Limits
}

// defaultLimits are those of the reference's configuration.
var defaultLimits = Limits{
	Hash: hash.Limits{Entries: 512, Value: 64},
	ZSet: zset.DefaultLimits,
}

// SetLimits replaces the limits. What is there already keeps its encoding until
// it is changed.
func (e *Engine) SetLimits(l Limits) { e.limits.Store(&l) }

// Limits returns the limits in force.
func (c *Call) Limits() *Limits { return c.engine.limits.Load() }
