package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/rdb"
	"slotmesh/slots"
)

// Command is one command of the stream and the database it runs in.
type Command struct {
	DB   int
	Args [][]byte
}

// Target takes what a primary sends.
type Target interface {
	// Load begins to take in a whole keyspace beside the present one.
	Load() (Load, error)
	// Apply runs commands as one step, without routing and without journaling.
	// done runs before anybody can see or cut what they did; it is told the slot
	// that they concern, or journal.SlotAll. A command whose execution fails is
	// the Target's to report; an error means that it cannot be executed here at
	// all and done was not called.
	Apply(commands []Command, done func(slots.Slot)) error
}

// Load is a keyspace that is being taken in.
type Load interface {
	// Write is given the snapshot's file, byte by byte and in order, before what it
	// holds is inserted. It does not fail.
	io.Writer
	// Target says where values of keys of slot come to lie.
	Target(slots.Slot) rdb.Target
	// Insert takes keys over, as rdb.LoadOptions.Insert does: several goroutines
	// call it at once.
	Insert(entries []rdb.Entry) (int, error)
	// Seal is called when the file is complete: it is of a version, and its data
	// stand at a position, which is known only if the file itself says so.
	Seal(version int, at rdb.Position, known bool)
	// Commit puts it in the place of the present keyspace. adopt runs while
	// nothing else does.
	Commit(adopt func()) error
	// Abort drops it.
	Abort()
}

// ReplicaOptions are what a Replica is made of.
type ReplicaOptions struct {
	Journal  *journal.Journal
	Target   Target
	Settings func() Settings
	Log      *slog.Logger
	// Begin, if set, is closed when the primary may be asked for data: not while
	// this node's own are on their way from its files.
	Begin <-chan struct{}
	// Settle, if set, is called before anything is asked of the primary. It
	// returns when nothing but the stream can add to the journal any more.
	Settle func()
	// OnSynced, if set, is called when a full sync is loaded.
	OnSynced func()
	// OnHistory, if set, is called when the history changed under the link: a
	// full sync, or a primary with a new id. This node's own replicas must come
	// back to learn it.
	OnHistory func()
	// Disk, if set, returns how much of the journal is lasting on this node's own
	// disk; nil means that it keeps no file. The primary is told with every
	// acknowledgement.
	Disk func() *journal.Watermark
	// TakeOver, if set, makes the first PSYNC ask the other side, a replica of
	// this node so far, to become the primary. It is called once, with what came
	// of it.
	TakeOver func(error)
	// Pauses between attempts; a zero field takes its default.
	Pauses Pauses
}

// Pauses are how long a replica waits before it tries again. A failover must
// find the new primary quickly, so the first attempts come fast and then ever
// more slowly; a primary whose data this node cannot take is not asked for them
// in a tight loop.
type Pauses struct {
	First   time.Duration // default 50 ms
	Longest time.Duration // default 1 s
	Refused time.Duration // default 10 s
}

func (p Pauses) orDefault() Pauses {
	for _, one := range []struct {
		d *time.Duration
		v time.Duration
	}{{&p.First, 50 * time.Millisecond}, {&p.Longest, time.Second}, {&p.Refused, 10 * time.Second}} {
		if *one.d == 0 {
			*one.d = one.v
		}
	}
	return p
}

// Replica follows a primary until Stop. All methods may be called from any
// goroutine.
type Replica struct {
	o       ReplicaOptions
	host    string
	port    int
	stop    context.CancelFunc
	stopped chan struct{}

	// applying is held while a step of the stream or the end of a load changes
	// the keyspace; after halted is set under it, nothing changes any more.
	applying sync.Mutex
	halted   bool
	// tookOver is set when TakeOver was called. Only the link's goroutine uses it.
	tookOver bool

	state     atomic.Int32
	downSince atomic.Int64 // Unix nanoseconds, 0 while the link is up
	heardAt   atomic.Int64 // Unix nanoseconds, 0 for never
	synced    atomic.Bool  // the stream has flowed

	// Progress of a full sync: of how many bytes (-1: unknown) how many are here.
	loadTotal, loadRead atomic.Int64
}

// LinkState is where a link to the primary stands.
type LinkState uint8

const (
	LinkConnect    LinkState = iota // waiting to connect again
	LinkConnecting                  // dialling
	LinkHandshake                   // connected, agreeing on what to send
	LinkSync                        // receiving a snapshot
	LinkConnected                   // receiving the stream
)

// String returns the word that ROLE shows.
func (s LinkState) String() string {
	return [...]string{"connect", "connecting", "handshake", "sync", "connected"}[s]
}

// Follow begins to follow the primary at host and port.
func Follow(host string, port int, o ReplicaOptions) *Replica {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Replica{o: o, host: host, port: port, stop: cancel, stopped: make(chan struct{})}
	r.downSince.Store(time.Now().UnixNano())
	go func() {
		defer close(r.stopped)
		if o.Begin != nil {
			select {
			case <-o.Begin:
			case <-ctx.Done():
				return
			}
		}
		if o.Settle != nil {
			o.Settle()
		}
		r.run(ctx)
	}()
	return r
}

// Halt ends the following: when it returns, nothing of the primary is applied
// any more. It does not wait for goroutines; see Stopped.
func (r *Replica) Halt() {
	r.stop()
	r.applying.Lock()
	r.halted = true
	r.applying.Unlock()
}

// Stopped is closed when a halted replica's goroutines have ended.
func (r *Replica) Stopped() <-chan struct{} { return r.stopped }

// Primary returns the address that is followed.
func (r *Replica) Primary() (host string, port int) { return r.host, r.port }

// ReplicaStatus is a link as INFO shows it.
type ReplicaStatus struct {
	// Synced says that the stream has flowed, though it may be down now.
	Synced bool
	Link   LinkState
	// SinceHeard is how long nothing came from the primary, -1 if nothing ever
	// did; Down is how long the link has been down, 0 when it is up.
	SinceHeard, Down time.Duration
	// LoadTotal is the size of the snapshot in bytes, -1 when unknown, and
	// LoadRead how much of it has come; both mean something during LinkSync.
	LoadTotal, LoadRead int64
}

// Status returns how the link is.
func (r *Replica) Status() ReplicaStatus {
	now := time.Now().UnixNano()
	s := ReplicaStatus{
		Link:       LinkState(r.state.Load()),
		SinceHeard: -1,
		Synced:     r.synced.Load(),
		LoadTotal:  r.loadTotal.Load(),
		LoadRead:   r.loadRead.Load(),
	}
	if heard := r.heardAt.Load(); heard != 0 {
		s.SinceHeard = max(time.Duration(now-heard), 0)
	}
	if down := r.downSince.Load(); down != 0 {
		s.Down = max(time.Duration(now-down), 1)
	}
	return s
}

const dialTimeout = 5 * time.Second

// unusableError is a primary's data that this node cannot take, however often
// it is asked.
type unusableError struct{ error }

func (e unusableError) Unwrap() error { return e.error }

func (r *Replica) run(ctx context.Context) {
	pauses := r.o.Pauses.orDefault()
	pause := pauses.First
	for {
		r.state.Store(int32(LinkConnecting))
		err := r.link(ctx)
		worked := r.down()
		if ctx.Err() != nil {
			return
		}
		var unusable unusableError
		switch {
		case errors.As(err, &unusable):
			pause = pauses.Refused
			r.o.Log.Warn(fmt.Sprintf("Replication from %s stopped, next attempt in %s: %v", r.address(), pause, err))
		case worked:
			pause = pauses.First // a new fault, not the old one
			r.report(err)
		default:
			pause = min(2*pause, pauses.Longest)
			r.report(err)
		}
		r.state.Store(int32(LinkConnect))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (r *Replica) report(err error) {
	r.o.Log.Info(fmt.Sprintf("Link to MASTER %s: %v", r.address(), err))
}

func (r *Replica) address() string { return net.JoinHostPort(r.host, strconv.Itoa(r.port)) }

// down notes that the link is gone and reports whether it had come up.
func (r *Replica) down() bool {
	worked := LinkState(r.state.Load()) == LinkConnected
	if worked {
		r.o.Log.Warn("Connection with master lost.")
	}
	r.downSince.CompareAndSwap(0, time.Now().UnixNano())
	return worked
}

// up notes that the stream flows.
func (r *Replica) up() {
	r.downSince.Store(0)
	r.synced.Store(true)
	r.state.Store(int32(LinkConnected))
}

// link is one connection's life.
func (r *Replica) link(ctx context.Context) error {
	r.o.Log.Info("Connecting to MASTER " + r.address())
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", r.address())
	if err != nil {
		return err
	}
	defer conn.Close()
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	defer unhook()
	r.o.Log.Info("MASTER <-> REPLICA sync started")
	r.state.Store(int32(LinkHandshake))
	l := newLink(r, conn)
	answer, err := l.handshake()
	if err != nil {
		return err
	}
	if answer.full {
		r.state.Store(int32(LinkSync))
		if err := l.load(answer); err != nil {
			return err
		}
	} else if err := r.goOn(answer); err != nil {
		return err
	}
	r.up()
	return l.follow()
}

// goOn notes that the primary continues the history, perhaps under a new id.
func (r *Replica) goOn(answer answer) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.halted {
		return errHalted
	}
	if id, _, _ := r.o.Journal.IDs(); answer.id != "" && answer.id != id {
		r.o.Journal.Rename(answer.id)
		r.o.Log.Info("Master replication ID changed to " + answer.id)
		if r.o.OnHistory != nil {
			r.o.OnHistory()
		}
	}
	r.o.Log.Info("Successful partial resynchronization with master.")
	r.o.Log.Info("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
	return nil
}

var errHalted = errors.New("repl: halted")
