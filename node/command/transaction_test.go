package command

import (
	"fmt"
	"testing"
)

// TestTransactionWithoutAllocations: a transaction that is used again needs no new memory
// for the keys of its commands.
func TestTransactionWithoutAllocations(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	var commands []Queued
	for i := range 20 {
		key := fmt.Sprint("key:", i)
		n.do("SET", key, "value")
		args := [][]byte{[]byte("get"), []byte(key)}
		commands = append(commands, Queued{Spec: n.engine.Table().Lookup(args[0]), Args: args})
	}
	var tx Transaction
	run := func() {
		n.out.Buf = n.out.Buf[:0]
		tx.Commands, tx.Reply, tx.Conn, tx.OnLoop = commands, &n.out, n.conn, true
		n.engine.ExecuteAll(&tx, func() {})
		tx.Reset()
	}
	run()
	if allocs := testing.AllocsPerRun(10, run); allocs > 0 {
		t.Errorf("a transaction of %d keys: %.0f allocations", len(commands), allocs)
	}
}

// TestTransactionAtItsClock: all commands of a transaction see the time that its owner has
// read, and without that the engine's.
func TestTransactionAtItsClock(t *testing.T) {
	n := newNode(t)
	n.do("SET", "key", "value", "PX", "1000")
	args := [][]byte{[]byte("pttl"), []byte("key")}
	for _, at := range []struct {
		clock int64
		want  string
	}{{0, "*1\r\n:1000\r\n"}, {n.now.Load() + 400, "*1\r\n:600\r\n"}} {
		n.out.Buf = n.out.Buf[:0]
		tx := Transaction{
			Commands: []Queued{{Spec: n.engine.Table().Lookup(args[0]), Args: args}},
			Reply:    &n.out, Conn: n.conn, Clock: at.clock,
		}
		n.engine.ExecuteAll(&tx, func() {})
		if got := string(n.out.Buf); got != at.want {
			t.Errorf("clock %d: %q, want %q", at.clock, got, at.want)
		}
	}
}
