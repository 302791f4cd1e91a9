package server

import (
	"fmt"
	"strings"
	"testing"

	"slotmesh/node/resp"
)

// later is a transport that keeps what is posted.
type later struct {
	sink
	posted chan func()
}

func (l later) post(fn func()) { l.posted <- fn }

// A request that is long itself leaves the loop, whatever its command, unless it
// looks at no key.
func TestLongRequestLeavesTheLoop(t *testing.T) {
	r := newRig(t, nil)
	for _, tt := range []struct {
		command string
		size    int
		left    bool
	}{
		{"SET key", loopRequest, true},
		{"APPEND key", loopRequest, true},
		{"SET key", loopRequest / 2, false},
		{"ECHO", loopRequest, false},
		{"SET key", 1, false},
	} {
		t.Run(fmt.Sprint(tt.command, tt.size), func(t *testing.T) {
			bn := newBench(r.srv, 0, 64<<10)
			s := newSession(r.srv, bn, "", "", -1)
			tr := later{posted: make(chan func(), 1)}
			s.tr = tr
			words := append(strings.Fields(tt.command), strings.Repeat("v", tt.size))
			for input := resp.AppendCommand(nil, words...); len(input) > 0; {
				n := copy(s.room(), input)
				s.received(n)
				input = input[n:]
			}
			if left := s.parked == parkOffLoop; left != tt.left {
				t.Errorf("the request left the loop: %v", left)
			}
			if s.parked == parkOffLoop {
				(<-tr.posted)()
			}
			bn.endRound()
			if bn.stats.commands != 1 || s.parked != running {
				t.Errorf("%d commands have run, parked for %v", bn.stats.commands, s.parked)
			}
		})
	}
}
