package bus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"

	"slotmesh/slots"
)

// transport is what memberlist sends and receives through: our packets on UDP,
// and streams that have passed our handshake. Nothing reaches memberlist that
// does not come from a node of this version, with this cluster's secret, that
// meant this node and is not forgotten.
type transport struct {
	bus       *Bus
	port      uint16
	listeners []*net.TCPListener
	sockets   []*net.UDPConn
	packets   chan *memberlist.Packet
	streams   chan net.Conn
	wg        sync.WaitGroup
	stop      sync.Once
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// udpBuffer is asked of the kernel for each direction: a burst of broadcasts
// in a large cluster must not be lost here.
const udpBuffer = 1 << 20

// listen binds TCP and UDP on every address; serve begins to listen to them.
func listen(b *Bus) (*transport, error) {
	t := &transport{
		bus:     b,
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
	}
	// The kernel gives a free TCP port; that the UDP port of the same number is
	// free, too, is luck.
	var err error
	for range 10 {
		if err = t.bind(); err == nil || b.opt.Port != 0 {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// serve starts the goroutines that read the sockets. The bus is complete.
func (t *transport) serve() {
	for i := range t.listeners {
		t.wg.Go(func() { t.accept(t.listeners[i]) })
		t.wg.Go(func() { t.receive(t.sockets[i]) })
	}
}

func (t *transport) bind() error {
	port := t.bus.opt.Port
	for _, text := range t.bus.opt.BindAddrs {
		ip, optional, err := parseBind(text)
		if err != nil {
			t.unbind()
			return fmt.Errorf("bind address: %w", err)
		}
		family := "6"
		if ip.Is4() {
			family = "4"
		}
		listener, err := net.ListenTCP("tcp"+family, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))))
		if optional && isMissing(err) {
			continue
		}
		if err != nil {
			t.unbind()
			return err
		}
		t.listeners = append(t.listeners, listener)
		port = listener.Addr().(*net.TCPAddr).Port
		socket, err := net.ListenUDP("udp"+family, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))))
		if err != nil {
			t.unbind()
			return err
		}
		t.sockets = append(t.sockets, socket)
		// The kernel may give less than asked; that is not worth refusing to start.
		_ = socket.SetReadBuffer(udpBuffer)
		_ = socket.SetWriteBuffer(udpBuffer)
	}
	if len(t.listeners) == 0 {
		return errors.New("this machine has none of the bind addresses")
	}
	t.port = uint16(port)
	return nil
}

// parseBind reads one word of a bind directive.
func parseBind(text string) (ip netip.Addr, optional bool, err error) {
	text, optional = strings.CutPrefix(text, "-")
	switch text {
	case "*":
		return netip.IPv4Unspecified(), optional, nil
	case "::*":
		return netip.IPv6Unspecified(), optional, nil
	}
	ip, err = netip.ParseAddr(text)
	return ip, optional, err
}

// isMissing reports whether binding failed because the machine has no such
// address or address family.
func isMissing(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) ||
		errors.Is(err, syscall.EPROTONOSUPPORT)
}

func (t *transport) unbind() {
	for _, l := range t.listeners {
		_ = l.Close()
	}
	for _, s := range t.sockets {
		_ = s.Close()
	}
	t.listeners, t.sockets = nil, nil
}

// Shutdown closes the sockets and waits for their goroutines.
func (t *transport) Shutdown() error {
	t.stop.Do(func() {
		t.bus.cancel()
		for _, l := range t.listeners {
			_ = l.Close()
		}
		for _, s := range t.sockets {
			_ = s.Close()
		}
	})
	t.wg.Wait()
	return nil
}

// FinalAdvertiseAddr returns what the bus has chosen.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	a := t.bus.advertise
	return a.Addr().AsSlice(), int(a.Port()), nil
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }
func (t *transport) StreamCh() <-chan net.Conn           { return t.streams }

var errNoName = errors.New("bus: membership message without a node name")

// WriteTo is not used: memberlist names the node that it means.
func (t *transport) WriteTo([]byte, string) (time.Time, error) { return time.Time{}, errNoName }

// DialTimeout is not used: memberlist names the node that it means.
func (t *transport) DialTimeout(string, time.Duration) (net.Conn, error) { return nil, errNoName }

// WriteToAddress sends a packet by UDP, and over the link, too, where UDP does
// not work. A packet for a node that is not allowed vanishes without an error,
// so that the membership takes it for dead and not for broken.
func (t *transport) WriteToAddress(body []byte, to memberlist.Address) (time.Time, error) {
	id, err := slots.ParseNodeID(to.Name)
	if err != nil {
		return time.Time{}, errNoName
	}
	addr, err := netip.ParseAddrPort(to.Addr)
	if err != nil {
		return time.Time{}, fmt.Errorf("bus: packet to %q: %w", to.Addr, err)
	}
	if t.bus.checkIP(addr.Addr()) != nil || !t.bus.allowed(id) {
		return time.Now(), nil
	}
	if p := t.bus.peer(id, false); p != nil && p.tunnels() {
		p.send(netip.AddrPort{}, framePacket, bytes.Clone(body))
	}
	return time.Now(), t.write(addr, id, packetGossip, body)
}

// write seals and sends one packet.
func (t *transport) write(addr netip.AddrPort, to slots.NodeID, kind byte, body []byte) error {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	text := t.bus.packets.append(make([]byte, 0, packetOverhead+len(body)), to, kind, body)
	t.bus.stats.packetsSent.Add(1)
	t.bus.stats.packetBytesSent.Add(int64(len(text)))
	if block := t.bus.opt.blockUDP; block != nil && block(addr) {
		return nil
	}
	for _, s := range t.sockets {
		if s.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().Is4() == addr.Addr().Is4() {
			_, err := s.WriteToUDPAddrPort(text, addr)
			return err
		}
	}
	return fmt.Errorf("bus: no socket for %s", addr)
}

// receive reads one UDP socket until it is closed.
func (t *transport) receive(socket *net.UDPConn) {
	buf := make([]byte, maxPacket+1)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// An ICMP error of an earlier packet; the next read may be fine.
			t.bus.log.line(LevelVerbose, "udp read", "cluster bus: UDP read failed", "error", err)
			select {
			case <-t.bus.ctx.Done():
				return
			case <-time.After(time.Millisecond):
			}
			continue
		}
		t.bus.stats.packetsReceived.Add(1)
		t.bus.stats.packetBytesReceived.Add(int64(n))
		if err := t.take(buf[:n], from); err != nil && !errors.Is(err, errReplayed) {
			t.bus.stats.refused.Add(1)
			class := "packet"
			if errors.Is(err, ErrVersion) {
				class += err.Error()
			}
			t.bus.log.line(slog.LevelWarn, class, "cluster bus: packet refused", "from", from.String(), "error", err)
		}
	}
}

// take handles one packet that came by UDP. text is the read buffer.
func (t *transport) take(text []byte, from netip.AddrPort) error {
	if len(text) > maxPacket {
		return fmt.Errorf("%w: more than %d bytes", errNotPacket, maxPacket)
	}
	if err := t.bus.checkIP(from.Addr()); err != nil {
		return err
	}
	id, kind, body, err := t.bus.opener.open(text)
	if err != nil {
		return err
	}
	if !t.bus.allowed(id) {
		return fmt.Errorf("node %s: %s", id, refusal(statusForgotten))
	}
	switch kind {
	case packetGossip:
		return t.inject(bytes.Clone(body), net.UDPAddrFromAddrPort(from))
	case packetSpread:
		return splitSpread(bytes.Clone(body), t.bus.takeBroadcast)
	case packetEcho, packetEchoed:
		if len(body) != echoBytes {
			return errNotPacket
		}
		if kind == packetEcho {
			return t.write(from, id, packetEchoed, body)
		}
		t.bus.echoed(id, body)
		return nil
	}
	return fmt.Errorf("%w: kind %d", errNotPacket, kind)
}

// inject gives memberlist a packet that it may keep.
func (t *transport) inject(body []byte, from net.Addr) error {
	if err := vetPacket(body); err != nil {
		return err
	}
	select {
	case t.packets <- &memberlist.Packet{Buf: body, From: from, Timestamp: time.Now()}:
	case <-t.bus.ctx.Done():
	}
	return nil
}

// DialAddressTimeout opens a stream for the membership to the node that it
// names and to no other.
func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	id, err := slots.ParseNodeID(to.Name)
	if err != nil {
		return nil, errNoName
	}
	addr, err := netip.ParseAddrPort(to.Addr)
	if err != nil {
		return nil, fmt.Errorf("bus: stream to %q: %w", to.Addr, err)
	}
	if !t.bus.allowed(id) {
		return nil, fmt.Errorf("bus: stream to %s: it is forgotten", id)
	}
	s, err := t.bus.connect(addr, id, forStream, false, timeout)
	if err != nil {
		return nil, err
	}
	return newStream(t.bus, s), nil
}
