package command

import (
	"fmt"
	"testing"

	"slotmesh/node/resp"
)

// zsetCalls are calls of name on sorted sets: a thousand keys of n members each,
// or one key of many.
func zsetCalls(b testing.TB, keys, n int, args func(i int) []string) (*node, []*Call) {
	node := newNode(b)
	node.journal.on = false
	for k := range keys {
		for i := 0; i < n; i += 100 {
			add := []string{"ZADD", fmt.Sprint("zset:", k)}
			for j := i; j < min(i+100, n); j++ {
				add = append(add, fmt.Sprint(j*7919%n), fmt.Sprintf("member:%08d", j))
			}
			node.do(add...)
		}
	}
	calls := make([]*Call, 1000)
	for i := range calls {
		var words [][]byte
		for _, word := range args(i) {
			words = append(words, []byte(word))
		}
		calls[i] = &Call{Spec: node.engine.Table().Lookup(words[0]), Args: words, Reply: &node.out, Conn: node.conn}
	}
	node.out = resp.Writer{Buf: make([]byte, 0, 64<<10)}
	return node, calls
}

// zsetBenches are hot commands, on small sets and on a large one.
var zsetBenches = map[string]func(i, n int) []string{
	"zadd": func(i, n int) []string {
		return []string{"ZADD", "", fmt.Sprint(i % 50), fmt.Sprintf("member:%08d", i*7%n)}
	},
	"zaddfloat": func(i, n int) []string {
		return []string{"ZADD", "", fmt.Sprint(float64(i) / 7), fmt.Sprintf("member:%08d", i*7%n)}
	},
	"zincrby":     func(i, n int) []string { return []string{"ZINCRBY", "", "1", fmt.Sprintf("member:%08d", i*7%n)} },
	"zscore":      func(i, n int) []string { return []string{"ZSCORE", "", fmt.Sprintf("member:%08d", i*7%n)} },
	"zrank":       func(i, n int) []string { return []string{"ZRANK", "", fmt.Sprintf("member:%08d", i*7%n)} },
	"zrange10":    func(i, n int) []string { return []string{"ZRANGE", "", "0", "9"} },
	"zrange10ws":  func(i, n int) []string { return []string{"ZRANGE", "", "0", "9", "WITHSCORES"} },
	"zrangescore": func(i, n int) []string { return []string{"ZRANGEBYSCORE", "", "3", "5", "LIMIT", "0", "10"} },
	"zcount":      func(i, n int) []string { return []string{"ZCOUNT", "", "3", "5"} },
	"zrem":        func(i, n int) []string { return []string{"ZREM", "", "nosuch"} },
}

func BenchmarkZSet(b *testing.B) {
	for name, args := range zsetBenches {
		for _, size := range []struct{ keys, n int }{{1000, 10}, {100, 100}, {1, 1000000}} {
			b.Run(fmt.Sprint(name, "/", size.n), func(b *testing.B) {
				node, calls := zsetCalls(b, size.keys, size.n, func(i int) []string {
					words := args(i, size.n)
					words[1] = fmt.Sprint("zset:", i%size.keys)
					return words
				})
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					node.out.Buf = node.out.Buf[:0]
					node.engine.Execute(calls[i], func() {})
					if i++; i == len(calls) {
						i = 0
					}
				}
			})
		}
	}
}

// TestSortedSetsAllocateNothing holds the hot commands to their promise.
func TestSortedSetsAllocateNothing(t *testing.T) {
	for name, args := range zsetBenches {
		for _, n := range []int{10, 2000} {
			node, calls := zsetCalls(t, 10, n, func(i int) []string {
				words := args(i, n)
				words[1] = fmt.Sprint("zset:", i%10)
				return words
			})
			run := func() {
				for _, c := range calls {
					node.out.Buf = node.out.Buf[:0]
					node.engine.Execute(c, nil)
				}
			}
			run()
			if allocs := testing.AllocsPerRun(5, run); allocs > 10 {
				t.Errorf("%s of %d: %.3f allocations a call", name, n, allocs/float64(len(calls)))
			}
		}
	}
}
