package command

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/node/journal"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// recorder is a Journal that keeps what it is given, as text.
type recorder struct {
	on      bool
	entries []string
}

func (r *recorder) Active() bool { return r.on }

func (r *recorder) Append(db int, _ slots.Slot, args [][]byte) int64 {
	r.entries = append(r.entries, fmt.Sprintf("%d %s", db, joinArgs(args)))
	return 0
}

func (r *recorder) AppendGroup(effects []journal.Effect) int64 {
	texts := make([]string, len(effects))
	for i, e := range effects {
		texts[i] = fmt.Sprintf("%d %s", e.DB, joinArgs(e.Args))
	}
	r.entries = append(r.entries, "("+strings.Join(texts, "; ")+")")
	return 0
}

func joinArgs(args [][]byte) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = string(arg)
	}
	return strings.Join(words, " ")
}

// testConn is a connection without a socket.
type testConn struct {
	db               int
	asking, readOnly bool
	// asleep is the end of a call that waits for keys.
	asleep testSleeper
}

func (c *testConn) ID() uint64   { return 1 }
func (c *testConn) DB() int      { return c.db }
func (c *testConn) SetDB(db int) { c.db = db }
func (c *testConn) Asking() bool {
	asking := c.asking
	c.asking = false
	return asking
}

func (c *testConn) ReadOnlyConn() bool { return c.readOnly }

func (c *testConn) Park(func(func(func(*resp.Writer))) func()) { panic("not parked here") }

// Sleep lets node.do wait for the reply.
func (c *testConn) Sleep(b *Blocked, timeout time.Duration) Sleeper {
	c.asleep = make(testSleeper, 1)
	asleep := c.asleep
	if timeout > 0 {
		time.AfterFunc(timeout, func() {
			if b.Withdraw() {
				asleep.Wake(b.TimedOut)
			}
		})
	}
	return asleep
}

type testSleeper chan func(*resp.Writer)

func (s testSleeper) Serving()                        {}
func (s testSleeper) Wake(reply func(*resp.Writer))   { s <- reply }
func (s testSleeper) Refuse(reply func(*resp.Writer)) { s <- reply }

func (c *testConn) Hijack(func(socket net.Conn, pending []byte, done func())) {
	panic("not hijacked here")
}
func (c *testConn) Attachment() any   { return nil }
func (c *testConn) SetAttachment(any) {}
func (c *testConn) CloseAfterReply()  {}

// selectRow is SELECT, which belongs to package server.
func selectRow() Spec {
	return Spec{Name: "select", Syntax: "index", Arity: 2, Flags: Loading | Stale | Fast, Group: "connection", Since: "1.0.0", Run: func(c *Call) error {
		db, err := parseDB(c, c.Args[1])
		if err != nil {
			return err
		}
		c.Conn.SetDB(db)
		c.Reply.OK()
		return nil
	}}
}

func testTable(t testing.TB) *Table {
	t.Helper()
	table, err := NewTable(Strings(), Hashes(), SortedSets(), Geo(), Bitmaps(), HyperLogLogs(), Sorting(), Sets(), Lists(), Streams(), Keys(), Introspection(), []Spec{selectRow()})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// node is an engine with one client.
type node struct {
	engine  *Engine
	journal *recorder
	conn    *testConn
	call    Call
	out     resp.Writer
	now     atomic.Int64
	// real makes the clock the machine's, for comparisons with the reference.
	real bool
}

func newNode(t testing.TB) *node {
	t.Helper()
	n := &node{journal: &recorder{on: true}, conn: &testConn{}}
	n.now.Store(1_700_000_000_000)
	n.engine = NewEngine(EngineOptions{
		Table: testTable(t), Store: store.New(store.Options{}), Journal: n.journal, Lanes: 2, Seed: 1,
		Now: func() int64 {
			if n.real {
				return time.Now().UnixMilli()
			}
			return n.now.Load()
		},
	})
	return n
}

// do runs one command and returns the raw reply.
func (n *node) do(args ...string) string {
	n.begin(args...)
	return n.end()
}

// begin runs one command, whose client may be asleep then.
func (n *node) begin(args ...string) {
	c := &n.call
	c.Args = nil
	for _, arg := range args {
		c.Args = append(c.Args, []byte(arg))
	}
	n.out.Buf = n.out.Buf[:0]
	spec, err := n.engine.Table().Find(c.Args)
	if err != nil {
		n.out.Error(err.Error())
		return
	}
	c.Spec, c.Reply, c.Conn, c.DB = spec, &n.out, n.conn, n.conn.db
	// As on a loop first, where what is long leaves without a trace.
	c.OnLoop = true
	n.engine.ExecuteWait(c)
	if c.OnLoop = false; c.Err == ErrLong && len(n.out.Buf) == 0 {
		n.engine.ExecuteWait(c)
	}
}

// end returns the raw reply, for which it waits if the client is asleep.
func (n *node) end() string {
	if asleep := n.conn.asleep; asleep != nil {
		n.conn.asleep = nil
		(<-asleep)(&n.out)
	}
	return string(n.out.Buf)
}

// entries returns what was journaled since the last time.
func (n *node) entries() string {
	text := strings.Join(n.journal.entries, " | ")
	n.journal.entries = nil
	return text
}

// reference is a redis-server to compare with.
type reference struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// startReference starts the reference, or skips the test.
func startReference(t testing.TB, options ...string) *reference {
	t.Helper()
	conn := harness.StartReference(t, options...).Connect()
	return &reference{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// do sends one command and returns the raw reply.
func (r *reference) do(args ...string) string {
	raw := resp.AppendCommand(nil, args...)
	if _, err := r.conn.Write(raw); err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	if err := readReply(r.r, &b); err != nil {
		r.t.Fatalf("%q: %v", args, err)
	}
	return b.String()
}

// readReply copies one whole reply.
func readReply(r *bufio.Reader, b *strings.Builder) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	b.WriteString(line)
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '$', '=':
		if n >= 0 {
			if _, err := io.CopyN(b, r, int64(n+2)); err != nil {
				return err
			}
		}
	case '*', '~', '>', '%', '|':
		if line[0] == '%' || line[0] == '|' {
			n *= 2
		}
		for range n {
			if err := readReply(r, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// decoded turns a raw reply into nested values: string, int64, nil, replyError
// or []any (maps and sets included).
func decoded(raw string) any {
	v, _ := decodeReply(raw)
	return v
}

type replyError string

func decodeReply(raw string) (any, string) {
	line, rest, _ := strings.Cut(raw, "\r\n")
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case ':':
		return int64(n), rest
	case '-':
		return replyError(line[1:]), rest
	case '$', '=':
		if n < 0 {
			return nil, rest
		}
		return rest[:n], rest[n+2:]
	case '*', '~', '>', '%':
		if n < 0 {
			return nil, rest
		}
		if line[0] == '%' {
			n *= 2
		}
		list := make([]any, n)
		for i := range list {
			list[i], rest = decodeReply(rest)
		}
		return list, rest
	case '_':
		return nil, rest
	}
	return line[1:], rest
}
