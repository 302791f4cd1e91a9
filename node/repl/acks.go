package repl

import "time"

// acks are the clients that wait for replicas to acknowledge. Guarded by
// Primary.mu.
type acks struct {
	waiters map[*ackWaiter]struct{}
	// asked is the offset after the last GETACK of this stream.
	asked int64
}

type ackWaiter struct {
	acknowledgement
	replicas int
	fn       func(acknowledged int, deposed bool)
	timer    *time.Timer
}

// acknowledgement is what replicas can say: that they have everything up to an
// offset, or have it on their disks.
type acknowledgement struct {
	offset  int64
	lasting bool
}

// by reports whether a replica has acknowledged.
func (a acknowledgement) by(f *feed) bool {
	if ReplicaState(f.state.Load()) != StateOnline {
		return false
	}
	if a.lasting {
		return f.fsynced.Load() >= a.offset
	}
	return f.acked.Load() >= a.offset
}

// Acknowledged returns how many replicas are online and have acknowledged
// offset.
func (p *Primary) Acknowledged(offset int64) int {
	return p.count(acknowledgement{offset: offset})
}

// Lasting returns how many replicas are online and have everything up to offset
// on their disks.
func (p *Primary) Lasting(offset int64) int {
	return p.count(acknowledgement{offset, true})
}

func (p *Primary) count(a acknowledgement) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acknowledged(a)
}

func (p *Primary) acknowledged(a acknowledgement) int {
	n := 0
	for _, f := range p.feeds {
		if a.by(f) {
			n++
		}
	}
	return n
}

// Wait calls fn once, from any goroutine, when that many replicas have
// acknowledged offset, when timeout (0: none) is over, or, with deposed true,
// when this node has stopped being a primary. Replicas are asked to acknowledge
// at once. After cancel returned true fn will not be called.
func (p *Primary) Wait(offset int64, replicas int, timeout time.Duration, fn func(acknowledged int, deposed bool)) (cancel func() bool) {
	return p.wait(acknowledgement{offset: offset}, replicas, timeout, fn)
}

// WaitLasting is Wait for replicas that have everything up to offset on their
// disks.
func (p *Primary) WaitLasting(offset int64, replicas int, timeout time.Duration, fn func(lasting int, deposed bool)) (cancel func() bool) {
	return p.wait(acknowledgement{offset, true}, replicas, timeout, fn)
}

func (p *Primary) wait(a acknowledgement, replicas int, timeout time.Duration, fn func(int, bool)) (cancel func() bool) {
	w := &ackWaiter{acknowledgement: a, replicas: replicas, fn: fn}
	p.mu.Lock()
	if n := p.acknowledged(a); n >= replicas {
		p.mu.Unlock()
		fn(n, false)
		return func() bool { return false }
	}
	if p.acks.waiters == nil {
		p.acks.waiters = make(map[*ackWaiter]struct{})
	}
	p.acks.waiters[w] = struct{}{}
	if timeout > 0 {
		w.timer = time.AfterFunc(timeout, func() { p.settle(w, false) })
	}
	ask := len(p.feeds) > 0 && p.acks.asked < a.offset || p.acks.asked > p.journal.Offset()
	if ask {
		// One question serves everybody who waits for an offset before it.
		p.acks.asked = p.control("REPLCONF", "GETACK", "*")
	}
	p.mu.Unlock()
	return func() bool { return p.forget(w) }
}

// forget takes w out; false means that it was out.
func (p *Primary) forget(w *ackWaiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, waiting := p.acks.waiters[w]
	delete(p.acks.waiters, w)
	if w.timer != nil {
		w.timer.Stop()
	}
	return waiting
}

// settle ends w with what is acknowledged now.
func (p *Primary) settle(w *ackWaiter, deposed bool) {
	if p.forget(w) {
		w.fn(p.count(w.acknowledgement), deposed)
	}
}

// acked tells waiters of a new acknowledgement.
func (p *Primary) acked(*feed) {
	p.mu.Lock()
	var due []*ackWaiter
	for w := range p.acks.waiters {
		if p.acknowledged(w.acknowledgement) >= w.replicas {
			due = append(due, w)
		}
	}
	p.mu.Unlock()
	for _, w := range due {
		p.settle(w, false)
	}
}

// Depose ends every wait: this node is no longer a primary.
func (p *Primary) Depose() {
	p.mu.Lock()
	var all []*ackWaiter
	for w := range p.acks.waiters {
		all = append(all, w)
	}
	p.mu.Unlock()
	for _, w := range all {
		p.settle(w, true)
	}
}
