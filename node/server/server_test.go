package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slotmesh/node/command"
	"slotmesh/node/e2e/harness"
	"slotmesh/node/resp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPipelineInOrder(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	var request bytes.Buffer
	const n = 20000
	for i := range n {
		request.Write(resp.AppendCommand(nil, "ECHO", fmt.Sprint(i)))
	}
	go c.conn.Write(request.Bytes())
	for i := range n {
		if got := c.reply(); got != fmt.Sprint(i) {
			t.Fatalf("reply %d is %q", i, got)
		}
	}
}

func TestHalfCommandsAndPieces(t *testing.T) {
	r := newRig(t, nil)
	c, other := r.dial(), r.dial()
	value := strings.Repeat("0123456789abcdef", 1<<14)
	request := string(resp.AppendCommand(nil, "SET", "k", value)) + "GET k\r\nPING\r\n"
	for i := 0; i < len(request); {
		step := min(1+i%997, len(request)-i)
		c.send(request[i : i+step])
		i += step
		if i%5000 == 0 {
			other.expect("PING", "PONG")
		}
	}
	for _, want := range []string{"OK", value, "PONG"} {
		if got := c.reply(); got != want {
			t.Fatalf("got %.40q, want %.40q", got, want)
		}
	}
}

func TestGarbage(t *testing.T) {
	r := newRig(t, nil)
	for _, raw := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\n\r\n", "Host: x\r\nPING\r\n", "*1\r\n$4\r\npost\r\n",
		"*2147483648\r\n", "*1\r\n$-2\r\n", "*1\r\n$9223372036854775807\r\n", "*1\r\nx\r\n", "set \"a\r\n", strings.Repeat("a", 70000), "*1\r\n$600000000\r\n",
	} {
		c := r.dial()
		// The server may close before all of it is sent.
		_, _ = io.WriteString(c.conn, raw)
		if text := c.rest(); text != "" && !strings.HasPrefix(text, "-ERR Protocol error: ") {
			t.Errorf("%.30q: %q", raw, text)
		}
	}
	held := r.dial()
	held.send("*2147483647\r\n$1\r\na\r\n$536870912\r\nxyz")
	r.dial().expect("PING", "PONG")
	if !strings.Contains(r.log.String(), "SECURITY ATTACK") {
		t.Error("the cross-protocol warning is missing from the log")
	}
}

// The names of subcommands that were called lately are not taken for commands, nor
// for those of another container, and the other way round.
func TestSubcommandsCalledLately(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Loops = 1 })
	c := r.dial()
	for range 3 {
		c.expect("CLIENT GETNAME", "nil")
		c.expect("GETNAME", "-ERR unknown command 'GETNAME', with args beginning with: ")
		c.expect("CLIENT GETNAME x", "-ERR wrong number of arguments for 'client|getname' command")
		c.expect("CLIENT", "-ERR wrong number of arguments for 'client' command")
		c.expect("CLIENT GET", "-ERR unknown subcommand 'GET'. Try CLIENT HELP.")
		c.expect("GET k", "nil")
		c.expect("CLIENT GET", "-ERR unknown subcommand 'GET'. Try CLIENT HELP.")
		c.expect("client getname", "nil")
	}
}

// A request that needs a lot of memory gets it only as its bytes arrive.
func TestQueryBufferLimit(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Settings.QueryBuffer = fixedInt(1 << 20) })
	c := r.dial()
	go func() {
		_, _ = io.WriteString(c.conn, "*2\r\n$4\r\nECHO\r\n$100000000\r\n")
		_, _ = c.conn.Write(make([]byte, 4<<20))
	}()
	if !c.closed() {
		t.Error("the connection is still open")
	}
	until(t, "the count", func() bool { return r.srv.Stats().QueryLimitDisconnections == 1 })
	if got := r.srv.input.Load(); got != 0 {
		t.Errorf("the input budget still holds %d bytes", got)
	}
}

// TestIdleSessionKeepsNoRequest has a large request run off the loop: when its client
// says no more, nothing of it stays.
func TestIdleSessionKeepsNoRequest(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	close(r.release)
	const size = 32 << 20
	c.send(fmt.Sprintf("*2\r\n$7\r\nSLOWKEY\r\n$%d\r\n%s\r\n", size, strings.Repeat("k", size)))
	if got := c.reply(); got != "OK" {
		t.Fatal(got)
	}
	until(t, "the memory of the request to be free", func() bool { return heap() < before+size/2 })
	c.expect("SET a 1", "OK")
	c.expect("GET a", "1")
}

func TestSlowCommandHoldsUpNobody(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Loops = 1 })
	slow, key, waits, quick := r.dial(), r.dial(), r.dial(), r.dial()
	slow.send("SLOW\r\nPING\r\n")
	key.send("SLOWKEY k\r\n")
	until(t, "the slot to be held", func() bool {
		quick.expect("SET other 1", "OK")
		return strings.Contains(quick.do("CLIENT LIST"), "cmd=slowkey")
	})
	waits.send("GET k\r\nPING\r\n") // parks behind slowkey's slot
	quick.expect("GET other", "1")
	gone := r.dial()
	gone.send("GET k\r\n")
	gone.conn.Close()
	quick.expect("PING", "PONG")
	close(r.release)
	for _, step := range []struct {
		c    *client
		want string
	}{{slow, "OK"}, {slow, "PONG"}, {key, "OK"}, {waits, "nil"}, {waits, "PONG"}} {
		if got := step.c.reply(); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
	}
	waits.expect("SET k v", "OK") // the one who left does not hold the slot
}

func TestPanicEndsOneConnection(t *testing.T) {
	r := newRig(t, nil)
	bystander := r.dial()
	for _, line := range []string{"BOOM", "HEAVYBOOM", "KEYBOOM k", "MULTI\r\nBOOM\r\nEXEC"} {
		c := r.dial()
		c.send(line + "\r\n")
		if rest := c.rest(); strings.Contains(rest, "boom") {
			t.Errorf("%s: %q", line, rest)
		}
		bystander.expect("PING", "PONG")
	}
	bystander.expect("SET k v", "OK") // the slot's lock was given back
	if log := r.log.String(); !strings.Contains(log, "key boom") || !strings.Contains(log, "harness_test.go") {
		t.Error("the stack is missing from the log")
	}
}

// transcripts are sessions, requests separated by "; ", with the replies of both
// this server and the reference.
var transcripts = [][2]string{
	{"MULTI; SET a 1; INCR a; GET a; EXEC", "OK QUEUED QUEUED QUEUED *[OK 2 2]"},
	{"MULTI; EXEC", "OK *[]"},
	{"MULTI; MULTI", "OK -ERR MULTI calls can not be nested"},
	{"EXEC", "-ERR EXEC without MULTI"},
	{"DISCARD", "-ERR DISCARD without MULTI"},
	{"MULTI; WATCH a", "OK -ERR WATCH inside MULTI is not allowed"},
	{"MULTI; FOO; EXEC; PING", "OK -ERR unknown command 'FOO', with args beginning with:  -EXECABORT Transaction discarded because of previous errors. PONG"},
	{"MULTI; GET; SET b 1; EXEC", "OK -ERR wrong number of arguments for 'get' command QUEUED -EXECABORT Transaction discarded because of previous errors."},
	{"SET s x; MULTI; INCR s; GET s; EXEC", "OK OK QUEUED QUEUED *[-ERR value is not an integer or out of range x]"},
	{"MULTI; SET a 5; DISCARD; GET a", "OK QUEUED OK 2"},
	{"MULTI; RESET; EXEC", "OK RESET -ERR EXEC without MULTI"},
	{"MULTI; PING; SELECT 3; SET in3 1; EXEC; GET in3; SELECT 0; GET in3", "OK QUEUED QUEUED QUEUED *[PONG OK OK] 1 OK nil"},
	{"MULTI; CLIENT REPLY OFF; EXEC", "OK QUEUED"},
	{"WATCH w; SET w 1; MULTI; GET w; EXEC; MULTI; GET w; EXEC", "OK OK OK QUEUED nil OK QUEUED *[1]"},
	{"WATCH w; SET w 2; UNWATCH; MULTI; GET w; EXEC", "OK OK OK OK QUEUED *[2]"},
	{"PING a b; PING a; ECHO", "-ERR wrong number of arguments for 'ping' command a -ERR wrong number of arguments for 'echo' command"},
	{"SELECT 16; SELECT x; SELECT -1; SELECT 15", "-ERR DB index is out of range -ERR value is not an integer or out of range -ERR DB index is out of range OK"},
	{"HELLO 4; HELLO x; HELLO 3 FOO; HELLO 2 SETNAME", "-NOPROTO unsupported protocol version -ERR Protocol version is not an integer or out of range -ERR Syntax error in HELLO option 'FOO' -ERR Syntax error in HELLO option 'SETNAME'"},
	{"AUTH x; AUTH default x; AUTH foo x; AUTH a b c", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct? OK -WRONGPASS invalid username-password pair or user is disabled. -ERR syntax error"},
	{"READONLY; READWRITE; ASKING", "-ERR This instance has cluster support disabled -ERR This instance has cluster support disabled -ERR This instance has cluster support disabled"},
	{"CLIENT KILL; CLIENT KILL a b; CLIENT KILL ID 0; CLIENT KILL ID x; CLIENT KILL TYPE x; CLIENT KILL USER x; CLIENT KILL SKIPME x; CLIENT KILL LADDR x ADDR", "-ERR wrong number of arguments for 'client|kill' command -ERR syntax error -ERR client-id should be greater than 0 -ERR client-id should be greater than 0 -ERR Unknown client type 'x' -ERR No such user 'x' -ERR syntax error -ERR syntax error"},
	{"CLIENT LIST FOO; CLIENT LIST ID; CLIENT LIST ID x; CLIENT PAUSE x; CLIENT PAUSE -1; CLIENT PAUSE 1 FOO; CLIENT REPLY FOO", "-ERR syntax error -ERR syntax error -ERR Invalid client ID -ERR timeout is not an integer or out of range -ERR timeout is negative -ERR CLIENT PAUSE mode must be WRITE or ALL -ERR syntax error"},
	{"CLIENT UNBLOCK x; CLIENT UNBLOCK 1 FOO; CLIENT UNBLOCK 99999; CLIENT GETREDIR; CLIENT TRACKINGINFO; CLIENT TRACKING FOO; CLIENT CACHING YES; CLIENT GETNAME", "-ERR value is not an integer or out of range -ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR 0 -1 *[flags *[off] redirect -1 prefixes *[]] -ERR syntax error -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled nil"},
	{"CLIENT; CLIENT FOO; NOSUCH 'a b' c", "-ERR wrong number of arguments for 'client' command -ERR unknown subcommand 'FOO'. Try CLIENT HELP. -ERR unknown command 'NOSUCH', with args beginning with: 'a b' 'c' "},
	{"RESET; UNWATCH; QUIT", "RESET OK OK"},
}

// play runs a transcript on a fresh connection.
func play(t *testing.T, address, transcript string) string {
	c := dialAt(t, "tcp", address)
	defer c.conn.Close()
	lines := strings.Split(transcript, "; ")
	var got []string
	for i, line := range lines {
		if i == len(lines)-1 && strings.Contains(transcript, "REPLY OFF") {
			c.send(line + "\r\n")
			break
		}
		got = append(got, c.do(line))
	}
	return strings.Join(got, " ")
}

func TestTranscripts(t *testing.T) {
	r := newRig(t, nil)
	for _, transcript := range transcripts {
		if got := play(t, r.address, transcript[0]); got != transcript[1] {
			t.Errorf("%s:\n got %s\nwant %s", transcript[0], got, transcript[1])
		}
	}
	t.Run("reference", func(t *testing.T) {
		reference := harness.StartReference(t)
		for _, transcript := range transcripts {
			if got := play(t, reference.Addr(), transcript[0]); got != transcript[1] {
				t.Errorf("the reference answers %s:\n %s\nnot %s", transcript[0], got, transcript[1])
			}
		}
	})
}

func TestLargeTransaction(t *testing.T) {
	r := newRig(t, nil)
	big := r.dial()
	big.expect("MULTI", "OK")
	for range largeExec + 10 {
		big.expect("INCR n", "QUEUED")
	}
	if got := big.do("EXEC"); !strings.HasSuffix(got, fmt.Sprintf(" %d]", largeExec+10)) {
		t.Errorf("large EXEC: …%s", got[max(0, len(got)-20):])
	}
	big.expect("GET n", fmt.Sprint(largeExec+10))
}

// TestTransactionsInTurn: what one transaction left is nothing to the next, which
// has its memory.
func TestTransactionsInTurn(t *testing.T) {
	r := newRig(t, nil)
	for round := range 3 {
		for _, end := range []string{"EXEC", "DISCARD", "RESET", "QUIT", "BOOM"} {
			c := r.dial()
			c.expect("WATCH w", "OK")
			c.expect("MULTI", "OK")
			for i := range 3 {
				c.expect(fmt.Sprintf("SET kept:%d %s", i, strings.Repeat("x", 1+i*round)), "QUEUED")
			}
			switch end {
			case "QUIT":
				c.expect("QUIT", "OK")
			case "BOOM":
				c.expect("BOOM", "QUEUED")
				c.send("EXEC\r\n")
				if !c.closed() {
					t.Fatal("a panic in EXEC leaves the connection open")
				}
			default:
				c.do(end)
			}
		}
		first, second := r.dial(), r.dial()
		first.expect("MULTI", "OK")
		second.expect("MULTI", "OK")
		first.expect("SET a first", "QUEUED")
		second.expect("SET b second", "QUEUED")
		first.expect("GET a", "QUEUED")
		second.expect("EXEC", "*[OK]")
		first.expect("EXEC", "*[OK first]")
		first.expect("SET w changed", "OK")
		second.expect("MULTI", "OK")
		second.expect("EXEC", "*[]")
		second.expect("MGET a b", "*[first second]")
	}
}

// TestLongWatchLeavesTheSpareOnes: a WATCH that runs off the loop does not touch what
// belongs to the loop.
func TestLongWatchLeavesTheSpareOnes(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Loops = 1 })
	c := r.dial()
	c.send("MULTI\r\nPING\r\nEXEC\r\n")
	for range 3 {
		c.reply()
	}
	key := strings.Repeat("k", loopRequest)
	c.send(fmt.Sprintf("*2\r\n$5\r\nWATCH\r\n$%d\r\n%s\r\n", len(key), key))
	if got := c.reply(); got != "OK" {
		t.Fatalf("WATCH: %.100q", got)
	}
	spare := make(chan int)
	s := r.only()
	s.tr.post(func() { spare <- len(s.bench.transactions) })
	if n := <-spare; n != 1 {
		t.Errorf("%d spare transactions, want 1", n)
	}
	c.send("MULTI\r\nPING\r\n" + fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nv\r\n", len(key), key) + "EXEC\r\n")
	for range 3 {
		c.reply()
	}
	if got := c.reply(); got != "*[PONG OK]" {
		t.Errorf("EXEC: %.100q", got)
	}
}

func TestTransactionsInClusterMode(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Settings.ClusterEnabled = true })
	r.engine.SetRouting(testTable())
	c := r.dial()
	// b is slot 3300, a is 15495 and belongs to the other node, c is 7365.
	c.expect("SET b 1", "OK")
	c.expect("GET a", "-MOVED 15495 127.0.0.1:2")
	c.expect("MULTI", "OK")
	c.expect("GET a", "-MOVED 15495 127.0.0.1:2")
	c.expect("EXEC", "-EXECABORT Transaction discarded because of previous errors.")
	c.expect("MULTI", "OK")
	c.expect("MGET b c", "-CROSSSLOT Keys in request don't hash to the same slot")
	c.expect("EXEC", "-EXECABORT Transaction discarded because of previous errors.")
	c.expect("MULTI", "OK")
	c.expect("SET b 1", "QUEUED")
	c.expect("PING", "QUEUED")
	c.expect("EXEC", "*[OK PONG]")
	c.expect("SELECT 1", "-ERR SELECT is not allowed in cluster mode")
	c.expect("READONLY", "OK")
	c.expect("ASKING", "OK")
}

func TestParkAndUnblock(t *testing.T) {
	r := newRig(t, nil)
	for _, name := range []string{"PARKME", "HEAVYPARK"} {
		waiting, killed, gone, other := r.dial(), r.dial(), r.dial(), r.dial()
		id := waiting.do("CLIENT ID")
		waiting.send(name + "\r\nPING\r\n")
		killed.send(name + "\r\n")
		gone.send(name + "\r\n")
		until(t, "three to block", func() bool { return r.srv.Stats().BlockedClients == 3 })
		before := r.srv.counters.panics.Load()
		gone.conn.Close()
		until(t, "the departure to be noticed", func() bool { return r.srv.counters.panics.Load() == before+1000 })
		other.expect("CLIENT UNBLOCK "+id+" ERROR", "1")
		if got := waiting.reply(); got != string("-"+resp.ErrUnblocked) {
			t.Errorf("got %q", got)
		}
		if got := waiting.reply(); got != "PONG" {
			t.Errorf("got %q", got)
		}
		other.expect("CLIENT KILL ADDR "+killed.conn.LocalAddr().String(), "1")
		if !killed.closed() {
			t.Error("a killed client goes on")
		}
		until(t, "nobody to block", func() bool { return r.srv.blocked.Load() == 0 })
	}
	last := r.dial()
	last.send("PARKME\r\nPING\r\n")
	until(t, "one to block", func() bool { return r.srv.blocked.Load() == 1 })
	close(r.release)
	if a, b := last.reply(), last.reply(); a != "woken" || b != "PONG" {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestHijack(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []*client{r.dial(), r.dialUnix()} {
		c.send("PING\r\nSTEAL\r\nrest")
		for _, want := range []string{"PONG", "YOURS", "GOT 4"} {
			if got := c.reply(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		c.send("hello\n")
		if got := c.reply(); got != "LINE hello" {
			t.Errorf("got %q", got)
		}
		until(t, "the client to be forgotten", func() bool { return !strings.Contains(r.dial().do("CLIENT LIST"), "cmd=steal") })
	}
}

// dialUnix connects through a Unix socket, where a goroutine serves.
func (r *rig) dialUnix() *client {
	path := filepath.Join(r.t.TempDir(), "s")
	if err := r.srv.Listen("unix", path); err != nil {
		r.t.Fatal(err)
	}
	return dialAt(r.t, "unix", path)
}

func TestUnixSocket(t *testing.T) {
	r := newRig(t, nil)
	c := r.dialUnix()
	c.expect("SET k v", "OK")
	c.expect("GET k", "v")
	value := strings.Repeat("x", 1<<20)
	c.send(string(resp.AppendCommand(nil, "ECHO", value)) + "PING\r\n")
	if a, b := c.reply(), c.reply(); a != value || b != "PONG" {
		t.Errorf("got %d bytes and %q", len(a), b)
	}
	if list := c.do("CLIENT LIST"); !strings.Contains(list, "flags=U") {
		t.Errorf("CLIENT LIST: %s", list)
	}
	c.send("SLOW\r\n")
	close(r.release)
	if got := c.reply(); got != "OK" {
		t.Errorf("got %q", got)
	}
	c.expect("QUIT", "OK")
	if !c.closed() {
		t.Error("still open")
	}
}

func TestAuthentication(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Settings.RequirePass = fixedText("x") })
	c := r.dial()
	c.expect("PING", "-NOAUTH Authentication required.")
	c.expect("FOO", "-ERR unknown command 'FOO', with args beginning with: ")
	c.expect("HELLO 3", "-"+string(resp.ErrHelloNoAuth))
	c.expect("HELLO 4", "-NOPROTO unsupported protocol version")
	c.expect("AUTH y", "-"+string(resp.ErrWrongPass))
	c.expect("AUTH other x", "-"+string(resp.ErrWrongPass))
	c.expect("AUTH a b c", "-ERR syntax error")
	c.expect("AUTH x", "OK")
	c.send(string(resp.AppendCommand(nil, append([]string{"DEL"}, strings.Fields(strings.Repeat("k ", 50))...)...)))
	if got := c.reply(); got != "0" {
		t.Errorf("DEL of 50 keys: %q", got)
	}
	c.expect("RESET", "RESET")
	c.expect("PING", "-NOAUTH Authentication required.")
	many := r.dial()
	many.send("*11\r\n")
	if got := many.reply(); got != "-ERR Protocol error: unauthenticated multibulk length" || !many.closed() {
		t.Errorf("got %q", got)
	}
	three := r.dial()
	if got := three.do("HELLO 3 AUTH default x SETNAME me"); got != "%[server redis version 7.2.4 proto 3 id 3 mode standalone role master modules *[]]" {
		t.Errorf("HELLO: %s", got)
	}
	three.expect("CLIENT GETNAME", "me")
	open := newRig(t, nil).dial()
	open.expect("AUTH x", "-"+string(resp.ErrNoPassword))
	open.expect("AUTH default x", "OK")
}

func TestMaxClientsAndProtectedMode(t *testing.T) {
	var limit atomic.Int64
	limit.Store(1)
	r := newRig(t, func(o *Options) { o.Settings.MaxClients = &limit })
	first := r.dial()
	first.expect("PING", "PONG")
	second := r.dial()
	if got := second.reply(); got != "-ERR max number of clients reached" || !second.closed() {
		t.Errorf("got %q", got)
	}
	limit.Store(10)
	r.dial().expect("PING", "PONG")
	if isLoopback("10.0.0.1:5") || !isLoopback("127.0.0.1:5") || !isLoopback("[::1]:5") {
		t.Error("loopback addresses are not recognized")
	}
}

func TestOutputLimitAndSlowReader(t *testing.T) {
	var hard atomic.Int64
	r := newRig(t, func(o *Options) {
		o.Loops = 1
		o.Settings.OutputLimits = func() OutputLimits { return OutputLimits{Normal: OutputLimit{HardBytes: hard.Load()}} }
	})
	other := r.dial()
	value := strings.Repeat("v", 1<<20)
	other.send(string(resp.AppendCommand(nil, "SET", "big", value)))
	if got := other.reply(); got != "OK" {
		t.Fatal(got)
	}
	// Unlimited, the server stops answering who does not read.
	slow := r.dial()
	slow.send(strings.Repeat("GET big\r\n", 64))
	until(t, "the reader to be held", func() bool { return r.srv.Stats().MaxOutputBuffer > slowReaderBytes })
	if got := r.srv.Stats().MaxOutputBuffer; got > 4<<20 {
		t.Errorf("%d bytes wait for a slow reader", got)
	}
	other.expect("PING", "PONG")
	for i := range 64 {
		if got := slow.reply(); got != value {
			t.Fatalf("reply %d has %d bytes", i, len(got))
		}
	}
	// With a limit it is closed there.
	hard.Store(8 << 20)
	greedy := r.dial()
	greedy.send(strings.Repeat("GET big\r\n", 64))
	until(t, "the limit", func() bool { return r.srv.Stats().OutputLimitDisconnections == 1 })
	other.expect("PING", "PONG")
}

func TestClientCommands(t *testing.T) {
	r := newRig(t, nil)
	c, victim := r.dial(), r.dial()
	id := victim.do("CLIENT ID")
	c.expect("CLIENT SETNAME me", "OK")
	c.expect("CLIENT SETNAME 'a b'", "-"+string(resp.ErrBadClientName))
	c.expect("CLIENT SETINFO LIB-NAME lib", "OK")
	info := c.do("CLIENT INFO")
	for _, field := range []string{"name=me", "lib-name=lib", "cmd=client|info", "resp=2", "db=0", "flags=N", "multi=-1"} {
		if !strings.Contains(info, field) {
			t.Errorf("%s is missing: %s", field, info)
		}
	}
	c.expect("CLIENT KILL ID "+id, "1")
	if !victim.closed() {
		t.Error("the victim lives")
	}
	if list := c.do("CLIENT LIST"); strings.Contains(list, "id="+id+" ") {
		t.Errorf("the victim is listed: %s", list)
	}
	c.expect("CLIENT KILL ID "+id, "0")
	c.expect("CLIENT KILL 1.1.1.1:1", "-ERR No such client")
	c.expect("CLIENT LIST TYPE x", "-ERR Unknown client type 'x'")
	c.expect("CLIENT LIST ID 99999", "")
	c.expect("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.")
	c.expect("CLIENT NO-EVICT on", "OK")
	c.expect("CLIENT TRACKING off", "OK")
	c.send("CLIENT REPLY SKIP\r\nPING\r\nECHO a\r\nCLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\n")
	if a, b := c.reply(), c.reply(); a != "a" || b != "OK" {
		t.Errorf("CLIENT REPLY: %q and %q", a, b)
	}
	other := r.dial()
	other.expect("PING", "PONG")
	c.expect("CLIENT KILL TYPE normal SKIPME no", "2")
	if !c.closed() || !other.closed() {
		t.Error("CLIENT KILL SKIPME no left somebody")
	}
}

// TestClientPause sees what a pause holds back, and that it does until the end.
func TestClientPause(t *testing.T) {
	r := newRig(t, nil)
	held := func() int {
		p := &r.srv.pause
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.waiting)
	}
	c, writer, writing, reading := r.dial(), r.dial(), r.dial(), r.dial()
	writing.expect("MULTI", "OK")
	writing.expect("INCR n", "QUEUED")
	c.expect("CLIENT PAUSE 60000 WRITE", "OK")
	c.expect("CLIENT PAUSE 1 WRITE", "OK") // it shortens nothing
	writer.send("GET k\r\nSET k v\r\nGET k\r\n")
	if got := writer.reply(); got != "nil" {
		t.Errorf("GET in a pause of writes: %q", got)
	}
	writing.send("EXEC\r\n")
	reading.expect("MULTI", "OK")
	reading.expect("GET k", "QUEUED")
	reading.expect("EXEC", "*[nil]")
	until(t, "both to be held back", func() bool { return held() == 2 })
	c.expect("GET k", "nil")
	c.expect("CLIENT UNPAUSE", "OK")
	if a, b := writer.reply(), writer.reply(); a != "OK" || b != "v" {
		t.Errorf("after the pause: %q and %q", a, b)
	}
	if got := writing.reply(); got != "*[1]" {
		t.Errorf("EXEC after the pause: %q", got)
	}
	before := time.Now()
	c.expect("CLIENT PAUSE 50", "OK")
	c.expect("GET k", "v")
	if d := time.Since(before); d < 50*time.Millisecond {
		t.Errorf("GET was answered after %v of a pause of 50 ms", d)
	}
	c.expect("SET k w", "OK")
}

// TestPausesEndAlone: what is held back for one reason stays so when another pause is
// over, or is ended by a client.
func TestPausesEndAlone(t *testing.T) {
	r := newRig(t, nil)
	c, writer := r.dial(), r.dial()
	c.expect("CLIENT PAUSE 50 ALL", "OK")
	r.srv.PauseClients(PauseForFailover, PauseWrites, time.Hour)
	writer.send("SET k v\r\n")
	c.expect("GET k", "nil") // after 50 ms, not an hour
	c.expect("CLIENT UNPAUSE", "OK")
	c.expect("CLIENT PAUSE 60000 ALL", "OK")
	r.srv.UnpauseClients(PauseByClient)
	r.srv.UnpauseClients(PauseForShutdown)
	c.expect("GET k", "nil")
	r.srv.UnpauseClients(PauseForFailover)
	if got := writer.reply(); got != "OK" {
		t.Errorf("after the pause: %q", got)
	}
	c.expect("GET k", "v")
	c.expect("SET k w", "OK")
}

// refusals is a State that a test sets.
type refusals struct{ gates atomic.Uint32 }

func (s *refusals) Gates() Gates { return Gates(s.gates.Load()) }

func (s *refusals) Refuse(spec *command.Spec) resp.Error {
	if spec.Flags&command.Write != 0 {
		return resp.ErrMisconf
	}
	return ""
}

// closing is a State that closes the gate of the engine whenever it is asked about a
// command.
type closing struct {
	engine atomic.Pointer[command.Engine]
	closed atomic.Int32
}

func (s *closing) Gates() Gates { return GateRefuse }

func (s *closing) Refuse(*command.Spec) resp.Error {
	done := make(chan struct{})
	go s.engine.Load().Exclusive(func() { close(done) })
	select {
	case <-done:
		s.closed.Add(1)
	case <-time.After(patience / 4):
	}
	return ""
}

// TestRefuseOutsideTheGate: whether a command may run is asked outside the gate, for the
// answer may take passing it.
func TestRefuseOutsideTheGate(t *testing.T) {
	state := new(closing)
	r := newRig(t, func(o *Options) { o.State = state })
	state.engine.Store(r.engine)
	for i, c := range []*client{r.dial(), r.dialUnix()} {
		c.send("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
		for range 2 {
			c.reply()
		}
		if got := state.closed.Load(); got != int32(i+1) {
			t.Errorf("the gate was closed %d times, want %d", got, i+1)
		}
	}
}

func TestGates(t *testing.T) {
	state := new(refusals)
	r := newRig(t, func(o *Options) { o.State = state })
	c := r.dial()
	for _, step := range []struct {
		gates      Gates
		line, want string
	}{
		{GateLoading, "GET k", "-" + string(resp.ErrLoading)},
		{GateLoading, "CLIENT GETNAME", "nil"},
		{GateReadOnly, "SET k v", "-" + string(resp.ErrReadOnly)},
		{GateReadOnly, "GET k", "nil"},
		{GateMasterDown, "GET k", "-" + string(resp.ErrMasterDown)},
		{GateRefuse, "SET k v", "-" + string(resp.ErrMisconf)},
		{GateRefuse, "GET k", "nil"},
		{0, "SET k v", "OK"},
	} {
		state.gates.Store(uint32(step.gates))
		c.expect(step.line, step.want)
	}
	c.expect("MULTI", "OK")
	state.gates.Store(uint32(GateReadOnly))
	c.expect("SET k v", "-"+string(resp.ErrReadOnly))
	c.expect("EXEC", "-"+string(resp.ErrExecAbort))
}

func TestFence(t *testing.T) {
	fence := &testFence{term: 1}
	r := newRig(t, func(o *Options) { o.Fence, o.Settings.ClusterEnabled = fence, true })
	r.engine.SetRouting(testTable())
	c, reader := r.dial(), r.dial()
	c.expect("SET b 1", "OK")
	fence.set(FenceHeld, 1)
	c.send("SET b 2\r\nPING\r\n")
	until(t, "the write to be held", func() bool { return fence.waiters() == 1 })
	reader.expect("PING", "PONG")
	fence.set(FenceOpen, 1)
	if a, b := c.reply(), c.reply(); a != "OK" || b != "PONG" {
		t.Errorf("after the fence: %q and %q", a, b)
	}
	fence.set(FenceWritesHeld, 1)
	reader.expect("GET b", "2")
	c.send("SET b 3\r\n")
	until(t, "the write to be held", func() bool { return fence.waiters() == 1 })
	fence.set(FenceDown, 1)
	if got := c.reply(); got != "-CLUSTERDOWN The cluster is down" {
		t.Errorf("got %q", got)
	}
	c.expect("MULTI", "OK")
	c.expect("GET b", "QUEUED")
	c.expect("EXEC", "-CLUSTERDOWN The cluster is down")
	fence.set(FenceOpen, 1)
	// A reply that is held while the node is deposed never leaves.
	slow := r.dial()
	slow.send("SLOWKEY b\r\n")
	until(t, "the command to run", func() bool { return strings.Contains(reader.do("CLIENT LIST"), "cmd=slowkey") })
	fence.set(FenceHeld, 1)
	close(r.release)
	until(t, "the reply to be held", func() bool { return fence.waiters() == 1 })
	fence.set(FenceOpen, 2)
	if !slow.closed() {
		t.Error("a reply of an older term left")
	}
	c.expect("GET b", "2")
}

func TestIdleTimeout(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Settings.Timeout = fixedInt(1) })
	if c := r.dial(); !c.closed() {
		t.Error("still open")
	}
}

func TestStats(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.expect("SET k v", "OK")
	c.expect("INCR k", "-ERR value is not an integer or out of range")
	c.expect("GET", "-ERR wrong number of arguments for 'get' command")
	c.expect("MULTI", "OK")
	c.expect("SET k 1", "QUEUED")
	c.expect("EXEC", "*[OK]")
	until(t, "the turn to be booked", func() bool { return r.srv.Stats().Commands == 5 })
	st, commands := r.srv.Stats(), r.srv.CommandStats()
	by := make(map[string]CommandStat)
	for _, s := range commands {
		by[s.Name] = s
	}
	if by["set"].Calls != 2 || by["incr"].Failed != 1 || by["get"].Rejected != 1 || by["exec"].Calls != 1 {
		t.Errorf("%+v", by)
	}
	if !slices.Equal(r.srv.ErrorCounts(), []ErrorCount{{"ERR", 2}}) || st.Errors != 2 || st.ConnectedClients != 1 || st.BytesIn == 0 || st.BytesOut == 0 {
		t.Errorf("%+v", st)
	}
	r.srv.ResetStats()
	if st := r.srv.Stats(); st.Commands != 0 || len(r.srv.CommandStats()) != 0 || st.Errors != 0 {
		t.Errorf("after the reset: %+v", st)
	}
}

// TestSurveyOfClients: how many clients there are is told exactly, though what they
// take is looked at now and then only.
func TestSurveyOfClients(t *testing.T) {
	r := newRig(t, nil)
	var clients []*client
	for n := int64(1); n <= 3*surveyTurn; n++ {
		c := r.dial()
		c.expect("PING", "PONG")
		clients = append(clients, c)
		if st := r.srv.Stats(); st.ConnectedClients != n || st.ClientMemory < n*sessionBytes {
			t.Fatalf("%d clients with %d bytes, want %d", st.ConnectedClients, st.ClientMemory, n)
		}
	}
	before := r.srv.Stats().ClientMemory
	clients[0].expect("MULTI", "OK")
	clients[0].expect("SET k "+strings.Repeat("x", 50_000), "QUEUED")
	until(t, "the queue to be surveyed", func() bool { return r.srv.Stats().ClientMemory > before+50_000 })
	for n, c := range clients[1:] {
		c.conn.Close()
		until(t, "the client to be gone", func() bool { return r.srv.Stats().ConnectedClients == int64(len(clients)-1-n) })
	}
}

// TestListOfManyClients has CLIENT LIST tell of as many as a loop may list, and of
// more.
func TestListOfManyClients(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	list := func(want int, long bool, args ...string) {
		t.Helper()
		call := command.Call{Args: [][]byte{[]byte("client"), []byte("list")}}
		for _, arg := range args {
			call.Args = append(call.Args, []byte(arg))
		}
		if got := r.srv.longList(&call); got != long {
			t.Errorf("%d clients: off the loop is %v", want, got)
		}
		text := c.do(strings.Join(append([]string{"CLIENT LIST"}, args...), " "))
		if n := strings.Count(text, " cmd="); n != want || strings.Count(text, " cmd=client|list ") != 1 {
			t.Errorf("%d lines of %d: %.300s", n, want, text)
		}
	}
	for n := 1; n < loopClients; n++ {
		r.dial().expect("PING", "PONG")
	}
	list(loopClients, false)
	r.dial().expect("PING", "PONG")
	list(loopClients+1, true)
	list(loopClients+1, true, "TYPE", "normal")
	list(1, false, "ID", c.do("CLIENT ID"))
}

func TestLatenciesOfCommands(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.expect("SET k v", "OK")
	c.expect("GET k", "v")
	seen := func() (names []string) {
		r.srv.Latencies(func(name string, l *Latency) {
			if of := l.Percentiles(nil, []float64{50}); of[0] <= 0 {
				t.Errorf("half of the %s took %v", name, of[0])
			}
			names = append(names, name)
		})
		slices.Sort(names)
		return names
	}
	until(t, "both to be booked", func() bool { return slices.Equal(seen(), []string{"get", "set"}) })
	r.srv.ResetStats()
	if names := seen(); len(names) != 0 {
		t.Errorf("after the reset there are %v", names)
	}
}

func TestListenAgain(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	if err := r.srv.Listen("tcp", r.address); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port in use: %v", err)
	}
	r.srv.Unlisten("tcp", "127.0.0.1:0")
	if _, err := net.DialTimeout("tcp", r.address, time.Second); err == nil {
		t.Error("still listening")
	}
	c.expect("PING", "PONG")
	if err := r.srv.Listen("tcp", r.address); err != nil {
		t.Fatal(err)
	}
	r.dial().expect("PING", "PONG")
}

func TestManyClientsAtOnce(t *testing.T) {
	r := newRig(t, nil)
	var wg sync.WaitGroup
	for i := range 50 {
		c := r.dial()
		wg.Go(func() {
			for j := range 100 {
				if got := c.do(fmt.Sprintf("INCRBY n%d 1", i%7)); strings.HasPrefix(got, "-") || strings.HasPrefix(got, "<") {
					t.Errorf("%d: %s", j, got)
					return
				}
			}
		})
	}
	wg.Wait()
	c, total := r.dial(), 0
	for i := range 7 {
		var n int
		fmt.Sscan(c.do(fmt.Sprintf("GET n%d", i)), &n)
		total += n
	}
	if total != 5000 {
		t.Errorf("%d of 5000 additions arrived", total)
	}
}

func TestCloseWithClients(t *testing.T) {
	r := newRig(t, nil)
	c, parked := r.dial(), r.dial()
	c.expect("PING", "PONG")
	parked.send("PARKME\r\n")
	until(t, "one to block", func() bool { return r.srv.blocked.Load() == 1 })
	r.srv.Close()
	if !c.closed() || !parked.closed() {
		t.Error("connections outlive the server")
	}
}
