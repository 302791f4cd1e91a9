package server

import (
	"context"
	"sync"
	"time"

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
	// wall is the time of day at the last look at the clock, Unix milliseconds,
	// and wallOffset its distance from the server's clock, in nanoseconds.
	wall, wallOffset int64

	in []byte
	// arena holds the replies of the round, one session's behind the other's.
	// dirty are the sessions that have some to send.
	arena    []byte
	produced int
	dirty    []*session

	// known are commands called lately, as their names were written.
	known [32]knownName

	// fenceKnown says that fenceState and fenceTerm were asked for in this turn.
	// That is fresh enough to decide what may run, since every reply is asked
	// about again before it leaves.
	fenceKnown bool
	fenceState FenceState
	fenceTerm  uint64

	ahead pipeline
	tally tally
	// transactions are spare ones.
	transactions []*transaction
	// taken returns how many nanoseconds of the round that began at begun and ends
	// now are known to have gone to other processes; nil if nobody knows.
	taken func(begun int64) int64

	// mu guards stats and the views of the owner's sessions.
	mu    sync.Mutex
	stats benchStats
}

// knownName is a command's name as a client wrote it, and its row. For a subcommand
// the name is its own, and parent the container's row.
type knownName struct {
	name   [22]byte
	length uint8
	row    *row
	parent *row
}

func (b *bench) knownAt(name []byte) *knownName {
	return &b.known[(int(name[0])*5+int(name[len(name)-1])+len(name))%len(b.known)]
}

func (k *knownName) is(name []byte) bool {
	return int(k.length) == len(name) && string(k.name[:k.length]) == string(name)
}

// recall returns the row that args call if it was called lately, without hashing.
func (b *bench) recall(args [][]byte) *row {
	name := args[0]
	if len(name) == 0 {
		return nil
	}
	k := b.knownAt(name)
	if !k.is(name) || k.parent != nil {
		return nil
	}
	if !k.row.contains {
		return k.row
	}
	if len(args) < 2 || len(args[1]) == 0 {
		return nil
	}
	if sub := b.knownAt(args[1]); sub.parent == k.row && sub.is(args[1]) {
		return sub.row
	}
	return nil
}

// remember makes recall find r, which args call. parent is the row of its
// container if it is a subcommand.
func (b *bench) remember(args [][]byte, r, parent *row) {
	if parent != nil {
		b.rememberName(args[1], r, parent)
		r = parent
	}
	b.rememberName(args[0], r, nil)
}

func (b *bench) rememberName(name []byte, r, parent *row) {
	k := b.knownAt(name)
	if len(name) <= len(k.name) {
		k.length, k.row, k.parent = uint8(copy(k.name[:], name)), r, parent
	}
}

// benchStats are the accounts of an owner, those of commands by row index.
type benchStats struct {
	traffic
	rowSums
	times latencies
}

// rowSums are how often the command of each row ran, and for how long.
type rowSums struct{ calls, nanos []int64 }

// traffic is what an owner had to do with all commands together.
type traffic struct {
	commands, bytesIn, bytesOut int64
	// rounds took busy nanoseconds together, and the longest of them longest.
	// longestOwn is the longest without what the machine had taken.
	rounds, busy, longest, longestOwn int64
	// naps are the rounds that were put off for a moment.
	naps int64
}

// longTurn is from which length on it is asked what a turn consists of, in
// nanoseconds.
const longTurn = 500e3

// An arena begins small and grows with what rounds produce, up to a bound.
const (
	arenaBytes    = 16 << 10
	maxArenaBytes = 1 << 20
)

func newBench(srv *Server, lane, inBytes int) *bench {
	b := &bench{
		srv: srv, lane: lane, in: make([]byte, inBytes), now: srv.clock(),
		stats: newBenchStats(len(srv.rows)),
	}
	b.syncWall()
	return b
}

// syncWall follows steps of the system's time; it is called about once a second.
func (b *bench) syncWall() { b.wallOffset = time.Now().UnixNano() - b.srv.clock() }

// lendOut returns a place for the replies of the session whose turn it is.
func (b *bench) lendOut() []byte {
	if b.arena == nil {
		b.arena = make([]byte, 0, arenaBytes)
	}
	return b.arena[len(b.arena):]
}

// postpone puts s on the list of those that flush at the end of the round. The
// place of its replies is fenced off: what it appends later, while another
// session's replies follow, goes elsewhere.
func (b *bench) postpone(s *session) {
	if s.lent {
		n := len(s.out.Buf)
		s.out.Buf = s.out.Buf[:n:n]
		if len(b.arena)+n <= cap(b.arena) {
			b.arena = b.arena[:len(b.arena)+n]
		}
		b.produced += n
	}
	if !s.postponed {
		s.postponed = true
		b.dirty = append(b.dirty, s)
	}
}

// endRound sends the replies of all sessions that had their turn, and closes the
// accounts of the round. It returns how long the round took.
func (b *bench) endRound() (took int64) {
	if len(b.dirty) > 0 {
		b.flushDirty()
	}
	took = b.srv.clock() - b.now
	own := took
	// To ask takes a microsecond.
	if b.taken != nil && took > longTurn {
		own -= min(b.taken(b.now), took)
	}
	b.mu.Lock()
	b.stats.bytesOut += b.tally.bytesOut
	b.stats.rounds++
	b.stats.busy += took
	b.stats.longest = max(b.stats.longest, took)
	b.stats.longestOwn = max(b.stats.longestOwn, own)
	b.mu.Unlock()
	b.tally.bytesOut = 0
	return took
}

// napped counts a nap.
func (b *bench) napped() {
	b.mu.Lock()
	b.stats.naps++
	b.mu.Unlock()
}

func (b *bench) flushDirty() {
	// A flush may let a session go on, which then is appended.
	for i := 0; i < len(b.dirty); i++ {
		s := b.dirty[i]
		s.postponed = false
		s.guard((*session).flush)
		if s.parked != parkGone {
			s.listen()
		}
		b.dirty[i] = nil
	}
	b.dirty = b.dirty[:0]
	if b.produced > cap(b.arena) && cap(b.arena) < maxArenaBytes {
		b.arena = make([]byte, 0, min(2*b.produced, maxArenaBytes))
	}
	b.arena, b.produced = b.arena[:0], 0
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
	now := b.srv.clock()
	t.cut(now)
	t.row = r
	b.wall = (now + b.wallOffset) / 1e6
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
		b.stats.times.note(g.row.index, g.nanos, g.count)
		b.stats.commands += g.count
	}
	b.stats.bytesIn += t.bytesIn
	if s.parked != parkOffLoop || !s.off.started {
		s.publish()
	}
	b.mu.Unlock()
	t.groups, t.bytesIn = t.groups[:0], 0
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
