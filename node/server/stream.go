package server

import (
	"net"
	"sync"
	"time"
)

// stream is the transport of a session that has a goroutine to itself: Unix
// sockets, and every connection on systems without epoll. A second goroutine
// reads, so that the first can be woken.
type stream struct {
	srv     *Server
	conn    net.Conn
	session *session
	bench   *bench

	// next tells the reader to read once more, and got is what it read.
	next chan struct{}
	got  chan chunk
	// reading is true while the reader is at work, and waiting holds what it
	// brought before the session could take it.
	reading bool
	waiting *chunk

	mu    sync.Mutex
	inbox []func()
	dead  bool
	wake  chan struct{}
	ended bool
	away  bool
}

// chunk is the result of one read. data is valid until the next one.
type chunk struct {
	data []byte
	err  error
}

const streamInBytes = 16 << 10

// streamListener accepts connections that get a goroutine each.
type streamListener struct {
	net.Listener
	done chan struct{}
}

func (l *streamListener) addr() net.Addr { return l.Addr() }

func (l *streamListener) close() {
	l.Listener.Close()
	<-l.done
}

// serveStreams accepts at l until it is closed.
func (srv *Server) serveStreams(l net.Listener) listener {
	sl := &streamListener{l, make(chan struct{})}
	go func() {
		defer close(sl.done)
		for {
			conn, err := l.Accept()
			if err != nil {
				if ne, temporary := err.(net.Error); temporary && ne.Timeout() {
					continue
				}
				return
			}
			srv.serveStream(conn)
		}
	}()
	return sl
}

// serveStream makes a session of conn.
func (srv *Server) serveStream(conn net.Conn) {
	remote, local := conn.RemoteAddr().String(), conn.LocalAddr().String()
	isUnix := conn.LocalAddr().Network() == "unix"
	if isUnix {
		remote, local = local+":0", local+":0"
	}
	b := newBench(srv, srv.engine.Background(), streamInBytes)
	s := newSession(srv, b, remote, local, -1)
	if isUnix {
		s.flags |= flagUnix
	}
	st := &stream{
		srv: srv, conn: conn, session: s, bench: b,
		next: make(chan struct{}, 1), got: make(chan chunk, 1), wake: make(chan struct{}, 1),
	}
	s.tr = st
	if verdict := srv.admitClient(s); verdict != admitted {
		_, _ = conn.Write([]byte(verdict))
		conn.Close()
		return
	}
	srv.addBench(b)
	srv.streams.Add(2)
	go st.read()
	go st.run()
}

// read is the second goroutine.
func (st *stream) read() {
	defer st.srv.streams.Done()
	buf := make([]byte, streamInBytes)
	for range st.next {
		n, err := st.conn.Read(buf)
		st.got <- chunk{buf[:n], err}
	}
}

// run is the session's owner.
func (st *stream) run() {
	defer st.srv.streams.Done()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for !st.ended {
		if !st.reading && st.waiting == nil {
			st.reading = true
			st.next <- struct{}{}
		}
		select {
		case c := <-st.got:
			st.reading = false
			st.waiting = &c
		case <-st.wake:
		case <-ticker.C:
			st.bench.now = st.srv.clock()
			st.bench.syncWall()
			st.session.guard(func(s *session) { s.idle(st.bench.now) })
		}
		st.bench.now = st.srv.clock()
		st.runInbox()
		st.deliver()
		st.bench.endRound()
	}
	st.mu.Lock()
	st.dead = true
	rest := st.inbox
	st.inbox = nil
	st.mu.Unlock()
	for _, fn := range rest {
		fn()
	}
	if !st.away {
		st.conn.Close()
	}
	close(st.next)
	st.srv.dropBench(st.bench)
}

// deliver gives the session what was read, if it can take it.
func (st *stream) deliver() {
	s := st.session
	for st.waiting != nil && !st.ended {
		c := st.waiting
		if len(c.data) == 0 && c.err == nil {
			// All of it is taken: the reader goes on, to notice who leaves.
			st.waiting = nil
			return
		}
		if s.parked != running {
			if c.err != nil && len(c.data) == 0 && s.parked == parkConn {
				s.gone()
			}
			return
		}
		if len(c.data) == 0 {
			st.waiting = nil
			s.gone()
			return
		}
		room := s.room()
		if len(room) == 0 {
			return
		}
		n := copy(room, c.data)
		c.data = c.data[n:]
		s.received(n)
	}
}

func (st *stream) runInbox() {
	st.mu.Lock()
	work := st.inbox
	st.inbox = nil
	st.mu.Unlock()
	for _, fn := range work {
		fn()
	}
}

// write blocks this session, and no other, while the peer does not read.
func (st *stream) write(b []byte) (int, error) { return st.conn.Write(b) }

func (st *stream) want(bool, bool) {}

func (st *stream) post(fn func()) {
	st.mu.Lock()
	if st.dead {
		st.mu.Unlock()
		fn()
		return
	}
	st.inbox = append(st.inbox, fn)
	st.mu.Unlock()
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *stream) abort() { st.conn.Close() }

func (st *stream) close() {
	st.ended = true
	st.conn.Close()
}

// take calls the reader back and returns what it had read.
func (st *stream) take() (net.Conn, []byte, error) {
	var pending []byte
	if st.reading {
		if err := st.conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
			return nil, nil, err
		}
		c := <-st.got
		st.reading = false
		pending = append(pending, c.data...)
		if err := st.conn.SetReadDeadline(time.Time{}); err != nil {
			return nil, nil, err
		}
	}
	if st.waiting != nil {
		pending = append(pending, st.waiting.data...)
		st.waiting = nil
	}
	st.ended, st.away = true, true
	return st.conn, pending, nil
}
