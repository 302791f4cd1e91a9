package server

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"slotmesh/node/resp"
)

// TestInputOfLongRequestsIsReused: requests that come one behind the other, each longer
// than a part of what is read at once, are put together where those before them were.
func TestInputOfLongRequestsIsReused(t *testing.T) {
	r := newRig(t, nil)
	for _, size := range []int{3000, 11_000, 20_000, 40_000, 100_000, 300_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const pipelined, turns = 16, 40
			bn := newBench(r.srv, 0, 64<<10)
			s := newSession(r.srv, bn, "", "", -1)
			s.tr = sink{}
			input := []byte(strings.Repeat(string(resp.AppendCommand(nil, "EXISTS", strings.Repeat("v", size))), pipelined))
			buffers, buffer := 0, (*byte)(nil)
			for turn := range turns {
				for rest := input; len(rest) > 0; {
					n := copy(s.room(), rest)
					s.received(n)
					rest = rest[n:]
					if at := unsafe.SliceData(s.own[:cap(s.own)]); at != buffer {
						buffer = at
						if turn > 0 {
							buffers++
						}
					}
				}
				bn.endRound()
			}
			if bn.stats.commands != pipelined*turns {
				t.Errorf("%d commands have run", bn.stats.commands)
			}
			if buffers > 2 {
				t.Errorf("%d buffers were made for %d requests", buffers, pipelined*(turns-1))
			}
		})
	}
}
