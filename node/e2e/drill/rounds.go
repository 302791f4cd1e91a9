package drill

import (
	"fmt"
	"slices"
	"time"

	"slotmesh/node/e2e/harness"
)

// Shard is one shard of a cluster under load.
type Shard struct {
	// Slot is where Writer writes.
	Slot   int
	Writer *Writer
}

// Load is a Writer on every shard of a cluster.
type Load struct {
	Cluster *harness.Cluster
	Shards  []Shard

	r harness.Reporter
}

// StartLoad starts a Writer on the first slot of every primary and waits until
// each has been acknowledged a write.
func StartLoad(r harness.Reporter, c *harness.Cluster) *Load {
	r.Helper()
	tags := harness.Tags()
	l := &Load{Cluster: c, r: r}
	for i, p := range c.Primaries() {
		slot := c.View(p).Self().Slots[0].First
		// Start with the owner, then the others in order.
		addrs := c.Addrs()
		at := slices.Index(addrs, p.Addr())
		addrs = append(slices.Clone(addrs[at:]), addrs[:at]...)
		w := StartWriter(fmt.Sprintf("w%d", i), tags[slot], addrs...)
		r.Cleanup(w.Stop)
		l.Shards = append(l.Shards, Shard{Slot: slot, Writer: w})
	}
	l.WaitFlowing(time.Now())
	return l
}

// WaitFlowing waits until every Writer was acknowledged a write sent after t.
func (l *Load) WaitFlowing(t time.Time) {
	l.r.Helper()
	harness.Await(l.r, time.Minute, "writes are accepted on every shard", func() string {
		for i, s := range l.Shards {
			if _, ok := s.Writer.FirstSentAfter(t, ""); !ok {
				missing := fmt.Sprintf("none yet on shard %d", i)
				if refusals := s.Writer.Refusals(); len(refusals) > 0 {
					last := refusals[len(refusals)-1]
					missing += fmt.Sprintf(", last refused by %s: %s", last.Addr, last.Text)
				}
				return missing
			}
		}
		return ""
	})
}

// Stop ends the Writers.
func (l *Load) Stop() {
	for _, s := range l.Shards {
		s.Writer.Stop()
	}
}

// OtherGap returns the longest interruption between from and to on the shards
// but the one at index.
func (l *Load) OtherGap(index int, from, to time.Time) time.Duration {
	longest := time.Duration(0)
	for i, s := range l.Shards {
		if i != index {
			longest = max(longest, s.Writer.Gap(from, to))
		}
	}
	return longest
}

// Lost returns how many acknowledged writes the cluster does not hold, and one
// of them in words.
func (l *Load) Lost() (count int, example string, err error) {
	for i, s := range l.Shards {
		lost, err := Lost(l.Cluster, s.Slot, s.Writer)
		if err != nil {
			return 0, "", err
		}
		count += len(lost)
		if len(lost) > 0 && example == "" {
			example = fmt.Sprintf("shard %d: %s, acknowledged by %s", i, s.Writer.Key(lost[0].Seq), lost[0].Addr)
		}
	}
	return count, example, nil
}

// Round is what one kill -9 of a primary cost.
type Round struct {
	Killed string
	// ToAccepted is the time from the kill to the acknowledgement of the first
	// write sent after it on the primary's slots.
	ToAccepted time.Duration
	// OtherGap is the longest time that another shard went without an
	// acknowledgement, from the kill to one second after the failover.
	OtherGap time.Duration
}

// aftermath is how long after a failover the other shards are still watched.
const aftermath = time.Second

// KillRound kills the primary of shard index, waits until its slots are
// written to again, and brings the killed node back.
func (l *Load) KillRound(index int, timeout time.Duration) Round {
	l.r.Helper()
	shard := l.Shards[index]
	victim := l.owner(shard.Slot)
	l.WaitFlowing(time.Now())
	killed := time.Now()
	victim.Kill()
	var first Ack
	harness.Await(l.r, timeout, "a write is accepted after "+victim.Name+" was killed", func() string {
		ack, ok := shard.Writer.FirstSentAfter(killed, victim.Addr())
		if !ok {
			return "none was"
		}
		first = ack
		return ""
	})
	// The other shards may notice later than the one concerned.
	end := first.Acked.Add(aftermath)
	time.Sleep(time.Until(end))
	round := Round{Killed: victim.Name, ToAccepted: first.Acked.Sub(killed), OtherGap: l.OtherGap(index, killed, end)}
	victim.Restart()
	l.Cluster.WaitOK(time.Minute)
	return round
}

func (l *Load) owner(slot int) *harness.Process {
	l.r.Helper()
	var owner *harness.Process
	harness.Await(l.r, 10*time.Second, fmt.Sprintf("slot %d has one owner", slot), func() string {
		if owner = l.Cluster.Owner(slot); owner == nil {
			return "none or several"
		}
		return ""
	})
	return owner
}

// ManualFailover asks a replica of shard index to take over and returns how
// long its slots went without an acknowledgement, and the new primary.
func (l *Load) ManualFailover(index int, timeout time.Duration) (time.Duration, *harness.Process) {
	l.r.Helper()
	shard := l.Shards[index]
	primary := l.owner(shard.Slot)
	replicas := l.Cluster.ReplicasOf(primary)
	if len(replicas) == 0 {
		l.r.Fatalf("%s has no replica to fail over to", primary.Name)
	}
	var asked time.Time
	for attempt := 1; ; attempt++ {
		l.WaitFlowing(time.Now())
		asked = time.Now()
		replicas[0].Do("CLUSTER", "FAILOVER")
		missing := harness.Poll(timeout, func() string {
			if ack, ok := lastAck(shard.Writer); ok && ack.Addr == replicas[0].Addr() {
				return ""
			}
			return "it has acknowledged no write"
		})
		if missing == "" {
			break
		}
		// The reference at times lets a manual failover time out when another
		// shard's was a moment ago; asked again it obeys.
		if !l.Cluster.Rig().Server().Reference || attempt == 3 {
			l.r.Fatalf("%s does not take over within %v: %s", replicas[0].Name, timeout, missing)
		}
		l.r.Logf("%s did not take over within %v: asking again", replicas[0].Name, timeout)
	}
	end := time.Now().Add(300 * time.Millisecond)
	time.Sleep(time.Until(end))
	gap := shard.Writer.Gap(asked, end)
	l.Cluster.WaitOK(30 * time.Second)
	return gap, replicas[0]
}

func lastAck(w *Writer) (Ack, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.acks) == 0 {
		return Ack{}, false
	}
	return w.acks[len(w.acks)-1], true
}

// Roles returns who is primary of what and the greatest epoch known, in a form
// that differs after a failover.
func Roles(c *harness.Cluster) (string, error) {
	seed := c.Seed()
	view, err := harness.TryView(seed)
	if err != nil {
		return "", err
	}
	reply, err := seed.TryDo(2*time.Second, "CLUSTER", "INFO")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("epoch %s, %s", harness.Fields(reply.Text)["cluster_current_epoch"], view.Signature()), nil
}
