package repl_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/node/rdb"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// TestReferenceFollowsNode: a real redis-server is the replica.
func TestReferenceFollowsNode(t *testing.T) {
	n := newNode(t)
	server := harness.StartReference(t)
	for i := range 3000 {
		n.set(i%2, fmt.Sprintf("key:%d", i), strings.Repeat("compressible ", i%20)+strconv.Itoa(i))
	}
	server.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(n.port()))
	eventually(t, "link up", func() bool { return server.Info("replication")["master_link_status"] == "up" })
	n.set(1, "after", "12345")
	n.set(0, "after", "-7")
	caughtUp := func() bool {
		return server.Info("replication")["slave_repl_offset"] == strconv.FormatInt(n.journal.Offset(), 10)
	}
	eventually(t, "caught up", caughtUp)
	check := func() {
		t.Helper()
		for name, want := range n.content() {
			if !strings.HasPrefix(name, "0/") {
				continue
			}
			if got := server.Do("GET", name[2:]).Text; got != want {
				t.Fatalf("%s is %q, want %q", name, got, want)
			}
		}
		if got := server.Do("DBSIZE").Int(); got != 1501 {
			t.Errorf("%d keys in database 0", got)
		}
	}
	check()
	id, _, _ := n.journal.IDs()
	if got := server.Info("replication")["master_replid"]; got != id {
		t.Errorf("history %s, want %s", got, id)
	}
	n.primary.DropAll()
	n.set(0, "after", "-8")
	eventually(t, "caught up after a cut", caughtUp)
	check()
	if full, partial := n.primary.Counts().SyncFull.Load(), n.primary.Counts().SyncPartialOK.Load(); full != 1 || partial != 1 {
		t.Errorf("%d full syncs, %d partial ones", full, partial)
	}
	eventually(t, "acknowledged", func() bool {
		return n.primary.Acknowledged(n.journal.Offset()) == 1
	})
}

// TestNodeFollowsReference: a real redis-server is the primary, then the node
// takes over and the server follows it.
func TestNodeFollowsReference(t *testing.T) {
	for _, diskless := range []string{"yes", "no"} {
		t.Run("diskless="+diskless, func(t *testing.T) {
			n := newNode(t)
			server := harness.StartReference(t, "--repl-diskless-sync", diskless)
			for i := range 500 {
				server.Do("SET", fmt.Sprintf("key:%d", i), strings.Repeat("abc", i))
			}
			n.follow(server.Port)
			caughtUp := func() bool {
				return n.link.Status().Link.String() == "connected" &&
					server.Info("replication")["master_repl_offset"] == strconv.FormatInt(n.journal.Offset(), 10)
			}
			eventually(t, "caught up", caughtUp)
			if len(n.content()) != 500 {
				t.Fatalf("%d keys", len(n.content()))
			}
			conn := server.Connect()
			if _, err := conn.Do("SET", "after", "1"); err != nil {
				t.Fatal(err)
			}
			if got, err := conn.Do("WAIT", "1", "5000"); err != nil || got.Int() != 1 {
				t.Errorf("WAIT answers %v, %v", got, err)
			}
			if n.content()["0/after"] != "1" {
				t.Error("WAIT was answered before the write was applied")
			}
			server.Do("CLIENT", "KILL", "TYPE", "replica")
			server.Do("SET", "after", "2")
			eventually(t, "caught up after a cut", func() bool { return n.content()["0/after"] == "2" && caughtUp() })

			n.promote()
			n.set(0, "mine", "3")
			server.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(n.port()))
			eventually(t, "the server follows", func() bool {
				return server.Info("replication")["slave_repl_offset"] == strconv.FormatInt(n.journal.Offset(), 10)
			})
			if got := server.Do("GET", "mine").Text; got != "3" {
				t.Errorf("mine is %q", got)
			}
			if full := n.primary.Counts().SyncFull.Load(); full != 0 {
				t.Errorf("%d full syncs after the promotion", full)
			}
		})
	}
}

// TestReferenceWithOtherTypes: the server has a hash. The node reports it and
// does not try again at once.
func TestReferenceWithOtherTypes(t *testing.T) {
	n := newNode(t)
	server := harness.StartReference(t)
	server.Do("HSET", "h", "f", "v")
	n.follow(server.Port)
	eventually(t, "asked", func() bool { return server.Info("stats")["sync_full"] == "1" })
	eventually(t, "refused", func() bool { return n.link.Status().Link.String() == "connect" })
	time.Sleep(500 * time.Millisecond) // long enough for attempts in a tight loop
	if full := server.Info("stats")["sync_full"]; full != "1" {
		t.Error("the node asked again at once")
	}
}

// TestRedisCLI: --rdb and a raw SYNC, as redis-cli's backup sends it, yield files
// that can be read.
func TestRedisCLI(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("SKIPPED: redis-cli is not installed")
	}
	n := newNode(t)
	for i := range 2000 {
		n.set(0, fmt.Sprintf("key:%d", i), strings.Repeat("v", i))
	}
	path := filepath.Join(t.TempDir(), "dump.rdb")
	if out, err := exec.Command(cli, "-p", strconv.Itoa(n.port()), "--rdb", path).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --rdb: %v\n%s", err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	countEntries(t, f, 2000)

	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(n.port()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "SYNC\r\n")
	// Line feeds come first while the file is being made, one each second.
	in := bufio.NewReader(conn)
	line := "\n"
	for line == "\n" && err == nil {
		line, err = in.ReadString('\n')
	}
	var size int64
	if _, scanErr := fmt.Sscanf(line, "$%d\r\n", &size); err != nil || scanErr != nil {
		t.Fatalf("%q: %v, %v", line, err, scanErr)
	}
	countEntries(t, io.LimitReader(in, size), 2000)
}

func countEntries(t *testing.T, r io.Reader, want int) {
	t.Helper()
	file := rdb.NewReader(r, func(slots.Slot) rdb.Target { return rdb.Target{} })
	for n := 0; ; n++ {
		_, err := file.Next()
		if err == io.EOF {
			if n != want {
				t.Errorf("%d entries, want %d", n, want)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestPayloadsWithReference moves values by DUMP and RESTORE, both ways.
func TestPayloadsWithReference(t *testing.T) {
	server := harness.StartReference(t)
	for _, content := range []string{
		"", "a", "10", "-129", "2147483648", "9223372036854775807", "007", "hello world", strings.Repeat("a", 20), strings.Repeat("a", 21),
		strings.Repeat("abc", 100), strings.Repeat("slotmesh", 50_000), string([]byte{0, 1, 2, 255, 254}), strings.Repeat("\x00\xff", 5000),
	} {
		v := value.StringValue([]byte(content))
		server.Do("RESTORE", "k", "0", string(rdb.AppendDump(nil, v)), "REPLACE")
		if got := server.Do("GET", "k").Text; got != content {
			t.Errorf("%.20q arrives as %.20q", content, got)
		}
		server.Do("SET", "k", content)
		back, _, err := rdb.ParseDump([]byte(server.Do("DUMP", "k").Text), rdb.Target{})
		if err != nil || string(back.AppendText(nil)) != content {
			t.Errorf("%.20q comes as %.20v, %v", content, back, err)
		}
	}
}
