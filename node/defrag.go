package node

import (
	"runtime"
	"sync/atomic"
	"time"

	"slotmesh/node/store"
)

// defrag is the state of active defragmentation: blocks are moved out of pages
// that hold few, so that these go back to the system.
type defrag struct {
	// effort is the share of a processor that it takes now, in percent; 0 while
	// nothing is moved.
	effort atomic.Int64
	// begun is when the walk under way began, Unix nanoseconds, 0 for none; spent
	// is how long all the walks before took.
	begun, spent atomic.Int64

	hits, misses, keyHits, keyMisses atomic.Int64
}

const (
	// defragRest is how long it rests after a walk that gave hardly anything back.
	defragRest = time.Minute
	// defragGain is the part of the excess that a walk is to give back.
	defragGain = 16
	// defragShare is the part of maxmemory that may be in sparse pages, whatever the
	// thresholds say: who sets a limit means the memory of the process.
	defragShare = 32
)

// defragEffort says what share of a processor defragmentation should take, in
// percent, as active-defrag-* say: 0 if there is too little to gain. What there is
// to gain are the bytes of pages that the blocks would not need if they stood
// close together; the percentages are of the bytes in blocks.
func (n *Node) defragEffort() (effort, excess int64) {
	if !n.cfg.Bool("activedefrag").Load() {
		return 0, 0
	}
	value := func(name string) int64 { return n.cfg.Int(name).Load() }
	m := n.store.Memory()
	excess = m.Excess()
	lower, upper := value("active-defrag-threshold-lower"), value("active-defrag-threshold-upper")
	share := excess * 100 / max(m.Used(), 1)
	limit := value("maxmemory")
	if (excess < value("active-defrag-ignore-bytes") || share < lower) && (limit == 0 || excess < limit/defragShare) {
		return 0, excess
	}
	low, high := value("active-defrag-cycle-min"), value("active-defrag-cycle-max")
	if upper > lower {
		return min(low+max(high-low, 0)*max(share-lower, 0)/(upper-lower), max(high, low)), excess
	}
	return high, excess
}

// defragment walks over the keyspace whenever there is enough to gain.
func (n *Node) defragment() {
	timer := time.NewTimer(idlePace)
	defer timer.Stop()
	for {
		select {
		case <-n.stopping:
			return
		case <-timer.C:
		}
		pause := idlePace
		if effort, excess := n.defragEffort(); effort > 0 {
			if !n.defragWalk(effort) {
				return
			}
			if left := n.store.Memory().Excess(); left > excess-excess/defragGain {
				pause = defragRest
			}
		}
		timer.Reset(pause)
	}
}

// defragWalk walks over the keyspace once, with the effort that is due, and
// reports false if the node stops.
func (n *Node) defragWalk(effort int64) bool {
	d := &n.defrag
	begun := time.Now()
	d.begun.Store(begun.UnixNano())
	defer func() {
		d.spent.Add(int64(time.Since(begun)))
		d.begun.Store(0)
		d.effort.Store(0)
	}()
	walk := n.store.Compaction()
	var before store.CompactionCounts
	timer := time.NewTimer(busyPace)
	defer timer.Stop()
	for more := true; more; {
		d.effort.Store(effort)
		turn := busyPace * time.Duration(effort) / 100
		for started := time.Now(); more && time.Since(started) < turn; {
			more = n.engine.Compact(walk)
			runtime.Gosched()
		}
		now := walk.Counts()
		d.hits.Add(now.Hits - before.Hits)
		d.misses.Add(now.Misses - before.Misses)
		d.keyHits.Add(now.KeyHits - before.KeyHits)
		d.keyMisses.Add(now.KeyMisses - before.KeyMisses)
		before = now
		if !more {
			break
		}
		if !n.cfg.Bool("activedefrag").Load() {
			return true
		}
		if due, _ := n.defragEffort(); due > 0 {
			effort = due
		} else {
			effort = n.cfg.Int("active-defrag-cycle-min").Load()
		}
		timer.Reset(busyPace - turn)
		select {
		case <-n.stopping:
			return false
		case <-timer.C:
		}
	}
	return true
}

// resetStats zeroes what INFO counts.
func (d *defrag) resetStats() {
	for _, count := range []*atomic.Int64{&d.hits, &d.misses, &d.keyHits, &d.keyMisses, &d.spent} {
		count.Store(0)
	}
}

// times returns how long walks took in all, and how long the one under way does.
func (d *defrag) times(now time.Time) (total, current time.Duration) {
	if begun := d.begun.Load(); begun != 0 {
		current = max(now.Sub(time.Unix(0, begun)), 0)
	}
	return time.Duration(d.spent.Load()) + current, current
}
