package server

import (
	"slices"
	"strings"
	"sync"
	"testing"
)

// testBarrier is a Barrier over a journal of a test's.
type testBarrier struct {
	mu        sync.Mutex
	pos, safe int64
	// failing is true while what is not safe keeps the replies of writes back for good
	// and lets others go.
	failing bool
	waiting []barred
}

type barred struct {
	pos int64
	fn  func()
}

func (b *testBarrier) Position() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pos
}

func (b *testBarrier) Passed(pos int64, wrote bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return pos <= b.safe || b.failing && !wrote
}

func (b *testBarrier) Notify(pos int64, fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, barred{pos, fn})
}

// set moves the journal, and has those ask again who wait for what is safe.
func (b *testBarrier) set(pos, safe int64, failing bool) {
	b.mu.Lock()
	b.pos, b.safe, b.failing = pos, safe, failing
	var ready []barred
	b.waiting = slices.DeleteFunc(b.waiting, func(w barred) bool {
		if w.pos <= safe || failing {
			ready = append(ready, w)
			return true
		}
		return false
	})
	b.mu.Unlock()
	for _, w := range ready {
		w.fn()
	}
}

// awaited reports whether somebody waits for pos.
func (b *testBarrier) awaited(pos int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.waiting, func(w barred) bool { return w.pos == pos })
}

// late is a way in which a request is answered when its turn is long over: the
// request, when it is under way, and what ends it.
type late struct {
	name, request, reply string
	underWay             func(*rig) bool
	end                  func(*rig)
	// before is what is answered at once to a PING and the request.
	before string
}

func lateReplies() []late {
	aside := func(r *rig) bool { return r.srv.offLoopCount.Load() == 1 }
	release := func(r *rig) { close(r.release) }
	return []late{
		{"off the loop", "SLOWKEY k\r\n", "OK", aside, release, "+PONG\r\n"},
		{"EXEC off the loop", "MULTI\r\nSLOWKEY k\r\nEXEC\r\n", "*[OK]", aside, release, "+PONG\r\n+OK\r\n+QUEUED\r\n"},
		{
			"served", "BLPOP k 0\r\n", "*[k v]", func(r *rig) bool { return r.engine.Blocked() == 1 },
			func(r *rig) { r.engine.ExecuteWait(callOf(r, "RPUSH", "k", "v")) }, "+PONG\r\n",
		},
		{
			"behind the fence", "SET k v\r\n", "OK", func(r *rig) bool { return r.srv.fence.(*testFence).waiters() == 1 },
			func(r *rig) { r.srv.fence.(*testFence).set(FenceOpen, 1) }, "+PONG\r\n",
		},
	}
}

// start sends a PING and the request to a server whose journal is at 1, of which
// nothing is safe but what safe says.
func (l late) start(t *testing.T, safe int64) (r *rig, c *client, b *testBarrier) {
	b = &testBarrier{pos: 1, safe: safe}
	fence := &testFence{term: 1}
	if l.name == "behind the fence" {
		fence.state = FenceWritesHeld
	}
	r = newRig(t, func(o *Options) { o.Barrier, o.Fence = b, fence })
	c = r.dial()
	c.send("PING\r\n" + l.request)
	until(t, "the request to be under way", func() bool { return l.underWay(r) })
	return r, c, b
}

// finish lets the request end, at the position 2 of the journal.
func (l late) finish(t *testing.T, c *client, b *testBarrier) {
	t.Helper()
	b.set(2, 2, false)
	for range strings.Count(l.before, "+") {
		c.reply()
	}
	if got := c.reply(); got != l.reply {
		t.Errorf("got %q, want %q", got, l.reply)
	}
}

// TestLateReplyWaitsForItself: a reply that comes while those before it are held
// waits for what its own command could see, not for what they wait for.
func TestLateReplyWaitsForItself(t *testing.T) {
	for _, l := range lateReplies() {
		t.Run(l.name, func(t *testing.T) {
			r, c, b := l.start(t, 0)
			until(t, "the reply before to be held", func() bool { return b.awaited(1) })
			b.set(2, 0, false)
			l.end(r)
			held := func() int { v := r.only().snapshot(); return v.outBytes }
			until(t, "the late reply", func() bool { return held() > len(l.before) })
			b.set(2, 1, false)
			until(t, "the replies to be asked about again", func() bool { return b.awaited(2) || r.srv.Stats().BytesOut > 0 })
			if !b.awaited(2) {
				t.Error("the late reply left with those before it")
			}
			l.finish(t, c, b)
		})
	}
}

// TestLateReplyOfAWrite: the barrier is told that a late reply is one of a write,
// although others have left since the request came.
func TestLateReplyOfAWrite(t *testing.T) {
	for _, l := range lateReplies() {
		t.Run(l.name, func(t *testing.T) {
			r, c, b := l.start(t, 1)
			sent := int64(len(l.before))
			until(t, "the replies before to leave", func() bool { return r.srv.Stats().BytesOut == sent })
			b.set(2, 1, true)
			l.end(r)
			until(t, "the reply to be asked about", func() bool { return b.awaited(2) || r.srv.Stats().BytesOut > sent })
			if !b.awaited(2) {
				t.Error("the reply left although the disk fails")
			}
			l.finish(t, c, b)
		})
	}
}

// only returns the session of the only client.
func (r *rig) only() *session {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	for _, s := range r.srv.clients {
		return s
	}
	return nil
}
