package repl_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/rdb"
	"slotmesh/node/repl"
	"slotmesh/node/resp"
	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// node is the least that can be replicated: strings in a map behind one lock,
// a journal, and a listener that knows what a replica says.
type node struct {
	// sealed is what the last load was told of its file.
	sealed string
	// disk is how far its file is on the disk; nil without one.
	disk     *journal.Watermark
	t        testing.TB
	journal  *journal.Journal
	primary  *repl.Primary
	link     *repl.Replica
	listener net.Listener
	pauses   repl.Pauses

	settingsMu sync.Mutex
	settings   repl.Settings

	mu   sync.Mutex
	data map[string]string // "db/key"
}

func testLog(t testing.TB) *slog.Logger {
	if os.Getenv("REPL_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil)).With("test", t.Name())
}

func newNode(t testing.TB) *node {
	t.Helper()
	n := &node{
		t:       t,
		journal: journal.New(journal.Options{BacklogBytes: 1 << 20, ID: repl.NewHistoryID()}),
		data:    make(map[string]string),
		settings: repl.Settings{
			Version: "7.2.4", PingPeriod: 10 * time.Second, Timeout: 20 * time.Second,
			OutputLimit: journal.Limit{HardBytes: 256 << 20, SoftBytes: 64 << 20, SoftFor: time.Minute},
			Compress:    true, Checksum: true, TempDir: t.TempDir(),
		},
	}
	var err error
	n.listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.settings.AnnouncePort = n.port()
	n.primary = repl.NewPrimary(repl.PrimaryOptions{Journal: n.journal, Source: n, Settings: n.getSettings, Log: testLog(t)})
	go n.accept()
	t.Cleanup(func() {
		n.listener.Close()
		if n.link != nil {
			n.link.Halt()
			<-n.link.Stopped()
		}
		n.primary.Close()
	})
	return n
}

func (n *node) getSettings() repl.Settings {
	n.settingsMu.Lock()
	defer n.settingsMu.Unlock()
	return n.settings
}

func (n *node) port() int { return n.listener.Addr().(*net.TCPAddr).Port }

func (n *node) follow(port int) {
	if n.link != nil {
		n.link.Halt()
	}
	n.primary.SetTop(false)
	n.primary.DropAll()
	n.link = repl.Follow("127.0.0.1", port, repl.ReplicaOptions{
		Journal: n.journal, Target: n, Settings: n.getSettings, Log: testLog(n.t), OnHistory: n.primary.DropAll, Pauses: n.pauses,
		Disk: func() *journal.Watermark { return n.disk },
	})
}

func (n *node) promote() {
	n.link.Halt()
	n.link = nil
	n.journal.Promote(repl.NewHistoryID())
	n.primary.SetTop(true)
}

func (n *node) set(db int, key, value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.data[fmt.Sprintf("%d/%s", db, key)] = value
	n.journal.Append(db, slots.Of([]byte(key)), [][]byte{[]byte("SET"), []byte(key), []byte(value)})
}

func (n *node) content() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.data)
}

// accept serves connections as package server would.
func (n *node) accept() {
	for {
		conn, err := n.listener.Accept()
		if err != nil {
			return
		}
		go n.converse(conn)
	}
}

func (n *node) converse(conn net.Conn) {
	scanner := resp.Scanner{MaxBulk: 1 << 20}
	var peer repl.Peer
	var buf []byte
	piece := make([]byte, 4096)
	for {
		args, used, err := scanner.Next(buf)
		if err != nil {
			conn.Close()
			return
		}
		if used == 0 {
			got, err := conn.Read(piece)
			if err != nil {
				conn.Close()
				return
			}
			buf = append(buf, piece[:got]...)
			continue
		}
		rest := buf[used:]
		if len(args) == 0 {
			buf = rest
			continue
		}
		word := func(i int) string { return strings.ToLower(string(args[i])) }
		switch word(0) {
		case "ping":
			io.WriteString(conn, "+PONG\r\n")
		case "replconf":
			for i := 1; i+1 < len(args); i += 2 {
				switch word(i) {
				case "listening-port":
					peer.ListeningPort, _ = strconv.Atoi(word(i + 1))
				case "capa":
					peer.EOF = peer.EOF || word(i+1) == "eof"
					peer.PSYNC2 = peer.PSYNC2 || word(i+1) == "psync2"
				case "rdb-only":
					peer.RDBOnly = true
				}
			}
			io.WriteString(conn, "+OK\r\n")
		case "psync", "sync":
			request := repl.Request{Old: len(args) < 3, Peer: peer}
			if !request.Old {
				request.ID = string(args[1])
				request.Offset, _ = strconv.ParseInt(string(args[2]), 10, 64)
			}
			n.primary.Serve(conn, bytes.Clone(rest), request, func() {})
			return
		default:
			io.WriteString(conn, "-ERR unknown command\r\n")
		}
		buf = rest
	}
}

// Snapshot implements rdb.Source.
func (n *node) Snapshot(at func()) rdb.Snapshot {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := &snapshot{}
	for name, text := range n.data {
		number, key, _ := strings.Cut(name, "/")
		db, _ := strconv.Atoi(number)
		s.entries = append(s.entries, rdb.Entry{DB: db, Key: []byte(key), Value: value.StringValue([]byte(text)), IdleSec: -1, Freq: -1})
	}
	at()
	return s
}

type snapshot struct{ entries []rdb.Entry }

func (s *snapshot) Sizes() []rdb.DatabaseSize {
	return []rdb.DatabaseSize{{Keys: int64(len(s.entries))}}
}
func (s *snapshot) UsedMemory() int64 { return 0 }
func (s *snapshot) Close()            {}

func (s *snapshot) Walk(emit func([]rdb.Entry) error) error {
	for len(s.entries) > 0 {
		n := min(100, len(s.entries))
		if err := emit(s.entries[:n]); err != nil {
			return err
		}
		s.entries = s.entries[n:]
	}
	return nil
}

// Load and Apply implement repl.Target.
func (n *node) Load() (repl.Load, error) { return &load{n: n, data: make(map[string]string)}, nil }

type load struct {
	n    *node
	mu   sync.Mutex
	data map[string]string
	size int
}

func (l *load) Target(slots.Slot) rdb.Target {
	limits := rdb.DefaultLimits()
	return rdb.Target{Space: tree.Space{Heap: memory().Heap(0)}, Limits: &limits}
}

// memory is where collections lie that the node then refuses.
var memory = sync.OnceValue(func() *arena.Memory {
	m, err := arena.New(arena.Options{Reserve: 1 << 30})
	if err != nil {
		panic(err)
	}
	return m
})

// Insert takes strings only.
func (l *load) Insert(entries []rdb.Entry) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range entries {
		if e.Draft != nil {
			return i, errors.New("a collection")
		}
		l.data[fmt.Sprintf("%d/%s", e.DB, e.Key)] = string(e.Value.AppendText(nil))
	}
	return len(entries), nil
}

func (l *load) Write(b []byte) (int, error) {
	l.size += len(b)
	return len(b), nil
}

func (l *load) Seal(version int, at rdb.Position, known bool) {
	l.n.sealed = fmt.Sprintf("%d bytes, version %d, %v at %d", l.size, version, known, at.Offset)
}

func (l *load) Commit(adopt func()) error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	l.n.data = l.data
	adopt()
	return nil
}

func (l *load) Abort() {}

func (n *node) Apply(commands []repl.Command, done func(slots.Slot)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range commands {
		if name := strings.ToLower(string(c.Args[0])); name != "set" && name != "del" {
			return errors.New("unknown command " + name)
		}
	}
	for _, c := range commands {
		name := fmt.Sprintf("%d/%s", c.DB, c.Args[1])
		if strings.EqualFold(string(c.Args[0]), "set") {
			n.data[name] = string(c.Args[2])
		} else {
			delete(n.data, name)
		}
	}
	done(journal.SlotAll)
	return nil
}

// eventually waits for condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// same waits until b has what a has, at the same offset.
func same(t testing.TB, a, b *node) {
	t.Helper()
	eventually(t, "equal offsets", func() bool { return a.journal.Offset() == b.journal.Offset() })
	if got, want := b.content(), a.content(); !maps.Equal(got, want) {
		t.Fatalf("%d keys on one side, %d on the other, or they differ", len(got), len(want))
	}
	idA, _, _ := a.journal.IDs()
	idB, _, _ := b.journal.IDs()
	if idA != idB {
		t.Fatalf("histories %s and %s", idA, idB)
	}
}
