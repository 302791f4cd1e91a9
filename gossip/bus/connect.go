package bus

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"slotmesh/slots"
)

const (
	// handshakeTimeout is how long an accepted connection may take to prove
	// itself, and a connection of ours to be answered.
	handshakeTimeout = 2 * time.Second
	// maxHalfOpen bounds the connections that have not proven themselves, all
	// in all and from one address; what comes beyond is closed unread.
	maxHalfOpen     = 256
	maxHalfOpenFrom = 64
	// maxStreams bounds the membership streams that are served at one time.
	maxStreams = 64
	// maxInbound bounds the links that are accepted. Each belongs to another
	// node id, so only an open bus can be made to reach it.
	maxInbound = 8192

	// silentFor is how long data may stay unacknowledged by the peer's kernel
	// before a connection counts as broken. It bounds how long a link that was
	// cut takes to be dialled anew when the network is back.
	silentFor = 2 * time.Second
)

// keepAlive finds a peer that vanished while a connection was idle.
func keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 3}
}

// connect dials addr and shakes hands with expect, or with whoever is there
// when expect is zero. The connection is tracked: release it.
func (b *Bus) connect(addr netip.AddrPort, expect slots.NodeID, p purpose, meet bool, timeout time.Duration) (*session, error) {
	if err := b.checkIP(addr.Addr()); err != nil {
		return nil, err
	}
	if block := b.opt.blockTCP; block != nil && block(addr) {
		return nil, context.DeadlineExceeded
	}
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: keepAlive(), Control: limitSilence}
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	if !b.track(conn) {
		abort(conn)
		return nil, net.ErrClosed
	}
	_ = conn.SetDeadline(time.Now().Add(min(timeout, handshakeTimeout)))
	s, err := greet(conn, b.greeting(expect, p, meet))
	if err == nil && b.checkIP(s.addr().Addr()) != nil {
		err = errOpenBus
	}
	if err != nil {
		b.release(conn)
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return s, nil
}

func (b *Bus) greeting(expect slots.NodeID, p purpose, meet bool) greeting {
	b.mu.Lock()
	keys := b.keys
	b.mu.Unlock()
	return greeting{
		self: b.opt.ID, version: b.opt.version, keys: keys,
		identity: appendIdentity(nil, b.advertise, b.meta()),
		purpose:  p, meet: meet, expect: expect,
	}
}

// accept takes connections until the listener is closed. It does nothing else:
// a slow or silent peer holds up only its own goroutine.
func (t *transport) accept(listener *net.TCPListener) {
	for {
		conn, err := listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Most likely there are no file descriptors left; trying at once
			// would only heat the machine.
			t.bus.log.line(slog.LevelWarn, "accept", "cluster bus: accept failed", "error", err)
			select {
			case <-t.bus.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		t.bus.take(conn)
	}
}

// take begins to serve an accepted connection, or closes it.
func (b *Bus) take(conn *net.TCPConn) {
	from := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if err := b.checkIP(from); err != nil {
		b.refuse(from, err)
		abort(conn)
		return
	}
	if !b.enter(from) {
		b.refuse(from, errors.New("too many connections that have not proven themselves"))
		abort(conn)
		return
	}
	if !b.track(conn) || !b.spawn(func() { b.serve(conn, from) }) {
		b.leave(from)
		b.release(conn)
	}
}

// enter and leave count connections that are in their handshake.
func (b *Bus) enter(from netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.halfAll >= maxHalfOpen || b.halfOpen[from] >= maxHalfOpenFrom {
		return false
	}
	b.halfAll++
	b.halfOpen[from]++
	return true
}

func (b *Bus) leave(from netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.halfAll--
	if b.halfOpen[from]--; b.halfOpen[from] == 0 {
		delete(b.halfOpen, from)
	}
}

// refuse counts and logs a connection that is not served.
func (b *Bus) refuse(from netip.Addr, err error) {
	b.stats.refused.Add(1)
	class := "connection " + from.String()
	if isQuarrel(err) && !errors.Is(err, errNotBus) {
		class += err.Error()
	}
	b.log.line(slog.LevelWarn, class, "cluster bus: connection refused", "from", from.String(), "error", err)
}

// serve shakes hands on an accepted connection and hands it to its purpose.
func (b *Bus) serve(conn *net.TCPConn, from netip.Addr) {
	_ = conn.SetKeepAliveConfig(keepAlive())
	if raw, err := conn.SyscallConn(); err == nil {
		_ = limitSilence("", "", raw)
	}
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	s, err := welcome(conn, b.greeting(slots.NodeID{}, 0, false), b.admit)
	b.leave(from)
	if err == nil {
		err = b.checkIP(s.addr().Addr())
	}
	if err != nil {
		if !errors.Is(err, io.EOF) && b.ctx.Err() == nil {
			b.refuse(from, err)
		}
		b.release(conn)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	if s.purpose == forLink {
		b.serveLink(s)
		return
	}
	b.mu.Lock()
	room := b.streams < maxStreams
	if room {
		b.streams++
	}
	b.mu.Unlock()
	if !room {
		b.refuse(from, errors.New("too many membership streams"))
		b.release(conn)
		return
	}
	c := newStream(b, s)
	c.onEnd = func() {
		b.mu.Lock()
		b.streams--
		b.mu.Unlock()
	}
	select {
	case b.transport.streams <- c:
	case <-b.ctx.Done():
		_ = c.Close()
	}
}

// admit decides on a hello; see welcome.
func (b *Bus) admit(peer slots.NodeID, p purpose, meet bool) status {
	if !meet && !b.allowed(peer) {
		return statusForgotten
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p == forLink && len(b.inbound) >= maxInbound {
		return statusBusy
	}
	return statusWelcome
}
