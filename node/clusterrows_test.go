package node

import (
	"fmt"
	"strings"
	"testing"

	"slotmesh/slots"
)

// TestKeysOfASlotThatIsTaken has CLUSTER GETKEYSINSLOT wait for a slot, while its
// event loop goes on to serve others.
func TestKeysOfASlotThatIsTaken(t *testing.T) {
	port := freePort(t)
	n, _, _ := startNode(t, "--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", freePort(t))
	dial := func() *client { return dialClient(t, "tcp", "127.0.0.1:"+port) }
	c := dial()
	if got := c.ask("cluster", "addslotsrange", "0", "16383"); got != `+"OK"` {
		t.Fatal(got)
	}
	waitFor(t, "the slots to be served", func() bool { return c.ask("set", "{k}1", "v") == `+"OK"` })
	slot := slots.Of([]byte("k"))
	command := []string{"cluster", "getkeysinslot", fmt.Sprint(slot), "10"}
	if got := c.ask(command...); got != `*[$"{k}1"]` {
		t.Errorf("got %s", got)
	}
	held, release := make(chan struct{}), make(chan struct{})
	go n.engine.WithSlot(slot, func() {
		close(held)
		<-release
	})
	<-held
	c.send(command...)
	for range 8 { // as many as there may be loops
		if got := dial().ask("ping"); got != `+"PONG"` {
			t.Errorf("beside it: %s", got)
		}
	}
	close(release)
	if r, err := c.receive(); err != nil || text(r) != `*[$"{k}1"]` {
		t.Errorf("got %s, %v", text(r), err)
	}
	// More than a loop may copy.
	for i := range 1200 {
		c.do("set", fmt.Sprintf("{k}%d", i), "v")
	}
	for _, limit := range []int{0, 1, 999, 1001, 5000} {
		if got := c.do("cluster", "getkeysinslot", fmt.Sprint(slot), fmt.Sprint(limit)); len(got.Elements) != min(limit, 1200) {
			t.Errorf("%d keys of at most %d", len(got.Elements), limit)
		}
	}
	for _, bad := range []string{"x 1", "1 x", "16384 1", "-1 1", "1 -1"} {
		if got := c.ask(append([]string{"cluster", "getkeysinslot"}, strings.Fields(bad)...)...); got[0] != '-' {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// TestBumpEpochTwice has CLUSTER BUMPEPOCH take an epoch, and then say that it is the
// greatest, in a transaction as well.
func TestBumpEpochTwice(t *testing.T) {
	port := freePort(t)
	startNode(t, "--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", freePort(t))
	c := dialClient(t, "tcp", "127.0.0.1:"+port)
	waitFor(t, "an epoch to be taken", func() bool { return c.ask("cluster", "bumpepoch") == `+"BUMPED 1"` })
	for range 3 {
		if got := c.ask("cluster", "bumpepoch"); got != `+"STILL 1"` {
			t.Errorf("again: %s", got)
		}
	}
	c.ask("multi")
	c.ask("cluster", "bumpepoch")
	if got := c.ask("exec"); got != `*[+"STILL 1"]` {
		t.Errorf("in EXEC: %s", got)
	}
}
