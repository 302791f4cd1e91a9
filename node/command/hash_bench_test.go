package command

import (
	"fmt"
	"strings"
	"testing"

	"slotmesh/node/resp"
)

// hashCalls are commands on 1000 small hashes, or on one large hash.
func hashCalls(b testing.TB, large bool, line string) (*node, []*Call) {
	n := newNode(b)
	n.journal.on = false
	const hashes, fields = 1000, 10
	for i := range hashes {
		for j := range fields {
			if large {
				n.do("HSET", "hash", fmt.Sprint("field:", i, ":", j), "some value 1234")
			} else {
				n.do("HSET", fmt.Sprint("hash:", i), fmt.Sprint("field:", j), "some value 1234")
			}
		}
	}
	words := strings.Fields(line)
	var calls []*Call
	for i := range hashes {
		args := [][]byte{[]byte(words[0]), fmt.Append(nil, "hash:", i)}
		if large {
			args[1] = []byte("hash")
		}
		for _, word := range words[1:] {
			if word == "F" {
				word = fmt.Sprint("field:", i%fields)
				if large {
					word = fmt.Sprint("field:", i*7919%hashes, ":", i%fields)
				}
			}
			args = append(args, []byte(word))
		}
		calls = append(calls, &Call{Spec: n.engine.Table().Lookup(args[0]), Args: args, Reply: &n.out, Conn: n.conn})
	}
	n.out = resp.Writer{Buf: make([]byte, 0, 64<<10)}
	return n, calls
}

var hashLines = []string{
	"hget F", "hset F othervalue4321", "hset F o", "hmget F F F", "hexists F", "hlen", "hstrlen F", "hincrby number 3", "hdel nofield",
	"hsetnx F x", "hrandfield", "hrandfield 3", "hscan 0", "hgetall", "hkeys", "hvals", "hexpire 100 FIELDS 1 F", "hsetex EX 100 FIELDS 1 F value", "httl FIELDS 1 F",
}

func BenchmarkHash(b *testing.B) {
	for _, large := range []bool{false, true} {
		for _, line := range hashLines {
			if large && (line == "hgetall" || line == "hkeys" || line == "hvals") {
				continue
			}
			b.Run(fmt.Sprintf("large=%v/%s", large, line), func(b *testing.B) {
				n, calls := hashCalls(b, large, line)
				n.benchmark(b, calls)
			})
		}
	}
}

// TestHashAllocations holds the commands on single fields to their promise.
func TestHashAllocations(t *testing.T) {
	for _, large := range []bool{false, true} {
		for _, line := range hashLines {
			if strings.HasPrefix(line, "hrandfield 3") {
				continue
			}
			n, calls := hashCalls(t, large, line)
			resume := func() {}
			if large {
				calls = calls[:1]
			}
			run := func() {
				for _, c := range calls {
					n.out.Buf = n.out.Buf[:0]
					n.engine.Execute(c, resume)
				}
			}
			run()
			if allocs := testing.AllocsPerRun(10, run) / float64(len(calls)); allocs > 0 {
				t.Errorf("%s, large %v: %v allocations", line, large, allocs)
			}
		}
	}
}
