package command

import (
	"fmt"
	"testing"
)

// TestLargeRestore restores a value that is unpacked before its slot is held: in
// place of another, where something is and may not go, with arguments that are
// refused, and while a snapshot is open. Nothing is left of what was refused.
func TestLargeRestore(t *testing.T) {
	n := newNode(t)
	args := []string{"HSET", "h"}
	for i := range 5000 {
		args = append(args, fmt.Sprint("field", i), fmt.Sprint("value", i))
	}
	n.do(args...)
	payload := decoded(n.do("DUMP", "h")).(string)
	if len(payload) < 16<<10 {
		t.Fatalf("the payload has only %d bytes", len(payload))
	}
	digest := n.do("HGETALL", "h")
	used := n.engine.store.Used()
	for _, refused := range [][]string{
		{"RESTORE", "h", "0", payload},
		{"RESTORE", "h2", "x", payload},
		{"RESTORE", "h2", "-1", payload},
		{"RESTORE", "h2", "0", payload, "WHAT"},
		{"RESTORE", "h2", "0", payload[:len(payload)-1] + "x"},
	} {
		if got := n.do(refused...); got[0] != '-' {
			t.Errorf("RESTORE: %q", got)
		}
		if n.call.ahead != nil {
			t.Error("a value is left over")
		}
	}
	for n.engine.store.Reap(1000) {
	}
	if now := n.engine.store.Used(); now != used {
		t.Errorf("%d bytes were lost", now-used)
	}
	n.engine.Exclusive(func() {
		snapshot := n.engine.store.Cut(nil)
		t.Cleanup(snapshot.Close)
	})
	for range 2 {
		if got := n.do("RESTORE", "h2", "0", payload, "REPLACE"); got != "+OK\r\n" {
			t.Fatalf("RESTORE: %q", got)
		}
		n.do("HSET", "h2", "field7", "changed")
		n.do("HSET", "h2", "field7", "value7")
		if n.do("HGETALL", "h2") != digest {
			t.Error("the copy differs")
		}
	}
	n.do("DEL", "h2")
}
