//go:build !linux

package server

import "net"

// startLoops starts nothing: without epoll every connection has a goroutine.
func startLoops(*Server, int) ([]owner, error) { return nil, nil }

func (srv *Server) listenTCP(network, address string) (listener, error) {
	at, err := splitTCP(network, address)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenTCP(network, at)
	if err != nil {
		return nil, err
	}
	return srv.serveStreams(l), nil
}
