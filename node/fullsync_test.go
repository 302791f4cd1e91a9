package node

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// narrows forwards connections to a primary and stops each time a few more
// bytes have come from it, until told to go on: a replica that reads when the
// test wants it to.
type narrows struct {
	port string
	// stopped gets how much has passed whenever the flow stops; going on takes
	// an answer in resume: how much shall pass until the next stop, or
	// everything for a negative one.
	stopped chan int
	resume  chan int
}

func newNarrows(t *testing.T, to string, first int) *narrows {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &narrows{
		port:    strconv.Itoa(listener.Addr().(*net.TCPAddr).Port),
		stopped: make(chan int), resume: make(chan int),
	}
	over := make(chan struct{})
	t.Cleanup(func() { close(over); listener.Close() })
	go func() {
		replica, err := listener.Accept()
		if err != nil {
			return
		}
		defer replica.Close()
		primary, err := net.Dial("tcp", "127.0.0.1:"+to)
		if err != nil {
			return
		}
		defer primary.Close()
		// A small window: what the primary has sent is not far from what has
		// passed.
		_ = primary.(*net.TCPConn).SetReadBuffer(32 << 10)
		go func() {
			_, _ = io.Copy(primary, replica)
			primary.Close()
		}()
		passed := 0
		for next := first; next >= 0; {
			moved, err := io.CopyN(replica, primary, int64(next))
			if err != nil {
				return
			}
			passed += int(moved)
			select {
			case n.stopped <- passed:
			case <-over:
				return
			}
			select {
			case next = <-n.resume:
			case <-over:
				return
			}
		}
		_, _ = io.Copy(replica, primary)
	}()
	return n
}

// TestFullSyncUnderWrites stops a full sync in the middle, several times, while
// clients write, flush, swap databases, rename and let keys expire. Nobody waits
// for the sync, which stands still, and in the end the replica has exactly what
// the primary has: appended and counted values would show a change that was
// missed, or made twice.
func TestFullSyncUnderWrites(t *testing.T) {
	for name, wholesale := range map[string][]string{
		// After FLUSHALL nothing of the snapshot is to be seen, so that it has a
		// run of its own.
		"some of it goes": {"FLUSHDB", "SWAPDB 1 3", "SWAPDB 0 1", "SWAPDB 2 0"},
		"all of it goes":  {"SWAPDB 0 2", "FLUSHALL", "SWAPDB 1 2"},
	} {
		t.Run(name, func(t *testing.T) { fullSyncUnderWrites(t, wholesale) })
	}
}

func fullSyncUnderWrites(t *testing.T, wholesale []string) {
	const (
		keys    = 12_000
		size    = 600
		piece   = 600 << 10
		writers = 3
	)
	a := startPeerNode(t, "--rdbcompression", "no")
	b := startPeerNode(t)
	for db := range 4 {
		a.do("SELECT", strconv.Itoa(db))
		a.do("DEBUG", "POPULATE", strconv.Itoa(keys/4), fmt.Sprint("key", db), strconv.Itoa(size))
	}

	var written atomic.Int64
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for seed := range uint64(writers) {
		c := dialClient(t, "tcp", "127.0.0.1:"+a.port)
		writing.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for {
				select {
				case <-stop:
					return
				default:
				}
				c.send(randomWrite(random, keys/4)...)
				if _, err := c.receive(); err != nil {
					t.Errorf("a writer: %v", err)
					return
				}
				written.Add(1)
			}
		})
	}
	defer writing.Wait()
	ended := sync.OnceFunc(func() { close(stop) })
	defer ended()

	way := newNarrows(t, a.port, piece)
	b.follow(peerServer{a.client, way.port})
	for _, line := range wholesale {
		var passed int
		waitFor(t, "the sync to come to "+line, func() bool {
			select {
			case passed = <-way.stopped:
				return true
			default:
				return false
			}
		})
		if state := a.field("replication", "slave0"); !strings.Contains(state, "state=send_bulk") {
			t.Fatalf("after %d bytes the replica is %q: not in the middle of its sync", passed, state)
		}
		// The sync stands. Everything else goes on.
		from := written.Load()
		waitFor(t, "writes beside a sync that stands", func() bool { return written.Load() > from+500 })
		a.do("SELECT", "3")
		if got := a.ask(strings.Fields(line)...); got != `+"OK"` {
			t.Fatalf("%s answers %s", line, got)
		}
		from = written.Load()
		waitFor(t, "writes after "+line, func() bool { return written.Load() > from+500 })
		way.resume <- piece
	}
	waitFor(t, "the last stop", func() bool {
		select {
		case <-way.stopped:
			return true
		default:
			return false
		}
	})
	way.resume <- -1
	waitFor(t, "the snapshot to be through", func() bool {
		return strings.Contains(a.field("replication", "slave0"), "state=online")
	})
	from := written.Load()
	waitFor(t, "writes into the stream", func() bool { return written.Load() > from+500 })
	ended()
	writing.Wait()
	awaitSync(t, a, b)
	// Keys go on expiring, each deleted by the primary: the two are the same
	// again and again, or never.
	waitFor(t, "the same data on both sides", func() bool {
		return a.ask("DEBUG", "DIGEST") == b.ask("DEBUG", "DIGEST")
	})
	if full := a.field("stats", "sync_full"); full != "1" {
		t.Errorf("%s full syncs", full)
	}
}

// randomWrite changes one of the populated keys, or two.
func randomWrite(random *rand.Rand, keys int) []string {
	key := func() string { return fmt.Sprintf("key%d:%d", random.IntN(4), random.IntN(keys)) }
	switch random.IntN(10) {
	case 0:
		return []string{"SELECT", strconv.Itoa(random.IntN(4))}
	case 1, 2:
		return []string{"APPEND", key(), "tail"}
	case 3:
		return []string{"INCR", fmt.Sprint("count", random.IntN(50))}
	case 4:
		return []string{"SET", key(), "soon gone", "PX", strconv.Itoa(1 + random.IntN(100))}
	case 5:
		return []string{"RENAME", key(), key()}
	case 6:
		return []string{"DEL", key(), key()}
	case 7:
		return []string{"SETRANGE", key(), strconv.Itoa(random.IntN(700)), "##"}
	case 8:
		return []string{"PEXPIRE", key(), strconv.Itoa(1 + random.IntN(300_000))}
	}
	return []string{"COPY", key(), key(), "DB", strconv.Itoa(random.IntN(4)), "REPLACE"}
}
