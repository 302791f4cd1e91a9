package repl_test

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/rdb"
	"slotmesh/node/repl"
	"slotmesh/node/resp"
)

func TestFullSyncAndStream(t *testing.T) {
	primary, replica := newNode(t), newNode(t)
	for i := range 5000 {
		primary.set(i%3, fmt.Sprintf("key:%d", i), strings.Repeat("v", i%200))
	}
	replica.set(0, "old", "gone after the sync")
	replica.follow(primary.port())
	for i := range 3000 {
		primary.set(i%2, fmt.Sprintf("during:%d", i), "x")
	}
	eventually(t, "online", func() bool { return primary.primary.Online(0) == 1 })
	primary.set(1, "after", strings.Repeat("y", 300_000))
	same(t, primary, replica)
	if n := primary.primary.Counts().SyncFull.Load(); n != 1 {
		t.Errorf("%d full syncs", n)
	}
	eventually(t, "acknowledged", func() bool {
		r := primary.primary.Replicas()
		return len(r) == 1 && r[0].Offset == primary.journal.Offset() && r[0].Port == replica.port() && r[0].IP == "127.0.0.1"
	})
}

// TestWritesDuringSync writes from several goroutines while replicas come.
func TestWritesDuringSync(t *testing.T) {
	primary := newNode(t)
	for i := range 20_000 {
		primary.set(0, fmt.Sprintf("key:%d", i), "before")
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for w := range 3 {
		writing.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					primary.set(w, fmt.Sprintf("key:%d", i%20_000), fmt.Sprintf("%d-%d", w, i))
				}
			}
		})
	}
	replicas := []*node{newNode(t), newNode(t)}
	for _, r := range replicas {
		r.follow(primary.port())
	}
	eventually(t, "both online", func() bool { return primary.primary.Online(0) == 2 })
	close(stop)
	writing.Wait()
	for _, r := range replicas {
		same(t, primary, r)
	}
}

func TestPartialResync(t *testing.T) {
	primary, replica := newNode(t), newNode(t)
	primary.set(0, "a", "1")
	replica.follow(primary.port())
	eventually(t, "online", func() bool { return primary.primary.Online(0) == 1 })
	for i := range 5 {
		primary.set(3, "b", strconv.Itoa(i))
		primary.primary.DropAll()
		primary.set(3, "c", strconv.Itoa(i))
		same(t, primary, replica)
		eventually(t, "online again", func() bool { return primary.primary.Online(0) == 1 })
	}
	counts := primary.primary.Counts()
	if full, partial := counts.SyncFull.Load(), counts.SyncPartialOK.Load(); full != 1 || partial < 5 {
		t.Errorf("%d full syncs, %d partial ones", full, partial)
	}
}

func TestBacklogTooShort(t *testing.T) {
	primary, replica := newNode(t), newNode(t)
	primary.set(0, "a", "1")
	replica.follow(primary.port())
	eventually(t, "online", func() bool { return primary.primary.Online(0) == 1 })
	same(t, primary, replica)
	replica.link.Halt()
	eventually(t, "gone", func() bool { return primary.primary.Online(0) == 0 })
	for i := range 3000 {
		primary.set(0, "big", strings.Repeat("x", 1000)+strconv.Itoa(i))
	}
	replica.follow(primary.port())
	same(t, primary, replica)
	if counts := primary.primary.Counts(); counts.SyncFull.Load() != 2 || counts.SyncPartialErr.Load() != 1 {
		t.Errorf("%d full syncs, %d refused partial ones", counts.SyncFull.Load(), counts.SyncPartialErr.Load())
	}
}

// TestPromotionDownTheChain promotes the middle of a chain: the last goes on
// without a full sync, and so does the old primary, as a replica.
func TestPromotionDownTheChain(t *testing.T) {
	first, middle, last := newNode(t), newNode(t), newNode(t)
	first.set(5, "a", "1")
	middle.follow(first.port())
	eventually(t, "middle online", func() bool { return first.primary.Online(0) == 1 })
	last.follow(middle.port())
	eventually(t, "last online", func() bool { return middle.primary.Online(0) == 1 })
	first.set(5, "b", "2")
	same(t, first, middle)
	same(t, middle, last)

	middle.promote()
	middle.primary.DropAll()
	middle.set(5, "c", "3")
	first.follow(middle.port())
	same(t, middle, last)
	same(t, middle, first)
	middle.set(6, "d", "4")
	same(t, middle, last)
	same(t, middle, first)
	if n := middle.primary.Counts().SyncFull.Load(); n != 1 {
		t.Errorf("%d full syncs of the middle, want the first one only", n)
	}
}

func TestPrimaryAheadNeedsFullSync(t *testing.T) {
	a, b := newNode(t), newNode(t)
	a.set(0, "k", "1")
	b.follow(a.port())
	eventually(t, "online", func() bool { return a.primary.Online(0) == 1 })
	same(t, a, b)
	b.link.Halt()
	a.set(0, "only-here", "lost")
	b.promote()
	b.set(0, "k", "2")
	a.follow(b.port())
	same(t, b, a)
	if _, kept := a.content()["0/only-here"]; kept {
		t.Error("a write that the new primary never had survived")
	}
}

func TestWait(t *testing.T) {
	primary, replica := newNode(t), newNode(t)
	replica.follow(primary.port())
	eventually(t, "online", func() bool { return primary.primary.Online(0) == 1 })
	wait := func(replicas int, timeout time.Duration) (int, bool) {
		type answer struct {
			n       int
			deposed bool
		}
		answers := make(chan answer, 1)
		primary.primary.Wait(primary.journal.EffectOffset(), replicas, timeout, func(n int, deposed bool) { answers <- answer{n, deposed} })
		a := <-answers
		return a.n, a.deposed
	}
	var took []time.Duration
	for i := range 20 {
		primary.set(0, "k", strconv.Itoa(i))
		began := time.Now()
		if n, _ := wait(1, 0); n != 1 {
			t.Fatalf("acknowledged by %d", n)
		}
		took = append(took, time.Since(began))
	}
	// A replica that nobody asks tells its offset once a second: then every wait
	// but the first would be that long. One may be when the machine is busy.
	if slices.Sort(took); took[len(took)/2] > 500*time.Millisecond {
		t.Errorf("WAIT took %s: nobody was asked", took)
	}
	if n, deposed := wait(2, 20*time.Millisecond); n != 1 || deposed {
		t.Errorf("WAIT 2 with one replica: %d, %v", n, deposed)
	}
	time.AfterFunc(10*time.Millisecond, primary.primary.Depose)
	if _, deposed := wait(2, 0); !deposed {
		t.Error("WAIT went on after the role changed")
	}
}

// TestWaitLasting: a replica counts when it says that it has everything on its disk,
// which it says again as soon as it has, and a file that it has closed counts for
// nothing.
func TestWaitLasting(t *testing.T) {
	primary, quick, slow, without := newNode(t), newNode(t), newNode(t), newNode(t)
	quick.disk, slow.disk = new(journal.Watermark), new(journal.Watermark)
	closed := newNode(t)
	closed.disk = new(journal.Watermark)
	closed.disk.Advance(math.MaxInt64)
	for _, replica := range []*node{quick, slow, without, closed} {
		replica.follow(primary.port())
	}
	eventually(t, "online", func() bool { return primary.primary.Online(0) == 4 })
	primary.set(0, "k", "1")
	offset := primary.journal.EffectOffset()
	answers := make(chan int, 2)
	for _, replicas := range []int{1, 2} {
		primary.primary.WaitLasting(offset, replicas, 0, func(n int, _ bool) { answers <- n })
	}
	eventually(t, "acknowledged", func() bool { return primary.primary.Acknowledged(offset) == 4 })
	if n := primary.primary.Lasting(offset); n != 0 {
		t.Fatalf("%d replicas have it on their disks", n)
	}
	for i, replica := range []*node{quick, slow} {
		replica.disk.Advance(offset - 1)
		replica.disk.Advance(offset)
		if n := <-answers; n != i+1 {
			t.Fatalf("on %d disks, want %d", n, i+1)
		}
	}
	var took []time.Duration
	for i := range 20 {
		primary.set(0, "k", strconv.Itoa(i))
		offset := primary.journal.EffectOffset()
		primary.primary.WaitLasting(offset, 1, 0, func(n int, _ bool) { answers <- n })
		eventually(t, "acknowledged", func() bool { return primary.primary.Acknowledged(offset) == 4 })
		began := time.Now()
		quick.disk.Advance(offset)
		<-answers
		took = append(took, time.Since(began))
	}
	// Told once a second only, one in two would take longer. Any one may when the
	// machine is busy.
	if slices.Sort(took); took[len(took)/2] > 300*time.Millisecond {
		t.Errorf("it took %s to hear of it", took)
	}
}

// TestSnapshotIsHandedOn: a load is given every byte of the snapshot, and is told
// what the file says of itself.
func TestSnapshotIsHandedOn(t *testing.T) {
	primary, replica := newNode(t), newNode(t)
	for i := range 2000 {
		primary.set(0, fmt.Sprint("key:", i), strings.Repeat("v", i%100))
	}
	replica.follow(primary.port())
	eventually(t, "loaded", func() bool { return len(replica.content()) == 2000 })
	offset := replica.journal.Offset()
	id, _, _ := primary.journal.IDs()
	size, err := rdb.WriteSnapshot(io.Discard, rdb.Header{
		RedisVersion: "7.2.4", CreatedSec: time.Now().Unix(), Repl: &rdb.Position{ID: id, Offset: offset}, Compress: true, Checksum: true,
	}, primary.Snapshot(func() {}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d bytes, version 10, true at %d", size, offset); replica.sealed != want {
		t.Errorf("sealed with %s, want %s", replica.sealed, want)
	}
}

// TestTransactionIsOneStep cuts the link in the middle of a transaction: what
// came of it is not applied.
func TestTransactionIsOneStep(t *testing.T) {
	replica := newNode(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	replica.follow(l.Addr().(*net.TCPAddr).Port)
	id := repl.NewHistoryID()
	conn, psync := acceptReplica(t, l)
	if psync != "PSYNC ? -1" {
		t.Errorf("first request %q", psync)
	}
	fmt.Fprintf(conn, "+FULLRESYNC %s 100\r\n", id)
	sendSnapshot(conn, rdb.Position{ID: id, Offset: 100})
	half := append([]byte(nil), resp.AppendCommand(nil, "SELECT", "2")...)
	half = resp.AppendCommand(half, "SET", "whole", "1")
	applied := 100 + int64(len(half))
	half = resp.AppendCommand(half, "MULTI")
	half = resp.AppendCommand(half, "SET", "half", "1")
	conn.Write(half)
	eventually(t, "the first SET", func() bool { return replica.content()["2/whole"] == "1" })
	conn.Close()
	conn, psync = acceptReplica(t, l)
	if want := fmt.Sprintf("PSYNC %s %d", id, applied+1); psync != want {
		t.Errorf("second request %q, want %q", psync, want)
	}
	if len(replica.content()) != 1 {
		t.Errorf("half a transaction was applied: %v", replica.content())
	}
	newID := repl.NewHistoryID()
	fmt.Fprintf(conn, "+CONTINUE %s\r\n", newID)
	rest := resp.AppendCommand(nil, "MULTI")
	rest = resp.AppendCommand(rest, "SET", "half", "1")
	rest = resp.AppendCommand(rest, "SET", "other", "2")
	rest = resp.AppendCommand(rest, "EXEC")
	rest = resp.AppendCommand(rest, "REPLCONF", "GETACK", "*")
	conn.Write(rest)
	eventually(t, "the transaction in the selected database", func() bool { return replica.content()["2/other"] == "2" })
	eventually(t, "its offset", func() bool { return replica.journal.Offset() == applied+int64(len(rest)) })
	gotID, former, second := replica.journal.IDs()
	if gotID != newID || former != id || second != applied+1 {
		t.Errorf("ids %s %s %d", gotID, former, second)
	}
	conn.Close()
}

// acceptReplica plays a primary up to PSYNC and returns what it asked.
func acceptReplica(t testing.TB, l net.Listener) (net.Conn, string) {
	t.Helper()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(15 * time.Second))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in := resp.NewReplyReader(bufio.NewReader(conn), resp.ReplyLimits{})
	for {
		request, err := in.Read()
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, e := range request.Elements {
			words = append(words, string(e.Text))
		}
		switch words[0] {
		case "PING":
			io.WriteString(conn, "+PONG\r\n")
		case "PSYNC":
			go io.Copy(io.Discard, conn)
			return conn, strings.Join(words, " ")
		default:
			io.WriteString(conn, "+OK\r\n")
		}
	}
}

func sendSnapshot(conn net.Conn, at rdb.Position, entries ...rdb.Entry) {
	mark := repl.NewHistoryID()
	io.WriteString(conn, "\n\n$EOF:"+mark+"\r\n")
	w := rdb.NewWriter(conn, rdb.Header{Repl: &at, Checksum: true})
	for _, e := range entries {
		w.Entry(e)
	}
	w.Close()
	io.WriteString(conn, mark)
}

// TestHostilePrimary answers with random bytes at every stage: the replica
// keeps its data and comes again.
func TestHostilePrimary(t *testing.T) {
	replica := newNode(t)
	replica.set(0, "kept", "1")
	replica.pauses = repl.Pauses{First: time.Millisecond, Longest: time.Millisecond, Refused: time.Millisecond}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	replica.follow(l.Addr().(*net.TCPAddr).Port)
	random := rand.New(rand.NewPCG(1, 2))
	garbage := func() []byte {
		b := make([]byte, 1+random.IntN(2000))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	id := strings.Repeat("a", 40)
	starts := []string{
		"+FULLRESYNC " + id + " 5\r\n$100\r\n",
		"+FULLRESYNC " + id + " 5\r\n$9223372036854775807\r\nREDIS0010",
		"+FULLRESYNC " + id + " 5\r\n$EOF:" + id + "\r\nREDIS0010",
		"+FULLRESYNC " + id + " 5\r\n$EOF:" + id + "\r\n" + id,
		"+FULLRESYNC " + id + " -5\r\n",
		"+FULLRESYNC short 5\r\n",
		"+FULLRESYNC " + id + " 5\r\n$-1\r\n",
		"+CONTINUE\r\n",
		"+CONTINUE nonsense\r\n",
		"-NOMASTERLINK no\r\n",
		"",
	}
	for i := range 20 * len(starts) {
		start := starts[i%len(starts)]
		conn, _ := acceptReplica(t, l)
		io.WriteString(conn, start)
		conn.Write(garbage())
		conn.Close()
	}
	if got := replica.content(); len(got) != 1 || got["0/kept"] != "1" {
		t.Errorf("the replica's data are now %v", got)
	}
}

// TestHostileReplica sends random bytes after every kind of request.
func TestHostileReplica(t *testing.T) {
	primary := newNode(t)
	primary.set(0, "k", "v")
	random := rand.New(rand.NewPCG(3, 4))
	for _, request := range []string{
		"SYNC\r\n", "PSYNC ? -1\r\n", "PSYNC " + strings.Repeat("0", 40) + " 9223372036854775807\r\n",
		"REPLCONF capa eof\r\nPSYNC ? -1\r\n", "PSYNC x -9223372036854775808\r\n",
	} {
		for range 5 {
			conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(primary.port()))
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, request)
			b := make([]byte, random.IntN(5000))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			io.WriteString(conn, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$19\r\n9223372036854775807\r\n")
			conn.Write(b)
			io.CopyN(io.Discard, conn, 50)
			conn.Close()
		}
	}
	eventually(t, "nobody left", func() bool { return len(primary.primary.Replicas()) == 0 })
}

// TestSlowReplicaIsCut lets a replica read nothing: it is left at its limit and
// what it held is let go.
func TestSlowReplicaIsCut(t *testing.T) {
	primary := newNode(t)
	primary.settingsMu.Lock()
	primary.settings.OutputLimit = journal.Limit{HardBytes: 4 << 20}
	primary.settingsMu.Unlock()
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(primary.port()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "SYNC\r\n")
	eventually(t, "online", func() bool { return primary.primary.Online(0) == 1 })
	value := strings.Repeat("x", 100_000)
	eventually(t, "the cut", func() bool {
		primary.set(0, "k", value)
		return len(primary.primary.Replicas()) == 0
	})
	if kept := primary.primary.RetainedBytes(); kept > 3<<20 {
		t.Errorf("%d bytes are still kept", kept)
	}
}

// TestSilentReplicaIsLeft sends a snapshot to a replica that does not answer it, as
// one that was stopped in that moment: what is kept for it is let go in the end.
func TestSilentReplicaIsLeft(t *testing.T) {
	primary := newNode(t)
	primary.set(0, "k", "v")
	primary.settingsMu.Lock()
	primary.settings.Timeout = time.Second
	primary.settingsMu.Unlock()
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(primary.port()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "REPLCONF capa eof\r\nPSYNC ? -1\r\n")
	eventually(t, "a replica", func() bool { return len(primary.primary.Replicas()) == 1 })
	eventually(t, "nobody left", func() bool { return len(primary.primary.Replicas()) == 0 })
}

// TestUnsupportedType follows a primary that has a list: the replica says so,
// keeps its data and does not ask again at once.
func TestUnsupportedType(t *testing.T) {
	replica := newNode(t)
	replica.set(0, "kept", "1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	replica.follow(l.Addr().(*net.TCPAddr).Port)
	conn, _ := acceptReplica(t, l)
	id := repl.NewHistoryID()
	fmt.Fprintf(conn, "+FULLRESYNC %s 1\r\n$24\r\nREDIS0010\x01\x04list\x01\x01a", id)
	eventually(t, "the link is down", func() bool { return replica.link.Status().Link == repl.LinkConnect })
	l.(*net.TCPListener).SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := l.Accept(); err == nil {
		t.Error("the replica came again at once")
	}
	if len(replica.content()) != 1 {
		t.Error("data were lost")
	}
}
