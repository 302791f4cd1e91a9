package command

import (
	"strings"
	"testing"
	"time"

	"slotmesh/node/resp"
	"slotmesh/slots"
)

// sleeperConn is a connection that may be asleep.
type sleeperConn struct {
	testConn
	reply  string
	closed bool
	timer  func()
}

func (c *sleeperConn) CloseAfterReply() { c.closed = true }

func (c *sleeperConn) Sleep(b *Blocked, timeout time.Duration) Sleeper {
	c.timer = func() {
		if b.Withdraw() {
			c.Wake(b.TimedOut)
		}
	}
	return c
}
func (c *sleeperConn) Serving()                        {}
func (c *sleeperConn) Refuse(reply func(*resp.Writer)) { c.Wake(reply) }
func (c *sleeperConn) Wake(reply func(*resp.Writer)) {
	var w resp.Writer
	reply(&w)
	c.reply = string(w.Buf)
}

// sleep runs a blocking command on a connection of its own.
func (n *node) sleep(t *testing.T, args ...string) *sleeperConn {
	t.Helper()
	conn := new(sleeperConn)
	var w resp.Writer
	c := &Call{Reply: &w, Conn: conn, DB: n.conn.db}
	for _, arg := range args {
		c.Args = append(c.Args, []byte(arg))
	}
	c.Spec, _ = n.engine.Table().Find(c.Args)
	n.engine.ExecuteWait(c)
	for i := range c.Args {
		// What waits must not look here any more.
		copy(c.Args[i], strings.Repeat("#", len(c.Args[i])))
	}
	if len(w.Buf) > 0 {
		t.Fatalf("%q does not wait: %q", args, w.Buf)
	}
	return conn
}

// TestServedEffects looks at what is journaled of those who waited.
func TestServedEffects(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct {
		waits, writes []string
		reply, want   string
	}{
		{[]string{"BLPOP", "x", "k", "0"}, []string{"RPUSH", "k", "1"}, "*2\r\n$1\r\nk\r\n$1\r\n1\r\n", "0 RPUSH k 1 | 0 LPOP k"},
		{[]string{"BRPOP", "k", "x", "0"}, []string{"LPUSH", "k", "1"}, "*2\r\n$1\r\nk\r\n$1\r\n1\r\n", "0 LPUSH k 1 | 0 RPOP k"},
		{[]string{"BLMOVE", "k", "l", "LEFT", "RIGHT", "0"}, []string{"RPUSH", "k", "1"}, "$1\r\n1\r\n", "0 RPUSH k 1 | 0 LMOVE k l LEFT RIGHT"},
		{[]string{"BRPOPLPUSH", "k", "l", "0"}, []string{"RPUSH", "k", "1"}, "$1\r\n1\r\n", "0 RPUSH k 1 | 0 RPOPLPUSH k l"},
		{[]string{"BLMPOP", "0", "2", "x", "k", "RIGHT", "COUNT", "2"}, []string{"RPUSH", "k", "1", "2"}, "*2\r\n$1\r\nk\r\n*2\r\n$1\r\n2\r\n$1\r\n1\r\n", "0 RPUSH k 1 2 | 0 RPOP k 2"},
	} {
		conn := n.sleep(t, c.waits...)
		n.do(c.writes...)
		if conn.reply != c.reply {
			t.Errorf("%q: %q", c.waits, conn.reply)
		}
		if got := n.entries(); got != c.want {
			t.Errorf("%q: journaled %q, want %q", c.waits, got, c.want)
		}
		n.do("DEL", "l")
		n.entries()
	}
	conn := n.sleep(t, "BLPOP", "k", "1")
	conn.timer()
	if conn.reply != "*-1\r\n" {
		t.Errorf("time out: %q", conn.reply)
	}
	if got := n.entries(); got != "" {
		t.Errorf("journaled %q", got)
	}
	if n.engine.Blocked() != 0 || len(n.engine.blocking.shard(slots.Of([]byte("k"))).keys) != 0 {
		t.Error("something is left in the registry")
	}
}

// TestServedAfterApply: a stream that is applied makes keys ready too; and on a
// replica nothing of it is journaled here.
func TestServedAfterApply(t *testing.T) {
	n := newNode(t)
	conn := n.sleep(t, "BLPOP", "k", "0")
	var order []string
	err := n.engine.Apply([]Applied{{0, [][]byte{[]byte("RPUSH"), []byte("k"), []byte("1")}}}, func() { order = append(order, conn.reply) })
	if err != nil || len(order) != 1 || order[0] != "" || conn.reply == "" {
		t.Errorf("%v, %q, then %q", err, order, conn.reply)
	}
	if got := n.entries(); got != "0 LPOP k" {
		t.Errorf("journaled %q", got)
	}
}

// TestWidenedCalls has clients wait to move elements to keys of other slots, in
// chains, while others hold those slots.
func TestWidenedCalls(t *testing.T) {
	n := newNode(t)
	a, b, c := "a", "b", "c" // of three slots
	first := n.sleep(t, "BLMOVE", a, b, "LEFT", "LEFT", "0")
	second := n.sleep(t, "BLMOVE", b, c, "LEFT", "LEFT", "0")
	third := n.sleep(t, "BLPOP", c, "0")
	release := make(chan struct{})
	held := make(chan struct{})
	go n.engine.WithSlot(slots.Of([]byte(c)), func() { close(held); <-release })
	<-held
	done := make(chan string)
	go func() { done <- n.do("RPUSH", a, "x") }()
	select {
	case got := <-done:
		t.Fatalf("the write did not wait for the slot that it needs: %q", got)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if got := <-done; got != ":1\r\n" {
		t.Errorf("got %q", got)
	}
	if first.reply != "$1\r\nx\r\n" || second.reply != "$1\r\nx\r\n" || third.reply != "*2\r\n$1\r\nc\r\n$1\r\nx\r\n" {
		t.Errorf("got %q, %q, %q", first.reply, second.reply, third.reply)
	}
	if got := n.do("EXISTS", a, b, c); got != ":0\r\n" {
		t.Errorf("%q exist", got)
	}
	for i := range n.engine.locks.states {
		if n.engine.locks.states[i].Load() != 0 {
			t.Fatalf("slot %d is still locked", i)
		}
	}
}

// TestBusyDestination: when luck fails, the client is served soon after.
func TestBusyDestination(t *testing.T) {
	n := newNode(t)
	clients := make([]*sleeperConn, 3*widenClients)
	for i := range clients {
		// More than a write looks at beforehand.
		clients[i] = n.sleep(t, "BLMOVE", "a", []string{"b", "c"}[i/(2*widenClients)], "LEFT", "LEFT", "0")
	}
	release, held := make(chan struct{}), make(chan struct{})
	go n.engine.WithSlot(slots.Of([]byte("c")), func() { close(held); <-release })
	<-held
	push := []string{"RPUSH", "a"}
	for range clients {
		push = append(push, "x")
	}
	n.do(push...)
	close(release)
	deadline := time.Now().Add(10 * time.Second)
	for n.engine.Blocked() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d still wait", n.engine.Blocked())
		}
		time.Sleep(time.Millisecond)
	}
	if got := n.do("LLEN", "b") + n.do("LLEN", "c") + n.do("EXISTS", "a"); got != ":8\r\n:4\r\n:0\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestParseTimeout(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0s", "1": "1s", "0.5": "500ms", "0.0001": "1ms", "1e-9": "1ms", "-0": "0s", "-0.0001": "0s", "0x10": "16s", "1.0015": "1.002s",
		"9223372036854775": "0s", "-1": "negative", "inf": "negative", "1e18": "negative", "1e400": "negative",
		"-9223372036854775808": "negative", "-9223372036854775807": "negative", "-9223372036854775.5": "negative", "-1e30": "negative",
		"": "not a float", "nan": "not a float", " 1": "not a float", "1 ": "not a float", "x": "not a float",
	} {
		d, err := ParseTimeout([]byte(text))
		got := d.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
