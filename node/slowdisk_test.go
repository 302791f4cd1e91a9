package node

import (
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slotmesh/node/persist"
)

// slowDisk calls a function before a file is opened for appending, and before one
// gets its name.
type slowDisk struct {
	persist.OS
	append, rename func()
}

func (d slowDisk) Append(path string) (persist.File, error) {
	if d.append != nil {
		d.append()
	}
	return d.OS.Append(path)
}

func (d slowDisk) Rename(from, to string) error {
	if d.rename != nil {
		d.rename()
	}
	return d.OS.Rename(from, to)
}

// TestStartOnASlowDisk: a replica in a cluster that was started again asks its
// primary for nothing before its own file is open, however long that takes. A full
// sync in between would put another history in the place of the one that the file
// goes on with.
func TestStartOnASlowDisk(t *testing.T) {
	start := func(disk persist.FS, dir string) (s peerServer, bus string, ended <-chan error) {
		t.Helper()
		port, bus := freePort(t), freePort(t)
		_, dial, ended := startNodeOn(t, disk, "--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes",
			"--cluster-port", bus, "--dir", dir, "--appendonly", "yes", "--save", "")
		return peerServer{dial(), port}, bus, ended
	}
	done := func(s peerServer, words ...string) {
		t.Helper()
		said := ""
		waitFor(t, strings.Join(words, " "), func() bool { said = s.ask(words...); return said == `+"OK"` })
	}
	a, bus, _ := start(persist.OS{}, t.TempDir())
	done(a, "cluster", "addslotsrange", "0", "16383")
	dir := t.TempDir()
	b, _, ended := start(persist.OS{}, dir)
	done(b, "cluster", "meet", "127.0.0.1", a.port, bus)
	done(b, "cluster", "replicate", string(a.do("cluster", "myid").Text))
	done(a, "set", "k", "1")
	awaitSync(t, a, b)
	stopNode(t, b.client, ended, "nosave")
	done(a, "set", "k", "2")
	done(a, "debug", "change-repl-id")

	before := a.field("stats", "sync_full")
	opened := make(chan bool, 1)
	b, _, ended = start(slowDisk{append: sync.OnceFunc(func() {
		synced := false
		for end := time.Now().Add(500 * time.Millisecond); !synced && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			synced = a.field("stats", "sync_full") != before
		}
		opened <- synced
	})}, dir)
	if <-opened {
		t.Error("it took a full sync before its file was open")
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	default:
	}
	awaitSync(t, a, b)
	b.do("readonly")
	if got := b.ask("get", "k"); got != `$"2"` {
		t.Errorf("GET on the replica: %s", got)
	}
}

// TestNothingIsLastingBeforeTheBase: a replica that has loaded a full sync says
// nothing of its disk until its files hold the data, although what was written while
// nobody followed stands at the offset 0.
func TestNothingIsLastingBeforeTheBase(t *testing.T) {
	a := startPeerNode(t, "--save", "")
	a.do("set", "k", "1")
	gate := make(chan struct{})
	var held atomic.Bool
	port := freePort(t)
	_, dial, _ := startNodeOn(t, slowDisk{rename: func() {
		if held.Load() {
			<-gate
		}
	}}, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--appendonly", "yes", "--save", "")
	b := peerServer{dial(), port}
	held.Store(true)
	open := sync.OnceFunc(func() { close(gate) })
	t.Cleanup(open)
	b.follow(a)
	waitFor(t, "the link", func() bool { return b.field("replication", "master_link_status") == "up" })
	if got := a.ask("wait", "1", "20000"); got != ":1" {
		t.Errorf("WAIT: %s", got)
	}
	if got := a.ask("waitaof", "0", "1", "1500"); got != "*[:0 :0]" {
		t.Errorf("WAITAOF of data that are in no file: %s", got)
	}
	open()
	if got := a.ask("waitaof", "0", "1", "20000"); got != "*[:0 :1]" {
		t.Errorf("WAITAOF of data that are in the base: %s", got)
	}
}

// fullDisk takes no bytes while it is full.
type fullDisk struct {
	persist.OS
	full *atomic.Bool
}

func (d fullDisk) Append(path string) (persist.File, error) {
	f, err := d.OS.Append(path)
	return fullFile{f, d.full}, err
}

type fullFile struct {
	persist.File
	full *atomic.Bool
}

func (f fullFile) Write(b []byte) (int, error) {
	if f.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.Write(b)
}

// TestStartOnAFullDisk: a node that finds no room when it starts serves what it has,
// refuses writes, and takes them as soon as there is room.
func TestStartOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	_, dial, ended := startNode(t, "--dir", dir, "--appendonly", "yes", "--save", "")
	c := dial()
	c.do("set", "k", "1")
	stopNode(t, c, ended)
	disk := fullDisk{full: new(atomic.Bool)}
	disk.full.Store(true)
	_, dial, ended = startNodeOn(t, disk, "--dir", dir, "--appendonly", "yes", "--save", "")
	c = dial()
	waitFor(t, "the data", func() bool { return c.ask("get", "k") == `$"1"` })
	waitFor(t, "writes to be refused", func() bool { return strings.HasPrefix(c.ask("set", "k", "2"), `-"MISCONF `) })
	disk.full.Store(false)
	waitFor(t, "room", func() bool { return c.ask("set", "k", "3") == `+"OK"` })
	stopNode(t, c, ended)
	_, dial, _ = startNode(t, "--dir", dir, "--appendonly", "yes", "--save", "")
	c = dial()
	waitFor(t, "the data", func() bool { return c.ask("get", "k") == `$"3"` })
}
