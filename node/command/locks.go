package command

import (
	"sync"
	"sync/atomic"

	"slotmesh/slots"
)

// slotLocks is one small lock for each slot. A free lock is taken by one
// compare-and-swap. Whoever finds it taken may wait in its queue.
//
// The holder frees the lock and calls the first waiter, which then has to come
// and claim it. Until it does, newcomers may take the lock: a wake-up takes a
// hundred times as long as a command, and a hot slot that stood still for each
// would be slow for everybody. A waiter that came in vain once gets the lock
// handed over the next time it is let go: it owns it from the moment it is
// called, and nobody slips in between. So a waiter is overtaken during one
// wake-up at most, and waiters among themselves are served first come, first
// served.
//
// Invariant: while the queue is not empty, lockQueued is set, and the lock is
// held or the first waiter has been called.
//
// The words that every command writes lie together, apart from the queues that
// hardly any looks at: 64 KiB stay in a processor's cache where 512 do not.
type slotLocks struct {
	states [slots.Count]lockState
	queues [slots.Count]lockQueue
}

// lockState says whether a lock is held and whether its queue must be looked at
// on unlocking. lockQueued is set under the queue's mu only.
type lockState struct{ atomic.Uint32 }

// lockQueue is who waits for a lock.
type lockQueue struct {
	mu sync.Mutex
	// head and tail are guarded by mu.
	head, tail *waiter
}

// slotLock is one lock, put together.
type slotLock struct {
	state *lockState
	*lockQueue
}

func (l *slotLocks) at(slot slots.Slot) slotLock {
	return slotLock{&l.states[slot], &l.queues[slot]}
}

const (
	lockHeld   = 1
	lockQueued = 2
)

// waiter is a place in the queue of one lock. It is part of who waits, so that
// waiting does not allocate. All but granted is guarded by the lock's mu.
type waiter struct {
	next *waiter
	// granted is called by the goroutine that lets go. It must not block; the
	// waiter shall call claim.
	granted func()
	// called is set from that call to the claim, owns if the lock was handed
	// over, vain after a claim that failed.
	called, owns, vain bool
}

// spins is how often a taken lock is looked at before its queue is entered:
// about as long as a short command holds it.
const spins = 60

// tryLock takes the lock of slot if it is free, or gets free very soon.
func (l *slotLocks) tryLock(slot slots.Slot) bool {
	state := &l.states[slot]
	for range spins {
		if state.take() {
			return true
		}
	}
	return false
}

// take takes the lock if it is free.
func (s *lockState) take() bool {
	state := s.Load()
	return state&lockHeld == 0 && s.CompareAndSwap(state, state|lockHeld)
}

// lockOrQueue takes the lock of slot and returns true, or puts w at the end of
// its queue and returns false.
func (l *slotLocks) lockOrQueue(slot slots.Slot, w *waiter) bool {
	if l.tryLock(slot) {
		return true
	}
	lock := l.at(slot)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	for {
		if lock.state.take() {
			return true
		}
		// Held. Marking the queue fails only if the holder let go just now.
		state := lock.state.Load()
		if state&lockHeld != 0 && lock.state.CompareAndSwap(state, state|lockQueued) {
			break
		}
	}
	w.next, w.called, w.owns, w.vain = nil, false, false, false
	if lock.tail == nil {
		lock.head = w
	} else {
		lock.tail.next = w
	}
	lock.tail = w
	return false
}

// claim is what a waiter does after granted was called: it has the lock when
// this returns true, and goes on waiting otherwise.
func (l *slotLocks) claim(slot slots.Slot, w *waiter) bool {
	lock := l.at(slot)
	lock.mu.Lock()
	defer lock.mu.Unlock()
	if w.owns {
		w.owns = false
		return true
	}
	w.called = false
	for lock.state.Load()&lockHeld == 0 {
		if lock.state.take() {
			lock.pop()
			return true
		}
	}
	// The holder will find vain set, for it needs mu to let go.
	w.vain = true
	return false
}

// pop takes the first waiter out of the queue. The caller has mu and the lock.
func (lock slotLock) pop() {
	w := lock.head
	lock.head = w.next
	if lock.head == nil {
		lock.tail = nil
		lock.state.Store(lockHeld)
	}
	w.next = nil
}

// lock takes the lock of slot and blocks the goroutine until it has it.
func (l *slotLocks) lock(slot slots.Slot) {
	if l.tryLock(slot) {
		return
	}
	granted := make(chan struct{}, 1)
	w := waiter{granted: func() { granted <- struct{}{} }}
	if l.lockOrQueue(slot, &w) {
		return
	}
	<-granted
	for !l.claim(slot, &w) {
		<-granted
	}
}

// unlock frees the lock of slot and calls the first in its queue, or hands it
// over.
func (l *slotLocks) unlock(slot slots.Slot) {
	if !l.states[slot].CompareAndSwap(lockHeld, 0) {
		l.unlockQueued(slot)
	}
}

// unlockQueued is unlock where the queue must be looked at.
func (l *slotLocks) unlockQueued(slot slots.Slot) {
	lock := l.at(slot)
	lock.mu.Lock()
	w := lock.head
	var call func()
	switch {
	case w == nil: // all who waited have left
		lock.state.Store(0)
	case w.vain:
		lock.pop()
		w.owns = true
		call = w.granted
	default:
		call = lock.callFirst()
		lock.state.Store(lockQueued)
	}
	lock.mu.Unlock()
	if call != nil {
		call()
	}
}

// callFirst returns the function that calls the first waiter, or nil if there
// is none or it has been called. The caller has mu, and calls it without.
func (lock slotLock) callFirst() func() {
	if lock.head == nil || lock.head.called {
		return nil
	}
	lock.head.called = true
	return lock.head.granted
}

// leave takes w, which waits, out of the queue of slot. If the lock was handed
// to it meanwhile, it is passed on.
func (l *slotLocks) leave(slot slots.Slot, w *waiter) {
	lock := l.at(slot)
	lock.mu.Lock()
	if w.owns {
		w.owns = false
		lock.mu.Unlock()
		l.unlock(slot)
		return
	}
	var before *waiter
	for at := lock.head; at != w; at = at.next {
		before = at
	}
	if before == nil {
		lock.head = w.next
	} else {
		before.next = w.next
	}
	if lock.tail == w {
		lock.tail = before
	}
	w.next = nil
	// If the lock is free, it was w that had been called: the next one is now.
	// If it is held, its holder calls, or finds the queue empty.
	var call func()
	if lock.state.Load()&lockHeld == 0 {
		if lock.head != nil {
			call = lock.callFirst()
		} else {
			lock.state.CompareAndSwap(lockQueued, 0)
		}
	}
	lock.mu.Unlock()
	if call != nil {
		call()
	}
}

// gate is what whole-keyspace work closes. Every command passes the lane of
// its event loop, which nobody else writes to while the gate is open, so that
// passing costs two uncontended atomic additions; closing takes all lanes.
//
// Order: nobody waits for a slot's lock inside a lane. So a closed gate waits
// only for commands that are running, or for the few of a pipeline that one loop
// passes through at once (Call.Stay).
type gate struct {
	closing sync.Mutex
	lanes   []lane
}

// lane has a cache line to itself, with the counters of its loop.
type lane struct {
	sync.RWMutex
	counters
	_ [64]byte
}

// close waits until no command runs and keeps new ones out.
func (g *gate) close() {
	g.closing.Lock()
	for i := range g.lanes {
		g.lanes[i].Lock()
	}
}

// tryClose is close if nobody is inside, and waits for nothing.
func (g *gate) tryClose() bool {
	if !g.closing.TryLock() {
		return false
	}
	for i := range g.lanes {
		if g.lanes[i].TryLock() {
			continue
		}
		for i > 0 {
			i--
			g.lanes[i].Unlock()
		}
		g.closing.Unlock()
		return false
	}
	return true
}

func (g *gate) open() {
	for i := range g.lanes {
		g.lanes[i].Unlock()
	}
	g.closing.Unlock()
}
