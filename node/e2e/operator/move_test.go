package operator

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

// openSlot opens key's slot for a move, waiting for an owner that has just
// become one.
func openSlot(t *testing.T, c *harness.Cluster, key string, from, to *harness.Process) {
	t.Helper()
	await(t, "the slot is open", func() bool {
		return ask(t, to, "CLUSTER", "SETSLOT", slotOf(key), "IMPORTING", c.ID(from)) == "OK" &&
			ask(t, from, "CLUSTER", "SETSLOT", slotOf(key), "MIGRATING", c.ID(to)) == "OK"
	})
}

func migrate(t *testing.T, from *harness.Process, port int, rest ...string) string {
	t.Helper()
	return ask(t, from, append([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(port)}, rest...)...)
}

// TestOpenSlot restarts both sides of a move, and then finishes it under
// clients that hold transactions and watches.
func TestOpenSlot(t *testing.T) {
	c := newRig(t).StartCluster(3, 0, harness.Options{})
	from, to := ownerAndOther(t, c, "foo")
	openSlot(t, c, "foo", from, to)
	for _, p := range []*harness.Process{from, to} {
		p.Kill()
		p.Restart()
	}
	c.WaitOK(patience)
	want(t, "open at the source", strings.Join(c.View(from).Self().Open, " "), "["+slotOf("foo")+"->-"+c.ID(to)+"]")
	want(t, "open at the target", strings.Join(c.View(to).Self().Open, " "), "["+slotOf("foo")+"-<-"+c.ID(from)+"]")

	asking := "ASK 12182 " + to.Addr()
	await(t, "the source asks", func() bool { return ask(t, from, "GET", "foo") == asking })
	there := to.Connect()
	here := from.Connect()
	want(t, "without ASKING", on(t, to, there, "SET", "foo", "1"), "MOVED 12182 "+from.Addr())
	want(t, "STABLE", ask(t, from, "CLUSTER", "SETSLOT", slotOf("foo"), "STABLE"), "OK")
	want(t, "SET", on(t, from, here, "SET", "foo", "1", "PX", "600000"), "OK")
	openSlot(t, c, "foo", from, to)
	want(t, "some here, some not", on(t, from, here, "MGET", "foo", "{foo}2"), "TRYAGAIN Multiple keys request during rehashing of slot")
	want(t, "two slots", on(t, from, here, "MGET", "foo", "bar"), "CROSSSLOT Keys in request don't hash to the same slot")

	want(t, "WATCH", on(t, from, here, "WATCH", "foo"), "OK")
	want(t, "MULTI", on(t, from, here, "MULTI"), "OK")
	want(t, "SET", on(t, from, here, "SET", "foo", "2"), "QUEUED")
	want(t, "MIGRATE", migrate(t, from, to.Port, "foo", "0", "5000"), "OK")
	want(t, "EXEC after the move", on(t, from, here, "EXEC"), asking)
	want(t, "ASKING", on(t, to, there, "ASKING"), "OK")
	if left := on(t, to, there, "PTTL", "foo"); len(left) != 6 {
		t.Errorf("the key arrived with a life of %s ms, not of 600000", left)
	}
	for _, p := range []*harness.Process{to, from} {
		want(t, "SETSLOT NODE", ask(t, p, "CLUSTER", "SETSLOT", slotOf("foo"), "NODE", c.ID(to)), "OK")
	}
	await(t, "the slot has moved", func() bool { return ask(t, to, "GET", "foo") == "1" })
	await(t, "the source says so", func() bool { return ask(t, from, "GET", "foo") == "MOVED 12182 "+to.Addr() })
}

// TestRestartInTheMiddleOfAMove ends the target when some of a slot's keys are
// there and nowhere else, and then gives the source files from before the move:
// what those have of the slot goes for good.
func TestRestartInTheMiddleOfAMove(t *testing.T) {
	c := newRig(t).StartCluster(3, 0, harness.Options{Directives: []string{"appendonly yes"}})
	from, to := ownerAndOther(t, c, "foo")
	for _, key := range []string{"foo", "{foo}2", "{foo}3"} {
		want(t, "SET", ask(t, from, "SET", key, "v"), "OK")
	}
	files := filepath.Join(from.Dir, "appendonlydir")
	terminate(t, from)
	if err := os.CopyFS(files+".before", os.DirFS(files)); err != nil {
		t.Fatal(err)
	}
	from.Restart()
	c.WaitOK(patience)
	openSlot(t, c, "foo", from, to)
	want(t, "MIGRATE", migrate(t, from, to.Port, "", "0", "5000", "KEYS", "foo", "{foo}2"), "OK")
	to.Kill()
	to.Restart()
	c.WaitOK(patience)
	want(t, "keys at the target", ask(t, to, "CLUSTER", "COUNTKEYSINSLOT", slotOf("foo")), "2")
	terminate(t, to)
	to.Restart()
	c.WaitOK(patience)
	want(t, "keys at the target", ask(t, to, "CLUSTER", "COUNTKEYSINSLOT", slotOf("foo")), "2")
	await(t, "the rest has come", func() bool { return migrate(t, from, to.Port, "{foo}3", "0", "5000") == "OK" })
	move := func(from, to *harness.Process) {
		t.Helper()
		for _, p := range []*harness.Process{to, from} {
			await(t, "the slot has moved", func() bool {
				return ask(t, p, "CLUSTER", "SETSLOT", slotOf("foo"), "NODE", c.ID(to)) == "OK"
			})
		}
		await(t, "the source says so", func() bool { return ask(t, from, "GET", "foo") == "MOVED 12182 "+to.Addr() })
	}
	move(from, to)
	want(t, "GET", ask(t, to, "GET", "{foo}2"), "v")
	if c.Rig().Server().Reference {
		return // it opens slots that it has old keys of, for redis-cli --cluster fix
	}

	terminate(t, from)
	if err := os.RemoveAll(files); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(files+".before", files); err != nil {
		t.Fatal(err)
	}
	from.Restart()
	c.WaitOK(patience)
	want(t, "keys at the source", ask(t, from, "CLUSTER", "COUNTKEYSINSLOT", slotOf("foo")), "0")
	want(t, "DEL", ask(t, to, "DEL", "foo", "{foo}2", "{foo}3"), "3")
	openSlot(t, c, "foo", to, from)
	move(to, from)
	from.Kill()
	from.Restart()
	c.WaitOK(patience)
	want(t, "what was deleted", ask(t, from, "GET", "foo"), "$null")
}

// TestKeyInTransit sends a key to somebody who never answers: who wants it
// waits, nobody else does, and it is still there afterwards.
func TestKeyInTransit(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	port := silent.Addr().(*net.TCPAddr).Port
	p := newRig(t).Start(harness.Options{})
	want(t, "SET", ask(t, p, "SET", "foo", "v"), "OK")
	mover, reader, leaver := p.Connect(), p.Connect(), p.Connect()
	if err := mover.Send("MIGRATE", "127.0.0.1", strconv.Itoa(port), "foo", "0", "700"); err != nil {
		t.Fatal(err)
	}
	await(t, "the key is on its way", func() bool {
		return strings.Contains(p.Do("CLIENT", "LIST").Text, "cmd=migrate")
	})
	for _, conn := range []*harness.Conn{reader, leaver} {
		if err := conn.Send("GET", "foo"); err != nil {
			t.Fatal(err)
		}
	}
	leaver.Close()
	want(t, "another key", ask(t, p, "SET", "bar", "1"), "OK")
	reply, err := mover.Receive()
	if err != nil || !strings.HasPrefix(reply.Text, "IOERR error or timeout reading") {
		t.Errorf("MIGRATE: %v %v", reply, err)
	}
	if reply, err := reader.Receive(); err != nil || reply.Text != "v" {
		t.Errorf("GET of the key in transit: %v %v", reply, err)
	}
	want(t, "SET afterwards", ask(t, p, "SET", "foo", "w"), "OK")
}

// TestMigrateWithTheReference moves keys to a real redis-server and back.
func TestMigrateWithTheReference(t *testing.T) {
	rig := newRig(t)
	ours := rig.Start(harness.Options{})
	theirs := rig.Start(harness.Options{Server: harness.Reference(t), Directives: []string{"requirepass sesame"}})
	guarded, err := harness.Dial(theirs.Addr(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer guarded.Close()
	on(t, theirs, guarded, "AUTH", "sesame")
	want(t, "SET", ask(t, ours, "SET", "k", "v", "PX", "600000"), "OK")
	ask(t, ours, "MSET", "a", "1", "b", strings.Repeat("x", 200000))
	to := func(args ...string) string { return migrate(t, ours, theirs.Port, args...) }
	want(t, "no password", to("k", "0", "5000"), "ERR Target instance replied with error: NOAUTH Authentication required.")
	want(t, "MIGRATE", to("k", "0", "5000", "AUTH", "sesame"), "OK")
	want(t, "the key here", ask(t, ours, "EXISTS", "k"), "0")
	want(t, "again", to("k", "0", "5000", "AUTH", "sesame"), "NOKEY")
	want(t, "several", to("", "3", "5000", "COPY", "AUTH2", "default", "sesame", "KEYS", "a", "b", "none"), "OK")
	want(t, "several again", to("", "3", "5000", "AUTH", "sesame", "KEYS", "a", "b"),
		"ERR Target instance replied with error: BUSYKEY Target key name already exists.")
	want(t, "REPLACE", to("", "3", "5000", "REPLACE", "AUTH", "sesame", "KEYS", "a", "b"), "OK")
	want(t, "what is left", ask(t, ours, "DBSIZE"), "0")
	if left := on(t, theirs, guarded, "PTTL", "k"); len(left) != 6 {
		t.Errorf("the key arrived with a life of %s ms", left)
	}
	want(t, "back", on(t, theirs, guarded, "MIGRATE", "127.0.0.1", strconv.Itoa(ours.Port), "k", "0", "5000"), "OK")
	want(t, "the key", ask(t, ours, "GET", "k"), "v")
	theirs.Kill()
	want(t, "target down", to("k", "0", "500"), "IOERR error or timeout connecting to the client")
	want(t, "the key stays", ask(t, ours, "EXISTS", "k"), "1")
}

// TestMovesUnderWriters moves one slot to and fro under clients that count: no
// count is lost.
func TestMovesUnderWriters(t *testing.T) {
	c := newRig(t).StartCluster(3, 0, harness.Options{})
	const keys = 4
	stop := make(chan struct{})
	var writers sync.WaitGroup
	var sums, doubts [keys]int64
	from, to := ownerAndOther(t, c, "foo")
	for i := range keys {
		writers.Go(func() {
			sums[i], doubts[i] = countUp(t, from, c, "{foo}"+strconv.Itoa(i), stop)
		})
	}
	moves := 0
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); moves++ {
		openSlot(t, c, "foo", from, to)
		for {
			list := from.Do("CLUSTER", "GETKEYSINSLOT", slotOf("foo"), "10").Strings()
			if len(list) == 0 {
				break
			}
			want(t, "MIGRATE", migrate(t, from, to.Port, append([]string{"", "0", "5000", "KEYS"}, list...)...), "OK")
		}
		for _, p := range []*harness.Process{to, from} {
			want(t, "SETSLOT NODE", ask(t, p, "CLUSTER", "SETSLOT", slotOf("foo"), "NODE", c.ID(to)), "OK")
		}
		from, to = to, from
	}
	close(stop)
	writers.Wait()
	c.WaitOK(patience)
	owner := c.Owner(int(slots.Of([]byte("foo"))))
	for i := range keys {
		got := owner.Do("GET", "{foo}"+strconv.Itoa(i)).Int()
		if got < sums[i] || got > sums[i]+doubts[i] {
			t.Errorf("key %d stands at %d, %d increments were acknowledged and %d are in doubt", i, got, sums[i], doubts[i])
		}
		if doubts[i] > 0 {
			t.Errorf("key %d: an orderly move closed %d connections", i, doubts[i])
		}
		if sums[i] == 0 {
			t.Errorf("key %d was never incremented", i)
		}
	}
	t.Logf("%d moves under %v increments", moves, sums)
	if moves < 2 {
		t.Errorf("only %d moves", moves)
	}
}

// countUp increments key, following redirections, until stop. doubts counts
// increments whose connection ended before their answer.
func countUp(t *testing.T, at *harness.Process, c *harness.Cluster, key string, stop chan struct{}) (sum, doubts int64) {
	conns := make(map[string]*harness.Conn)
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	addr, asking := at.Addr(), false
	for {
		select {
		case <-stop:
			return sum, doubts
		default:
		}
		conn := conns[addr]
		if conn == nil {
			var err error
			if conn, err = harness.Dial(addr, patience); err != nil {
				t.Errorf("dial %s: %v", addr, err)
				return sum, doubts
			}
			conns[addr] = conn
		}
		if asking {
			_, _ = conn.Do("ASKING") // its failure is the next command's
		}
		_, err := conn.Do("INCR", key)
		asking = false
		switch {
		case err == nil:
			sum++
		case harness.IsReplyError(err):
			if fields := strings.Fields(err.Error()); len(fields) == 3 && (fields[0] == "MOVED" || fields[0] == "ASK") {
				addr, asking = fields[2], fields[0] == "ASK"
			} else {
				t.Errorf("INCR %s: %v", key, err)
				return sum, doubts
			}
		default:
			doubts++
			conn.Close()
			delete(conns, addr)
		}
	}
}
