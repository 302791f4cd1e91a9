package command

import (
	"bytes"
	"fmt"
	"testing"
)

// severalCall returns a call of name on n keys.
func severalCall(tb testing.TB, name string, keys int) (*node, *Call) {
	n := newNode(tb)
	n.journal.on = false
	args := [][]byte{[]byte(name)}
	for i := range keys {
		key := fmt.Sprintf("key:%d", i)
		n.do("SET", key, "value")
		if args = append(args, []byte(key)); name == "mset" {
			args = append(args, []byte("value"))
		}
	}
	return n, &Call{Spec: n.engine.Table().Lookup(args[0]), Args: args, Reply: &n.out, Conn: n.conn, Stay: true}
}

// BenchmarkSeveralKeys is of commands on ten keys.
func BenchmarkSeveralKeys(b *testing.B) {
	for _, name := range []string{"exists", "mget", "mset"} {
		b.Run(name, func(b *testing.B) {
			n, c := severalCall(b, name, 10)
			n.benchmark(b, []*Call{c})
		})
	}
}

func TestSeveralKeysWithoutAllocations(t *testing.T) {
	for _, name := range []string{"exists", "mget", "mset"} {
		n, c := severalCall(t, name, 40)
		run := func() {
			n.out.Buf = n.out.Buf[:0]
			n.engine.Execute(c, func() {})
		}
		run()
		if allocs := testing.AllocsPerRun(10, run); allocs > 0 {
			t.Errorf("%s of 40 keys: %.0f allocations", name, allocs)
		}
	}
}

// TestPlacesOfKeys: what a call knows of its keys' places is so, in whatever order
// they are asked for, and of other keys too.
func TestPlacesOfKeys(t *testing.T) {
	n, c := severalCall(t, "exists", 9)
	n.engine.Execute(c, func() {})
	for _, at := range []int{1, 2, 3, 3, 9, 1, 5, 4, 2, 9, 8} {
		key := c.Args[at]
		if got, want := c.placeOf(key), n.engine.store.Place(key); got != want {
			t.Errorf("place of %s: %v, want %v", key, got, want)
		}
	}
	other := []byte("another")
	if got, want := c.placeOf(other), n.engine.store.Place(other); got != want {
		t.Errorf("place of %s: %v, want %v", other, got, want)
	}
}

func TestPopsThatAreLong(t *testing.T) {
	for _, test := range []struct {
		line string
		long bool
	}{
		{"LMPOP 1 key LEFT", false},
		{"LMPOP 1 key RIGHT COUNT 999", false},
		{"LMPOP 1 key RIGHT COUNT 1000", true},
		{"BLMPOP 0 2 key other RIGHT", false},
		{"BLMPOP 0 2 key other RIGHT count 5000", true},
	} {
		c := &Call{Args: bytes.Fields([]byte(test.line))}
		if longPops(c) != test.long {
			t.Errorf("%s: long is %v", test.line, !test.long)
		}
	}
}
