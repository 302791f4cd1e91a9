package node

import (
	"runtime/metrics"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/node/server"
)

// refusals are the conditions under which commands that change data are
// refused. They are looked at ten times a second and when a directive that
// they depend on changes, so that a command costs no more than a flag.
type refusals struct {
	// fewReplicas: less than min-replicas-to-write replicas are in time.
	fewReplicas atomic.Bool
	// outOfMemory: the live data exceed maxmemory.
	outOfMemory atomic.Bool
}

// refreshRefusals looks at the conditions.
func (n *Node) refreshRefusals() error {
	wanted := int(n.cfg.Int("min-replicas-to-write").Load())
	lag := time.Duration(n.cfg.Int("min-replicas-max-lag").Load()) * time.Second
	few := wanted > 0 && lag > 0 && !n.replication.IsReplica() && n.replication.primary.Online(lag) < wanted
	limit := n.cfg.Int("maxmemory").Load()
	full := limit > 0 && liveBytes() > limit
	n.refusals.fewReplicas.Store(few)
	n.refusals.outOfMemory.Store(full)
	n.gates.set(server.GateRefuse, few || full)
	return nil
}

// refuse answers for server.GateRefuse.
func (n *Node) refuse(spec *command.Spec) resp.Error {
	switch {
	case spec.Flags&command.DenyOOM != 0 && n.refusals.outOfMemory.Load():
		return resp.ErrOOM
	case spec.Flags&command.Write != 0 && n.refusals.fewReplicas.Load():
		return resp.ErrNoReplicas
	}
	return ""
}

// liveBytes are the bytes on the heap that the last collection found in use:
// garbage must not count against maxmemory.
func liveBytes() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}
