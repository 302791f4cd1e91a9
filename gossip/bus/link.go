package bus

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"slotmesh/gossip"
	"slotmesh/slots"
)

const (
	// A link's queue is bounded by both; the oldest message makes room, because
	// the cluster state repeats what matters and the newest is worth most.
	maxQueued      = 1024
	maxQueuedBytes = 4 << 20

	// A link that was refused is dialled again after minBackoff, twice that, and
	// so on up to maxBackoff: a node that starts again must be found at once.
	minBackoff = 20 * time.Millisecond
	maxBackoff = 200 * time.Millisecond
	// quarrelBackoff is how long a link rests after a handshake that failed:
	// what was wrong will not be right in a moment.
	quarrelBackoff = time.Second
	// steadyFor is how long a link must have stood for its end to be news, and
	// not one more failure.
	steadyFor = time.Second
	// maxPeers bounds what is kept about other nodes; only an open bus can be
	// made to reach it.
	maxPeers = 2 * maxMembers
	// writeTimeout ends a link whose peer does not read.
	writeTimeout = 5 * time.Second
)

// peer is this node's own end of the link to another node: a connection that
// this node dials and sends on. What the other one sends comes on its own
// connection, see inbound. At most one goroutine, in run, dials, writes and
// reports; there is none while nothing is to be sent and no connection stands.
type peer struct {
	bus  *Bus
	id   slots.NodeID
	wake chan struct{} // capacity 1: the queue is not empty
	gone chan struct{} // closed by drop

	mu      sync.Mutex
	addr    netip.AddrPort
	queue   []outgoing
	queued  int // bytes in queue
	running bool
	dropped bool
	conn    net.Conn // nil while there is none
	since   time.Time
	// seal and raw write to conn. Frames are sealed in the order in which they
	// go out, so whoever seals holds mu, and no one does while the writer is
	// busy, or rest is not empty: what the socket did not take of a frame.
	seal      *frameWriter
	raw       syscall.RawConn
	busy      bool
	rest      []byte
	buf       []byte
	failures  int
	notBefore time.Time
	udp       udpHealth
}

type outgoing struct {
	kind    byte
	message []byte
}

// peer returns what is kept about id; it is begun when create is set. It may
// be nil in any case.
func (b *Bus) peer(id slots.NodeID, create bool) *peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[id]
	if p == nil && create && !b.closed && len(b.peers) < maxPeers {
		p = &peer{bus: b, id: id, wake: make(chan struct{}, 1), gone: make(chan struct{})}
		b.peers[id] = p
	}
	return p
}

// Send sends messages to the node to over its link, which is dialled at addr
// when it is down. It never blocks: the messages are queued, and lost when the
// dial fails, the link breaks, or too much is queued. What is handed over at once
// goes out at once, and wakes the other side once. The bus keeps messages.
func (b *Bus) Send(to slots.NodeID, addr netip.AddrPort, messages ...[]byte) {
	for _, message := range messages {
		if len(message) > MaxMessage {
			b.log.line(slog.LevelWarn, "message size", "cluster bus: message too long, dropped",
				"bytes", len(message), "to", to.String())
			messages = slices.DeleteFunc(slices.Clone(messages), func(m []byte) bool { return len(m) > MaxMessage })
			break
		}
	}
	if p := b.peer(to, true); p != nil {
		p.send(addr, frameMessage, messages...)
	}
}

// send queues frames and makes sure that somebody sends them.
func (p *peer) send(addr netip.AddrPort, kind byte, messages ...[]byte) {
	p.mu.Lock()
	if addr.IsValid() {
		p.addr = addr
	}
	if p.dropped || !p.addr.IsValid() || p.sendNow(kind, messages) {
		p.mu.Unlock()
		return
	}
	for _, message := range messages {
		for len(p.queue) > 0 && (len(p.queue) >= maxQueued || p.queued+len(message) > maxQueuedBytes) {
			p.queued -= len(p.queue[0].message)
			p.queue[0].message = nil
			p.queue = p.queue[1:]
			p.bus.stats.dropped.Add(1)
		}
		p.queue = append(p.queue, outgoing{kind, message})
		p.queued += len(message)
	}
	start := !p.running
	p.running = true
	p.mu.Unlock()
	if start {
		p.bus.spawn(func() { p.run(nil) })
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// sendNow writes frames from the caller's goroutine if the link is up and idle
// and the socket takes them, which spares waking the writer for a lease. It
// returns false when they must be queued. p.mu is held; nothing waits.
func (p *peer) sendNow(kind byte, messages [][]byte) bool {
	size := 0
	for _, message := range messages {
		size += len(message)
	}
	if !writesNow || p.conn == nil || p.busy || len(p.queue) > 0 || len(p.rest) > 0 || size > frameChunk {
		return false
	}
	p.buf = p.buf[:0]
	for _, message := range messages {
		p.buf = p.seal.append(p.buf, kind, message)
	}
	sent, err := tryWrite(p.raw, p.buf)
	p.bus.stats.messagesSent.Add(int64(len(messages)))
	p.bus.stats.messageBytesSent.Add(int64(len(p.buf)))
	switch {
	case err != nil:
		abort(p.conn)
	case sent < len(p.buf):
		p.rest = bytes.Clone(p.buf[sent:])
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// poke makes sure that the link is up or being dialled.
func (p *peer) poke(addr netip.AddrPort) {
	p.mu.Lock()
	start := !p.running && !p.dropped
	if start {
		p.addr, p.running = addr, true
	}
	p.mu.Unlock()
	if start {
		p.bus.spawn(func() { p.run(nil) })
	}
}

// adopt makes s the link, or returns false when there is one already.
func (p *peer) adopt(s *session, addr netip.AddrPort) bool {
	p.mu.Lock()
	p.addr = addr
	if p.running || p.dropped {
		p.mu.Unlock()
		return false
	}
	p.running = true
	p.mu.Unlock()
	return p.bus.spawn(func() { p.run(s) })
}

// up reports whether the link stands.
func (p *peer) up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn != nil
}

// drop ends the link for good.
func (p *peer) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dropped {
		p.dropped = true
		close(p.gone)
	}
	p.queue, p.queued = nil, 0
	if p.conn != nil {
		abort(p.conn)
	}
}

// run keeps the link for as long as it can be had. After a break it dials
// once more at once, even with nothing to send: that connection is refused
// then is the evidence that a node has ended.
func (p *peer) run(s *session) {
	for {
		if s == nil {
			if s = p.dial(); s == nil {
				return
			}
		}
		p.carry(s)
		s = nil
	}
}

// dial waits for its turn and dials. When that fails the messages that wait
// are lost, run ends, and nil is returned.
func (p *peer) dial() *session {
	p.mu.Lock()
	wait, addr := time.Until(p.notBefore), p.addr
	p.mu.Unlock()
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.gone:
		case <-p.bus.ctx.Done():
		}
	}
	var s *session
	err := net.ErrClosed
	if p.bus.ctx.Err() == nil && !p.isDropped() {
		s, err = p.bus.connect(addr, p.id, forLink, false, p.bus.opt.DialTimeout)
	}
	if err == nil {
		return s
	}
	if p.bus.ctx.Err() == nil && !p.isDropped() {
		p.bus.linkFailed(p.id, addr, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backOff(err)
	p.bus.stats.dropped.Add(int64(len(p.queue)))
	p.queue, p.queued = nil, 0
	p.running = false
	return nil
}

func (p *peer) isDropped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

// backOff notes a failure; err is nil for a link that broke soon. p.mu is held.
func (p *peer) backOff(err error) {
	pause := min(minBackoff<<min(p.failures, 4), maxBackoff)
	p.failures++
	if isQuarrel(err) {
		pause = quarrelBackoff
	}
	p.notBefore = time.Now().Add(pause)
}

// isQuarrel reports whether a peer answered and did not agree.
func isQuarrel(err error) bool {
	return errors.Is(err, ErrRefused) || errors.Is(err, ErrOtherNode) || errors.Is(err, ErrVersion) ||
		errors.Is(err, errProof) || errors.Is(err, errNotBus)
}

// linkFailed reports a dial that failed, and logs what an operator can mend. A
// dial that was begun before another one succeeded tells nothing new.
func (b *Bus) linkFailed(id slots.NodeID, addr netip.AddrPort, err error) {
	if p := b.peer(id, false); p != nil && p.up() {
		return
	}
	if isQuarrel(err) {
		b.log.line(slog.LevelWarn, "link "+id.String(), "cluster bus: link refused",
			"node", id.String(), "address", addr.String(), "error", err)
	}
	b.handler.LinkDown(id, errors.Is(err, syscall.ECONNREFUSED))
}

// carry writes the queue to s until it breaks.
func (p *peer) carry(s *session) {
	raw, err := s.conn.(*net.TCPConn).SyscallConn()
	p.mu.Lock()
	p.conn, p.since = s.conn, time.Now()
	p.seal, p.raw, p.rest = &s.writer, raw, nil
	dropped := p.dropped || err != nil
	p.udp.linked()
	p.mu.Unlock()
	if dropped || !p.bus.allowed(p.id) && !s.meet {
		abort(s.conn)
	}
	broken := make(chan struct{})
	p.bus.wg.Go(func() {
		// Nothing comes on this connection; the read ends when it does.
		_, _, err := s.reader.next()
		if err == nil {
			abort(s.conn)
		}
		close(broken)
	})
	p.bus.handler.LinkUp(p.id)
	p.bus.ensureMember(p.id, s.addr())
	p.write(s, broken)
	p.mu.Lock()
	p.conn, p.busy = nil, false
	p.mu.Unlock()
	p.bus.release(s.conn)
	<-broken

	p.mu.Lock()
	if time.Since(p.since) >= steadyFor {
		p.failures, p.notBefore = 0, time.Time{}
	} else {
		p.backOff(nil)
	}
	p.mu.Unlock()
	if p.bus.ctx.Err() == nil && !p.isDropped() {
		p.bus.handler.LinkDown(p.id, false)
	}
}

// write sends what is queued, all of it in one system call, until the
// connection breaks.
func (p *peer) write(s *session, broken <-chan struct{}) {
	for {
		p.mu.Lock()
		buf, queue := append(p.buf[:0], p.rest...), p.queue
		p.rest, p.queue, p.queued = nil, nil, 0
		for _, m := range queue {
			buf = s.writer.append(buf, m.kind, m.message)
		}
		p.buf, p.busy = buf, len(buf) > 0
		p.mu.Unlock()
		if len(buf) == 0 {
			select {
			case <-p.wake:
				continue
			case <-broken:
				return
			}
		}
		p.bus.stats.messagesSent.Add(int64(len(queue)))
		p.bus.stats.messageBytesSent.Add(int64(len(buf)))
		_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		_, err := s.conn.Write(buf)
		// sendNow would fail at a deadline that has passed.
		_ = s.conn.SetWriteDeadline(time.Time{})
		p.mu.Lock()
		if p.busy = false; cap(buf) > 4*frameChunk {
			p.buf = nil
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// inbound is the connection on which another node sends to this one.
type inbound struct {
	conn  net.Conn
	since time.Time
}

// serveLink reads what a peer sends until its connection ends.
func (b *Bus) serveLink(s *session) {
	defer b.release(s.conn)
	s.reader.budget = &b.memory
	defer s.reader.settle()
	if s.meet {
		if err := b.handler.CheckMeta(s.peer, bytes.Clone(s.meta())); err != nil {
			b.log.line(slog.LevelWarn, "met "+s.peer.String(), "cluster bus: refused to be met",
				"node", s.peer.String(), "error", err)
			return
		}
		b.welcomeMet(s)
	}
	in := &inbound{conn: s.conn, since: time.Now()}
	b.mu.Lock()
	older := b.inbound[s.peer]
	b.inbound[s.peer] = in
	b.mu.Unlock()
	if older != nil {
		// The peer has dialled anew, so its older connection is dead.
		abort(older.conn)
	}
	defer func() {
		b.mu.Lock()
		if b.inbound[s.peer] == in {
			delete(b.inbound, s.peer)
		}
		b.mu.Unlock()
	}()
	// Drop may have come between the handshake and now.
	if !b.allowed(s.peer) {
		return
	}
	b.ensureMember(s.peer, s.addr())
	for {
		kind, payload, err := s.reader.next()
		if err == nil {
			b.stats.messagesReceived.Add(1)
			b.stats.messageBytesReceived.Add(int64(len(payload)))
			err = b.takeFrame(s, kind, payload)
		}
		if err != nil {
			if b.ctx.Err() == nil && isMalformed(err) {
				b.log.line(slog.LevelWarn, "frame "+s.peer.String(), "cluster bus: link closed",
					"node", s.peer.String(), "error", err)
			}
			return
		}
	}
}

// isMalformed tells an error in what was received from one of the network.
func isMalformed(err error) bool {
	var network net.Error
	return !errors.As(err, &network) && !isEOF(err)
}

func (b *Bus) takeFrame(s *session, kind byte, payload []byte) error {
	switch kind {
	case frameMessage:
		b.handler.Received(s.peer, gossip.ByLink, bytes.Clone(payload))
		return nil
	case framePacket:
		b.tunnelled(s.peer, s.addr())
		return b.transport.inject(bytes.Clone(payload), s.conn.RemoteAddr())
	case frameSpread:
		b.tunnelled(s.peer, s.addr())
		return splitSpread(bytes.Clone(payload), b.takeBroadcast)
	}
	return errors.New("frame of an unknown kind")
}
