package migrate

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"slotmesh/node/resp"
)

// Target is where keys go and how to get in. It is the key of the connection
// cache.
type Target struct {
	Host     string
	Port     int
	DB       int
	Username string // "" with a Password means the default user
	Password string
}

// Item is one key on its way.
type Item struct {
	Key []byte
	// TTLMs is the rest of its life in milliseconds, 0 for ever.
	TTLMs int64
	// Payload is what DUMP answers.
	Payload []byte
}

// Options are MIGRATE's.
type Options struct {
	// Timeout bounds every single wait for the target.
	Timeout time.Duration
	Replace bool
	// Asking uses RESTORE-ASKING, which an importing slot accepts.
	Asking bool
}

// ErrConnect, ErrWrite and ErrRead are what MIGRATE answers as IOERR. After
// ErrWrite and ErrRead the keys that are not known to have arrived may or may
// not be there.
var (
	ErrConnect = errors.New("error or timeout connecting to the client")
	ErrWrite   = errors.New("error or timeout writing to target instance")
	ErrRead    = errors.New("error or timeout reading from target instance")
)

// RefusedError is an error that the target itself answered, with its prefix.
type RefusedError string

func (e RefusedError) Error() string { return string(e) }

// replyLimits bound a target's answers: +OK or one line of error each.
var replyLimits = resp.ReplyLimits{Bulk: 64 << 10, Elements: 16, Depth: 2}

// keepIdle is how long an unused connection is kept, maxIdle how many are.
const (
	keepIdle = 10 * time.Second
	maxIdle  = 64
)

// Sender sends batches. It is safe for concurrent use; batches to the same
// target use separate connections.
type Sender struct {
	mu    sync.Mutex
	idle  map[Target][]*link
	count int
}

// link is one connection to a target, logged in and with its database chosen.
type link struct {
	conn    net.Conn
	replies *resp.ReplyReader
	used    time.Time
	// late is true when the target did not answer in time.
	late bool
}

// NewSender returns a Sender without connections.
func NewSender() *Sender { return &Sender{idle: map[Target][]*link{}} }

// Close closes the idle connections.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for target, links := range s.idle {
		for _, l := range links {
			l.conn.Close()
		}
		delete(s.idle, target)
	}
	s.count = 0
}

// Send restores items on target, in order, in one pipeline. arrived says for
// each item whether the target confirmed it. err is the first thing that went
// wrong: a RefusedError for a key (the others may have arrived all the same),
// or one of ErrConnect, ErrWrite, ErrRead. A kept connection that turns out to
// be closed before anything was confirmed is replaced once; one that is only slow is
// not, for what was sent may arrive yet.
func (s *Sender) Send(target Target, items []Item, opts Options) (arrived []bool, err error) {
	arrived = make([]bool, len(items))
	l, fresh, err := s.acquire(target, opts.Timeout)
	if err != nil {
		return arrived, err
	}
	healthy, err := l.restore(items, opts, arrived)
	if err != nil && !fresh && !healthy && !l.late && !anyOf(arrived) {
		l.conn.Close()
		if l, err = dial(target, opts.Timeout); err != nil {
			return arrived, err
		}
		healthy, err = l.restore(items, opts, arrived)
	}
	if healthy {
		s.release(target, l)
	} else {
		l.conn.Close()
	}
	return arrived, err
}

func anyOf(flags []bool) bool {
	for _, f := range flags {
		if f {
			return true
		}
	}
	return false
}

// acquire returns an idle connection, or dials a fresh one.
func (s *Sender) acquire(target Target, timeout time.Duration) (l *link, fresh bool, err error) {
	now := time.Now()
	s.mu.Lock()
	s.expire(now)
	if links := s.idle[target]; len(links) > 0 {
		l = links[len(links)-1]
		s.idle[target] = links[:len(links)-1]
		s.count--
	}
	s.mu.Unlock()
	if l != nil {
		return l, false, nil
	}
	l, err = dial(target, timeout)
	return l, true, err
}

func (s *Sender) release(target Target, l *link) {
	l.used = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= maxIdle {
		l.conn.Close()
		return
	}
	s.idle[target] = append(s.idle[target], l)
	s.count++
}

// expire closes what was not used for keepIdle. The caller holds s.mu.
func (s *Sender) expire(now time.Time) {
	for target, links := range s.idle {
		kept := links[:0]
		for _, l := range links {
			if now.Sub(l.used) < keepIdle {
				kept = append(kept, l)
				continue
			}
			l.conn.Close()
			s.count--
		}
		if len(kept) == 0 {
			delete(s.idle, target)
			continue
		}
		s.idle[target] = kept
	}
}

// dial connects, logs in and selects the database.
func dial(target Target, timeout time.Duration) (*link, error) {
	addr := net.JoinHostPort(target.Host, strconv.Itoa(target.Port))
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, ErrConnect
	}
	l := &link{conn: conn, replies: resp.NewReplyReader(bufio.NewReader(conn), replyLimits)}
	var hello []byte
	replies := 0
	if target.Password != "" {
		if target.Username != "" {
			hello = resp.AppendCommand(hello, "AUTH", target.Username, target.Password)
		} else {
			hello = resp.AppendCommand(hello, "AUTH", target.Password)
		}
		replies++
	}
	if target.DB != 0 {
		hello = resp.AppendCommand(hello, "SELECT", strconv.Itoa(target.DB))
		replies++
	}
	err = l.exchange(hello, replies, timeout, func(_ int, err error) error { return err })
	if err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

// restore sends items and fills arrived. healthy says that every reply was
// read, so that the connection can be used again.
func (l *link) restore(items []Item, opts Options, arrived []bool) (healthy bool, err error) {
	verb := "RESTORE"
	if opts.Asking {
		verb = "RESTORE-ASKING"
	}
	var request []byte
	for _, it := range items {
		args := [][]byte{[]byte(verb), it.Key, strconv.AppendInt(nil, it.TTLMs, 10), it.Payload}
		if opts.Replace {
			args = append(args, []byte("REPLACE"))
		}
		request = resp.AppendCommand(request, args...)
	}
	var refused error
	err = l.exchange(request, len(items), opts.Timeout, func(i int, err error) error {
		if err == nil {
			arrived[i] = true
		} else if refused == nil {
			refused = err
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return true, refused
}

// exchange writes request and reads the given number of replies, calling each
// with its index and its RefusedError, if it is an error reply. It stops at
// the first error that each returns.
func (l *link) exchange(request []byte, replies int, timeout time.Duration, each func(int, error) error) error {
	if len(request) == 0 {
		return nil
	}
	// Writing and reading overlap: a target that answers while it reads must
	// not fill both sockets' buffers. One that takes what is written is not silent.
	written := make(chan error, 1)
	go func() {
		for rest := request; len(rest) > 0; {
			l.conn.SetDeadline(time.Now().Add(timeout))
			n := min(len(rest), 1<<20)
			if _, err := l.conn.Write(rest[:n]); err != nil {
				written <- err
				return
			}
			rest = rest[n:]
		}
		l.conn.SetReadDeadline(time.Now().Add(timeout))
		written <- nil
	}()
	err := l.readReplies(replies, timeout, each)
	if err != nil {
		l.conn.SetWriteDeadline(time.Unix(1, 0))
		if werr := <-written; werr != nil && errors.Is(err, ErrRead) {
			return ErrWrite
		}
		return err
	}
	if <-written != nil {
		return ErrWrite
	}
	return nil
}

func (l *link) readReplies(replies int, timeout time.Duration, each func(int, error) error) error {
	for i := range replies {
		l.conn.SetReadDeadline(time.Now().Add(timeout))
		reply, err := l.replies.Read()
		if err != nil {
			var failed net.Error
			l.late = errors.As(err, &failed) && failed.Timeout()
			return ErrRead
		}
		var refused error
		if err := reply.Err(); err != nil {
			refused = RefusedError(err.Error())
		}
		if err := each(i, refused); err != nil {
			return err
		}
	}
	return nil
}

// String names the target in logs, without its password.
func (t Target) String() string { return fmt.Sprintf("%s:%d db %d", t.Host, t.Port, t.DB) }
