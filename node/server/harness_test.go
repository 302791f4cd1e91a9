package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/journal"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// Settings of tests: fixed unless a test keeps the pointer.
type (
	fixedInt  int64
	fixedText string
)

func (v fixedInt) Load() int64   { return int64(v) }
func (v fixedText) Load() string { return string(v) }

func testSettings() Settings {
	return Settings{
		MaxClients: fixedInt(1000), Timeout: fixedInt(0), TCPKeepAlive: fixedInt(300), TCPBacklog: fixedInt(511),
		MaxBulk: fixedInt(512 << 20), QueryBuffer: fixedInt(1 << 30), ClientsMemory: fixedInt(0), Databases: fixedInt(16),
		ProtectedMode: new(atomic.Bool), RequirePass: fixedText(""), DebugCommand: fixedText("no"), ModuleCommand: fixedText("no"),
		UnixSocketPerm: fixedInt(0), OutputLimits: func() OutputLimits { return OutputLimits{} }, ReportedVersion: "7.2.4",
	}
}

// rig is a server with a real engine, listening on a port of its own.
type rig struct {
	t       testing.TB
	srv     *Server
	engine  *command.Engine
	address string
	log     *lockedBuffer
	release chan struct{} // closing it ends SLOW commands
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newRig starts a server. change may alter the options first.
func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, log: new(lockedBuffer), release: make(chan struct{})}
	o := Options{Settings: testSettings(), Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Loops: 2}
	if change != nil {
		change(&o)
	}
	r.srv = New(o)
	table, err := command.NewTable(command.Strings(), command.Hashes(), command.Lists(), command.Sets(), command.SortedSets(), command.Geo(), command.Streams(), command.Keys(), r.srv.Rows(), r.rows())
	if err != nil {
		t.Fatal(err)
	}
	r.engine = command.NewEngine(command.EngineOptions{
		Table: table, Store: store.New(store.Options{}), Journal: journal.New(journal.Options{}),
		Lanes: r.srv.Loops(), Now: func() int64 { return time.Now().UnixMilli() }, Seed: 1,
	})
	if err := r.srv.Start(table, r.engine); err != nil {
		t.Fatal(err)
	}
	if err := r.srv.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	r.address = r.srv.Addr("tcp", "127.0.0.1:0").String()
	t.Cleanup(r.srv.Close)
	return r
}

// rows are commands that misbehave on purpose.
func (r *rig) rows() []command.Spec {
	parked := command.Spec{Name: "parkme", Arity: -1, Group: "test", Run: func(c *command.Call) error {
		c.Conn.Park(func(wake func(func(*resp.Writer))) func() {
			stop := make(chan struct{})
			go func() {
				select {
				case <-r.release:
					wake(func(w *resp.Writer) { w.BulkString("woken") })
				case <-stop:
					r.srv.counters.panics.Add(1000)
				}
			}()
			return func() { close(stop) }
		})
		return nil
	}}
	heavyPark := parked
	heavyPark.Name, heavyPark.Heavy = "heavypark", command.Always
	return []command.Spec{
		{Name: "slow", Arity: 1, Group: "test", Heavy: command.Always, Run: func(c *command.Call) error {
			<-r.release
			c.Reply.OK()
			return nil
		}},
		{Name: "slowkey", Arity: 2, Group: "test", Flags: command.Write, Heavy: command.Always, Keys: []command.KeySpec{{Flags: command.KeyRW, Begin: 1, Step: 1}}, Run: func(c *command.Call) error {
			<-r.release
			c.Reply.OK()
			return nil
		}},
		{Name: "boom", Arity: 1, Group: "test", Run: func(*command.Call) error { panic("boom") }},
		{Name: "heavyboom", Arity: 1, Group: "test", Heavy: command.Always, Run: func(*command.Call) error { panic("heavy boom") }},
		{Name: "keyboom", Arity: 2, Group: "test", Keys: []command.KeySpec{{Flags: command.KeyRW, Begin: 1, Step: 1}}, Run: func(*command.Call) error { panic("key boom") }},
		{Name: "steal", Arity: 1, Group: "test", Run: func(c *command.Call) error {
			c.Reply.Simple("YOURS")
			c.Conn.Hijack(func(socket net.Conn, pending []byte, done func()) {
				defer done()
				defer socket.Close()
				fmt.Fprintf(socket, "+GOT %d\r\n", len(pending))
				line, _ := bufio.NewReader(socket).ReadString('\n')
				fmt.Fprintf(socket, "+LINE %s", line)
			})
			return nil
		}},
		parked, heavyPark,
	}
}

// client is one connection of a test.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func (r *rig) dial() *client { return dialAt(r.t, "tcp", r.address) }

func dialAt(t testing.TB, network, address string) *client {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn = patientConn{conn}
	return &client{t, conn, bufio.NewReaderSize(conn, 1<<20)}
}

// patience is how long a test waits for anything.
const patience = 20 * time.Second

// patientConn gives every read and every write its time, however long the
// connection has been in use.
type patientConn struct{ net.Conn }

func (c patientConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c patientConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, raw); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// reply reads one reply and writes it in a short form.
func (c *client) reply() string {
	c.t.Helper()
	r, err := resp.NewReplyReader(c.in, resp.ReplyLimits{}).Read()
	if err != nil {
		return "<" + err.Error() + ">"
	}
	return brief(r)
}

func brief(r resp.Reply) string {
	switch {
	case r.Null:
		return "nil"
	case r.Kind == ':':
		return fmt.Sprint(r.Int)
	case r.Kind == '-':
		return "-" + string(r.Text)
	case r.Kind == '*' || r.Kind == '%' || r.Kind == '~':
		parts := make([]string, len(r.Elements))
		for i, e := range r.Elements {
			parts[i] = brief(e)
		}
		return string(r.Kind) + "[" + strings.Join(parts, " ") + "]"
	}
	return string(r.Text)
}

// do sends an inline command and reads its reply.
func (c *client) do(line string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.reply()
}

func (c *client) expect(line, want string) {
	c.t.Helper()
	if got := c.do(line); got != want {
		c.t.Errorf("%s: got %q, want %q", line, got, want)
	}
}

// closed reports whether the server ends the connection.
func (c *client) closed() bool {
	_, err := c.in.ReadByte()
	return err != nil && !strings.Contains(err.Error(), "timeout")
}

// rest is what comes until the server ends the connection.
func (c *client) rest() string {
	c.t.Helper()
	text, err := io.ReadAll(c.in)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("the connection lives, after %.60q", text)
	}
	return string(text)
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// testFence is a Fence that a test opens and closes.
type testFence struct {
	mu      sync.Mutex
	state   FenceState
	term    uint64
	waiting []func()
}

func (f *testFence) State() (FenceState, uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state, f.term
}

func (f *testFence) Notify(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, fn)
}

func (f *testFence) set(state FenceState, term uint64) {
	f.mu.Lock()
	f.state, f.term = state, term
	waiting := f.waiting
	f.waiting = nil
	f.mu.Unlock()
	for _, fn := range waiting {
		fn()
	}
}

func (f *testFence) waiters() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}

// testTable gives the first half of the slots to this node and the rest to
// another one.
func testTable() *slots.Table {
	table := &slots.Table{Epoch: 1, Up: true, Nodes: []slots.Endpoint{{Host: "127.0.0.1", Port: 1}, {Host: "127.0.0.1", Port: 2}}}
	for slot := range table.Owner {
		if slot >= slots.Count/2 {
			table.Owner[slot] = 1
		}
	}
	return table
}
