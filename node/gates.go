package node

import (
	"sync/atomic"

	"slotmesh/node/command"
	"slotmesh/node/config"
	"slotmesh/node/resp"
	"slotmesh/node/server"
)

// gates is the server's State: conditions of this node that refuse commands.
// Whoever knows of a condition sets it; sessions read one word.
type gates struct {
	flags atomic.Uint32
	// refuse answers for GateRefuse.
	refuse func(*command.Spec) resp.Error

	readOnly   *config.Bool
	serveStale *config.Bool
}

func newGates(cfg *config.Config) *gates {
	return &gates{
		refuse:     func(*command.Spec) resp.Error { return "" },
		readOnly:   cfg.Bool("replica-read-only"),
		serveStale: cfg.Bool("replica-serve-stale-data"),
	}
}

// Gates implements server.State.
func (g *gates) Gates() server.Gates { return server.Gates(g.flags.Load()) }

// Refuse implements server.State.
func (g *gates) Refuse(spec *command.Spec) resp.Error { return g.refuse(spec) }

// set raises or lowers one gate.
func (g *gates) set(gate server.Gates, raised bool) {
	for {
		old := g.flags.Load()
		flags := old &^ uint32(gate)
		if raised {
			flags |= uint32(gate)
		}
		if g.flags.CompareAndSwap(old, flags) {
			return
		}
	}
}

// setRole follows replication: as a replica, whether the stream from the
// primary flows decides about stale data.
func (g *gates) setRole(replica, linked bool) {
	g.set(server.GateReplica, replica)
	g.set(server.GateReadOnly, replica && g.readOnly.Load())
	g.set(server.GateMasterDown, replica && !linked && !g.serveStale.Load())
}
