package bus

import (
	"net"
	"sync"
	"sync/atomic"
)

// stream is a membership stream inside a session: what memberlist writes goes
// out in frames, what it reads has been vetted. One goroutine uses it at a
// time; Close may come from another.
type stream struct {
	net.Conn
	bus    *Bus
	s      *session
	closed sync.Once
	onEnd  func()

	rest   []byte // read, vetted, not yet taken
	head   []byte // read, not vetted yet
	vetted bool
	total  int
	held   atomic.Int64
}

func newStream(b *Bus, s *session) *stream {
	return &stream{Conn: s.conn, bus: b, s: s}
}

func (c *stream) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		kind, payload, err := c.s.reader.next()
		if err != nil {
			return 0, err
		}
		if c.total += len(payload); kind != frameStream || c.total > maxStreamBytes {
			return 0, errNotMembership
		}
		// memberlist keeps all that came until the stream ends.
		c.held.Add(int64(len(payload)))
		if c.bus.memory.Add(int64(len(payload))) > maxHeld {
			return 0, errMemory
		}
		if c.vetted {
			c.rest = payload
			continue
		}
		c.head = append(c.head, payload...)
		enough, err := vetStream(c.head)
		if err != nil {
			return 0, err
		}
		if enough {
			c.vetted, c.rest, c.head = true, c.head, nil
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *stream) Write(p []byte) (int, error) {
	const chunk = 64 << 10
	for sent := 0; sent < len(p); sent += chunk {
		part := p[sent:min(len(p), sent+chunk)]
		if _, err := c.Conn.Write(c.s.writer.append(nil, frameStream, part)); err != nil {
			return sent, err
		}
	}
	return len(p), nil
}

func (c *stream) Close() error {
	c.closed.Do(func() {
		c.bus.release(c.Conn)
		c.bus.memory.Add(-c.held.Load())
		if c.onEnd != nil {
			c.onEnd()
		}
	})
	return nil
}
