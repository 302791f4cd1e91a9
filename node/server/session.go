package server

import (
	"net"
	"slices"
	"sync/atomic"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// transport is the socket of a session. Its methods are called by the
// session's owner, except post and abort.
type transport interface {
	// write sends what the socket takes now and returns how much that was; an
	// error means that the peer is gone. It does not block an event loop.
	write(b []byte) (int, error)
	// want says whether the session wants to be told of input, and of room for
	// output.
	want(input, output bool)
	// post runs fn on the owner, unless the transport is closed first. It may be
	// called from any goroutine.
	post(fn func())
	// abort makes a transport that may be blocked in write return. It may be
	// called from any goroutine.
	abort()
	// close ends the connection.
	close()
	// take gives the socket away, in blocking mode, with what was read of it and
	// not given to the session.
	take() (net.Conn, []byte, error)
}

// What a session waits for. Parked for any reason it reads nothing and runs
// nothing.
type parking uint8

const (
	running     parking = iota
	parkEngine          // the engine queued the call; it is tried again
	parkGate            // fence or pause: the request goes through the gates again
	parkOffLoop         // a goroutine runs the call
	parkConn            // the call parked itself, see Park
	parkOutput          // replies are held by the fence, or the peer reads too slowly
	parkTurn            // other sessions' turn; continues at once
	parkRoom            // a goroutine makes room for more input
	parkGone            // closed or given away: never continues
)

// Facts of a session that make a request leave the short way.
type sessionFlags uint32

const (
	flagUnauthenticated sessionFlags = 1 << iota
	flagMulti
	flagAsking
	flagReadOnly
	flagReplyOff
	flagReplySkip     // the reply to the request under way is dropped
	flagReplySkipNext // and that to the next one will be
	flagNoEvict
	flagNoTouch
	flagCloseAfterReply
	flagReplica
	flagPubSub
	flagUnix
)

// session is one connection without its socket: bytes in, bytes out. All
// fields belong to the owner's goroutine unless said otherwise.
type session struct {
	srv   *Server
	bench *bench
	tr    transport
	id    uint64

	flags  sessionFlags
	parked parking
	// park counts parkings, so that a late wake-up is told from the right one.
	park uint64

	// data is the input not yet understood. It lies in bench.in during the turn
	// that read it, and otherwise in own.
	data []byte
	own  []byte
	// borrowed is true while data lies in bench.in.
	borrowed bool
	// charged is how much of own is on the account of the input budget.
	charged int64
	scan    resp.Scanner

	// out holds the replies; the first sent bytes of it are gone already. It is
	// lent by the bench until it must outlast the turn.
	out  resp.Writer
	sent int
	lent bool
	// postponed is true while the session waits for the end of the round.
	postponed bool
	// inTurn is true while requests run.
	inTurn bool
	// choked is true while the socket takes no more, and held while the fence or
	// the barrier keeps the output back.
	choked, held bool
	// outKeyed is true while out holds replies of commands with keys, run under
	// outTerm; outWrites if a write is among them.
	outKeyed, outWrites bool
	outTerm             uint64
	// outWrote is true while out holds the reply of a write; barred while the
	// barrier keeps the output back, of barredBytes, until the journal's barredAt is
	// safe.
	outWrote, barred bool
	barredAt         int64
	barredBytes      int
	// softSince is when the output passed its soft limit, in nanoseconds of the
	// server's clock; 0 when it is under.
	softSince int64

	call     command.Call
	resumeFn func()
	// ranFn is ranInExec, from the first EXEC on.
	ranFn func(*command.Call)
	// row is the row of the request under way, or of the last one.
	row *row
	// args is the request under way, which was of so many bytes.
	args         [][]byte
	requestBytes int

	tx  *transaction
	db  int
	off *offLoop

	// conn is the parking that Park asked for, and cancel its cancellation.
	conn   *connPark
	hijack func(net.Conn, []byte, func())

	attachment any

	// started and active are on the server's clock, nanoseconds.
	started, active int64

	// doomed is set by whoever kills the session; the owner closes it.
	doomed atomic.Bool

	// names do not change after the session was made.
	remote, local string
	fd            int

	view view
}

// doom ends the session from any goroutine.
func (s *session) doom() {
	s.doomed.Store(true)
	s.tr.abort()
	s.tr.post(func() {
		s.close()
		s.bench.settle(s)
	})
}

// view is what other goroutines may know of a session. It is guarded by the
// bench's lock and brought up to date at the end of every turn.
type view struct {
	name, libName, libVersion string
	row                       *row
	db, multi                 int
	flags                     sessionFlags
	blocked                   *connPark // what CLIENT UNBLOCK ends
	proto                     int
	active                    int64
	queryBytes, queryFree     int
	argBytes, multiBytes      int
	outBytes                  int
	bufferBytes               int
	watching                  bool
}

// newSession makes the session of a socket whose transport is set right after.
func newSession(srv *Server, b *bench, remote, local string, fd int) *session {
	s := &session{srv: srv, bench: b, remote: remote, local: local, fd: fd, id: srv.ids.Add(1)}
	s.started = srv.clock()
	s.active = s.started
	s.view.active = s.started
	s.resumeFn = s.resumed
	s.newCall()
	if srv.auth.required() {
		s.flags |= flagUnauthenticated
	}
	return s
}

// newCall gives the session a call that knows nothing of any request yet.
func (s *session) newCall() {
	s.call = command.Call{Conn: s, Reply: &s.out, Lane: s.bench.lane, OnLoop: true, Stay: true}
}

// Bounds of a session's buffers and of its turn.
const (
	// turnRequests is how many requests run before others have their turn.
	turnRequests = 2048
	// flushBytes is how much output gathers before it is sent within a turn.
	flushBytes = 64 << 10
	// loopRequest is how long a request is that runs on a loop: to look at more takes
	// it too long.
	loopRequest = 1 << 20
	// slowReaderBytes is how much output may wait for a peer that does not read
	// before the session stops answering it, when no output limit is set.
	slowReaderBytes = 1 << 20
	// loopGrowth is how much input is moved on a loop when a long argument outgrows its
	// buffer: to find memory for more, and to move it, takes too long.
	loopGrowth = 1 << 20
	// roomBytes is the least room a read into an own buffer is given.
	roomBytes = 16 << 10
	// chargeFrom is the size from which an own buffer counts against the budget.
	chargeFrom = 64 << 10
)

// room returns where the next input goes. It is empty when the session must not have
// any more, and then it has been closed, or parked until there is room.
func (s *session) room() []byte {
	if len(s.data) == 0 && cap(s.own) <= len(s.bench.in) {
		s.borrowed = true
		return s.bench.in
	}
	s.borrowed = false
	if len(s.data) == 0 {
		s.data = s.own[:0]
	}
	if free := cap(s.data) - len(s.data); free >= roomBytes || free > 0 && free >= s.scan.Pending(len(s.data)) && s.scan.Pending(len(s.data)) > 0 {
		return s.data[len(s.data):cap(s.data)]
	}
	if !s.grow(roomBytes) {
		return nil
	}
	return s.data[len(s.data):cap(s.data)]
}

// grow makes room for at least n more bytes behind data, in own, and reports whether
// there is some now. A known need is believed as far as what is there already: each
// growth at most doubles.
func (s *session) grow(n int) bool {
	length := len(s.data)
	need := length + max(n, min(s.scan.Pending(length), length))
	if cap(s.own) >= need && length <= loopGrowth {
		// What is moved is one request, as far as it is there: each byte once.
		s.data = s.own[:copy(s.own[:cap(s.own)], s.data)]
		return true
	}
	size := max(need, 2*length)
	if pending := s.scan.Pending(length); pending > 0 && length+pending < size {
		// The end of the argument is in sight: what may follow it fits too.
		size = max(length+pending+512, need)
	}
	if length > loopGrowth {
		s.growAside(size)
		return false
	}
	s.data = append(make([]byte, 0, size), s.data...)
	s.own = s.data
	return s.charge()
}

// growAside parks the session until a goroutine has moved its input to a buffer of that size.
func (s *session) growAside(size int) {
	s.suspend(parkRoom)
	data, park := s.data, s.park
	go func() {
		grown := append(make([]byte, 0, size), data...)
		s.tr.post(func() {
			if s.park != park {
				return // it was closed
			}
			s.data, s.own = grown, grown
			if s.charge() {
				s.proceed()
			}
		})
	}()
}

// charge brings the input budget's account up to date with own, and closes the
// session if that is beyond the limits.
func (s *session) charge() bool {
	amount := int64(cap(s.own)) + int64(s.scan.Args())*40
	if amount < chargeFrom {
		amount = 0
	}
	total := s.srv.input.Add(amount - s.charged)
	grown := amount > s.charged
	s.charged = amount
	if !grown {
		return true
	}
	if limit := s.srv.set.QueryBuffer.Load(); int64(len(s.data)) > limit {
		s.srv.log.Warn("Closing client that reached max query buffer length", "client", s.remote, "bytes", len(s.data))
		s.srv.counters.queryLimit.Add(1)
		s.close()
		return false
	}
	if total > s.srv.inputBudget() {
		s.srv.log.Warn("Closing client: all clients together hold too much unexecuted input", "client", s.remote, "bytes", amount, "total", total)
		s.srv.counters.evicted.Add(1)
		s.close()
		return false
	}
	return true
}

// received runs what n new bytes, put where room said, complete.
func (s *session) received(n int) {
	if s.borrowed {
		s.data = s.bench.in[:n]
	} else {
		s.data = s.data[:len(s.data)+n]
	}
	s.bench.tally.bytesIn += int64(n)
	s.active = s.bench.now
	s.turn()
}

// turn runs requests until the input is used up or the session parks, sends
// the replies, and leaves the session as others may see it.
func (s *session) turn() {
	s.guard((*session).run)
	s.endTurn()
}

// endTurn leaves the session fit for what comes next. Its replies are sent at
// the end of the owner's round, together with those of the others: then the
// peer, who is often one process, is woken once and not for each of them.
func (s *session) endTurn() {
	if s.parked == parkGone {
		s.bench.settle(s)
		return
	}
	s.keepInput()
	s.bench.settle(s)
	if s.mustFlush() {
		s.bench.postpone(s)
	} else {
		s.returnOut()
		s.listen()
	}
	if s.parked == parkOffLoop && !s.off.started {
		s.startOffLoop()
	}
}

// mustFlush reports whether there is something to do for flush.
func (s *session) mustFlush() bool {
	if s.held || s.choked {
		return false
	}
	return len(s.out.Buf) > s.sent || s.hijack != nil || s.parked != parkOffLoop && s.flags&flagCloseAfterReply != 0
}

// run is the loop over the requests at hand.
func (s *session) run() {
	if s.parked != running {
		// The request that was tried again has parked the session anew.
		s.srv.engine.Leave(&s.call)
		return
	}
	s.borrowOut()
	s.inTurn = true
	s.runRequests()
	s.bench.ahead.drop()
	s.srv.engine.Leave(&s.call)
	s.inTurn = false
}

// runRequests is run between borrowing and returning what a turn needs.
func (s *session) runRequests() {
	s.scan.MaxBulk = s.srv.set.MaxBulk.Load()
	s.scan.Restricted = s.flags&flagUnauthenticated != 0
	s.bench.ahead.drop()
	for requests := 0; len(s.data) > 0; requests++ {
		if s.flags&flagCloseAfterReply != 0 || s.doomed.Load() {
			return
		}
		if len(s.out.Buf)-s.sent >= flushBytes {
			s.srv.engine.Leave(&s.call)
			if s.choked {
				s.bound()
			} else {
				s.flush()
			}
			if s.parked != running {
				return
			}
		}
		if s.held {
			s.suspend(parkOutput)
			return
		}
		if requests == turnRequests {
			s.yield()
			return
		}
		r, ok := s.next()
		if !ok {
			return
		}
		s.begin(r)
		if s.parked != running {
			return
		}
	}
}

// borrowOut gives the session somewhere to put replies.
func (s *session) borrowOut() {
	if s.out.Buf == nil {
		s.out.Buf, s.lent = s.bench.lendOut(), true
	}
}

// returnOut gives an unused place back.
func (s *session) returnOut() {
	if s.lent && len(s.out.Buf) == 0 {
		s.out.Buf, s.lent = nil, false
	}
}

// yield lets the other sessions of the owner have their turn.
func (s *session) yield() {
	s.suspend(parkTurn)
	s.wakeLater(s.park)
}

// suspend parks the session.
func (s *session) suspend(why parking) {
	s.parked = why
	s.park++
}

// wakeLater posts the continuation of parking number park. It may be called
// from any goroutine.
func (s *session) wakeLater(park uint64) {
	s.tr.post(func() {
		if s.park == park && s.parked != running && s.parked != parkGone {
			s.proceed()
		}
	})
}

// proceed continues a parked session on its owner.
func (s *session) proceed() {
	why := s.parked
	s.parked = running
	s.guard(func(s *session) {
		s.borrowOut()
		switch why {
		case parkEngine:
			s.execute()
		case parkGate:
			s.begin(s.bench.recall(s.args))
		case parkOutput:
			s.flush()
		}
		s.run()
	})
	s.endTurn()
}

// protocolError answers err and closes the connection behind it.
func (s *session) protocolError(err error) {
	s.srv.log.Log(noContext, levelVerbose, "Protocol error from client", "error", err.Error(), "client", s.remote, "id", s.id)
	s.out.Error(err.Error())
	s.srv.counters.errorReply(resp.ErrorPrefix(err.Error()))
	s.data = nil
	s.flags |= flagCloseAfterReply
}

// keepInput moves input that is not yet understood out of the shared buffer,
// and forgets the buffer when all is understood.
func (s *session) keepInput() {
	if len(s.data) == 0 && s.parked != parkEngine && s.parked != parkGate && s.parked != parkOffLoop {
		s.data, s.borrowed = nil, false
		return
	}
	switch s.parked {
	case parkEngine, parkGate, parkOffLoop:
		// The list of the arguments is the owner's, for the next session.
		s.args = slices.Clone(s.args)
		s.call.Args = s.args
	}
	if !s.borrowed {
		return
	}
	switch s.parked {
	case parkEngine, parkGate, parkOffLoop:
		// The request under way lies in the buffer too, and the engine looks at
		// it: the session keeps the buffer, the bench gets another.
		s.own = s.bench.in
		s.bench.in = make([]byte, len(s.own))
		s.borrowed = false
		s.charge()
	default:
		s.borrowed = false
		kept := s.data
		size := len(kept) + 512
		if cap(s.own) >= size {
			s.data = s.own[:copy(s.own[:cap(s.own)], kept)]
			return
		}
		if pending := s.scan.Pending(len(kept)); pending > 0 {
			size = len(kept) + min(pending, len(kept)+roomBytes) + 512
		}
		fresh := make([]byte, len(kept), size)
		copy(fresh, kept)
		s.data, s.own = fresh, fresh
		s.charge()
	}
}

// listen tells the transport what the session now waits for.
func (s *session) listen() {
	s.tr.want(s.parked == running, len(s.out.Buf) > s.sent && !s.held)
}

// writable is called when the socket has room for output again.
func (s *session) writable() {
	if s.parked == parkGone {
		return
	}
	s.choked = false
	if s.parked == parkOutput {
		s.proceed()
		return
	}
	s.bench.postpone(s)
}

// gone is called when the peer has closed or the socket failed.
func (s *session) gone() { s.close() }

// close ends the session: whatever it waits for is given up, and the socket is
// closed. Output that was not sent is lost.
func (s *session) close() {
	if s.parked == parkGone {
		return
	}
	s.abandon()
	s.suspend(parkGone)
	s.release()
	s.tr.close()
	s.srv.forget(s)
}

// abandon gives up the request under way.
func (s *session) abandon() {
	switch s.parked {
	case parkEngine:
		if s.tx != nil && s.tx.executing {
			s.srv.engine.AbandonAll(&s.tx.all)
		} else {
			s.srv.engine.Abandon(&s.call)
		}
	case parkConn:
		s.srv.blocked.Add(-1)
		s.conn.abandon()
	case parkOffLoop:
		// The goroutine finishes on its own and finds the session closed.
	}
}

// release gives back what a session holds beyond itself. What a goroutine may
// still be using is released again when it is done.
func (s *session) release() {
	s.srv.input.Add(-s.charged)
	s.charged = 0
	s.data, s.own = nil, nil
	s.out.Buf, s.sent, s.lent = nil, 0, false
	if s.off == nil {
		s.endTransaction()
		s.attachment = nil
	}
}

// idle is called about once a second by the owner.
func (s *session) idle(now int64) {
	if s.parked == parkGone {
		return
	}
	if s.doomed.Load() {
		s.close()
		return
	}
	if timeout := s.srv.set.Timeout.Load(); timeout > 0 && s.parked != parkConn && s.parked != parkOffLoop &&
		s.flags&(flagReplica|flagPubSub) == 0 && now-s.active > timeout*1e9 {
		s.srv.log.Log(noContext, levelVerbose, "Closing idle client", "client", s.remote, "id", s.id)
		s.close()
		return
	}
	if s.parked == parkOffLoop {
		return
	}
	if s.parked == parkConn {
		s.conn.checkFence()
	}
	if s.overOutputLimit(now) {
		return
	}
	if len(s.data) == 0 && s.parked == running && now-s.active > 2e9 {
		s.own, s.data = nil, nil
		s.scan.Trim()
		s.charge()
		if s.args != nil {
			// What is left of the last request keeps the buffer that it lay in.
			s.args = nil
			s.newCall()
		}
	}
}
