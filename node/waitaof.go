package node

import (
	"context"
	"sync"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/persist"
	"slotmesh/node/resp"
	"slotmesh/node/store/value"
)

// Errors of WAITAOF, in the reference's words.
const (
	errWaitAOFReplica resp.Error = "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
	errWaitAOFOff     resp.Error = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
	errLocalRange     resp.Error = "ERR value is out of range, value must between 0 and 1"
	errReplicasRange  resp.Error = "ERR value is out of range, must be positive"
)

func (n *Node) waitAOFRow() command.Spec {
	return command.Spec{
		Name: "waitaof", Syntax: "numlocal numreplicas timeout", Arity: 4, Flags: command.NoScript | command.Blocking,
		Group: "generic", Since: "7.2.0", Complexity: "O(1)",
		Summary: "Waits until the writes of this connection are on the disk, here and on replicas.",
		Tips:    []string{"request_policy:all_shards", "response_policy:agg_min"}, Run: n.runWaitAOF,
	}
}

// runWaitAOF answers how many of the copies asked for have all writes so far on
// their disks: this node's, and those of replicas, which tell it with their
// acknowledgements. Source: Redis 7.2, waitaofCommand.
func (n *Node) runWaitAOF(c *command.Call) error {
	local, ok := value.ParseInt(c.Args[1])
	if !ok {
		return resp.ErrNotInteger
	}
	if local < 0 || local > 1 {
		return errLocalRange
	}
	replicas, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	if replicas < 0 {
		return errReplicasRange
	}
	timeout, err := waitTimeout(c.Args[3])
	if err != nil {
		return err
	}
	if n.replication.IsReplica() {
		return errWaitAOFReplica
	}
	aof := n.appendOnly.aof.Load()
	if local > 0 && aof == nil {
		return errWaitAOFOff
	}
	w := &fileWait{n: n, aof: aof, offset: n.journal.EffectOffset(), local: local > 0, replicas: int(min(replicas, maxReplicas))}
	if w.satisfied() || c.InExec || c.Conn == nil {
		w.answer(c.Reply)
		return nil
	}
	c.Conn.Park(func(wake func(func(*resp.Writer))) (cancel func()) { return w.park(timeout, wake) })
	return nil
}

// maxReplicas stands for more replicas than there can be.
const maxReplicas = 1 << 31

// fileWait is one WAITAOF.
type fileWait struct {
	n *Node
	// aof is nil when the file is off.
	aof      *persist.AOF
	offset   int64
	local    bool
	replicas int

	over sync.Once
	stop context.CancelFunc
	wake func(func(*resp.Writer))
}

// here reports whether this node's file has everything on the disk.
func (w *fileWait) here() bool { return w.aof != nil && w.aof.Synced().Reached(w.offset) }

func (w *fileWait) satisfied() bool {
	return (!w.local || w.here()) && w.n.replication.primary.Lasting(w.offset) >= w.replicas
}

func (w *fileWait) answer(out *resp.Writer) {
	out.Array(2)
	out.Int(int64(bit(w.here())))
	out.Int(int64(w.n.replication.primary.Lasting(w.offset)))
}

// park waits for the disk and the replicas at once.
func (w *fileWait) park(timeout time.Duration, wake func(func(*resp.Writer))) (cancel func()) {
	w.wake = wake
	var ctx context.Context
	if timeout > 0 {
		ctx, w.stop = context.WithTimeout(context.Background(), timeout)
	} else {
		ctx, w.stop = context.WithCancel(context.Background())
	}
	replicas := make(chan bool, 1)
	forget := w.n.replication.primary.WaitLasting(w.offset, w.replicas, 0, func(_ int, deposed bool) { replicas <- deposed })
	go func() {
		defer forget()
		here := make(chan error, 1)
		if w.local {
			go func() { here <- w.aof.SyncTo(ctx, w.offset) }()
		} else {
			here <- nil
		}
		for range 2 {
			select {
			case <-ctx.Done():
				w.end(w.answer)
				return
			case deposed := <-replicas:
				if deposed {
					w.end(func(out *resp.Writer) { out.Error(string(errWaitDeposed)) })
					return
				}
			case <-here:
				if ctx.Err() == nil && w.local && w.n.appendOnly.aof.Load() != w.aof {
					w.end(func(out *resp.Writer) { out.Error(string(errWaitAOFOff)) })
					return
				}
			}
		}
		w.end(w.answer)
	}()
	return w.stop
}

func (w *fileWait) end(answer func(*resp.Writer)) {
	w.over.Do(func() {
		w.stop()
		w.wake(answer)
	})
}
