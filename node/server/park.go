package server

import (
	"net"
	"runtime/debug"
	"sync"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// guard runs a piece of the session's work on its owner. A panic in it ends
// this session, with its stack in the log, and nothing else.
func (s *session) guard(work func(*session)) { s.protect(work, (*session).fail) }

// fail ends the session after a panic on its owner.
func (s *session) fail() {
	if s.parked != parkOffLoop {
		s.srv.engine.Recover(&s.call)
	}
	s.close()
}

// protect runs work; after a panic it runs failed instead of the rest.
func (s *session) protect(work, failed func(*session)) {
	defer func() {
		if cause := recover(); cause != nil {
			s.srv.counters.panics.Add(1)
			s.srv.log.Error("A command panicked; its connection is closed", "cause", cause, "client", s.remote, "id", s.id, "command", s.row.name(), "stack", string(debug.Stack()))
			failed(s)
		}
	}()
	work(s)
}

// offLoop is a request that runs on a goroutine of its own, because it may
// take long. The session is lent to that goroutine, which must not touch what
// the owner needs for the socket: it has a writer of its own.
type offLoop struct {
	reply resp.Writer
	// keyed, writes and term are the stamp of the reply; see session.stamp.
	keyed, writes bool
	term          uint64
	started       bool
	panicked      bool
	nanos         int64
}

// runOffLoop parks the session for a goroutine that endTurn starts.
func (s *session) runOffLoop() {
	off := &offLoop{reply: resp.Writer{Proto: s.out.Proto}}
	if s.srv.fence != nil {
		_, off.term = s.bench.fence(s.srv.fence)
		if s.tx != nil && s.tx.executing {
			off.keyed, off.writes = s.tx.keyed, s.tx.writes
		} else {
			off.keyed = s.row.keyed && s.row.spec.Flags&command.NoFence == 0
			off.writes = s.row.writes
		}
	}
	s.off = off
	// The goroutine has a lane of its own.
	s.srv.engine.Leave(&s.call)
	s.suspend(parkOffLoop)
}

// startOffLoop is the last thing of the turn in which runOffLoop was called.
func (s *session) startOffLoop() {
	off := s.off
	off.started = true
	c := &s.call
	c.Reply, c.Lane, c.Clock, c.OnLoop = &off.reply, s.srv.engine.Background(), 0, false
	s.srv.offLoop.Add(1)
	s.srv.offLoopCount.Add(1)
	go func() {
		defer s.srv.offLoop.Done()
		defer s.srv.offLoopCount.Add(-1)
		begun := s.srv.clock()
		s.protect(func(s *session) {
			if s.tx != nil && s.tx.executing {
				s.executeAllWait(c.Reply, c.Lane)
				return
			}
			s.srv.engine.ExecuteWait(c)
		}, func(*session) {
			s.srv.engine.Recover(c)
			off.panicked = true
		})
		off.nanos = s.srv.clock() - begun
		s.tr.post(s.returned)
	}()
}

// returned takes the session back from the goroutine that ran its request.
func (s *session) returned() {
	off := s.off
	s.off = nil
	s.call.Reply, s.call.Lane, s.call.OnLoop, s.call.Stay = &s.out, s.bench.lane, true, true
	if s.parked == parkGone {
		// The client left meanwhile; close had to leave the rest to us.
		if s.conn != nil {
			s.conn.abandon()
		}
		s.release()
		return
	}
	if off.panicked || s.doomed.Load() {
		if s.conn != nil {
			s.conn.abandon()
		}
		s.close()
		return
	}
	s.parked = running
	s.guard(func(s *session) {
		s.borrowOut()
		mark := len(s.out.Buf)
		if off.keyed {
			s.stamp(off.writes, off.term)
		}
		s.noteWrite()
		if len(s.out.Buf) == 0 && len(off.reply.Buf) > flushBytes {
			// To copy a large reply would take a loop too long.
			s.out.Buf, s.lent = off.reply.Buf, false
		} else {
			s.out.Buf = append(s.out.Buf, off.reply.Buf...)
		}
		s.out.Proto = off.reply.Proto
		s.bench.tally.ranOffLoop(s.row, off.nanos)
		if s.conn != nil {
			s.settleConn()
			return
		}
		if s.tx != nil && s.tx.executing {
			s.finishAll()
			s.conclude(mark, nil, false)
		} else {
			s.conclude(mark, s.call.Err, s.call.Rejected)
		}
		s.run()
	})
	s.endTurn()
}

// connPark is a call that parked itself through Conn.Park.
type connPark struct {
	s *session

	mu        sync.Mutex
	done      bool // woken or abandoned
	abandoned bool
	reply     func(*resp.Writer)
	cancel    func()

	// blocked is who decides when the call waits for keys, else nil. timer ends
	// that, and term is when it was served, if it was; see Sleep.
	blocked *command.Blocked
	timer   *time.Timer
	fenced  bool
	served  bool
	// refused is set when the reply tells nothing of the data.
	refused bool
	term    uint64
}

// Park implements command.Conn.
func (s *session) Park(start func(wake func(reply func(*resp.Writer))) (cancel func())) {
	p := &connPark{s: s}
	s.conn = p
	cancel := start(p.wake)
	p.mu.Lock()
	p.cancel = cancel
	late := p.abandoned
	p.mu.Unlock()
	if late && cancel != nil {
		cancel()
	}
}

// wake is given to the command. Only the first call counts.
func (p *connPark) wake(reply func(*resp.Writer)) {
	p.mu.Lock()
	if p.done {
		p.mu.Unlock()
		return
	}
	p.done, p.reply = true, reply
	p.stopTimer()
	p.mu.Unlock()
	p.s.tr.post(p.woken)
}

// stopTimer is called with mu.
func (p *connPark) stopTimer() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// unblock wakes the call as its timeout would, or with an error. It reports
// whether the call was still waiting. Any goroutine may call it.
func (p *connPark) unblock(withError bool) bool {
	if p.blocked != nil {
		return p.unblockSleeper(withError)
	}
	p.mu.Lock()
	if p.done {
		p.mu.Unlock()
		return false
	}
	p.done = true
	p.reply = (*resp.Writer).NullArray
	if withError {
		p.reply = func(w *resp.Writer) { w.Error(string(resp.ErrUnblocked)) }
	}
	cancel := p.cancel
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	p.s.tr.post(p.woken)
	return true
}

// abandon is for a client that has left.
func (p *connPark) abandon() {
	p.mu.Lock()
	was := p.done
	p.done, p.abandoned = true, true
	p.stopTimer()
	cancel := p.cancel
	p.mu.Unlock()
	if p.blocked != nil {
		p.blocked.Withdraw()
	}
	if !was && cancel != nil {
		cancel()
	}
}

// woken answers the call, on the owner.
func (p *connPark) woken() {
	s := p.s
	if s.parked != parkConn || s.conn != p {
		// Still under way off the loop, where conn belongs to the goroutine;
		// settleConn comes back here. Or the word of a parking that is over.
		return
	}
	s.conn = nil
	s.parked = running
	s.srv.blocked.Add(-1)
	s.guard(func(s *session) {
		s.borrowOut()
		mark := len(s.out.Buf)
		if mark == s.sent {
			// The stamp of when the call began is not that of this reply.
			s.outKeyed, s.outWrites = false, false
		}
		if s.srv.fence != nil && s.row.keyed && !p.refused {
			_, term := s.srv.fence.State()
			if p.served {
				term = p.term
			}
			s.stamp(s.row.spec.Flags&(command.Write|command.MayReplicate) != 0, term)
		}
		if !p.refused {
			s.noteWrite()
		}
		p.reply(&s.out)
		s.conclude(mark, replyError(s.out.Buf[mark:]), false)
		s.run()
	})
	s.endTurn()
}

// settleConn parks the session for the call that has just asked for it.
func (s *session) settleConn() {
	p := s.conn
	s.suspend(parkConn)
	s.srv.blocked.Add(1)
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done {
		s.tr.post(p.woken)
	}
}

// replyError returns the error that an encoded reply is, or nil.
func replyError(reply []byte) error {
	if len(reply) == 0 || reply[0] != '-' {
		return nil
	}
	for i, c := range reply {
		if c == '\r' {
			return resp.Error(reply[1:i])
		}
	}
	return resp.Error(reply[1:])
}

// Hijack implements command.Conn.
func (s *session) Hijack(take func(socket net.Conn, pending []byte, done func())) { s.hijack = take }

// giveAway hands the socket to whoever asked for it; all replies are out.
func (s *session) giveAway() {
	take := s.hijack
	s.hijack = nil
	pending := append([]byte(nil), s.data...)
	socket, unread, err := s.tr.take()
	if err != nil {
		s.srv.log.Warn("A connection could not be handed over", "client", s.remote, "error", err)
		s.close()
		return
	}
	s.abandon()
	s.suspend(parkGone)
	s.release()
	s.srv.handedOver(s, socket)
	go take(socket, append(pending, unread...), func() { s.srv.forget(s) })
}
