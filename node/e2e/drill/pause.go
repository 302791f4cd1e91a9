package drill

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"slotmesh/node/e2e/harness"
)

// Resumed is what a primary did that was paused until another took its place.
type Resumed struct {
	// Acknowledged counts the writes that it acknowledged after it went on.
	Acknowledged int
	// Lost counts those of them that the cluster does not hold in the end: each
	// is a lie.
	Lost    int
	Example string
}

const (
	// directConns is how many clients hold on to the paused node, directWrites
	// how many writes each has sent it meanwhile.
	directConns  = 4
	directWrites = 50
	// resumeWatch is how long the node is written to after it went on.
	resumeWatch = 2 * time.Second
)

// PauseRound stops the primary of shard index until a replica has taken over,
// with writes waiting in its sockets, lets it go on, and writes to it as fast
// as it answers. The cluster is complete again when it returns.
func (l *Load) PauseRound(index int, timeout time.Duration) Resumed {
	l.r.Helper()
	shard := l.Shards[index]
	victim := l.owner(shard.Slot)
	l.WaitFlowing(time.Now())
	d := &direct{addr: victim.Addr(), prefix: "{" + harness.Tags()[shard.Slot] + "}direct:" + fmt.Sprint(time.Now().UnixNano()) + ":"}
	var conns []*harness.Conn
	for range directConns {
		conn, err := harness.Dial(victim.Addr(), timeout)
		if err != nil {
			l.r.Fatalf("connect to %s: %v", victim.Name, err)
		}
		conns = append(conns, conn)
	}
	victim.Pause()
	paused := time.Now()
	var readers sync.WaitGroup
	for _, conn := range conns {
		var keys []string
		var out []byte
		for range directWrites {
			key := d.nextKey()
			keys = append(keys, key)
			out = append(out, harness.Encode("SET", key, key)...)
		}
		if _, err := conn.Write(out); err != nil {
			l.r.Fatalf("write to %s: %v", victim.Name, err)
		}
		readers.Go(func() {
			defer conn.Close()
			for _, key := range keys {
				reply, err := conn.Receive()
				if err != nil {
					return
				}
				if !reply.IsError() {
					d.acknowledged(key)
				}
			}
		})
	}
	harness.Await(l.r, timeout, "a replica takes over from the paused "+victim.Name, func() string {
		if _, ok := shard.Writer.FirstSentAfter(paused, victim.Addr()); !ok {
			return "no write was accepted elsewhere"
		}
		return ""
	})
	victim.Resume()
	end := time.Now().Add(resumeWatch)
	for range directConns {
		readers.Go(func() { d.hammer(end) })
	}
	time.Sleep(time.Until(end))
	for _, conn := range conns {
		// A held reply that never came is no acknowledgement.
		_ = conn.SetReadDeadline(time.Now())
	}
	readers.Wait()
	l.Cluster.WaitOK(time.Minute)

	owner := l.owner(shard.Slot)
	values, err := Get(owner.Addr(), d.acked)
	if err != nil {
		l.r.Fatalf("read back from %s: %v", owner.Name, err)
	}
	result := Resumed{Acknowledged: len(d.acked)}
	for i, key := range d.acked {
		if values[i] != key {
			result.Lost++
			result.Example = key
		}
	}
	return result
}

// direct writes to one node whatever it answers, and keeps what was
// acknowledged.
type direct struct {
	addr, prefix string

	mu    sync.Mutex // guards the rest
	next  int
	acked []string
}

func (d *direct) nextKey() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	return fmt.Sprintf("%s%d", d.prefix, d.next)
}

func (d *direct) acknowledged(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acked = append(d.acked, key)
}

// hammer writes until end; a refusal is followed by the next attempt at once.
func (d *direct) hammer(end time.Time) {
	for time.Now().Before(end) {
		conn, err := harness.Dial(d.addr, writeTimeout)
		if err != nil {
			time.Sleep(retryPause)
			continue
		}
		for time.Now().Before(end) {
			key := d.nextKey()
			if _, err = conn.Do("SET", key, key); err != nil {
				break
			}
			d.acknowledged(key)
		}
		conn.Close()
		time.Sleep(retryPause)
	}
}

// Steady runs disturb and returns an error if it caused a failover, looking
// once more after settle.
func (l *Load) Steady(settle time.Duration, disturb func()) error {
	before, err := Roles(l.Cluster)
	if err != nil {
		return err
	}
	disturb()
	time.Sleep(settle)
	after, err := Roles(l.Cluster)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("a failover happened:\nbefore: %s\nafter:  %s", before, after)
	}
	return nil
}

// PauseReplica stops a replica of shard index for d.
func (l *Load) PauseReplica(index int, d time.Duration) {
	l.r.Helper()
	replicas := l.Cluster.ReplicasOf(l.owner(l.Shards[index].Slot))
	if len(replicas) == 0 {
		l.r.Fatalf("shard %d has no replica", index)
	}
	replicas[0].Pause()
	defer replicas[0].Resume()
	time.Sleep(d)
}

// BusyCores keeps every core busy with two processes of nothing for d.
func (l *Load) BusyCores(d time.Duration) {
	l.r.Helper()
	var burners []*exec.Cmd
	for range 2 * runtime.NumCPU() {
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		if err := l.Cluster.Rig().StartCommand(cmd); err != nil {
			l.r.Fatalf("start a busy process: %v", err)
		}
		burners = append(burners, cmd)
	}
	time.Sleep(d)
	for _, cmd := range burners {
		// Both can only say that it is gone, which is what is wanted.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
