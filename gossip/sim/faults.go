package sim

import "time"

// fault is something that is wrong for a while.
type fault struct {
	name  string
	hosts []*host
	undo  func()
	over  bool
}

// begin puts a fault in force for d.
func (w *world) beginFault(name string, d time.Duration, undo func(), hosts ...*host) {
	f := &fault{name: name, hosts: hosts, undo: undo}
	w.stats.Faults.add(name)
	if w.tracing {
		names := ""
		for _, h := range hosts {
			names += " " + h.name()
		}
		w.tracef("fault %s for %v:%s", name, d.Round(time.Millisecond), names)
	}
	for _, h := range hosts {
		h.faults++
	}
	for _, other := range w.faults {
		if !other.over {
			w.stats.Overlapping++
			break
		}
	}
	live := w.faults[:0]
	for _, other := range w.faults {
		if !other.over {
			live = append(live, other)
		}
	}
	w.faults = append(live, f)
	w.after(d, func() { w.stopFault(f) })
}

func (w *world) stopFault(f *fault) {
	if f.over {
		return
	}
	w.tracef("fault %s is over", f.name)
	f.stop()
	w.flushStalled()
}

func (f *fault) stop() {
	if f.over {
		return
	}
	f.over = true
	f.undo()
	for _, h := range f.hosts {
		h.faults--
		h.faultEnded = max(h.faultEnded, h.w.now)
	}
}

// faultNames are all faults that nextFault draws.
var faultNames = []string{
	"crash", "crash-losing-writes", "vanish", "empty-restart", "crash-after-save", "pause", "partition",
	"isolation", "one-way", "reject", "loss", "slow-network", "slow-disk",
}

// nextFault draws the next fault and when the one after it comes.
func (w *world) nextFault() {
	if !w.war {
		return
	}
	d := w.spread(200*time.Millisecond, 2*time.Second)
	if w.rng.IntN(3) == 0 {
		d = w.spread(time.Second, 9*time.Second)
	}
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	if w.rng.IntN(2) == 0 {
		// Half of the faults look for a primary that serves.
		for range 8 {
			if h.own != 0 {
				break
			}
			h = w.hosts[w.rng.IntN(len(w.hosts))]
		}
	}
	switch w.rng.IntN(13) {
	case 0, 1:
		w.crashFault("crash", h, d, restartWhole, false)
	case 2:
		w.crashFault("crash-losing-writes", h, w.spread(100*time.Millisecond, 3*time.Second), restartTruncated, false)
	case 3:
		w.crashFault("vanish", h, d, restartWhole, true)
	case 4:
		w.crashFault("empty-restart", h, w.spread(50*time.Millisecond, 400*time.Millisecond), restartEmpty, false)
	case 5:
		w.crashAfterSave(h)
	case 6, 7:
		w.pauseFault(h, d)
	case 8:
		w.partition(d)
	case 9:
		w.isolate(h, d)
	case 10:
		w.oneWay(h, d)
	case 11:
		w.reject(h, d)
	default:
		w.degrade(h, d)
	}
	w.after(w.spread(300*time.Millisecond, 2800*time.Millisecond), w.nextFault)
}

// canFall reports whether h may stop now: mostly only a minority of the serving
// primaries are down at a time, else nothing can be promoted and little is seen.
func (w *world) canFall(h *host) bool {
	if !h.running || h.paused {
		return false
	}
	if h.own == 0 || w.rng.IntN(6) == 0 {
		return true
	}
	down := 0
	for _, f := range w.faults {
		if !f.over && (f.name == "pause" || f.name == "crash" || f.name == "vanish") {
			down++
		}
	}
	return down < (w.primaries-1)/2
}

func (w *world) crashFault(name string, h *host, d time.Duration, kind restart, vanish bool) {
	if !w.canFall(h) {
		return
	}
	if kind == restartEmpty && h.data.length > 0 && h.view != nil && !h.view.Self.IsReplica {
		w.stats.EmptyRestarts++
	}
	h.crash(vanish)
	w.beginFault(name, d, func() {
		if !h.running {
			h.restore(kind)
			h.boot()
		}
	}, h)
}

// crashAfterSave arms a crash between the next Save and what was to follow it.
func (w *world) crashAfterSave(h *host) {
	if !w.canFall(h) {
		return
	}
	h.dieAfterSave = true
	w.beginFault("crash-after-save", w.spread(time.Second, 6*time.Second), func() {
		h.dieAfterSave = false
		if !h.running {
			h.restore(restartWhole)
			h.boot()
		}
	}, h)
}

func (w *world) pauseFault(h *host, d time.Duration) {
	if !w.canFall(h) {
		return
	}
	h.pause()
	w.beginFault("pause", d, h.resume, h)
}

// cut swallows what a sends to b for as long as the returned function is not
// called.
func (w *world) cut(a, b *host) (undo func()) {
	w.net.cut[a.index][b.index]++
	return func() { w.net.cut[a.index][b.index]-- }
}

func undoAll(undo []func()) func() {
	return func() {
		for _, fn := range undo {
			fn()
		}
	}
}

// partition splits the hosts in two that hear nothing of each other.
func (w *world) partition(d time.Duration) {
	var left, right []*host
	for _, h := range w.hosts {
		if w.rng.IntN(3) == 0 {
			left = append(left, h)
		} else {
			right = append(right, h)
		}
	}
	var undo []func()
	for _, a := range left {
		for _, b := range right {
			undo = append(undo, w.cut(a, b), w.cut(b, a))
		}
	}
	w.beginFault("partition", d, undoAll(undo), w.hosts...)
}

// isolate cuts one host off.
func (w *world) isolate(h *host, d time.Duration) {
	var undo []func()
	for _, other := range w.hosts {
		if other != h {
			undo = append(undo, w.cut(h, other), w.cut(other, h))
		}
	}
	w.beginFault("isolation", d, undoAll(undo), h)
}

// oneWay makes one host deaf, or dumb, towards some or all.
func (w *world) oneWay(h *host, d time.Duration) {
	deaf := w.rng.IntN(2) == 0
	share := 1 + w.rng.IntN(3)
	var undo []func()
	for _, other := range w.hosts {
		if other == h || w.rng.IntN(3) >= share {
			continue
		}
		if deaf {
			undo = append(undo, w.cut(other, h))
		} else {
			undo = append(undo, w.cut(h, other))
		}
	}
	w.beginFault("one-way", d, undoAll(undo), w.hosts...)
}

// reject answers what h and some or all others send each other with a reset,
// as a firewall's REJECT rule does.
func (w *world) reject(h *host, d time.Duration) {
	share := 1 + w.rng.IntN(3)
	var undo []func()
	for _, other := range w.hosts {
		if other == h || w.rng.IntN(3) >= share {
			continue
		}
		a, b := h.index, other.index
		w.net.refuse[a][b]++
		w.net.refuse[b][a]++
		w.breakLink(a, b, false)
		w.breakLink(b, a, false)
		undo = append(undo, func() { w.net.refuse[a][b]--; w.net.refuse[b][a]-- })
	}
	w.beginFault("reject", d, undoAll(undo), w.hosts...)
}

// degrade makes the packets or the disk of a host, or of all, bad.
func (w *world) degrade(h *host, d time.Duration) {
	touched := []*host{h}
	if w.rng.IntN(3) == 0 {
		touched = w.hosts
	}
	change := func(field func(*host) *int8) {
		for _, h := range touched {
			*field(h)++
		}
	}
	names := []string{"loss", "slow-network", "slow-disk"}
	fields := []func(*host) *int8{
		func(h *host) *int8 { return &w.net.lossy[h.index] },
		func(h *host) *int8 { return &w.net.slow[h.index] },
		func(h *host) *int8 { return &h.slowDisk },
	}
	which := w.rng.IntN(len(names))
	change(fields[which])
	w.beginFault(names[which], d, func() {
		for _, h := range touched {
			*fields[which](h)--
		}
	}, touched...)
}
