package server

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop is an event loop: one goroutine, one epoll, the sessions of many plain
// TCP sockets.
type loop struct {
	srv   *Server
	bench *bench
	index int

	epoll, wakeup int
	doze          *doze
	// sources are what epoll reports, by the number it was registered with. A
	// number is used again; the generation tells its users apart.
	sources []source
	free    []int32

	mu    sync.Mutex
	inbox []func()
	// polling is true while the loop may be blocked in epoll_wait, signalled
	// once its eventfd has been written to, dead when it has ended.
	polling, signalled, dead bool

	spare    []func()
	stopping bool
	nextIdle int64
	// yielded is when the loop last went through the scheduler.
	yielded int64
	// calm is true while its waits are long.
	calm bool
	// nap decides whether it lets requests gather before it looks for them.
	nap  nap
	core core
	done chan struct{}
}

// source is a socket or a listening socket.
type source struct {
	generation int32
	socket     *socket
	listening  *tcpListener
}

const (
	loopInBytes = 64 << 10
	// writeTurn is how much is written to a socket at once.
	writeTurn = 256 << 10
	// readTurn is how much is read from one: into memory that nobody has touched yet it
	// takes longer than to write.
	readTurn   = 256 << 10
	loopEvents = 256
	idleEvery  = 1e9
	// yieldEvery is how often a loop goes through the scheduler of its own
	// accord. One that has not for 10 ms is taken for a goroutine that runs on
	// and on: the runtime then takes the processor away from each wait of it and
	// gives it to another thread, and watches every 20 µs for the next occasion.
	yieldEvery = 5e6
)

// startLoops starts n loops; loop i has engine lane i.
func startLoops(srv *Server, n int) ([]owner, error) {
	owners := make([]owner, 0, n)
	for i := range n {
		l, err := newLoop(srv, i)
		if err != nil {
			for _, started := range owners {
				started.stop()
			}
			return nil, err
		}
		owners = append(owners, l)
		go l.run()
	}
	return owners, nil
}

func newLoop(srv *Server, index int) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wakeup, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	l := &loop{
		srv: srv, index: index, epoll: epoll, wakeup: wakeup, doze: newDoze(epoll),
		bench: newBench(srv, index, loopInBytes), nap: nap{took: napTypical, window: 1}, core: core{file: -1}, done: make(chan struct{}),
	}
	l.bench.taken = l.core.taken
	srv.benches[l.bench] = struct{}{}
	// Source 0 is the eventfd.
	l.sources = append(l.sources, source{})
	if err := l.register(unix.EPOLL_CTL_ADD, wakeup, 0, unix.EPOLLIN); err != nil {
		unix.Close(epoll)
		unix.Close(wakeup)
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	return l, nil
}

// add finds a number for what goes into a source.
func (l *loop) add(fill func(*source)) int32 {
	var number int32
	if n := len(l.free); n > 0 {
		number = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		number = int32(len(l.sources))
		l.sources = append(l.sources, source{})
	}
	fill(&l.sources[number])
	return number
}

// drop frees a number.
func (l *loop) drop(number int32) {
	src := &l.sources[number]
	src.socket, src.listening = nil, nil
	src.generation++
	l.free = append(l.free, number)
}

func (l *loop) register(op, fd int, number int32, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: number, Pad: l.sources[number].generation}
	return unix.EpollCtl(l.epoll, op, fd, &event)
}

// run is the loop. It ends after stop.
func (l *loop) run() {
	defer close(l.done)
	events := make([]unix.EpollEvent, loopEvents)
	l.nextIdle = l.srv.clock() + idleEvery
	for !l.stopping {
		n := l.wait(events)
		now := l.srv.clock()
		l.feel(now - l.bench.now)
		l.bench.now = now
		l.core.begin(now)
		if l.bench.now >= l.nextIdle {
			l.bench.syncWall()
		}
		for i := range n {
			l.handle(&events[i])
		}
		l.runInbox()
		took := l.bench.endRound()
		l.nap.decide(l.bench.now)
		if l.nap.due(took) && l.inboxEmpty() {
			l.nap.take(l.srv.clock)
			l.bench.napped()
		}
		if l.bench.now >= l.nextIdle {
			l.nextIdle = l.bench.now + idleEvery
			l.idle()
		}
		if l.bench.now-l.yielded >= yieldEvery {
			l.yielded = l.bench.now
			runtime.Gosched()
		}
	}
	l.end()
}

// wait blocks until something happens. With work in the inbox it only looks.
func (l *loop) wait(events []unix.EpollEvent) int {
	timeout := -1
	if len(l.sources)-len(l.free) > 1 {
		timeout = int((l.nextIdle-l.bench.now)/1e6) + 1
		timeout = max(timeout, 0)
	}
	l.mu.Lock()
	if len(l.inbox) > 0 {
		timeout = 0
	} else {
		l.polling = true
	}
	l.mu.Unlock()
	var n int
	if l.calm && timeout != 0 {
		n = l.doze.wait(events, timeout)
	} else {
		n = epollWait(l.epoll, events, timeout)
	}
	l.mu.Lock()
	l.polling = false
	l.mu.Unlock()
	return n
}

// feel takes in how long the last round and the wait after it took.
func (l *loop) feel(took int64) {
	switch {
	case took >= dozeFrom:
		l.calm = true
	case took < dozeUntil && l.calm:
		l.calm = false
		l.doze.end()
	}
}

// post runs fn on the loop, or at once if the loop has ended.
func (l *loop) post(fn func()) {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		fn()
		return
	}
	l.inbox = append(l.inbox, fn)
	wake := l.polling && !l.signalled
	if wake {
		l.signalled = true
	}
	l.mu.Unlock()
	if wake {
		one := [8]byte{1}
		// The counter cannot overflow: it is written once until it is read.
		_, _ = unix.Write(l.wakeup, one[:])
	}
}

// inboxEmpty reports whether nothing is posted.
func (l *loop) inboxEmpty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.inbox) == 0
}

// runInbox runs what was posted until now; what that posts comes next round.
func (l *loop) runInbox() {
	l.mu.Lock()
	if len(l.inbox) == 0 {
		l.mu.Unlock()
		return
	}
	work := l.inbox
	l.inbox = l.spare[:0]
	l.mu.Unlock()
	for i, fn := range work {
		fn()
		work[i] = nil
	}
	l.spare = work[:0]
}

// handle is one event of epoll.
func (l *loop) handle(event *unix.EpollEvent) {
	if event.Fd == 0 {
		var count [8]byte
		_, _ = unix.Read(l.wakeup, count[:])
		l.mu.Lock()
		l.signalled = false
		l.mu.Unlock()
		return
	}
	src := &l.sources[event.Fd]
	if src.generation != event.Pad {
		return // it was closed by an event before
	}
	switch {
	case src.socket != nil:
		l.nap.count(src.socket)
		src.socket.ready(event.Events)
	case src.listening != nil:
		src.listening.ready()
	}
}

// idle looks after sessions that nothing happens to.
func (l *loop) idle() {
	for i := range l.sources {
		if sk := l.sources[i].socket; sk != nil {
			sk.session.guard(func(s *session) { s.idle(l.bench.now) })
		}
	}
	if cap(l.bench.arena) > 64<<10 && len(l.bench.dirty) == 0 {
		l.bench.arena = nil
	}
	l.bench.ahead.batch.Clear()
}

// stop ends the loop and waits for that.
func (l *loop) stop() {
	l.post(func() { l.stopping = true })
	<-l.done
}

// end gives the sessions a last chance to send what is ready, and closes all.
func (l *loop) end() {
	for i := range l.sources {
		if sk := l.sources[i].socket; sk != nil {
			sk.session.guard(func(s *session) {
				s.flush()
				s.close()
			})
		}
	}
	l.mu.Lock()
	l.dead = true
	rest := l.inbox
	l.inbox = nil
	l.mu.Unlock()
	for _, fn := range rest {
		fn()
	}
	l.doze.end()
	l.core.close()
	unix.Close(l.epoll)
	unix.Close(l.wakeup)
}

// adopt makes a session of a connected, non-blocking socket.
func (l *loop) adopt(fd int, remote, local string) {
	l.post(func() {
		if l.stopping {
			unix.Close(fd)
			return
		}
		s := newSession(l.srv, l.bench, remote, local, fd)
		sk := &socket{loop: l, fd: fd, session: s}
		s.tr = sk
		if verdict := l.srv.admitClient(s); verdict != admitted {
			_, _ = unix.Write(fd, []byte(verdict))
			unix.Close(fd)
			return
		}
		sk.number = l.add(func(src *source) { src.socket = sk })
		sk.interest = watchInput
		if err := l.register(unix.EPOLL_CTL_ADD, fd, sk.number, sk.interest); err != nil {
			l.srv.log.Warn("A connection could not be watched", "client", remote, "error", err)
			s.close()
		}
	})
}

// socket is the transport of a session on a loop. It is watched edge-triggered,
// which spares the kernel a second look at every socket that was ready; so the
// socket must remember what it was told and has not used up.
type socket struct {
	loop     *loop
	session  *session
	fd       int
	number   int32
	interest uint32
	// input is true while there may be something to read, hungUp once the peer
	// has closed its side.
	input, hungUp bool
	// scheduled is true while more is posted, pouring while pour is.
	scheduled, pouring bool
	closed             bool
	// window is the last one that the loop's nap has counted it in.
	window int64
}

const watchInput = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// ready is told what epoll says of the socket.
func (sk *socket) ready(events uint32) {
	s := sk.session
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		sk.input = true
		sk.hungUp = sk.hungUp || events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
		switch {
		case s.parked == running:
			sk.read()
		case events&(unix.EPOLLHUP|unix.EPOLLERR) != 0, sk.hungUp && s.parked == parkConn:
			// A call that waits for something to happen ends when the peer
			// half-closes; others have their reply sent first, as if they had
			// run at once.
			sk.leave()
		}
	}
	if events&unix.EPOLLOUT != 0 && !sk.closed {
		s.writable()
	}
}

func (sk *socket) leave() {
	sk.session.gone()
	sk.loop.bench.settle(sk.session)
}

// read reads once. A read that fills its room, or that has the peer's end
// behind it, is followed by another one after other sockets had their turn.
func (sk *socket) read() {
	s := sk.session
	room := s.room()
	if len(room) == 0 {
		return
	}
	room = room[:min(len(room), readTurn)]
	for {
		n, errno := rawRead(sk.fd, room)
		switch {
		case n > 0:
			sk.input = n == len(room) || sk.hungUp
			s.received(n)
			sk.schedule()
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			sk.input = false
		default:
			sk.leave()
		}
		return
	}
}

// schedule posts more if there is something to read that the session wants.
func (sk *socket) schedule() {
	if sk.input && !sk.closed && !sk.scheduled && (sk.session.parked == running || sk.hungUp && sk.session.parked == parkConn) {
		sk.scheduled = true
		sk.loop.post(sk.more)
	}
}

func (sk *socket) more() {
	sk.scheduled = false
	switch {
	case sk.closed || !sk.input:
	case sk.session.parked == running:
		sk.read()
	case sk.hungUp && sk.session.parked == parkConn:
		sk.leave()
	}
}

// write sends what the socket takes, up to writeTurn: a peer that reads as fast as
// the loop writes would have it for as long as there is something to send. The rest
// follows after other sockets had their turn.
func (sk *socket) write(b []byte) (int, error) {
	end := len(b)
	if end > writeTurn && !sk.loop.stopping {
		end = writeTurn
	}
	written := 0
	for written < end {
		n, errno := rawWrite(sk.fd, b[written:end])
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return written, nil
		case errno != 0:
			return written, errno
		default:
			written += n
		}
	}
	if end < len(b) && !sk.pouring {
		// Nothing tells of room that has been there all along.
		sk.pouring = true
		sk.loop.post(sk.pour)
	}
	return written, nil
}

// pour goes on with what write has left.
func (sk *socket) pour() {
	sk.pouring = false
	if !sk.closed && sk.session.choked {
		sk.session.writable()
	}
}

// want has epoll tell of room for output while the session has some to send.
// Input is always watched: a parked session's socket only remembers that there
// is some, which stays in the kernel until the session wants it.
func (sk *socket) want(_, output bool) {
	interest := uint32(watchInput)
	if output {
		interest |= unix.EPOLLOUT
	}
	if interest != sk.interest {
		sk.watch(interest)
	}
	sk.schedule()
}

func (sk *socket) watch(interest uint32) {
	if sk.closed {
		return
	}
	sk.interest = interest
	if err := sk.loop.register(unix.EPOLL_CTL_MOD, sk.fd, sk.number, interest); err != nil {
		sk.loop.srv.log.Warn("A connection could not be watched", "client", sk.session.remote, "error", err)
		sk.session.gone()
	}
}

func (sk *socket) post(fn func()) { sk.loop.post(fn) }

// abort does nothing: a loop is never blocked in write.
func (sk *socket) abort() {}

func (sk *socket) close() {
	if sk.closed {
		return
	}
	sk.closed = true
	sk.loop.drop(sk.number)
	unix.Close(sk.fd)
}

// take returns a copy of the socket as a net.Conn and leaves the loop.
func (sk *socket) take() (net.Conn, []byte, error) {
	file := os.NewFile(uintptr(sk.fd), sk.session.remote)
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, nil, fmt.Errorf("hand over socket: %w", err)
	}
	sk.closed = true
	_ = unix.EpollCtl(sk.loop.epoll, unix.EPOLL_CTL_DEL, sk.fd, nil)
	sk.loop.drop(sk.number)
	file.Close()
	return conn, nil, nil
}

// The calls below never block, so the scheduler need not hear of them: that
// saves a twentieth of a microsecond each, of about eight that a request costs
// at pipeline 1. The socket calls know less indirection than read and write.

func rawRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), 0
}

func rawWrite(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(n), 0
}

// epollWait returns 0 when it was interrupted.
func epollWait(epoll int, events []unix.EpollEvent, timeoutMs int) int {
	var n uintptr
	var errno syscall.Errno
	if timeoutMs == 0 {
		n, _, errno = syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	} else {
		n, _, errno = syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(timeoutMs), 0, 0)
	}
	if errno != 0 {
		return 0
	}
	return int(n)
}
