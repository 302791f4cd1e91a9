package server

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// tcpListener is a listening socket on the first loop.
type tcpListener struct {
	srv    *Server
	loop   *loop
	fd     int
	number int32
	bound  net.Addr
	once   sync.Once
	// deaf is true while accepting is suspended for want of descriptors.
	deaf bool
}

func (srv *Server) listenTCP(network, address string) (listener, error) {
	at, err := splitTCP(network, address)
	if err != nil {
		return nil, err
	}
	fd, err := bindTCP(network, at, int(srv.set.TCPBacklog.Load()))
	if err != nil {
		return nil, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("getsockname", err)
	}
	l := &tcpListener{srv: srv, loop: srv.loops[0].(*loop), fd: fd, bound: net.TCPAddrFromAddrPort(addrPort(name))}
	failed := make(chan error, 1)
	l.loop.post(func() {
		l.number = l.loop.add(func(src *source) { src.listening = l })
		failed <- l.loop.register(unix.EPOLL_CTL_ADD, fd, l.number, unix.EPOLLIN)
	})
	if err := <-failed; err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

// bindTCP makes a listening socket. Every address listens for its own family
// only, so that 0.0.0.0 and :: can be bound together.
func bindTCP(network string, at *net.TCPAddr, backlog int) (int, error) {
	family := unix.AF_INET6
	var name unix.Sockaddr
	if v4 := at.IP.To4(); v4 != nil || at.IP == nil && network != "tcp6" {
		family = unix.AF_INET
		to := &unix.SockaddrInet4{Port: at.Port}
		copy(to.Addr[:], v4)
		name = to
	} else {
		to := &unix.SockaddrInet6{Port: at.Port}
		copy(to.Addr[:], at.IP.To16())
		if at.Zone != "" {
			if link, err := net.InterfaceByName(at.Zone); err == nil {
				to.ZoneId = uint32(link.Index)
			}
		}
		name = to
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	fail := func(call string, err error) (int, error) {
		unix.Close(fd)
		return -1, os.NewSyscallError(call, err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fail("setsockopt", err)
	}
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return fail("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, name); err != nil {
		return fail("bind", err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fail("listen", err)
	}
	return fd, nil
}

func (l *tcpListener) addr() net.Addr { return l.bound }

func (l *tcpListener) close() {
	l.once.Do(func() {
		closed := make(chan struct{})
		l.loop.post(func() {
			l.loop.drop(l.number)
			unix.Close(l.fd)
			close(closed)
		})
		<-closed
	})
}

// acceptBatch is how many connections are taken before others have their turn.
const acceptBatch = 256

// ready takes the connections that wait.
func (l *tcpListener) ready() {
	for range acceptBatch {
		fd, from, err := unix.Accept4(l.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			l.deaf = false
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EAGAIN:
			return
		default:
			if !l.deaf {
				l.srv.log.Warn("Accepting client connection", "error", err)
			}
			l.deaf = true
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if seconds := l.srv.set.TCPKeepAlive.Load(); seconds > 0 {
			keepAlive(fd, seconds)
		}
		local := l.bound.String()
		if name, err := unix.Getsockname(fd); err == nil {
			local = endpoint(name)
		}
		l.srv.nextOwner().adopt(fd, endpoint(from), local)
	}
}

// keepAlive is best effort: a connection without probes still works.
func keepAlive(fd int, seconds int64) {
	idle, interval, probes := keepAliveSeconds(seconds)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, interval)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes)
}

func addrPort(name unix.Sockaddr) netip.AddrPort {
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// endpoint writes "ip:port", IPv6 without brackets' zone.
func endpoint(name unix.Sockaddr) string {
	return strings.TrimSpace(addrPort(name).String())
}
