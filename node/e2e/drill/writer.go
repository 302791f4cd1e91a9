package drill

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"slotmesh/node/e2e/harness"
)

const (
	// writePause is the time between two writes of one Writer: short against
	// anything measured, long enough to leave two cores to the servers.
	writePause = 2 * time.Millisecond
	// retryPause is the time after a write that was not accepted.
	retryPause = 5 * time.Millisecond
	// writeTimeout is how long a Writer waits for an answer.
	writeTimeout = 500 * time.Millisecond
)

// Ack is one acknowledged write: key number Seq, sent and acknowledged when,
// by the node at Addr.
type Ack struct {
	Seq   int
	Sent  time.Time
	Acked time.Time
	Addr  string
}

// Refusal is one write that was not acknowledged.
type Refusal struct {
	At   time.Time
	Addr string
	Text string
}

// Writer writes to one slot until it is stopped.
type Writer struct {
	prefix string
	addrs  []string
	stop   chan struct{}
	done   chan struct{}

	mu       sync.Mutex // guards the rest
	acks     []Ack
	refusals []Refusal
}

// StartWriter starts a Writer on the slot of tag that knows the nodes at addrs
// and tries the first one first. name keeps the keys of several Writers apart.
func StartWriter(name, tag string, addrs ...string) *Writer {
	w := &Writer{
		prefix: "{" + tag + "}" + name + ":",
		addrs:  addrs,
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	go w.run()
	return w
}

// Key returns the name of the key number seq; its value is Value(seq).
func (w *Writer) Key(seq int) string { return fmt.Sprintf("%s%d", w.prefix, seq) }

// Value returns what Key(seq) is set to.
func Value(seq int) string { return fmt.Sprintf("value-%d", seq) }

// Stop ends the Writer and returns when its last write is over.
func (w *Writer) Stop() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	<-w.done
}

// Acks returns the acknowledged writes so far.
func (w *Writer) Acks() []Ack {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Ack(nil), w.acks...)
}

// Refusals returns the writes that were not acknowledged so far.
func (w *Writer) Refusals() []Refusal {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Refusal(nil), w.refusals...)
}

// FirstSentAfter returns the first acknowledged write that was sent after t, to
// another node than the one at except, if that is not empty: a victim may answer once
// more between t and its end.
func (w *Writer) FirstSentAfter(t time.Time, except string) (first Ack, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The newest are at the end, and t is usually recent.
	for i := len(w.acks) - 1; i >= 0 && w.acks[i].Sent.After(t); i-- {
		if w.acks[i].Addr != except {
			first, ok = w.acks[i], true
		}
	}
	return first, ok
}

// Gap returns the longest time without an acknowledgement between from and to.
func (w *Writer) Gap(from, to time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, longest := from, time.Duration(0)
	for _, a := range w.acks {
		if a.Acked.Before(from) {
			continue
		}
		if a.Acked.After(to) {
			break
		}
		longest = max(longest, a.Acked.Sub(last))
		last = a.Acked
	}
	return max(longest, to.Sub(last))
}

func (w *Writer) run() {
	defer close(w.done)
	var conn *harness.Conn
	at := 0                 // index of the node to try when there is no hint
	target := w.addrs[at]   // where the next write goes
	moved := 0              // redirections in a row
	next := func() string { // the next node in turn
		at = (at + 1) % len(w.addrs)
		return w.addrs[at]
	}
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	hangUp := func() {
		if conn != nil {
			conn.Close()
			conn = nil
		}
	}
	for seq := 0; ; seq++ {
		pause := writePause
		sent := time.Now()
		err := func() (err error) {
			if conn == nil {
				if conn, err = harness.Dial(target, writeTimeout); err != nil {
					return err
				}
			}
			_, err = conn.Do("SET", w.Key(seq), Value(seq))
			return err
		}()
		now := time.Now()
		w.mu.Lock()
		if err == nil {
			w.acks = append(w.acks, Ack{Seq: seq, Sent: sent, Acked: now, Addr: target})
		} else {
			w.refusals = append(w.refusals, Refusal{At: now, Addr: target, Text: err.Error()})
		}
		w.mu.Unlock()
		switch {
		case err == nil:
			moved = 0
		case strings.HasPrefix(err.Error(), "MOVED ") && harness.IsReplyError(err) && moved < 3:
			moved++
			hangUp()
			fields := strings.Fields(err.Error())
			target = fields[len(fields)-1]
			pause = 0
		default:
			moved = 0
			hangUp()
			target = next()
			pause = retryPause
		}
		select {
		case <-w.stop:
			return
		case <-time.After(pause):
		}
	}
}
