package repl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/crew"
	"slotmesh/node/journal"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
)

// feed is the link to one replica. Its goroutine writes, a second one reads
// acknowledgements; closing conn ends both.
type feed struct {
	p       *Primary
	conn    net.Conn
	pending []byte
	request Request
	ip      string
	port    int

	state   atomic.Int32
	acked   atomic.Int64
	fsynced atomic.Int64 // what of it is on the replica's disk; -1 if it does not say
	heardAt atomic.Int64 // Unix nanoseconds of the last sign of life
	reader  atomic.Pointer[journal.Reader]

	// sent is true when the whole snapshot is on its way and an acknowledgement of it
	// is awaited.
	sent atomic.Bool
	// acknowledged is closed by the first acknowledgement.
	acknowledged chan struct{}
	firstAck     sync.Once
	// gone is closed when the reading side has ended.
	gone chan struct{}
}

func newFeed(p *Primary, conn net.Conn, pending []byte, request Request) *feed {
	f := &feed{
		p: p, conn: conn, pending: pending, request: request,
		acknowledged: make(chan struct{}), gone: make(chan struct{}),
	}
	f.ip, f.port = request.Peer.address(conn)
	f.heardAt.Store(time.Now().UnixNano())
	f.fsynced.Store(-1)
	return f
}

func (f *feed) name() string { return net.JoinHostPort(f.ip, strconv.Itoa(f.port)) }

func (f *feed) info() ReplicaInfo {
	return ReplicaInfo{
		IP: f.ip, Port: f.port,
		State:  ReplicaState(f.state.Load()),
		Offset: f.acked.Load(),
		Lag:    f.silence(),
	}
}

// silence is how long the replica was not heard.
func (f *feed) silence() time.Duration {
	return max(time.Since(time.Unix(0, f.heardAt.Load())), 0)
}

// look ends the link when the replica was silent or slow for too long. A replica
// that loads its snapshot sends line feeds, and one that never acknowledges
// (a client that said SYNC) is not held to the timeout, as in the reference.
func (f *feed) look(settings Settings) {
	if r := f.reader.Load(); r != nil {
		r.CheckLimit()
	}
	talks := !f.request.Old && (ReplicaState(f.state.Load()) == StateOnline || f.sent.Load())
	if talks && settings.Timeout > 0 && f.silence() > settings.Timeout {
		f.p.log.Warn("Disconnecting timedout replica (streaming sync): " + f.name())
		f.conn.Close()
	}
}

// run serves the replica until the link ends.
func (f *feed) run() {
	defer f.conn.Close()
	go f.listen()
	err := f.serve()
	if r := f.reader.Load(); r != nil {
		r.Close()
	}
	f.conn.Close()
	<-f.gone
	switch {
	case err == nil || errors.Is(err, net.ErrClosed):
		f.p.log.Info("Connection with replica " + f.name() + " lost.")
	case errors.Is(err, journal.ErrHistory):
		f.p.log.Info("Connection with replica " + f.name() + " closed: the replication history has changed.")
	case errors.Is(err, journal.ErrSlow):
		f.p.log.Warn("Client of replica " + f.name() + " closed for overcoming of output buffer limits.")
	default:
		f.p.log.Info("Connection with replica "+f.name()+" lost.", "err", err)
	}
}

func (f *feed) serve() error {
	r, reply := f.resume()
	if r == nil {
		return f.fullSync()
	}
	f.reader.Store(r)
	if err := f.write([]byte(reply)); err != nil {
		return err
	}
	f.p.counts.SyncPartialOK.Add(1)
	f.p.log.Info(fmt.Sprintf("Partial resynchronization request from %s accepted. Sending %d bytes of backlog starting from offset %d.",
		f.name(), r.LagBytes(), f.request.Offset))
	f.online(f.request.Offset - 1)
	return f.stream(r)
}

// resume tries to go on where the replica stands.
func (f *feed) resume() (*journal.Reader, string) {
	q := f.request
	if q.Old {
		return nil, ""
	}
	if q.ID == "?" {
		f.p.log.Info("Replica " + f.name() + " asks for synchronization")
		f.p.log.Info("Full resync requested by replica " + f.name())
		return nil, ""
	}
	f.p.log.Info("Replica " + f.name() + " asks for synchronization")
	r, id, err := f.p.journal.Resume(q.ID, q.Offset-1, f.readerOptions())
	if err != nil {
		f.p.counts.SyncPartialErr.Add(1)
		if errors.Is(err, journal.ErrHistory) {
			f.p.log.Info(fmt.Sprintf("Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '%s')", clip(q.ID)))
		} else {
			f.p.log.Info(fmt.Sprintf("Unable to partial resync with replica %s for lack of backlog (Replica request was: %d).", f.name(), q.Offset))
		}
		return nil, ""
	}
	if q.Peer.PSYNC2 {
		return r, "+CONTINUE " + id + "\r\n"
	}
	return r, "+CONTINUE\r\n"
}

// clip shortens what a peer sent for a message.
func clip(s string) string { return s[:min(len(s), 64)] }

func (f *feed) readerOptions() journal.ReaderOptions {
	return journal.ReaderOptions{
		Limit: func() journal.Limit { return f.p.settings().OutputLimit },
		OnCut: func(error) { f.conn.Close() },
	}
}

// fullSync sends a snapshot and then the stream from its offset.
func (f *feed) fullSync() error {
	f.p.counts.SyncFull.Add(1)
	cut := position{}
	snapshot := f.p.source.Snapshot(func() { cut = f.cut() })
	defer snapshot.Close()
	if cut.err != nil {
		return cut.err
	}
	f.reader.Store(cut.reader)
	if !f.request.Old {
		if err := f.write(fmt.Appendf(nil, "+FULLRESYNC %s %d\r\n", cut.ID, cut.Offset)); err != nil {
			return err
		}
	}
	f.p.log.Info("Starting BGSAVE for SYNC with target: replicas sockets")
	began := time.Now()
	size, err := f.sendSnapshot(snapshot, cut.Position)
	if err != nil {
		return err
	}
	snapshot.Close()
	f.p.log.Info(fmt.Sprintf("Streamed replica %s with %d bytes of snapshot in %s", f.name(), size, time.Since(began).Round(time.Millisecond)))
	if f.request.Peer.RDBOnly {
		cut.reader.Close()
		// The replica closes when it has read everything; a replica that does
		// not is left after a while.
		select {
		case <-f.gone:
		case <-time.After(f.p.settings().Timeout):
		}
		return nil
	}
	if f.request.Peer.EOF {
		// A replica knows the end of the snapshot by what it read last: nothing
		// may follow before it has answered.
		f.heardAt.Store(time.Now().UnixNano())
		f.sent.Store(true)
		select {
		case <-f.acknowledged:
		case <-f.gone:
			return nil
		}
	}
	f.online(f.acked.Load())
	f.p.log.Info("Synchronization with replica " + f.name() + " succeeded")
	return f.stream(cut.reader)
}

// position is a cut as a feed sees it.
type position struct {
	rdb.Position
	reader *journal.Reader
	err    error
}

// cut notes where in the stream a snapshot stands and begins to read there. It
// runs while nothing is appended. On top of a chain the stream goes on with a
// SELECT; below it the snapshot tells which database is selected.
func (f *feed) cut() position {
	j := f.p.journal
	j.Activate()
	if f.p.top.Load() {
		j.ForceSelect()
	}
	at := position{}
	at.Offset = j.Offset()
	at.ID, _, _ = j.IDs()
	at.StreamDB = j.StreamDB()
	at.reader, at.err = j.NewReader(at.Offset, f.readerOptions())
	return at
}

// sendSnapshot sends snapshot in the framing that the replica understands and
// returns its size.
func (f *feed) sendSnapshot(snapshot rdb.Snapshot, at rdb.Position) (int64, error) {
	if !f.request.Peer.EOF {
		return f.sendCounted(snapshot, at)
	}
	f.state.Store(int32(StateSending))
	mark := NewHistoryID() // 40 random hex digits
	if err := f.write([]byte("$EOF:" + mark + "\r\n")); err != nil {
		return 0, err
	}
	size, err := f.encode(snapshot, at, f.patient())
	if err != nil {
		return 0, err
	}
	return size, f.write([]byte(mark))
}

// sendCounted spools snapshot to a file, because its length stands before it.
func (f *feed) sendCounted(snapshot rdb.Snapshot, at rdb.Position) (int64, error) {
	spool, err := os.CreateTemp(f.p.settings().TempDir, "temp-repl-*.rdb")
	if err != nil {
		return 0, fmt.Errorf("repl: spool snapshot: %w", err)
	}
	defer spool.Close()
	os.Remove(spool.Name()) // it lives as long as it is open
	size, err := f.encode(snapshot, at, &keepAlive{w: spool, f: f, last: time.Now()})
	if err != nil {
		return 0, err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("repl: spool snapshot: %w", err)
	}
	f.state.Store(int32(StateSending))
	if err := f.write(fmt.Appendf(nil, "$%d\r\n", size)); err != nil {
		return 0, err
	}
	// The wrapper hides ReadFrom: the copy must yield now and then.
	_, err = io.CopyBuffer(f.patient(), struct{ io.Reader }{spool}, make([]byte, 64<<10))
	return size, err
}

// encode writes snapshot as a file to w.
func (f *feed) encode(snapshot rdb.Snapshot, at rdb.Position, w io.Writer) (int64, error) {
	settings := f.p.settings()
	if f.request.Peer.NoKeys {
		snapshot = rdb.NoData{}
	}
	return rdb.WriteSnapshot(w, rdb.Header{
		RedisVersion: settings.Version,
		CreatedSec:   time.Now().Unix(),
		Repl:         &at,
		Compress:     settings.Compress,
		Checksum:     settings.Checksum,
	}, snapshot, nil)
}

// online marks the beginning of the stream.
func (f *feed) online(acked int64) {
	f.acked.Store(acked)
	f.heardAt.Store(time.Now().UnixNano())
	f.state.Store(int32(StateOnline))
	f.p.acked(f)
}

// stream copies the journal to the replica.
func (f *feed) stream(r *journal.Reader) error {
	const most = 64 << 10
	for {
		b, err := r.Next(most)
		if err != nil {
			return err
		}
		if len(b) > 0 {
			if err := f.write(b); err != nil {
				if cause := r.Err(); cause != nil {
					return cause
				}
				return err
			}
			runtime.Gosched()
			continue
		}
		select {
		case <-r.Ready():
		case <-f.gone:
			return nil
		}
	}
}

// write sends b; a replica that takes nothing for repl-timeout is left.
func (f *feed) write(b []byte) error {
	if timeout := f.p.settings().Timeout; timeout > 0 {
		f.conn.SetWriteDeadline(time.Now().Add(timeout))
	}
	_, err := f.conn.Write(b)
	return err
}

// patient returns a writer to the replica that yields after each piece.
func (f *feed) patient() io.Writer {
	var turns crew.Turns
	return writerFunc(func(b []byte) (int, error) {
		written := 0
		const piece = 16 << 10
		for len(b) > 0 {
			n := min(len(b), piece)
			if err := f.write(b[:n]); err != nil {
				return written, err
			}
			written += n
			b = b[n:]
			turns.Yield()
		}
		return written, nil
	})
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(b []byte) (int, error) { return w(b) }

// keepAlive sends the replica a line feed each second while its snapshot is
// being written elsewhere.
type keepAlive struct {
	w    io.Writer
	f    *feed
	last time.Time
	// turns are the writer's.
	turns crew.Turns
}

func (k *keepAlive) Write(b []byte) (int, error) {
	if now := time.Now(); now.Sub(k.last) >= time.Second {
		k.last = now
		if err := k.f.write([]byte("\n")); err != nil {
			return 0, err
		}
	}
	k.turns.Yield()
	return k.w.Write(b)
}

// listen reads what the replica says: acknowledgements, and line feeds while it
// loads. Everything else is read and ignored, as the reference does with a
// replica's commands that have no reply.
func (f *feed) listen() {
	defer close(f.gone)
	defer f.conn.Close()
	in := bufio.NewReaderSize(io.MultiReader(strings.NewReader(string(f.pending)), f.conn), 4<<10)
	const longest = 64 << 10 // no acknowledgement comes near it
	scanner := resp.Scanner{MaxBulk: longest}
	var buf []byte
	piece := make([]byte, 4<<10)
	for {
		n, err := in.Read(piece)
		if err != nil {
			return
		}
		f.heardAt.Store(time.Now().UnixNano())
		buf = append(buf, piece[:n]...)
		for {
			args, used, err := scanner.Next(buf)
			if err != nil || len(buf) > 4*longest {
				return
			}
			if used == 0 {
				break
			}
			f.hear(args)
			buf = buf[used:]
		}
	}
}

func (f *feed) hear(args [][]byte) {
	if len(args) < 3 || !strings.EqualFold(string(args[0]), "replconf") || !strings.EqualFold(string(args[1]), "ack") {
		return
	}
	offset, err := strconv.ParseInt(string(args[2]), 10, 64)
	if err != nil {
		return
	}
	f.firstAck.Do(func() { close(f.acknowledged) })
	news := f.raise(&f.acked, offset)
	// Since Redis 7.2 a replica with a file of its own says how much of it is on the
	// disk.
	if len(args) >= 5 && strings.EqualFold(string(args[3]), "fack") {
		if fsynced, err := strconv.ParseInt(string(args[4]), 10, 64); err == nil {
			news = f.raise(&f.fsynced, fsynced) || news
		}
	}
	if news {
		f.p.acked(f)
	}
}

// raise notes an offset that the replica has reached, if the stream has.
func (f *feed) raise(mark *atomic.Int64, offset int64) bool {
	if offset <= mark.Load() || offset > f.p.journal.Offset() {
		return false
	}
	mark.Store(offset)
	return true
}
