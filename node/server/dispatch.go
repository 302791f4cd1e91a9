package server

import (
	"strings"

	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// begin takes the request s.args, whose row may be known, through the gates and
// runs, queues, parks or refuses it. It is called again, with the same request,
// after the session was parked by a gate.
func (s *session) begin(row *row) {
	args := s.args
	if row == nil {
		if row = s.lookup(args); row == nil {
			return
		}
	}
	spec := row.spec
	s.row = row
	if n := len(args); spec.Arity > 0 && n != spec.Arity || n < -spec.Arity {
		s.refuse(row, string(resp.WrongArity(spec.FullName())))
		return
	}
	if s.flags != 0 || row.needs != 0 || s.srv.gated() {
		if !s.admit(row) {
			return
		}
	}
	if row.keyed && s.srv.fence != nil && !s.passFence(row) {
		return
	}
	c := &s.call
	c.Spec, c.Args, c.DB = spec, args, s.db
	if row.heavy != nil && row.heavy(c) || s.requestBytes > loopRequest && row.keyed {
		s.runOffLoop()
		return
	}
	s.execute()
}

// lookup finds the row of a request, or answers that there is none.
func (s *session) lookup(args [][]byte) *row {
	spec := s.srv.table.Lookup(args[0])
	if spec != nil && spec.Sub == nil {
		row := &s.srv.rows[spec.Index()]
		s.bench.remember(args, row, nil)
		return row
	}
	if spec == nil && s.crossProtocol(args[0]) {
		return nil
	}
	container := spec
	spec, err := spec.Find(args)
	var row *row
	if spec != nil {
		row = &s.srv.rows[spec.Index()]
	}
	if err != nil {
		s.row = nil
		s.refuse(row, err.Error())
		return nil
	}
	if spec != container {
		s.bench.remember(args, row, &s.srv.rows[container.Index()])
	}
	return row
}

// crossProtocol closes a connection that speaks HTTP: a browser that was made
// to post to this port.
func (s *session) crossProtocol(word []byte) bool {
	if !command.IsWord(word, "post") && !command.IsWord(word, "host:") {
		return false
	}
	s.srv.log.Warn("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis instance. Connection aborted.", "client", s.remote)
	s.data = nil
	s.close()
	return true
}

// admit is the gates for all but the plainest requests. It returns false when
// the request was answered, queued or parked.
func (s *session) admit(row *row) bool {
	spec := row.spec
	if s.flags&flagUnauthenticated != 0 {
		if !s.srv.auth.required() {
			s.authenticated()
		} else if spec.Flags&command.NoAuth == 0 {
			s.refuse(row, string(resp.ErrNoAuth))
			return false
		}
	}
	if row.needs&needsPermission != 0 {
		if text := s.protectedCommand(row); text != "" {
			s.refuse(row, text)
			return false
		}
	}
	if text := s.gateError(row); text != "" {
		s.refuse(row, text)
		return false
	}
	if s.flags&flagMulti != 0 && spec.Flags&command.NoMulti != 0 {
		s.refuse(row, string(resp.ErrInsideMulti))
		return false
	}
	if s.paused(row) {
		return false
	}
	if s.flags&flagMulti != 0 && row.needs&neverQueued == 0 {
		s.queue(row)
		return false
	}
	return true
}

// gateError returns the error of the node's condition for row, or "".
func (s *session) gateError(row *row) string {
	state := s.srv.state
	if state == nil {
		return ""
	}
	gates := state.Gates()
	spec := row.spec
	if gates&^GateReplica == 0 || s.elsewhere(row) {
		return ""
	}
	if gates&GateRefuse != 0 && spec.Flags&(command.Write|command.DenyOOM) != 0 {
		// To make room is to pass the gate, which may be closing.
		s.srv.engine.Leave(&s.call)
		if err := state.Refuse(spec); err != "" {
			return string(err)
		}
	}
	if gates&GateReadOnly != 0 && (spec.Flags&command.Write != 0 || row.needs&isExec != 0 && s.changesData()) {
		return string(resp.ErrReadOnly)
	}
	if gates&GateMasterDown != 0 && spec.Flags&command.Stale == 0 {
		return string(resp.ErrMasterDown)
	}
	if gates&GateLoading != 0 && spec.Flags&command.Loading == 0 {
		return string(resp.ErrLoading)
	}
	return ""
}

// changesData reports whether EXEC would run a command that may change data. In a
// cluster it is sent to the primary first, which the engine does.
func (s *session) changesData() bool {
	return s.flags&flagMulti != 0 && s.srv.engine.Routing() == nil && command.ChangesData(s.tx.queued)
}

// elsewhere reports whether the request is for a slot that another node
// serves: the engine then redirects it, whatever this node's condition is.
func (s *session) elsewhere(row *row) bool {
	table := s.srv.engine.Routing()
	if table == nil || !row.keyed {
		return false
	}
	positions, err := row.spec.KeyPositions(s.args, nil)
	if err != nil || len(positions) == 0 {
		return false
	}
	slot := slots.Of(s.args[positions[0]])
	verdict, _ := table.Route(s.routeRequest(row, slot, len(positions)))
	return verdict != slots.Serve
}

// passFence lets a command with keys run, parks it or refuses it.
func (s *session) passFence(row *row) bool {
	if row.spec.Flags&command.NoFence != 0 {
		return true
	}
	switch state, _ := s.bench.fence(s.srv.fence); {
	case state == FenceDown:
		s.refuse(row, string(resp.ErrClusterDown))
		return false
	case state == FenceHeld, state == FenceWritesHeld && row.writes:
		s.suspend(parkGate)
		park := s.park
		s.srv.fence.Notify(func() { s.wakeLater(park) })
		return false
	}
	return true
}

// stamp notes that out is about to hold the reply of a command with keys that
// runs under term.
func (s *session) stamp(write bool, term uint64) {
	if !s.outKeyed {
		s.outKeyed, s.outTerm, s.outWrites = true, term, false
	}
	s.outWrites = s.outWrites || write
}

// noteWrite notes that out is about to hold the reply of a write, if the request under
// way is one.
func (s *session) noteWrite() {
	if s.row.writes || s.tx != nil && s.tx.executing {
		s.outWrote = true
	}
}

// execute hands the request to the engine, for the first time or again.
func (s *session) execute() {
	mark := len(s.out.Buf)
	var err error
	var rejected bool
	s.bench.tally.begin(s.bench, s.row)
	s.noteWrite()
	if s.tx != nil && s.tx.executing {
		s.executeAll()
	} else {
		c := &s.call
		c.Clock = s.bench.wall
		if s.srv.fence != nil && s.row.keyed {
			s.stampRow()
		}
		if !s.srv.engine.Execute(c, s.resumeFn) {
			s.suspend(parkEngine)
			return
		}
		if s.conn != nil {
			s.bench.tally.ran(s.row)
			s.settleConn()
			return
		}
		if err, rejected = c.Err, c.Rejected; err == command.ErrLong {
			s.runOffLoop()
			return
		}
	}
	if s.parked != running {
		// EXEC waits for its slots, or left the loop.
		return
	}
	s.bench.tally.ran(s.row)
	if err != nil || s.flags != 0 {
		s.conclude(mark, err, rejected)
	}
}

// stampRow is stamp for the request under way.
func (s *session) stampRow() {
	if s.row.spec.Flags&command.NoFence == 0 {
		_, term := s.bench.fence(s.srv.fence)
		s.stamp(s.row.writes, term)
	}
}

// resumed is called by the engine, from any goroutine, when the call that it
// parked may go on.
func (s *session) resumed() {
	s.tr.post(func() {
		if s.parked == parkEngine {
			s.proceed()
		}
	})
}

// conclude is the less common part of what follows a request: the account of
// its error, and what the client asked not to have. The reply begins at mark.
func (s *session) conclude(mark int, err error, rejected bool) {
	if err != nil {
		s.bench.tally.failed(s.srv, s.row, err.Error(), rejected)
	}
	if s.flags != 0 {
		s.afterReply(mark)
	}
}

// afterReply handles the flags that last for one request.
func (s *session) afterReply(mark int) {
	if s.flags&(flagReplyOff|flagReplySkip) != 0 {
		s.out.Buf = s.out.Buf[:mark]
	}
	s.flags &^= flagReplySkip
	if s.flags&flagReplySkipNext != 0 {
		s.flags = s.flags&^flagReplySkipNext | flagReplySkip
	}
	if s.flags&flagAsking != 0 && s.flags&flagMulti == 0 && (s.row == nil || s.row.needs&isAsking == 0) {
		s.flags &^= flagAsking
	}
}

// refuse answers a request that is not run. A refused request spoils the
// transaction that it was meant for.
func (s *session) refuse(row *row, text string) {
	mark := len(s.out.Buf)
	s.out.Error(text)
	s.bench.tally.failed(s.srv, row, text, true)
	switch {
	case row != nil && row.needs&isExec != 0:
		s.endTransaction()
		s.out.Buf = s.out.Buf[:mark]
		s.out.Error("EXECABORT Transaction discarded because of: " + strings.TrimPrefix(text, "ERR "))
	case s.flags&flagMulti != 0:
		s.tx.spoiled = true
	}
	if s.flags != 0 {
		s.afterReply(mark)
	}
}
