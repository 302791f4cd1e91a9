package command

import (
	"fmt"
	"strings"
	"testing"

	"slotmesh/node/resp"
)

// listCalls are commands on 1000 lists of ten elements, or on one of 100,000. A
// line has several commands, one after the other, so that lists stay as long as
// they are.
func listCalls(b testing.TB, large bool, lines string) (*node, []*Call) {
	n := newNode(b)
	n.journal.on = false
	const lists = 1000
	for i := range lists {
		key, count := fmt.Sprint("list:", i), 10
		if large {
			key, count = "list", 100
		}
		for j := range count {
			n.do("RPUSH", key, fmt.Sprint("element:", j))
		}
	}
	var calls []*Call
	for i := range lists {
		for line := range strings.SplitSeq(lines, "; ") {
			words := strings.Fields(line)
			key := fmt.Append(nil, "list:", i)
			if large {
				key = []byte("list")
			}
			args := [][]byte{[]byte(words[0]), key}
			for _, word := range words[1:] {
				if word == "SAME" {
					word = string(key)
				}
				args = append(args, []byte(word))
			}
			calls = append(calls, &Call{Spec: n.engine.Table().Lookup(args[0]), Args: args, Reply: &n.out, Conn: n.conn})
		}
	}
	n.out = resp.Writer{Buf: make([]byte, 0, 64<<10)}
	return n, calls
}

var listLines = []string{
	"lpush element:x; rpop", "rpush element:x; lpop", "lpush 12345; lpop", "rpush 12345; rpop", "lmove SAME LEFT RIGHT", "llen", "lindex 5", "lindex -3",
	"lset 4 element:y", "lrange 0 9", "lrange -5 -1", "linsert BEFORE element:3 new; lrem 1 new", "lpos element:7", "blpop 0; rpush element:x",
	"rpush element:x; ltrim 1 -1", "rpush element:x; lpop 1",
}

func BenchmarkList(b *testing.B) {
	for _, large := range []bool{false, true} {
		for _, lines := range listLines {
			b.Run(fmt.Sprintf("large=%v/%s", large, lines), func(b *testing.B) {
				n, calls := listCalls(b, large, lines)
				n.benchmark(b, calls)
			})
		}
	}
}

// TestListsDoNotAllocate holds the commands of lists to that promise.
func TestListsDoNotAllocate(t *testing.T) {
	for _, large := range []bool{false, true} {
		for _, lines := range listLines {
			n, calls := listCalls(t, large, lines)
			resume := func() {}
			run := func() {
				for _, c := range calls {
					n.out.Buf = n.out.Buf[:0]
					n.engine.Execute(c, resume)
				}
			}
			run()
			if allocs := testing.AllocsPerRun(3, run) / float64(len(calls)); allocs > 0.02 {
				t.Errorf("large %v, %s: %.3f allocations a call", large, lines, allocs)
			}
		}
	}
}
