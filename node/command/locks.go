package command

import (
	"sync"
	"sync/atomic"

	"slotmesh/slots"
)

// slotLocks is one small lock for each slot. A free lock is taken by one
// compare-and-swap. Whoever finds it taken may wait in its queue, first come
// first served: the holder passes the lock on when it is done, so that the
// waiter owns it from the moment its granted function is called, and nobody
// slips in between.
//
// Invariant: a lock with a non-empty queue is held, by its holder or on behalf
// of the waiter that was granted it last.
type slotLocks [slots.Count]slotLock

// slotLock's state says whether it is held and whether its queue must be
// looked at on unlocking. The second bit is set under mu only.
type slotLock struct {
	state atomic.Uint32
	mu    sync.Mutex
	// head and tail are the queue, guarded by mu.
	head, tail *waiter
}

const (
	lockHeld   = 1
	lockQueued = 2
)

// waiter is a place in the queue of one lock. It is part of who waits, so that
// waiting does not allocate.
type waiter struct {
	next *waiter
	// granted is called once by the goroutine that passes the lock on. It must
	// not block.
	granted func()
	queued  bool
}

// spins is how often a taken lock is looked at before its queue is entered:
// about as long as a short command holds it.
const spins = 60

// tryLock takes the lock of slot if it is free, or gets free very soon.
func (l *slotLocks) tryLock(slot slots.Slot) bool {
	lock := &l[slot]
	if lock.state.CompareAndSwap(0, lockHeld) {
		return true
	}
	for range spins {
		if lock.state.Load() == 0 && lock.state.CompareAndSwap(0, lockHeld) {
			return true
		}
	}
	return false
}

// lockOrQueue takes the lock of slot and returns true, or puts w at the end of
// its queue and returns false.
func (l *slotLocks) lockOrQueue(slot slots.Slot, w *waiter) bool {
	if l.tryLock(slot) {
		return true
	}
	lock := &l[slot]
	lock.mu.Lock()
	defer lock.mu.Unlock()
	for {
		if lock.state.CompareAndSwap(0, lockHeld) {
			return true
		}
		// Held. Marking the queue fails only if the holder let go just now.
		if lock.state.CompareAndSwap(lockHeld, lockHeld|lockQueued) || lock.state.Load() == lockHeld|lockQueued {
			break
		}
	}
	w.next, w.queued = nil, true
	if lock.tail == nil {
		lock.head = w
	} else {
		lock.tail.next = w
	}
	lock.tail = w
	return false
}

// lock takes the lock of slot and blocks the goroutine until it has it.
func (l *slotLocks) lock(slot slots.Slot) {
	if l.tryLock(slot) {
		return
	}
	done := make(chan struct{})
	w := waiter{granted: func() { close(done) }}
	if !l.lockOrQueue(slot, &w) {
		<-done
	}
}

// unlock gives the lock of slot to the first in its queue, or frees it.
func (l *slotLocks) unlock(slot slots.Slot) {
	lock := &l[slot]
	if lock.state.CompareAndSwap(lockHeld, 0) {
		return
	}
	lock.mu.Lock()
	w := lock.head
	if w == nil { // all who waited have left
		lock.state.Store(0)
		lock.mu.Unlock()
		return
	}
	lock.head = w.next
	if lock.head == nil {
		lock.tail = nil
		lock.state.Store(lockHeld)
	}
	w.next, w.queued = nil, false
	granted := w.granted
	lock.mu.Unlock()
	granted()
}

// leave takes w out of the queue of slot. If w has been granted the lock
// meanwhile, the lock is passed on.
func (l *slotLocks) leave(slot slots.Slot, w *waiter) {
	lock := &l[slot]
	lock.mu.Lock()
	if !w.queued {
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
	w.next, w.queued = nil, false
	// The queued bit stays; unlock finds the queue empty and clears it.
	lock.mu.Unlock()
}

// gate is what whole-keyspace work closes. Every command passes the lane of
// its event loop, which nobody else writes to while the gate is open, so that
// passing costs two uncontended atomic additions; closing takes all lanes.
//
// Order: a slot's lock is taken before the lane, never while holding it. So a
// closed gate waits only for commands that are running.
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

func (g *gate) open() {
	for i := range g.lanes {
		g.lanes[i].Unlock()
	}
	g.closing.Unlock()
}
