package command

import (
	"fmt"
	"testing"

	"slotmesh/node/resp"
)

// streamCalls are calls of one command on a thousand streams.
func streamCalls(n *node, args ...string) []*Call {
	calls := make([]*Call, 1000)
	for i := range calls {
		words := [][]byte{[]byte(args[0]), fmt.Appendf(nil, "stream:%04d", i)}
		for _, arg := range args[1:] {
			words = append(words, []byte(arg))
		}
		calls[i] = &Call{Spec: n.engine.Table().Lookup(words[0]), Args: words, Reply: &n.out, Conn: n.conn}
	}
	n.out = resp.Writer{Buf: make([]byte, 0, 16<<10)}
	return calls
}

func BenchmarkStreams(b *testing.B) {
	for _, args := range [][]string{
		{"xadd", "*", "field", "a value of some length", "n", "12345"},
		{"xadd", "MAXLEN", "~", "1000", "*", "field", "a value of some length", "n", "12345"},
		{"xrange", "-", "+", "COUNT", "10"},
		{"xrevrange", "+", "-", "COUNT", "10"},
	} {
		b.Run(fmt.Sprint(args[0], len(args)), func(b *testing.B) {
			n := newNode(b)
			n.journal.on = false
			for range 20 {
				for _, c := range streamCalls(n, "xadd", "*", "field", "a value of some length", "n", "12345") {
					n.engine.ExecuteWait(c)
				}
			}
			n.benchmark(b, streamCalls(n, args...))
		})
	}
}
