package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"

	"slotmesh/node/resp"
)

// link is a connection to a node, logged in. It is for one goroutine.
type link struct {
	net.Conn
	addr    string
	timeout time.Duration
	in      *bufio.Reader
	replies *resp.ReplyReader
	// unhook ends the watch over the context.
	unhook func() bool
}

const linkBuffer = 64 << 10

// dial connects to addr and logs in. The connection breaks when ctx ends.
func dial(ctx context.Context, addr string, o options) (*link, error) {
	dialer := net.Dialer{Timeout: o.timeout}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	l := &link{Conn: conn, addr: addr, timeout: o.timeout}
	l.in = bufio.NewReaderSize(silenceLimit{conn, o.timeout}, linkBuffer)
	l.replies = resp.NewReplyReader(l.in, resp.ReplyLimits{})
	l.unhook = context.AfterFunc(ctx, func() { conn.Close() })
	if o.pass != "" {
		login := []string{"AUTH", o.pass}
		if o.user != "" {
			login = []string{"AUTH", o.user, o.pass}
		}
		if _, err := l.do(login...); err != nil {
			l.close()
			return nil, fmt.Errorf("log in at %s: %w", addr, err)
		}
	}
	return l, nil
}

// silenceLimit reads from a connection until it is silent for too long.
type silenceLimit struct {
	net.Conn
	limit time.Duration
}

func (s silenceLimit) Read(b []byte) (int, error) {
	if err := s.SetReadDeadline(time.Now().Add(s.limit)); err != nil {
		return 0, err
	}
	return s.Conn.Read(b)
}

func (l *link) close() {
	l.unhook()
	l.Conn.Close()
}

// send writes encoded commands. The node may be silent between pieces, not slow
// as a whole.
func (l *link) send(encoded []byte) error {
	const piece = 1 << 20
	for len(encoded) > 0 {
		if err := l.SetWriteDeadline(time.Now().Add(l.timeout)); err != nil {
			return err
		}
		n, err := l.Write(encoded[:min(piece, len(encoded))])
		if err != nil {
			return err
		}
		encoded = encoded[n:]
	}
	return nil
}

// do sends one command and returns its reply. An error that the node answered
// is a resp.Error.
func (l *link) do(args ...string) (resp.Reply, error) {
	if err := l.send(resp.AppendCommand(nil, args...)); err != nil {
		return resp.Reply{}, err
	}
	reply, err := l.replies.Read()
	if err != nil {
		return resp.Reply{}, err
	}
	return reply, reply.Err()
}
