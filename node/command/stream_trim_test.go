package command

import (
	"fmt"
	"strings"
	"testing"

	"slotmesh/slots"
)

// addLongStream makes the stream {k}whole, of 120,000 entries.
func addLongStream(n *node) {
	for i := range 120_000 {
		n.do("XADD", "{k}whole", fmt.Sprintf("%d-%d", 1+i/7, 1+i%7), "f", "v")
	}
}

// TestLongTrims cuts much off a stream, with the place found while the slot was free,
// and off a twin without that. A place in a stream that has changed is of no use.
func TestLongTrims(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	m := &meter{t: t, n: n}
	addLongStream(n)
	for i := range 150 {
		n.do("XDEL", "{k}whole", fmt.Sprintf("%d-1", 8_000+i))
	}
	for _, tt := range []struct {
		trim    []string
		between []string
		taken   bool
	}{
		{[]string{"MAXLEN", "60000"}, []string{"XLEN", "{k}set"}, true},
		{[]string{"MAXLEN", "150"}, nil, true},
		{[]string{"MAXLEN", "~", "30050", "LIMIT", "0"}, nil, true},
		{[]string{"MAXLEN", "0"}, nil, true},
		{[]string{"MINID", "8000-3"}, nil, true},
		{[]string{"MINID", "~", "16000", "LIMIT", "0"}, nil, true},
		{[]string{"MINID", "1000000"}, nil, true},
		{[]string{"MAXLEN", "50050"}, []string{"XADD", "{k}set", "500000-1", "f", "v"}, false},
		{[]string{"MINID", "8100"}, []string{"XDEL", "{k}set", "2-1", "8100-2", "9000-1"}, false},
	} {
		n.do("COPY", "{k}whole", "{k}set", "REPLACE")
		c := m.call(append([]string{"XTRIM", "{k}set"}, tt.trim...)...)
		if c.Spec.Ahead(c); c.ahead == nil {
			t.Errorf("%q is not prepared", tt.trim)
			continue
		}
		if tt.between != nil {
			n.do(tt.between...)
		}
		if still := c.ahead.stillOf(n.engine.store.Find(0, slots.Of([]byte("{k}set")), []byte("{k}set"))); still != tt.taken {
			t.Errorf("%q: the stream is as it was: %v", tt.trim, still)
		}
		n.do("COPY", "{k}set", "{k}twin", "REPLACE")
		n.engine.Execute(c, func() {})
		c.dropAhead()
		twin := m.call(append([]string{"XTRIM", "{k}twin"}, tt.trim...)...)
		n.engine.Execute(twin, func() {})
		if got, want := string(c.Reply.Buf), string(twin.Reply.Buf); got != want || c.Err != nil {
			t.Errorf("%q: %q, not %q; %v", tt.trim, got, want, c.Err)
		}
		if got, want := n.digestOf("{k}set"), n.digestOf("{k}twin"); got != want {
			t.Errorf("%q: the stream is %s, its twin %s", tt.trim, got, want)
		}
		if got, want := n.do("XINFO", "STREAM", "{k}set"), n.do("XINFO", "STREAM", "{k}twin"); got != want {
			t.Errorf("%q: the stream is %q, its twin %q", tt.trim, got, want)
		}
	}
}

// TestLongTrimsOfAdds is TestLongTrims for XADD. The entry is added to what is left.
func TestLongTrimsOfAdds(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	m := &meter{t: t, n: n}
	addLongStream(n)
	n.do("XADD", "{k}whole", "17150-1", "f", "v") // blocks have room for one more, or have not
	for i := range 150 {
		n.do("XDEL", "{k}whole", fmt.Sprintf("%d-1", 8_000+i))
	}
	for _, more := range []int{0, 1, 50, 99} {
		for range more {
			n.do("XADD", "{k}whole", "*", "f", "v")
		}
		for _, tt := range []struct {
			args    []string
			between []string
			ahead   bool
			taken   bool
		}{
			{[]string{"MAXLEN", "60000", "*"}, nil, true, true},
			{[]string{"NOMKSTREAM", "MAXLEN", "150", "*"}, nil, true, true},
			{[]string{"MAXLEN", "~", "30050", "LIMIT", "0", "*"}, nil, true, true},
			{[]string{"MAXLEN", "0", "*"}, nil, false, false},
			{[]string{"MINID", "8000-3", "*"}, nil, true, true},
			{[]string{"MINID", "~", "16000", "LIMIT", "0", "*"}, nil, true, true},
			{[]string{"MINID", "99999999999999", "*"}, nil, false, false},
			{[]string{"MAXLEN", "50050", "1-1"}, nil, true, true}, // refused
			{[]string{"MAXLEN", "50050", "0-0"}, nil, true, true},
			{[]string{"MAXLEN", "50050", "*"}, []string{"XDEL", "{k}set", "2-1"}, true, false},
			{[]string{"MINID", "8100", "*"}, []string{"XADD", "{k}set", "*", "f", "v"}, true, false},
		} {
			n.do("COPY", "{k}whole", "{k}set", "REPLACE")
			tail := append(tt.args, "f", "v")
			c := m.call(append([]string{"XADD", "{k}set"}, tail...)...)
			if c.Spec.Ahead(c); (c.ahead != nil) != tt.ahead {
				t.Errorf("%q: prepared is %v", tt.args, c.ahead != nil)
				continue
			}
			if tt.between != nil {
				n.do(tt.between...)
			}
			if c.ahead != nil {
				if still := c.ahead.stillOf(n.engine.store.Find(0, slots.Of([]byte("{k}set")), []byte("{k}set"))); still != tt.taken {
					t.Errorf("%q: the stream is as it was: %v", tt.args, still)
				}
			}
			n.do("COPY", "{k}set", "{k}twin", "REPLACE")
			n.engine.Execute(c, func() {})
			c.dropAhead()
			twin := m.call(append([]string{"XADD", "{k}twin"}, tail...)...)
			n.engine.Execute(twin, func() {})
			if got, want := string(c.Reply.Buf), string(twin.Reply.Buf); got != want || c.Err != twin.Err {
				t.Errorf("%q: %q %v, not %q %v", tt.args, got, c.Err, want, twin.Err)
			}
			if got, want := n.digestOf("{k}set"), n.digestOf("{k}twin"); got != want {
				t.Errorf("%q: the stream is %s, its twin %s", tt.args, got, want)
			}
			if got, want := n.do("XINFO", "STREAM", "{k}set"), n.do("XINFO", "STREAM", "{k}twin"); got != want {
				t.Errorf("%q: the stream is %q, its twin %q", tt.args, got, want)
			}
		}
	}
}

// TestClaimsCountTheirKey: XCLAIM and XAUTOCLAIM look their key up as commands that read.
// Source: the reference's xclaimCommand and xautoclaimCommand.
func TestClaimsCountTheirKey(t *testing.T) {
	n := newNode(t)
	n.do("XADD", "s", "1-1", "f", "v")
	n.do("XGROUP", "CREATE", "s", "g", "0")
	n.do("XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", ">")
	for _, line := range []string{"XCLAIM %s g b 0 1-1", "XAUTOCLAIM %s g b 0 -"} {
		n.engine.ResetStats()
		for _, key := range []string{"s", "nothing"} {
			n.do(strings.Fields(fmt.Sprintf(line, key))...)
		}
		if s := n.engine.Stats(); s.Hits != 1 || s.Misses != 1 {
			t.Errorf("%s: %d hits and %d misses, want 1 each", line, s.Hits, s.Misses)
		}
	}
}
