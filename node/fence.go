package node

import (
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/gossip"
	"slotmesh/node/server"
)

// fence is the server's Fence in cluster mode: it says from the lease and the
// view whether requests may run and replies may leave.
//
// The fast path reads one word, openUntil, and the clock. Everything that is
// not "a primary under its lease, or a node that needs none" is decided in
// slow, from the fields below it.
type fence struct {
	now func() gossip.Instant

	// openUntil is the instant until which the fence is open for all, or 0
	// when the slow path must decide.
	openUntil atomic.Int64
	// served is set whenever somebody asks, and cleared by whoever wants to know
	// whether somebody did.
	served atomic.Bool
	// term counts how often this node was deposed.
	term atomic.Uint64

	mu      sync.Mutex
	lease   gossip.Instant
	timeout time.Duration
	posture posture
	// heldSince is when the fence closed without a lease having ended
	// (posture waiting); with a lease it is the lease's end.
	heldSince gossip.Instant
	// suspended is true while the slot table is being swapped.
	suspended bool
	// announced and announcedTerm are what those in waiting were told.
	announced     server.FenceState
	announcedTerm uint64
	waiting       []func()
}

// posture is what the view makes of this node.
type posture uint8

const (
	// postureFree needs no lease: a replica, or a primary without slots.
	postureFree posture = iota
	// postureLeased is a primary with slots.
	postureLeased
	// postureDraining is a primary that hands over: replies may leave under
	// the lease, new writes wait.
	postureDraining
	// postureWaiting is a primary that must not serve yet.
	postureWaiting
)

func newFence(now func() gossip.Instant, timeout time.Duration) *fence {
	f := &fence{now: now, timeout: timeout}
	f.publish()
	return f
}

// State implements server.Fence.
func (f *fence) State() (server.FenceState, uint64) {
	term := f.term.Load()
	if !f.served.Load() {
		f.served.Store(true)
	}
	if int64(f.now()) < f.openUntil.Load() {
		return server.FenceOpen, term
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.slow(f.now()), f.term.Load()
}

// slow decides the state at now. The caller holds f.mu.
func (f *fence) slow(now gossip.Instant) server.FenceState {
	if f.suspended {
		return server.FenceHeld
	}
	since := f.lease
	switch f.posture {
	case postureFree:
		return server.FenceOpen
	case postureLeased:
		if now < f.lease {
			return server.FenceOpen
		}
	case postureDraining:
		if now < f.lease {
			return server.FenceWritesHeld
		}
	}
	if f.heldSince > since {
		since = f.heldSince
	}
	if now-since > f.timeout {
		return server.FenceDown
	}
	return server.FenceHeld
}

// Notify implements server.Fence.
func (f *fence) Notify(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, fn)
}

// suspend holds everything until the next set. Between the two the slot table
// is swapped: a request that finds the fence open finds the table that goes
// with it, or its reply finds the fence changed.
func (f *fence) suspend() {
	f.mu.Lock()
	f.suspended = true
	f.publish()
	f.mu.Unlock()
}

// set takes what the cluster state decided. deposed ends the term; rerouted
// says that the slot table changed, so that those who wait look at it again.
func (f *fence) set(lease gossip.Instant, p posture, timeout time.Duration, deposed, rerouted bool) {
	f.mu.Lock()
	if deposed {
		f.term.Add(1)
	}
	// A lease that is taken back, for a new slot must be granted anew, ends now
	// and not in the past: the wait for the next one has just begun.
	if lease < f.lease || p != f.posture && (p == postureWaiting || f.posture == postureFree) {
		f.heldSince = f.now()
	}
	f.lease, f.posture, f.timeout, f.suspended = lease, p, timeout, false
	f.publish()
	f.mu.Unlock()
	f.poll(rerouted)
}

// publish derives the fast path's word. The caller holds f.mu.
func (f *fence) publish() {
	switch {
	case f.suspended:
		f.openUntil.Store(0)
	case f.posture == postureFree:
		f.openUntil.Store(int64(gossip.Forever))
	case f.posture == postureLeased:
		f.openUntil.Store(int64(f.lease))
	default:
		f.openUntil.Store(0)
	}
}

// poll wakes those who wait unless they would only wait on: the fence is held,
// as they were told, under the same term. It is called after every set and
// tick, so that time alone ends a wait too.
func (f *fence) poll(force bool) {
	f.mu.Lock()
	state, term := f.slow(f.now()), f.term.Load()
	held := state == server.FenceHeld || state == server.FenceWritesHeld
	if !force && held && state == f.announced && term == f.announcedTerm {
		f.mu.Unlock()
		return
	}
	f.announced, f.announcedTerm = state, term
	waiting := f.waiting
	f.waiting = nil
	f.mu.Unlock()
	for _, wake := range waiting {
		wake()
	}
}
