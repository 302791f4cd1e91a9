package command

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// mostBlocks is how many blocks may be taken and given back while a slot is held
// once, however large the value is. Each takes far less than ten microseconds,
// which is 3 ms in all.
const mostBlocks = 300

// meter counts blocks while a slot is held.
type meter struct {
	t *testing.T
	n *node
	// key is what is worked on, most the greatest count so far and what had it.
	key  string
	most int64
	what string
}

// hold runs fn, which holds a slot once.
func (m *meter) hold(what string, fn func()) {
	m.t.Helper()
	memory := m.n.engine.store.Memory()
	before := memory.Operations()
	fn()
	did := memory.Operations() - before
	if did > m.most {
		m.most, m.what = did, what
	}
	if did > mostBlocks {
		m.t.Errorf("%s: %s takes and gives back %d blocks with the slot held, at most %d may be", m.key, what, did, mostBlocks)
	}
}

// do runs a command; what it does before it has its slots is not measured.
func (m *meter) do(args ...string) {
	m.t.Helper()
	c := m.call(args...)
	if c.Spec.Ahead != nil {
		c.Spec.Ahead(c)
	}
	m.hold(args[0], func() {
		if !m.n.engine.Execute(c, func() {}) {
			m.t.Fatalf("%s is parked", args[0])
		}
	})
	c.dropAhead()
	if reply := string(c.Reply.Buf); c.Err != nil || reply == ":0\r\n" && args[0] != "EXISTS" {
		m.t.Errorf("%q: %.60q", args[0], reply)
	}
	m.rest()
}

// exec runs a transaction likewise.
func (m *meter) exec(commands ...[]string) {
	m.t.Helper()
	tx := &Transaction{Reply: &resp.Writer{}}
	for _, args := range commands {
		c := m.call(args...)
		tx.Commands = append(tx.Commands, Queued{c.Spec, c.Args})
	}
	m.n.engine.prepareAhead(tx)
	m.hold("EXEC of "+commands[0][0], func() { m.n.engine.ExecuteAll(tx, func() {}) })
	tx.dropAhead()
	if reply := string(tx.Reply.Buf); reply[0] != '*' || strings.Contains(reply, "\r\n-") || strings.Contains(reply, "\r\n:0") {
		m.t.Errorf("EXEC of %s: %q", commands[0][0], reply)
	}
	m.rest()
}

func (m *meter) call(args ...string) *Call {
	c := &Call{engine: m.n.engine, Reply: &resp.Writer{}, Conn: m.n.conn, DB: m.n.conn.db}
	for _, arg := range args {
		c.Args = append(c.Args, []byte(arg))
	}
	spec, err := m.n.engine.Table().Find(c.Args)
	if err != nil {
		m.t.Fatal(err)
	}
	c.Spec = spec
	return c
}

// rest is what other goroutines do, which hold no slot.
func (m *meter) rest() {
	for m.n.engine.store.Reap(100_000) {
	}
}

// TestHoldsAreShort lives the life of a large collection of each kind and counts
// what is done while its slot is held, each time: it must not depend on how large
// the collection is. Commands that build or return the whole of one do so before
// or after, as far as they can.
func TestHoldsAreShort(t *testing.T) {
	members := 100_000
	if os.Getenv("SLOTMESH_LONG") != "" {
		members = 10_000_000
	}
	adds := map[string]func(args []string, i int) []string{
		"HSET":  func(args []string, i int) []string { return append(args, fmt.Sprint("member:", i), "value") },
		"SADD":  func(args []string, i int) []string { return append(args, fmt.Sprint("member:", i)) },
		"ZADD":  func(args []string, i int) []string { return append(args, fmt.Sprint(i), fmt.Sprint("member:", i)) },
		"RPUSH": func(args []string, i int) []string { return append(args, fmt.Sprint("member:", i)) },
		"XADD": func(args []string, i int) []string {
			return append(args, fmt.Sprint(i+1, "-1"), "field", fmt.Sprint("member:", i))
		},
	}
	for command, add := range adds {
		t.Run(command, func(t *testing.T) { liveShortly(t, command, add, members) })
	}
}

func liveShortly(t *testing.T, command string, add func([]string, int) []string, members int) {
	n := newNode(t)
	n.journal.on = false
	m := &meter{t: t, n: n, key: command}
	const key = "{k}large"
	slot := slots.Of([]byte(key))
	per := 50
	if command == "XADD" {
		per = 1
	}
	for i := 0; i < members; i += per {
		args := []string{command, key}
		for j := range per {
			args = add(args, i+j)
		}
		c := m.call(args...)
		m.hold("creating it", func() { n.engine.Execute(c, func() {}) })
	}
	more := func() {
		members++
		m.do(add([]string{command, key}, members)...)
	}
	digest := n.digestOf(key)

	// A snapshot is walked while the collection changes.
	var sn *store.Snapshot
	m.hold("a cut", func() { n.engine.Exclusive(func() { sn = n.engine.store.Cut(nil) }) })
	for range 20 {
		more()
	}
	emitted := 0
	err := sn.Walk(func(slot slots.Slot, fn func()) {
		m.hold("a turn of a snapshot", func() { n.engine.WithSlot(slot, fn) })
	}, func(entries []store.Entry) error {
		emitted += len(entries)
		more()
		return nil
	})
	if err != nil || emitted != 1 {
		t.Errorf("%d entries are emitted: %v", emitted, err)
	}
	sn.Close()

	m.do("RENAME", key, "{k}renamed")
	m.do("RENAME", "{k}renamed", key)
	m.do("PEXPIRE", key, "100000")
	m.do("MOVE", key, "1")
	n.conn.db = 1
	m.do("PERSIST", key)
	m.do("MOVE", key, "0")
	n.conn.db = 0

	// Pages get sparse, and blocks are moved.
	for walk := n.engine.store.Compaction(); ; {
		if _, left := walk.Next(); !left {
			break
		}
		m.hold("a step of compaction", func() { n.engine.WithSlot(slot, walk.Step) })
	}

	m.do("COPY", key, "{k}copy")
	m.exec([]string{"COPY", key, "{k}copy", "REPLACE"}, []string{"DEL", "{k}copy"})
	if payload, _ := decoded(n.do("DUMP", key)).(string); members < 1_000_000 {
		m.do("RESTORE", "{k}copy", "0", payload)
		m.do("RESTORE", "{k}copy", "0", payload, "REPLACE")
		m.exec([]string{"RESTORE", "{k}copy", "0", payload, "REPLACE"}, []string{"SET", "{k}other", "x"})
		m.do("SET", "{k}copy", "x")
	}
	if now := n.digestOf(key); now == digest {
		t.Error("the collection did not change")
	}
	m.do("COPY", key, "{k}copy", "REPLACE")
	m.do("PEXPIRE", "{k}copy", "100")
	n.now.Add(1000)
	m.hold("the active cycle", func() {
		if n.engine.ExpireCycle(100) != 1 {
			t.Error("the copy has not expired")
		}
	})
	m.rest()
	m.do("COPY", key, "{k}copy")
	m.do("PEXPIRE", "{k}copy", "100")
	n.now.Add(1000)
	m.do("EXISTS", "{k}copy")
	m.do("COPY", key, "{k}copy")
	if command == "RPUSH" {
		m.do("LTRIM", "{k}copy", fmt.Sprint(members/3), "-1")
		m.do("LTRIM", "{k}copy", "0", fmt.Sprint(members/3))
		m.do("LTRIM", "{k}copy", "100", "200")
		m.do("COPY", key, "{k}copy", "REPLACE")
		m.do("LPOP", "{k}copy", fmt.Sprint(members/4))
		m.do("RPOP", "{k}copy", fmt.Sprint(members/4))
		m.do("LMPOP", "1", "{k}copy", "LEFT", "COUNT", fmt.Sprint(members/4))
	}
	if draw := map[string]string{"SADD": "SRANDMEMBER", "HSET": "HRANDFIELD", "ZADD": "ZRANDMEMBER"}[command]; draw != "" {
		m.do(draw, "{k}copy", fmt.Sprint(members/4))
		m.do(draw, "{k}copy", fmt.Sprint(-members))
	}
	if command == "ZADD" {
		m.do("ZREMRANGEBYRANK", "{k}copy", fmt.Sprint(members/4), fmt.Sprint(members/2))
		m.do("ZREMRANGEBYSCORE", "{k}copy", "-inf", fmt.Sprint(members/8))
		m.do("ZREMRANGEBYRANK", "{k}copy", "100", fmt.Sprint(100+members/20))
	}
	if command == "ZADD" {
		m.do("ZPOPMIN", "{k}copy", fmt.Sprint(members/10))
		m.do("ZMPOP", "1", "{k}copy", "MAX", "COUNT", fmt.Sprint(members/10))
	}
	if command == "SADD" {
		m.do("SPOP", "{k}copy", fmt.Sprint(members/3))
		m.do("SPOP", "{k}copy", fmt.Sprint(members/100+2000))
	}
	if command == "XADD" {
		m.do("XTRIM", "{k}copy", "MAXLEN", fmt.Sprint(members/3))
		m.do("XTRIM", "{k}copy", "MINID", fmt.Sprint(members*3/4))
		m.do("XTRIM", "{k}copy", "MAXLEN", "10")
		m.do("COPY", key, "{k}copy", "REPLACE")
		m.do("XADD", "{k}copy", "MAXLEN", fmt.Sprint(members/3), "*", "field", "value")
		m.do("XADD", "{k}copy", "MINID", fmt.Sprint(members*3/4), "*", "field", "value")
	}
	m.do("DEL", "{k}copy")
	m.do("UNLINK", key)
	if used := n.engine.store.Used(); used > 1<<20 {
		t.Errorf("%d bytes are left", used)
	}
	t.Logf("%d members: at most %d blocks with the slot held, by %s", members, m.most, m.what)
}
