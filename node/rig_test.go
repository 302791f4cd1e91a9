package node

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slotmesh/node/config"
	"slotmesh/node/e2e/harness"
	"slotmesh/node/persist"
	"slotmesh/node/resp"
)

// patience is how long a test waits for anything.
const patience = 20 * time.Second

// client is a connection to a server, ours or the reference.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *resp.ReplyReader
}

func dialClient(t *testing.T, network, address string) *client {
	t.Helper()
	var conn net.Conn
	waitFor(t, "a connection to "+address, func() bool {
		var err error
		conn, err = net.Dial(network, address)
		return err == nil
	})
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, resp.NewReplyReader(bufio.NewReaderSize(conn, 1<<16), resp.ReplyLimits{})}
}

// send sends a command without waiting for its reply.
func (c *client) send(args ...string) {
	c.t.Helper()
	if err := c.trySend(args...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) trySend(args ...string) error {
	_, err := c.conn.Write(resp.AppendCommand(nil, args...))
	return err
}

// receive reads one reply.
func (c *client) receive() (resp.Reply, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return resp.Reply{}, err
	}
	return c.in.Read()
}

func (c *client) do(args ...string) resp.Reply {
	c.t.Helper()
	c.send(args...)
	reply, err := c.receive()
	if err != nil {
		c.t.Fatalf("%q: %v", args, err)
	}
	return reply
}

// text is a reply as one line for comparing.
func text(r resp.Reply) string {
	switch {
	case r.Null:
		return "(nil)"
	case r.Kind == ':' || r.Kind == '#':
		return fmt.Sprintf("%c%d", r.Kind, r.Int)
	case len(r.Elements) > 0 || strings.ContainsRune("*%~>|", rune(r.Kind)):
		parts := make([]string, len(r.Elements))
		for i, e := range r.Elements {
			parts[i] = text(e)
		}
		return string(r.Kind) + "[" + strings.Join(parts, " ") + "]"
	}
	return string(r.Kind) + strconv.Quote(string(r.Text))
}

func (c *client) ask(args ...string) string {
	c.t.Helper()
	return text(c.do(args...))
}

// waitFor waits for a condition.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// startNode runs a node in this process, reachable by a Unix socket, and
// returns what dials it and what tells how Run ended.
func startNode(t *testing.T, options ...string) (n *Node, dial func() *client, ended <-chan error) {
	t.Helper()
	return startNodeOn(t, persist.OS{}, options...)
}

// startNodeOn is startNode with a disk of the test's.
func startNodeOn(t *testing.T, disk persist.FS, options ...string) (n *Node, dial func() *client, ended <-chan error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "node") // shorter than TempDir: a socket's path is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cfg := config.New()
	args := append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir, "--enable-debug-command", "yes"}, options...)
	if err := cfg.Load(args, nil); err != nil {
		t.Fatal(err)
	}
	if n, err = New(cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	n.persistence.fs = disk
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() {
		over <- n.Run(ctx)
		close(over)
	}()
	t.Cleanup(func() {
		cancel()
		for range over {
		}
	})
	return n, func() *client { return dialClient(t, "unix", socket) }, over
}

// startReference runs the reference server and returns what connects to it.
func startReference(t *testing.T, options ...string) func() *client {
	t.Helper()
	p := harness.StartReference(t, options...)
	return func() *client { return dialClient(t, "tcp", p.Addr()) }
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// runToEnd runs a node that ends by itself and returns why.
func runToEnd(t *testing.T, options ...string) error {
	t.Helper()
	_, _, ended := startNode(t, options...)
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("the node does not end")
		return nil
	}
}
