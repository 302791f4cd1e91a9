package command

import (
	"fmt"
	"testing"

	"slotmesh/node/resp"
)

// benchNode has keys and calls for one command over them.
func benchNode(b testing.TB, name string, value ...string) (*node, []*Call) {
	n := newNode(b)
	n.journal.on = false
	const keys = 1000
	calls := make([]*Call, keys)
	for i := range calls {
		key := fmt.Sprintf("key:%012d", i)
		n.do("SET", key, "0")
		args := [][]byte{[]byte(name), []byte(key)}
		for _, v := range value {
			args = append(args, []byte(v))
		}
		calls[i] = &Call{Spec: n.engine.Table().Lookup(args[0]), Args: args, Reply: &n.out, Conn: n.conn}
	}
	n.out = resp.Writer{Buf: make([]byte, 0, 1024)}
	return n, calls
}

var benchCommands = map[string][]string{
	"get":  nil,
	"set":  {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
	"incr": nil,
}

func BenchmarkExecute(b *testing.B) {
	for _, name := range []string{"get", "set", "incr"} {
		b.Run(name, func(b *testing.B) {
			n, calls := benchNode(b, name, benchCommands[name]...)
			n.benchmark(b, calls)
		})
	}
}

// benchmark runs calls in turn.
func (n *node) benchmark(b *testing.B, calls []*Call) {
	resume := func() {}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		n.out.Buf = n.out.Buf[:0]
		n.engine.Execute(calls[i], resume)
		if i++; i == len(calls) {
			i = 0
		}
	}
}

// TestNoAllocations holds the fast path to its promise.
func TestNoAllocations(t *testing.T) {
	for name, value := range benchCommands {
		n, calls := benchNode(t, name, value...)
		resume := func() {}
		run := func() {
			for _, c := range calls {
				n.out.Buf = n.out.Buf[:0]
				n.engine.Execute(c, resume)
			}
		}
		run()
		if allocs := testing.AllocsPerRun(10, run); allocs > 0 {
			t.Errorf("%s: %.3f allocations a call", name, allocs/float64(len(calls)))
		}
	}
	table := testTable(t)
	name := []byte("GetRange")
	if allocs := testing.AllocsPerRun(100, func() { table.Lookup(name) }); allocs > 0 {
		t.Errorf("Lookup allocates %v times", allocs)
	}
}
