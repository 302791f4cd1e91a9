package server

// flush sends what the socket takes of the replies at hand, if they may leave.
func (s *session) flush() {
	if s.parked == parkGone || s.held {
		return
	}
	pending := s.out.Buf[s.sent:]
	if len(pending) == 0 {
		s.drained()
		return
	}
	s.bench.tally.stop(s.bench)
	if s.srv.barrier != nil && !s.passesBarrier() {
		return
	}
	if s.outKeyed && s.srv.fence != nil && !s.mayLeave() {
		return
	}
	n, err := s.tr.write(pending)
	s.bench.tally.bytesOut += int64(n)
	if err != nil {
		s.close()
		return
	}
	if n == len(pending) {
		s.drained()
		return
	}
	s.choked = true
	s.keepOutput(pending[n:])
	s.bound()
}

// mayLeave asks the fence about replies of commands with keys. Replies that
// ran under another term never leave; others may have to wait.
func (s *session) mayLeave() bool {
	state, term := s.srv.fence.State()
	if term != s.outTerm {
		s.srv.log.Log(noContext, levelVerbose, "Closing a connection whose replies may no longer leave: this node lost its role", "client", s.remote, "id", s.id)
		s.close()
		return false
	}
	if state == FenceOpen || state == FenceWritesHeld && !s.outWrites {
		return true
	}
	s.held = true
	s.keepOutput(s.out.Buf[s.sent:])
	s.bound()
	s.srv.fence.Notify(func() { s.tr.post(s.letGo) })
	return false
}

// letGo tries held replies again.
func (s *session) letGo() {
	if s.parked == parkGone || !s.held {
		return
	}
	s.held = false
	s.writable()
}

// drained is called when all output has left.
func (s *session) drained() {
	s.out.Buf, s.sent, s.lent = nil, 0, false
	s.outKeyed, s.outWrites, s.outWrote, s.choked = false, false, false, false
	s.softSince = 0
	if s.parked == parkOffLoop {
		return
	}
	if s.flags&flagCloseAfterReply != 0 {
		s.close()
		return
	}
	if s.hijack != nil {
		s.giveAway()
		return
	}
	if s.inTurn {
		s.borrowOut()
	}
}

// keepOutput moves what could not be sent out of the bench's buffer.
func (s *session) keepOutput(rest []byte) {
	if !s.lent {
		s.sent = len(s.out.Buf) - len(rest)
		if s.sent > len(rest) && s.sent > flushBytes && len(rest) <= slowReaderBytes {
			// Most of it is gone: do not carry that along. To copy more would take a
			// loop too long.
			s.out.Buf, s.sent = append([]byte(nil), rest...), 0
		}
		return
	}
	kept := append(make([]byte, 0, len(rest)+256), rest...)
	s.out.Buf, s.sent, s.lent = kept, 0, false
}

// bound keeps the output of a peer that does not read within limits: it closes
// the session, or stops it from producing more.
func (s *session) bound() {
	if s.overOutputLimit(s.bench.now) || s.parked != running {
		return
	}
	limit := s.outputLimit()
	if waiting := int64(len(s.out.Buf) - s.sent); s.held || limit.HardBytes == 0 && waiting > max(slowReaderBytes, limit.SoftBytes) {
		s.suspend(parkOutput)
	}
}

// outputLimit is the session's class of client-output-buffer-limit.
func (s *session) outputLimit() OutputLimit {
	limits := s.srv.set.OutputLimits()
	switch {
	case s.flags&flagReplica != 0:
		return limits.Replica
	case s.flags&flagPubSub != 0:
		return limits.PubSub
	}
	return limits.Normal
}

// overOutputLimit closes the session, and returns true, if its output has been
// beyond a limit.
func (s *session) overOutputLimit(now int64) bool {
	waiting := int64(len(s.out.Buf) - s.sent)
	if waiting <= 0 || s.lent {
		return false
	}
	limit := s.outputLimit()
	over := limit.HardBytes > 0 && waiting > limit.HardBytes
	switch {
	case limit.SoftBytes == 0 || waiting <= limit.SoftBytes:
		s.softSince = 0
	case s.softSince == 0:
		s.softSince = now
	case now-s.softSince > limit.SoftSeconds*1e9:
		over = true
	}
	if !over {
		return false
	}
	s.srv.log.Warn("Client closed for overcoming of output buffer limits", "client", s.remote, "id", s.id, "bytes", waiting)
	s.srv.counters.outputLimit.Add(1)
	s.close()
	return true
}
