package server

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"slotmesh/node/resp"
)

// TestLargeReplyTakesTurns has a client that reads as fast as it can take a large
// reply: the loop writes it in as many rounds as there are turns in it, and it arrives
// whole, with what follows.
func TestLargeReplyTakesTurns(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Loops = 1 })
	c := r.dial()
	const elements, size = 64, 1 << 20
	value := strings.Repeat("v", size)
	for range elements {
		c.send(string(resp.AppendCommand(nil, "RPUSH", "list", value)))
		if got := c.reply(); strings.HasPrefix(got, "-") {
			t.Fatal(got)
		}
	}
	before := r.srv.Stats().LoopRounds
	c.send("LRANGE list 0 -1\r\nPING\r\n")
	if got, want := c.reply(), "*["+strings.TrimSuffix(strings.Repeat(value+" ", elements), " ")+"]"; len(got) < elements*size || got != want {
		t.Errorf("the reply is %d bytes %.20q, not %d bytes %.20q", len(got), got, len(want), want)
	}
	if got := c.reply(); got != "PONG" {
		t.Errorf("behind it comes %.40q", got)
	}
	// A round may have two: one at its begin for room that was told of, one at its end.
	if rounds := r.srv.Stats().LoopRounds - before; rounds < elements*size/writeTurn/2 {
		t.Errorf("%d bytes were sent in %d rounds", elements*size, rounds)
	}
	// Who does not read costs no rounds.
	c.send("LRANGE list 0 -1\r\n")
	until(t, "the socket to be full", func() bool {
		before = r.srv.Stats().LoopRounds
		return r.srv.Stats().MaxOutputBuffer > 0 && r.quiet(before)
	})
	c.reply()
}

// quiet reports whether hardly any rounds were made since there were so many, while
// another client had its requests answered.
func (r *rig) quiet(before int64) bool {
	other := r.dial()
	defer other.conn.Close()
	const requests = 50
	for range requests {
		other.expect("PING", "PONG")
	}
	return r.srv.Stats().LoopRounds-before < 2*requests+20
}

// pipe is a transport that keeps where what it was given first lies.
type pipe struct {
	sink
	first *byte
	sent  int
}

func (p *pipe) write(b []byte) (int, error) {
	if p.first == nil {
		p.first = unsafe.SliceData(b)
	}
	p.sent += len(b)
	return len(b), nil
}

// TestLargeReplyIsNotCopied: what a goroutine has written as the reply goes to the
// socket from where it lies if it is large.
func TestLargeReplyIsNotCopied(t *testing.T) {
	r := newRig(t, nil)
	for _, size := range []int{100, flushBytes, flushBytes + 1, 10 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			bn := newBench(r.srv, 0, 64<<10)
			s := newSession(r.srv, bn, "", "", -1)
			p := &pipe{}
			s.tr = p
			reply := make([]byte, size)
			s.row = &r.srv.rows[0]
			s.off, s.parked = &offLoop{started: true, reply: resp.Writer{Buf: reply}}, parkOffLoop
			s.returned()
			bn.endRound()
			if p.sent != size || (p.first == &reply[0]) != (size > flushBytes) {
				t.Errorf("%d bytes are sent, from where they lay: %v", p.sent, p.first == &reply[0])
			}
		})
	}
}
