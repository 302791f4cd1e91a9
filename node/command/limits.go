package command

import "slotmesh/node/rdb"

// Limits say up to what size values keep their small forms.
type Limits struct {
	rdb.Limits
	// HLLSparseBytes is hll-sparse-max-bytes: the greatest sparse HyperLogLog.
	HLLSparseBytes int
}

// DefaultLimits are those of the reference's configuration.
func DefaultLimits() Limits { return Limits{Limits: rdb.DefaultLimits(), HLLSparseBytes: 3000} }

// SetLimits replaces the limits. What is there already keeps its form until it
// is changed.
func (e *Engine) SetLimits(l Limits) { e.limits.Store(&l) }

// Limits returns the limits in force.
func (e *Engine) Limits() *Limits { return e.limits.Load() }

// Limits returns the limits in force.
func (c *Call) Limits() *Limits { return c.engine.limits.Load() }
