package repl

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/rdb"
)

// PrimaryOptions are what a Primary is made of.
type PrimaryOptions struct {
	Journal  *journal.Journal
	Source   rdb.Source
	Settings func() Settings
	Log      *slog.Logger
}

// Primary feeds the replicas of this node, which may be a replica itself. All
// methods may be called from any goroutine.
type Primary struct {
	journal  *journal.Journal
	source   rdb.Source
	settings func() Settings
	log      *slog.Logger

	// top is true while this node is nobody's replica: it may then add to the
	// stream of its own.
	top atomic.Bool
	// quiet is true while the stream shall not grow by PINGs: a handover waits
	// for the replica to reach its end.
	quiet atomic.Bool

	mu    sync.Mutex
	feeds []*feed
	acks  acks
	// lonely is since when there is no replica.
	lonely time.Time
	closed bool

	running sync.WaitGroup
	stop    context.CancelFunc

	counts Counts
}

// Counts are what INFO stats tells.
type Counts struct {
	SyncFull, SyncPartialOK, SyncPartialErr atomic.Int64
}

// NewPrimary returns a Primary whose timers run until Close.
func NewPrimary(o PrimaryOptions) *Primary {
	p := &Primary{journal: o.Journal, source: o.Source, settings: o.Settings, log: o.Log, lonely: time.Now()}
	p.top.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.running.Go(func() { p.keepTime(ctx) })
	return p
}

// Close leaves every replica and waits for their goroutines.
func (p *Primary) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.DropAll()
	p.running.Wait()
}

// Counts returns the counters of syncs.
func (p *Primary) Counts() *Counts { return &p.counts }

// SetTop says whether this node is nobody's replica. When it has returned after
// false, this Primary adds nothing to the stream.
func (p *Primary) SetTop(top bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.top.Store(top)
}

// control adds a command that changes nothing to the stream, if this node is
// the one to do so. The caller holds mu.
func (p *Primary) control(words ...string) int64 {
	if !p.top.Load() {
		return p.journal.Offset()
	}
	args := make([][]byte, len(words))
	for i, word := range words {
		args[i] = []byte(word)
	}
	return p.journal.AppendControl(args...)
}

// Inject adds a command to the stream that was not carried out here. Replicas carry
// it out; the files pass it over, as they do what only counts as bytes.
func (p *Primary) Inject(words ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.control(words...)
}

// SetQuiet says whether PINGs stay out of the stream.
func (p *Primary) SetQuiet(quiet bool) { p.quiet.Store(quiet) }

// keepTime sends PINGs into the stream, cuts silent and slow replicas and drops
// an unused backlog.
func (p *Primary) keepTime(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	lastPing := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		settings := p.settings()
		p.mu.Lock()
		feeds := slices.Clone(p.feeds)
		lonely := p.lonely
		// Half a tick of slack keeps a period of n seconds at n ticks.
		if len(feeds) > 0 && !p.quiet.Load() && time.Since(lastPing) >= settings.PingPeriod-tick/2 {
			lastPing = time.Now()
			p.control("PING")
		}
		p.mu.Unlock()
		for _, f := range feeds {
			f.look(settings)
		}
		if p.top.Load() && len(feeds) == 0 && settings.BacklogTTL > 0 && p.journal.Active() &&
			time.Since(lonely) > settings.BacklogTTL && p.journal.Deactivate(NewHistoryID()) {
			p.log.Info("Replication backlog freed after " + strconv.Itoa(int(settings.BacklogTTL.Seconds())) +
				" seconds without connected replicas.")
		}
	}
}

// Peer is what a replica told of itself with REPLCONF.
type Peer struct {
	ListeningPort int
	IP            string
	// EOF and PSYNC2 are the capabilities "eof" and "psync2".
	EOF, PSYNC2 bool
	// RDBOnly asks for a snapshot and no stream; NoKeys (rdb-filter-only without
	// what would ask for keys) for one without keys.
	RDBOnly, NoKeys bool
	Version         string
}

// Request is what a replica asked for. Old is SYNC, which knows neither offsets
// nor +CONTINUE.
type Request struct {
	Old    bool
	ID     string // "?" for none
	Offset int64  // of the first byte wanted, counted from 1
	Peer   Peer
}

// Serve feeds a replica over conn until either side ends it; pending is what
// was read of conn beyond the request. It returns at once; done is called when
// conn is closed. Request has been checked by the caller as far as a client is
// told so.
func (p *Primary) Serve(conn net.Conn, pending []byte, request Request, done func()) {
	f := newFeed(p, conn, pending, request)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		conn.Close()
		done()
		return
	}
	p.feeds = append(p.feeds, f)
	p.mu.Unlock()
	p.running.Go(func() {
		defer done()
		f.run()
		p.remove(f)
	})
}

func (p *Primary) remove(f *feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feeds = slices.DeleteFunc(p.feeds, func(other *feed) bool { return other == f })
	if len(p.feeds) == 0 {
		p.lonely = time.Now()
	}
}

// DropAll closes the link to every replica. They come back and learn what has
// changed.
func (p *Primary) DropAll() {
	p.mu.Lock()
	feeds := slices.Clone(p.feeds)
	p.mu.Unlock()
	for _, f := range feeds {
		f.conn.Close()
	}
}

// ReplicaState is how far a replica is.
type ReplicaState uint8

const (
	StateWaiting ReplicaState = iota // its snapshot is being prepared
	StateSending                     // its snapshot is being sent
	StateOnline                      // it gets the stream
)

// String returns the word of INFO.
func (s ReplicaState) String() string {
	return [...]string{"wait_bgsave", "send_bulk", "online"}[s]
}

// ReplicaInfo is one replica as INFO and ROLE show it.
type ReplicaInfo struct {
	IP     string
	Port   int
	State  ReplicaState
	Offset int64
	Lag    time.Duration
}

// Replicas lists the replicas in the order in which they came.
func (p *Primary) Replicas() []ReplicaInfo {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]ReplicaInfo, len(p.feeds))
	for i, f := range p.feeds {
		list[i] = f.info()
	}
	return list
}

// Online returns how many replicas get the stream and were heard within maxLag;
// 0 means that any will do.
func (p *Primary) Online(maxLag time.Duration) int {
	n := 0
	for _, r := range p.Replicas() {
		if r.State == StateOnline && (maxLag == 0 || r.Lag <= maxLag) {
			n++
		}
	}
	return n
}

// RetainedBytes is the memory of the backlog and of what replicas have yet to
// read.
func (p *Primary) RetainedBytes() int64 { return p.journal.RetainedBytes() }

// NewHistoryID returns a fresh history id.
func NewHistoryID() string {
	var id [20]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// address names a replica in the log: "ip:port" with the port it listens on.
func (p Peer) address(conn net.Conn) (ip string, port int) {
	ip, port = p.IP, p.ListeningPort
	if ip == "" {
		if host, _, err := net.SplitHostPort(conn.RemoteAddr().String()); err == nil {
			ip = host
		}
	}
	return strings.TrimPrefix(ip, "::ffff:"), port
}
