package server

import (
	"context"
	"sync"

	"slotmesh/node/resp"
)

// noContext is for log records of sessions, which have no context.
var noContext = context.Background()

// bench is what the sessions of one owner share while they take turns: the
// buffers that only the session at work needs, the accounts of its work, and
// the lock under which others read both.
type bench struct {
	srv  *Server
	lane int
	// now is the server's clock at the beginning of the owner's round.
	now int64

	in  []byte
	out []byte

	// fenceKnown says that fenceState and fenceTerm were asked for in this turn.
	// That is fresh enough to decide what may run, since every reply is asked
	// about again before it leaves.
	fenceKnown bool
	fenceState FenceState
	fenceTerm  uint64

	tally tally

	// mu guards stats and the views of the owner's sessions.
	mu    sync.Mutex
	stats benchStats
}

// benchStats are the accounts of an owner, by row index.
type benchStats struct {
	calls, nanos []int64
	commands     int64
	bytesIn      int64
	bytesOut     int64
}

// scratchBytes is the most that a bench keeps of a grown output buffer.
const scratchBytes = 1 << 20

func newBench(srv *Server, lane, inBytes int) *bench {
	n := len(srv.rows)
	return &bench{
		srv: srv, lane: lane, in: make([]byte, inBytes), now: srv.clock(),
		stats: benchStats{calls: make([]int64, n), nanos: make([]int64, n)},
	}
}

// lendOut returns a buffer for replies, for the length of a turn.
func (b *bench) lendOut() []byte {
	buf := b.out
	b.out = nil
	if buf == nil {
		buf = make([]byte, 0, 4<<10)
	}
	return buf[:0]
}

// takeBack takes a lent buffer back.
func (b *bench) takeBack(buf []byte, lent bool) {
	if lent && cap(buf) <= scratchBytes {
		b.out = buf
	}
}

// fence is the fence's state as of this turn.
func (b *bench) fence(f Fence) (FenceState, uint64) {
	if !b.fenceKnown {
		b.fenceKnown = true
		b.fenceState, b.fenceTerm = f.State()
	}
	return b.fenceState, b.fenceTerm
}

// tally is the account of one turn. Runs of the same command are timed as one.
type tally struct {
	row   *row
	count int64
	// since is when the run began; 0 while nothing is being timed.
	since    int64
	groups   []tallied
	bytesIn  int64
	bytesOut int64
}

// tallied is a run of calls of one command.
type tallied struct {
	row          *row
	count, nanos int64
}

// begin is called before a command of row runs on the owner.
func (t *tally) begin(b *bench, r *row) {
	if t.row == r && t.since != 0 {
		return
	}
	t.cut(b.srv.clock())
	t.row = r
}

// ran counts one call of the run.
func (t *tally) ran(*row) { t.count++ }

// cut ends the run at now.
func (t *tally) cut(now int64) {
	if t.count > 0 {
		t.groups = append(t.groups, tallied{t.row, t.count, now - t.since})
		t.count = 0
	}
	t.since = now
}

// stop ends the timing: what follows is not a command's work.
func (t *tally) stop(b *bench) {
	if t.since != 0 {
		t.cut(b.srv.clock())
		t.since = 0
	}
}

// ranOffLoop counts a call that a goroutine ran in the given time.
func (t *tally) ranOffLoop(r *row, nanos int64) {
	t.groups = append(t.groups, tallied{r, 1, nanos})
}

// failed counts an error. row is nil when the command is unknown.
func (t *tally) failed(srv *Server, r *row, text string, rejected bool) {
	srv.counters.errorReply(resp.ErrorPrefix(text))
	switch {
	case r == nil:
	case rejected:
		r.rejected.Add(1)
	default:
		r.failed.Add(1)
	}
}

// settle books the turn of s and publishes what others may know of it.
func (b *bench) settle(s *session) {
	t := &b.tally
	t.stop(b)
	b.fenceKnown = false
	b.mu.Lock()
	for i := range t.groups {
		g := &t.groups[i]
		b.stats.calls[g.row.index] += g.count
		b.stats.nanos[g.row.index] += g.nanos
		b.stats.commands += g.count
	}
	b.stats.bytesIn += t.bytesIn
	b.stats.bytesOut += t.bytesOut
	if s.parked != parkOffLoop || !s.off.started {
		s.publish()
	}
	b.mu.Unlock()
	t.groups, t.bytesIn, t.bytesOut = t.groups[:0], 0, 0
}

// publish brings the view up to date. The caller holds the bench's lock.
func (s *session) publish() {
	v := &s.view
	v.row, v.db, v.flags, v.proto = s.row, s.db, s.flags, s.out.Proto
	v.active = s.active
	v.blocked = nil
	if s.parked == parkConn {
		v.blocked = s.conn
	}
	v.outBytes = len(s.out.Buf) - s.sent
	v.queryBytes = len(s.data)
	v.bufferBytes = cap(s.own)
	if !s.lent {
		v.bufferBytes += cap(s.out.Buf)
	}
	v.multi, v.multiBytes, v.watching = -1, 0, false
	if s.tx != nil {
		v.watching = !s.tx.watcher.Empty()
		if s.flags&flagMulti != 0 {
			v.multi, v.multiBytes = len(s.tx.queued), s.tx.bytes
		}
	}
}
