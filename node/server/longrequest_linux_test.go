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
		{"SET key", 20 * loopGrowth, true},
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
				room := s.room()
				if len(room) == 0 {
					(<-tr.posted)() // a goroutine has made some
					continue
				}
				n := copy(room, input)
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

// TestLongInputGrowsAside: the input of an argument that is long already is moved by a
// goroutine, is whole afterwards, and stays with it when the client leaves meanwhile.
func TestLongInputGrowsAside(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		t.Run(fmt.Sprint("leaves", leaves), func(t *testing.T) {
			r := newRig(t, nil)
			bn := newBench(r.srv, 0, 64<<10)
			s := newSession(r.srv, bn, "", "", -1)
			tr := later{posted: make(chan func(), 1)}
			s.tr = tr
			value := strings.Repeat("0123456789", loopGrowth)
			input := resp.AppendCommand(nil, "ECHO", value)
			moves := 0
			for len(input) > 0 && s.parked != parkGone {
				length := len(s.data)
				room := s.room()
				if len(room) > 0 {
					n := copy(room, input)
					s.received(n)
					input = input[n:]
					continue
				}
				if s.parked != parkRoom || length <= loopGrowth {
					t.Fatalf("no room behind %d bytes, parked for %v", length, s.parked)
				}
				moves++
				if leaves {
					s.close()
				}
				(<-tr.posted)()
			}
			if leaves {
				if s.parked != parkGone || s.data != nil || r.srv.input.Load() != 0 {
					t.Errorf("parked for %v with %d bytes, %d charged to all", s.parked, len(s.data), r.srv.input.Load())
				}
				return
			}
			if want := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value); string(s.out.Buf) != want {
				t.Errorf("the reply of %d bytes is not the argument", len(s.out.Buf))
			}
			if moves == 0 || moves > 4 {
				t.Errorf("the input was moved %d times", moves)
			}
		})
	}
}
