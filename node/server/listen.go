package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
)

// listener is one listening socket.
type listener interface {
	addr() net.Addr
	close()
}

// Listen accepts connections at address, "host:port" of network "tcp" or the
// path of network "unix". The error is the system's, wrapped.
func (srv *Server) Listen(network, address string) error {
	srv.mu.Lock()
	if srv.closing || !srv.started {
		srv.mu.Unlock()
		return fmt.Errorf("server: listen at %s: the server is not running", address)
	}
	if _, twice := srv.listeners[network+" "+address]; twice {
		srv.mu.Unlock()
		return nil
	}
	srv.mu.Unlock()
	var l listener
	var err error
	if network == "unix" {
		l, err = srv.listenUnix(address)
	} else {
		l, err = srv.listenTCP(network, address)
	}
	if err != nil {
		return fmt.Errorf("server: listen at %s: %w", address, err)
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closing {
		l.close()
		return fmt.Errorf("server: listen at %s: the server is closing", address)
	}
	srv.listeners[network+" "+address] = l
	return nil
}

// Unlisten stops accepting at an address given to Listen before. Connections
// that were made through it live on.
func (srv *Server) Unlisten(network, address string) {
	srv.mu.Lock()
	l := srv.listeners[network+" "+address]
	delete(srv.listeners, network+" "+address)
	srv.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// Addr is the address that Listen(network, address) is bound to, with the port
// that the system chose for port 0; nil if it does not listen there.
func (srv *Server) Addr(network, address string) net.Addr {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if l := srv.listeners[network+" "+address]; l != nil {
		return l.addr()
	}
	return nil
}

// listenUnix takes the place of a socket file that nobody listens at any more.
func (srv *Server) listenUnix(path string) (listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if probe, err := net.Dial("unix", path); err == nil {
			probe.Close()
			return nil, errors.New("address already in use")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if perm := srv.set.UnixSocketPerm.Load(); perm != 0 {
		if err := os.Chmod(path, os.FileMode(perm)); err != nil {
			l.Close()
			return nil, err
		}
	}
	return srv.serveStreams(l), nil
}

// nextOwner spreads connections over the loops in turn.
func (srv *Server) nextOwner() owner {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.spread++
	return srv.loops[srv.spread%len(srv.loops)]
}

// keepAliveSeconds splits tcp-keepalive as the reference does: the first probe
// after all of it, the next ones at a third, dead after three.
func keepAliveSeconds(setting int64) (idle, interval, probes int) {
	return int(setting), max(int(setting)/3, 1), 3
}

// splitTCP parses "host:port" for network tcp, tcp4 or tcp6.
func splitTCP(network, address string) (*net.TCPAddr, error) {
	if strings.HasPrefix(address, "*:") {
		address = address[1:]
	}
	return net.ResolveTCPAddr(network, address)
}

// Listening are the addresses given to Listen that the server listens at.
func (srv *Server) Listening(network string) []string {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var list []string
	for key := range srv.listeners {
		if address, ok := strings.CutPrefix(key, network+" "); ok {
			list = append(list, address)
		}
	}
	return list
}
