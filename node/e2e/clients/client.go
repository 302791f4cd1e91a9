package clients

import (
	"fmt"
	"sync"
	"time"
)

// client is a library under test.
type client interface {
	// fill writes a value to every key in pipelines, increments the two keys of
	// pair in one MULTI, and returns an error unless all answers are right.
	// The value of a key is the key.
	fill(keys []string, pair [2]string) error
	// readReplicas reads every key from replicas.
	readReplicas(keys []string) error
	// startWrites begins to write keys of prefix, numbered from 0, without end;
	// stopWrites ends that and returns what became of each.
	startWrites(prefix string) error
	stopWrites() (record, error)
	close()
}

// writeKey is the key number seq of a write loop; its value is itself.
func writeKey(prefix string, seq int) string { return fmt.Sprintf("%s:%d", prefix, seq) }

// record is what became of the writes of one loop.
type record struct {
	Acks     []ack     `json:"acks"`
	Failures []failure `json:"failures"`
}

// ack is an acknowledged write, failure one that ended in an error; At is Unix
// milliseconds.
type ack struct {
	Seq int   `json:"seq"`
	At  int64 `json:"at"`
}

type failure struct {
	Seq  int    `json:"seq"`
	At   int64  `json:"at"`
	Text string `json:"text"`
}

const (
	// loopWriters is how many goroutines of a Go client write at once.
	loopWriters = 4
	// loopPause leaves the machine's few cores to the servers.
	loopPause = 4 * time.Millisecond
)

// loop is the write loop of the Go clients.
type loop struct {
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex // guards the rest
	seq    int
	record record
}

func startLoop(prefix string, set func(key string) error) *loop {
	l := &loop{stop: make(chan struct{})}
	for range loopWriters {
		l.done.Go(func() {
			for {
				l.mu.Lock()
				seq := l.seq
				l.seq++
				l.mu.Unlock()
				err := set(writeKey(prefix, seq))
				at := time.Now().UnixMilli()
				l.mu.Lock()
				if err == nil {
					l.record.Acks = append(l.record.Acks, ack{Seq: seq, At: at})
				} else {
					l.record.Failures = append(l.record.Failures, failure{Seq: seq, At: at, Text: err.Error()})
				}
				l.mu.Unlock()
				select {
				case <-l.stop:
					return
				case <-time.After(loopPause):
				}
			}
		})
	}
	return l
}

func (l *loop) end() record {
	close(l.stop)
	l.done.Wait()
	return l.record
}
