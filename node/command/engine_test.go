package command

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// TestEffects checks what commands leave in the journal.
func TestEffects(t *testing.T) {
	const now = int64(1_700_000_000_000)
	n := newNode(t)
	for _, line := range []struct{ command, journal string }{
		{"SET a 1", "0 SET a 1"},
		{"GET a", ""},
		{"SET a 1 EX 10", fmt.Sprintf("0 SET a 1 PXAT %d", now+10_000)},
		{"SET a 1 PXAT 33177117420123", "0 SET a 1 PXAT 33177117420123"},
		{"SET a 1 GET", "0 SET a 1"},
		{"SET a 1 KEEPTTL GET", "0 SET a 1 KEEPTTL"},
		{"SET a 1 NX", ""},
		{"SETEX a 10 v", fmt.Sprintf("0 SET a v PXAT %d", now+10_000)},
		{"PSETEX a 10 v", fmt.Sprintf("0 SET a v PXAT %d", now+10)},
		{"GETSET a b", "0 SET a b"},
		{"GETDEL a", "0 DEL a"},
		{"GETDEL a", ""},
		{"INCRBYFLOAT f 1.5", "0 SET f 1.5 KEEPTTL"},
		{"INCR n", "0 INCR n"},
		{"EXPIRE n 10", fmt.Sprintf("0 PEXPIREAT n %d", now+10_000)},
		{"EXPIRE n 10 NX", ""},
		{"GETEX n PERSIST", "0 PERSIST n"},
		{"GETEX n EX 5", fmt.Sprintf("0 PEXPIREAT n %d", now+5_000)},
		{"GETEX n", ""},
		{"PERSIST n", "0 PERSIST n"},
		{"PERSIST n", ""},
		{"EXPIRE n -1", "0 DEL n"},
		{"DEL n", ""},
		{"MSET a 1 b 2", "0 MSET a 1 b 2"},
		{"MSETNX a 1 c 2", ""},
		{"DEL a b nokey", "0 DEL a b nokey"},
		{"APPEND s x", "0 APPEND s x"},
		{`SETRANGE s 0 ""`, ""},
		{"RENAME s s2", "0 RENAME s s2"},
		{"RENAME s2 s2", ""},
		{"COPY s2 s3", "0 COPY s2 s3"},
		{"MOVE s3 1", "0 MOVE s3 1"},
		{"SWAPDB 0 1", "0 SWAPDB 0 1"},
		{"FLUSHDB", "0 FLUSHDB"},
		{"FLUSHALL ASYNC", "0 FLUSHALL ASYNC"},
		{"TOUCH a", ""},
		{"DBSIZE", ""},
	} {
		n.do(splitLine(t, line.command)...)
		if got := n.entries(); got != line.journal {
			t.Errorf("%s journaled %q, want %q", line.command, got, line.journal)
		}
	}
}

// TestLazyExpiry checks what happens to a key whose time is over, on a primary,
// on a replica, and to what a stream does with it.
func TestLazyExpiry(t *testing.T) {
	n := newNode(t)
	n.do("SET", "a", "1", "PX", "100")
	n.do("SET", "b", "1", "PX", "100")
	n.do("SET", "c", "1", "PX", "100")
	n.entries()
	n.now.Add(100)
	if got := n.do("GET", "a"); got != "$-1\r\n" {
		t.Errorf("GET of an expired key: %q", got)
	}
	if got := n.entries(); got != "0 DEL a" {
		t.Errorf("journal: %q", got)
	}
	n.engine.SetLazyExpire(true)
	n.do("SET", "b", "2", "NX")
	if got := n.entries(); got != "(0 UNLINK b; 0 SET b 2 NX)" {
		t.Errorf("journal: %q", got)
	}
	n.engine.SetReplica(true)
	if got := n.do("EXISTS", "c"); got != ":0\r\n" || n.engine.Store().Len(0) != 2 {
		t.Errorf("on a replica: %q, %d keys", got, n.engine.Store().Len(0))
	}
	if n.engine.ExpireCycle(10) != 0 {
		t.Error("a replica deleted a key itself")
	}
	appended := false
	cmds := []Applied{{DB: 0, Args: [][]byte{[]byte("APPEND"), []byte("c"), []byte("2")}}}
	if err := n.engine.Apply(cmds, func() { appended = true }); err != nil || !appended {
		t.Error("apply:", err, appended)
	}
	if v := n.engine.Store().Find(0, slots.Of([]byte("c")), []byte("c")).Value(); string(v.Bytes) != "12" {
		t.Errorf("an applied command does not see an expired key: %q", v.Bytes)
	}
	n.engine.SetReplica(false)
	if deleted := n.engine.ExpireCycle(10); deleted != 1 || n.entries() != "0 UNLINK c" {
		t.Errorf("the active cycle deleted %d", deleted)
	}
	if s := n.engine.Stats(); s.Expired != 3 {
		t.Errorf("expired %d keys, want 3", s.Expired)
	}
}

// words is a line as a command to be applied.
func words(line string) Applied {
	var args [][]byte
	for _, word := range strings.Fields(line) {
		args = append(args, []byte(word))
	}
	return Applied{Args: args}
}

// TestApplyTakesLongStrings: what was within the limits of who executed it is applied.
func TestApplyTakesLongStrings(t *testing.T) {
	n := newNode(t)
	n.engine.SetMaxBulk(4)
	if got := n.do("SETRANGE", "a", "3", "xx"); got != "-"+resp.ErrStringTooLong.Error()+"\r\n" {
		t.Errorf("a string that becomes too long: %q", got)
	}
	if err := n.engine.Apply([]Applied{words("SETRANGE a 3 xx"), words("APPEND a x"), words("SETBIT a 50 1")}, nil); err != nil {
		t.Error(err)
	}
	if got := n.do("STRLEN", "a"); got != ":7\r\n" {
		t.Errorf("length %q", got)
	}
}

func TestApplyErrors(t *testing.T) {
	n := newNode(t)
	err := n.engine.Apply([]Applied{words("SET a 1"), words("NOSUCH a")}, nil)
	if err == nil || !strings.Contains(err.Error(), "NOSUCH") || n.engine.HasKeys() {
		t.Errorf("unknown command: %v, keys %v", err, n.engine.HasKeys())
	}
	err = n.engine.Apply([]Applied{words("SET a x"), words("INCR a"), words("SET b 1"), words("FLUSHALL"), words("SET c 1")}, nil)
	if refused, ok := err.(*ReplyError); !ok || refused.Command != "incr" || n.engine.Store().Len(0) != 1 {
		t.Errorf("refused command: %v, %d keys", err, n.engine.Store().Len(0))
	}
	if got := n.entries(); got != "" {
		t.Errorf("applied commands were journaled: %q", got)
	}
}

// tx runs a transaction and returns the raw reply.
func (n *node) tx(w *Watcher, lines ...string) string {
	n.out.Buf = n.out.Buf[:0]
	t := &Transaction{Watcher: w, Reply: &n.out, Conn: n.conn}
	for _, line := range lines {
		var args [][]byte
		for _, word := range strings.Fields(line) {
			args = append(args, []byte(word))
		}
		spec, err := n.engine.Table().Find(args)
		if err != nil {
			return err.Error()
		}
		t.Commands = append(t.Commands, Queued{spec, args})
	}
	resumed := make(chan struct{}, 1)
	for !n.engine.ExecuteAll(t, func() { resumed <- struct{}{} }) {
		<-resumed
	}
	return string(n.out.Buf)
}

// watchRow is WATCH, which belongs to package server.
func (n *node) watch(w *Watcher, keys ...string) {
	c := &Call{Spec: &Spec{Name: "watch", Run: func(c *Call) error { c.Watch(w); return nil }}, Reply: &resp.Writer{}, Conn: n.conn}
	c.Spec.facts = facts{keyed: true}
	c.Spec.Keys = []KeySpec{{Begin: 1, Last: -1, Step: 1}}
	c.Args = [][]byte{[]byte("WATCH")}
	for _, key := range keys {
		c.Args = append(c.Args, []byte(key))
	}
	n.engine.ExecuteWait(c)
}

func TestTransactions(t *testing.T) {
	n := newNode(t)
	check := func(got, reply, journal string) {
		t.Helper()
		if got != reply {
			t.Errorf("reply %q, want %q", got, reply)
		}
		if entries := n.entries(); entries != journal {
			t.Errorf("journal %q, want %q", entries, journal)
		}
	}
	check(n.tx(nil, "SET a 1", "INCR a", "GET a"), "*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n", "(0 SET a 1; 0 INCR a)")
	check(n.tx(nil, "SET a x", "INCR a"), "*2\r\n+OK\r\n-ERR value is not an integer or out of range\r\n", "0 SET a x")
	check(n.tx(nil, "GET a"), "*1\r\n$1\r\nx\r\n", "")
	check(n.tx(nil, "SELECT 1", "SET a 1", "SELECT 0"), "*3\r\n+OK\r\n+OK\r\n+OK\r\n", "1 SET a 1")
	check(n.tx(nil, "SET b 1", "DBSIZE", "FLUSHALL", "SET b 2"), "*4\r\n+OK\r\n:2\r\n+OK\r\n+OK\r\n", "(0 SET b 1; 0 FLUSHALL; 0 SET b 2)")
	check(n.tx(nil, "KEYS *"), "*1\r\n*1\r\n$1\r\nb\r\n", "")

	for _, change := range []struct {
		line string
		null bool
	}{
		{"SET b 3", true},
		{"GET b", false},
		{"DEL b", true},
		{"DEL nokey", false},
		{"EXPIRE b 100", true},
		{"FLUSHALL", true},
		{"SWAPDB 0 1", true},
		{"RENAME b q", true},
		{"SET other 1", false},
		{"COPY other b REPLACE", true},
	} {
		n.do("SET", "b", "1")
		n.do("SET", "other", "1")
		var w Watcher
		n.watch(&w, "b", "x", "b")
		n.watch(&w, "x")
		if watched := n.engine.watches.keys.Load(); watched != 2 {
			t.Fatalf("%d keys are watched", watched)
		}
		n.do(strings.Fields(change.line)...)
		n.entries()
		reply := n.tx(&w, "GET other")
		if null := reply == "*-1\r\n"; null != change.null {
			t.Errorf("EXEC after %s: %q", change.line, reply)
		}
		n.engine.Unwatch(&w)
		if n.engine.watches.keys.Load() != 0 || w.Touched() {
			t.Fatal("something is still watched")
		}
	}
	// A watched key that expires in time is a change, one that had expired is
	// not.
	var w Watcher
	n.do("SET", "e", "1", "PX", "10")
	n.watch(&w, "e")
	n.now.Add(10)
	if reply := n.tx(&w, "DBSIZE"); reply != "*-1\r\n" {
		t.Errorf("EXEC after expiry: %q", reply)
	}
	n.engine.Unwatch(&w)
	n.watch(&w, "e")
	if reply := n.tx(&w, "EXISTS e"); reply != "*1\r\n:0\r\n" {
		t.Errorf("EXEC with a key that had expired: %q", reply)
	}
}

// clusterTable serves all slots here but the ones that a test changes.
func clusterTable() *slots.Table {
	return &slots.Table{
		Epoch: 1, Up: true, Primary: slots.None,
		Nodes: []slots.Endpoint{{Host: "127.0.0.1", Port: 7000}, {Host: "10.0.0.2", Port: 7001}},
	}
}

func TestRouting(t *testing.T) {
	n := newNode(t)
	table := clusterTable()
	foo, bar := slots.Of([]byte("foo")), slots.Of([]byte("bar"))
	table.Owner[bar] = 1
	hello := slots.Of([]byte("hello"))
	table.Owner[hello] = slots.None
	table.Migrating = map[slots.Slot]uint16{foo: 1}
	table.Importing = map[slots.Slot]uint16{bar: 1}
	n.engine.SetRouting(table)
	n.do("SET", "{foo}here", "1")
	for _, line := range []struct{ command, reply string }{
		{"SET {foo}here 1", "-ASK 12182 10.0.0.2:7001\r\n"},
		{"GET bar", "-MOVED 5061 10.0.0.2:7001\r\n"},
		{"GET hello", "-CLUSTERDOWN Hash slot not served\r\n"},
		{"MGET foo bar", "-CROSSSLOT Keys in request don't hash to the same slot\r\n"},
		{"DBSIZE", ":0\r\n"},
		{"SET other 1", "+OK\r\n"},
		{"GET other", "$1\r\n1\r\n"},
		{"RESTORE-ASKING bar 0 x", "-ERR DUMP payload version or checksum are wrong\r\n"},
		{"SWAPDB 0 1", "-ERR SWAPDB is not allowed in cluster mode\r\n"},
		{"MOVE other 1", "-ERR MOVE is not allowed in cluster mode\r\n"},
		{"COPY other {other}2 DB 1", "-ERR Copying to another database is not allowed in cluster mode\r\n"},
	} {
		if got := n.do(strings.Fields(line.command)...); got != line.reply {
			t.Errorf("%s: %q, want %q", line.command, got, line.reply)
		}
	}
	n.engine.SetRouting(nil)
	n.do("SET", "{foo}here", "1")
	n.engine.SetRouting(table)
	if got := n.do("MGET", "{foo}here", "{foo}gone"); !strings.HasPrefix(got, "-TRYAGAIN") {
		t.Errorf("half of the keys are here: %q", got)
	}
	if got := n.do("GET", "{foo}here"); got != "$1\r\n1\r\n" {
		t.Errorf("the key is here: %q", got)
	}
	n.conn.asking = true
	if got := n.do("GET", "bar"); got != "$-1\r\n" {
		t.Errorf("after ASKING: %q", got)
	}
	if got := n.tx(nil, "GET other", "GET bar"); !strings.HasPrefix(got, "-CROSSSLOT") {
		t.Errorf("EXEC over two slots: %q", got)
	}
	if got := n.tx(nil, "SET bar 1", "GET bar"); !strings.HasPrefix(got, "-MOVED") {
		t.Errorf("EXEC elsewhere: %q", got)
	}
	if n.do("COMMAND", "COUNT")[0] != ':' {
		t.Error("a command without keys was routed")
	}
}

// TestTransit parks the clients of a key that is being sent, and nobody else.
func TestTransit(t *testing.T) {
	n := newNode(t)
	n.do("SET", "a", "1")
	slot := slots.Of([]byte("a"))
	release := n.engine.Transit(slot, 0, [][]byte{[]byte("a")})
	get := func(key string, resume func()) (*Call, bool) {
		c := &Call{Spec: n.engine.Table().Lookup([]byte("get")), Args: [][]byte{[]byte("get"), []byte(key)}, Reply: &resp.Writer{}, Conn: n.conn}
		return c, n.engine.Execute(c, resume)
	}
	var resumed atomic.Int32
	c, done := get("a", func() { resumed.Add(1) })
	gone, _ := get("a", func() { resumed.Add(10) })
	if done {
		t.Fatal("a key in transit was served")
	}
	if _, done := get("{a}b", nil); !done {
		t.Fatal("another key of the slot was held up")
	}
	n.engine.Abandon(gone)
	release()
	release()
	if resumed.Load() != 1 {
		t.Fatalf("resumed %d", resumed.Load())
	}
	if !n.engine.Execute(c, nil) || string(c.Reply.Buf) != "$1\r\n1\r\n" {
		t.Fatalf("after the move: %q", c.Reply.Buf)
	}
}

// TestWritesOnAReplica: a write that was let in on a primary and waited is refused if the
// node has become a replica meanwhile. What replicas take, with replica-read-only no, is
// not journaled.
func TestWritesOnAReplica(t *testing.T) {
	n := newNode(t)
	n.engine.SetReadOnly(true)
	n.do("SET", "a", "1")
	release := n.engine.Transit(slots.Of([]byte("a")), 0, [][]byte{[]byte("a")})
	waits := &Call{
		Spec: n.engine.Table().Lookup([]byte("set")), Args: [][]byte{[]byte("set"), []byte("a"), []byte("2")},
		Reply: &resp.Writer{}, Conn: n.conn,
	}
	if n.engine.Execute(waits, func() {}) {
		t.Fatal("a key in transit was served")
	}
	n.entries()
	n.engine.SetReplica(true)
	release()
	refused := "-" + string(resp.ErrReadOnly) + "\r\n"
	if !n.engine.Execute(waits, nil) || string(waits.Reply.Buf) != refused || !waits.Rejected {
		t.Errorf("the one that waited: %q", waits.Reply.Buf)
	}
	for _, line := range []string{"SET b 1", "FLUSHALL", "SORT a BY x_* STORE b"} {
		if got := n.do(strings.Fields(line)...); got != refused {
			t.Errorf("%s: %q", line, got)
		}
	}
	if got := n.tx(nil, "GET a", "SET b 1"); got != "-EXECABORT Transaction discarded because of: "+string(resp.ErrReadOnly)+"\r\n" {
		t.Errorf("EXEC: %q", got)
	}
	if got := n.tx(nil, "GET a", "DBSIZE"); got != "*2\r\n$1\r\n1\r\n:1\r\n" {
		t.Errorf("EXEC that reads: %q", got)
	}
	n.engine.SetReadOnly(false)
	n.do("SET", "b", "1")
	n.tx(nil, "SET c 1", "SET d 1")
	n.do("FLUSHALL")
	if got := n.entries(); got != "" {
		t.Errorf("journaled: %s", got)
	}
	if got := n.do("DBSIZE"); got != ":0\r\n" {
		t.Errorf("DBSIZE: %q", got)
	}
}

// TestServedWhileTheRoleChanges: what a write serves is journaled if the write is.
func TestServedWhileTheRoleChanges(t *testing.T) {
	n := newNode(t)
	n.begin("BLPOP", "k", "0")
	push := [][]byte{[]byte("RPUSH"), []byte("k"), []byte("v")}
	tx := &Transaction{
		Commands: []Queued{{n.engine.Table().Lookup([]byte("rpush")), push}}, Reply: &resp.Writer{}, Conn: &testConn{},
		After: func(*Call) { n.engine.replica.Store(true) },
	}
	if !n.engine.ExecuteAll(tx, nil) {
		t.Fatal("EXEC was parked")
	}
	if got := n.end(); got != "*2\r\n$1\r\nk\r\n$1\r\nv\r\n" {
		t.Errorf("BLPOP: %q", got)
	}
	if got := n.entries(); got != "0 RPUSH k v | 0 LPOP k" {
		t.Errorf("journaled: %s", got)
	}
}

// TestLockQueue has parked calls on two slots and checks order, hand-off,
// leaving, and that a closed gate lets everything through afterwards.
func TestLockQueue(t *testing.T) {
	n := newNode(t)
	e := n.engine
	slot := slots.Of([]byte("a"))
	set := func(i int, resume func()) (*Call, bool) {
		c := &Call{
			Spec: e.Table().Lookup([]byte("append")), Reply: &resp.Writer{}, Conn: n.conn,
			Args: [][]byte{[]byte("append"), []byte("a"), []byte(fmt.Sprint(i))},
		}
		return c, e.Execute(c, resume)
	}
	e.locks.lock(slot)
	var calls []*Call
	granted := make(chan int, 10)
	for i := range 5 {
		c, done := set(i, func() { granted <- i })
		if done {
			t.Fatal("a locked slot was served")
		}
		calls = append(calls, c)
	}
	e.Abandon(calls[1])
	e.Abandon(calls[4])
	e.locks.unlock(slot)
	if i := <-granted; i != 0 {
		t.Fatalf("call %d came first", i)
	}
	// It owns the slot now: its client leaves, and the next is granted.
	e.Abandon(calls[0])
	if i := <-granted; i != 2 {
		t.Fatalf("call %d came second", i)
	}
	e.Exclusive(func() {})
	if !e.Execute(calls[2], nil) {
		t.Fatal("the owner of a slot was parked")
	}
	if i := <-granted; i != 3 {
		t.Fatalf("call %d came third", i)
	}
	if !e.Execute(calls[3], nil) {
		t.Fatal("the owner of a slot was parked")
	}
	if got := n.do("GET", "a"); got != "$2\r\n23\r\n" {
		t.Fatalf("a is %q", got)
	}
}

// TestConcurrentTransfers moves amounts between keys of many slots from several
// loops, by transactions and single commands, with exclusive work and snapshots
// in between; the total never changes.
func TestConcurrentTransfers(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	const accounts, loops, turns = 8, 4, 400
	e := NewEngine(EngineOptions{
		Table: n.engine.Table(), Store: store.New(store.Options{}), Journal: n.journal, Lanes: loops,
		Now: func() int64 { return 1000 },
	})
	n.engine = e
	for i := range accounts {
		n.do("SET", fmt.Sprint("acct", i), "100")
	}
	incrBy := e.Table().Lookup([]byte("incrby"))
	var wg sync.WaitGroup
	for lane := range loops {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(lane), 9))
			conn := &testConn{}
			for range turns {
				from, to := random.IntN(accounts), random.IntN(accounts)
				tx := &Transaction{Reply: &resp.Writer{}, Conn: conn, Lane: lane, Commands: []Queued{
					{incrBy, [][]byte{[]byte("incrby"), fmt.Append(nil, "acct", from), []byte("-1")}},
					{incrBy, [][]byte{[]byte("incrby"), fmt.Append(nil, "acct", to), []byte("1")}},
				}}
				resumed := make(chan struct{}, 1)
				for !e.ExecuteAll(tx, func() { resumed <- struct{}{} }) {
					if random.IntN(10) == 0 {
						e.AbandonAll(tx)
						break
					}
					<-resumed
				}
			}
		})
	}
	total := func(entries []store.Entry) (sum int64) {
		for _, entry := range entries {
			sum += entry.Value.Int
		}
		return sum
	}
	wg.Go(func() {
		for range 20 {
			var sn *store.Snapshot
			e.Exclusive(func() { sn = e.Store().Cut(nil) })
			sum := int64(0)
			err := sn.Walk(e.WithSlot, func(entries []store.Entry) error { sum += total(entries); return nil })
			sn.Close()
			if err != nil || sum != accounts*100 {
				t.Errorf("a snapshot holds %d, %v", sum, err)
			}
		}
	})
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		t.Fatal("deadlock")
	}
	sum := int64(0)
	for i := range accounts {
		key := fmt.Append(nil, "acct", i)
		sum += e.Store().Find(0, slots.Of(key), key).Value().Int
	}
	if sum != accounts*100 {
		t.Fatalf("the total is %d", sum)
	}
}

// TestDigest compares digests with the reference's.
func TestDigest(t *testing.T) {
	ref := startReference(t, "--enable-debug-command", "yes")
	ours := newNode(t)
	ours.real = true
	digest := func() string {
		var c Call
		c.engine = ours.engine
		return fmt.Sprintf("+%x\r\n", c.DigestAll())
	}
	for _, line := range []string{
		"DBSIZE", "SET a 1", "SET b hello", "SELECT 3", "SET c x", "EXPIRE c 1000", "SET a 1234567", "SELECT 0", "APPEND b !", "DEL a",
	} {
		args := strings.Fields(line)
		ref.do(args...)
		ours.do(args...)
		if a, b := digest(), ref.do("DEBUG", "DIGEST"); a != b {
			t.Errorf("after %s: %q, want %q", line, a, b)
		}
	}
	value := DigestOf(ours.engine.Store().Find(0, slots.Of([]byte("b")), []byte("b")))
	if a, b := fmt.Sprintf("*1\r\n+%x\r\n", value), ref.do("DEBUG", "DIGEST-VALUE", "b"); a != b {
		t.Errorf("value: %q, want %q", a, b)
	}
}
