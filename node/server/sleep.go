package server

import (
	"time"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// Sleep implements command.Conn. It is Park for a call that waits for keys: who
// ends the waiting is decided by b, since a write that serves the client has
// taken something out of the keyspace and cannot come too late.
func (s *session) Sleep(b *command.Blocked, timeout time.Duration) command.Sleeper {
	p := &connPark{s: s, blocked: b, fenced: s.row != nil && s.row.keyed}
	s.conn = p
	if timeout > 0 {
		p.mu.Lock()
		p.timer = time.AfterFunc(timeout, p.timedOut)
		p.mu.Unlock()
	}
	return p
}

// Serving implements command.Sleeper: the reply belongs to the term of now.
func (p *connPark) Serving() {
	if p.fenced && p.s.srv.fence != nil {
		_, term := p.s.srv.fence.State()
		p.mu.Lock()
		p.term, p.served = term, true
		p.mu.Unlock()
	}
}

// Wake implements command.Sleeper.
func (p *connPark) Wake(reply func(*resp.Writer)) { p.wake(reply) }

// Refuse implements command.Sleeper.
func (p *connPark) Refuse(reply func(*resp.Writer)) {
	p.mu.Lock()
	p.refused = true
	p.mu.Unlock()
	p.wake(reply)
}

// timedOut is called by the timer.
func (p *connPark) timedOut() {
	if p.blocked.Withdraw() {
		p.end(p.blocked.TimedOut)
	}
}

// end wakes a client that was not served.
func (p *connPark) end(reply func(*resp.Writer)) {
	p.Serving()
	p.wake(reply)
}

// unblockSleeper is unblock for a client that waits for keys.
func (p *connPark) unblockSleeper(withError bool) bool {
	if !p.blocked.Withdraw() {
		return false
	}
	if withError {
		p.Refuse(func(w *resp.Writer) { w.Error(string(resp.ErrUnblocked)) })
	} else {
		p.end(p.blocked.TimedOut)
	}
	return true
}

// checkFence is called about once a second: who waits for keys learns that the
// cluster is down, as those do who come then.
func (p *connPark) checkFence() {
	if p.blocked == nil || !p.fenced || p.s.srv.fence == nil {
		return
	}
	if state, _ := p.s.srv.fence.State(); state == FenceDown && p.blocked.Withdraw() {
		p.Refuse(func(w *resp.Writer) { w.Error(string(resp.ErrClusterDown)) })
	}
}
