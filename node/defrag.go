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
	// thresholds say: who sets a limit means the memory of the process. With twice
	// that the effort is the greatest.
	defragShare = 32
)

// defragNeed is what says how much should be done: bytes, and the active-defrag-*
// directives.
type defragNeed struct {
	// excess are the bytes of pages that the blocks would not need if they stood
	// close together, used those in blocks, limit is maxmemory.
	excess, used, limit int64
	// ignore is in bytes, lower and upper are percentages of used, least and most of
	// a processor.
	ignore, lower, upper, least, most int64
}

// effort is the share of a processor that defragmentation should take, in percent: 0
// if there is too little to gain. Where maxmemory is set, its own share is another
// reason, and the greater of the two efforts is due.
func (d *defragNeed) effort() (effort int64) {
	if share := d.excess * 100 / max(d.used, 1); d.excess >= d.ignore && share >= d.lower {
		effort = d.between(share, d.lower, d.upper)
	}
	if bearable := d.limit / defragShare; bearable > 0 && d.excess >= bearable {
		effort = max(effort, d.between(d.excess, bearable, 2*bearable))
	}
	return effort
}

// between grows from least to most while at goes from lower to upper.
func (d *defragNeed) between(at, lower, upper int64) int64 {
	if upper <= lower {
		return d.most
	}
	return min(d.least+max(d.most-d.least, 0)*max(at-lower, 0)/(upper-lower), max(d.most, d.least))
}

// defragNeed looks at the memory and the directives.
func (n *Node) defragNeed() defragNeed {
	value := func(name string) int64 { return n.cfg.Int(name).Load() }
	m := n.store.Memory()
	return defragNeed{
		excess: m.Excess(), used: m.Used(), limit: value("maxmemory"), ignore: value("active-defrag-ignore-bytes"),
		lower: value("active-defrag-threshold-lower"), upper: value("active-defrag-threshold-upper"),
		least: value("active-defrag-cycle-min"), most: value("active-defrag-cycle-max"),
	}
}

// gained reports whether a walk that began with that much excess was worth its while.
// Where blocks come and go all the time, what it has given back is soon in excess
// again; but it moved much.
func gained(excess, left, moved int64) bool { return max(excess-left, moved) >= excess/defragGain }

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
		if need := n.defragNeed(); n.cfg.Bool("activedefrag").Load() && need.effort() > 0 {
			moved, stopped := n.defragWalk(need.effort())
			if stopped {
				return
			}
			if !gained(need.excess, n.store.Memory().Excess(), moved) {
				pause = defragRest
			}
		}
		timer.Reset(pause)
	}
}

// defragWalk walks over the keyspace once, with the effort that is due, and returns
// how many bytes it moved, about, and whether the node stops.
func (n *Node) defragWalk(effort int64) (moved int64, stopped bool) {
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
		if !more || !n.cfg.Bool("activedefrag").Load() {
			break
		}
		need := n.defragNeed()
		if effort = need.effort(); effort == 0 {
			effort = need.least
		}
		timer.Reset(busyPace - turn)
		select {
		case <-n.stopping:
			return before.Bytes, true
		case <-timer.C:
		}
	}
	return before.Bytes, false
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
