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
	offset   int64
	replicas int
	fn       func(acknowledged int, deposed bool)
	timer    *time.Timer
}

// Acknowledged returns how many replicas are online and have acknowledged
// offset.
func (p *Primary) Acknowledged(offset int64) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acknowledged(offset)
}

func (p *Primary) acknowledged(offset int64) int {
	n := 0
	for _, f := range p.feeds {
		if ReplicaState(f.state.Load()) == StateOnline && f.acked.Load() >= offset {
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
	w := &ackWaiter{offset: offset, replicas: replicas, fn: fn}
	p.mu.Lock()
	if n := p.acknowledged(offset); n >= replicas {
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
	ask := len(p.feeds) > 0 && p.acks.asked < offset || p.acks.asked > p.journal.Offset()
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
		w.fn(p.Acknowledged(w.offset), deposed)
	}
}

// acked tells waiters of a new acknowledgement.
func (p *Primary) acked(*feed) {
	p.mu.Lock()
	var due []*ackWaiter
	for w := range p.acks.waiters {
		if p.acknowledged(w.offset) >= w.replicas {
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
