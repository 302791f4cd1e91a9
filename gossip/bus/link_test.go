package bus

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"slotmesh/gossip"
	"slotmesh/slots"
)

func TestLinkRequestAndAnswer(t *testing.T) {
	for _, mode := range []struct {
		name string
		tune func(*Options)
	}{{"open", nil}, {"secured", secret("one")}} {
		t.Run(mode.name, func(t *testing.T) {
			nodes := cluster(t, 2, mode.tune)
			a, b := nodes[0], nodes[1]
			b.mu.Lock()
			b.onMessage = func(_ slots.NodeID, m []byte) { b.send(a, "re: "+string(m)) }
			b.mu.Unlock()
			for i := range 100 {
				a.send(b, fmt.Sprint("question ", i))
			}
			until(t, "every question is answered", func() bool { return a.has(func() bool { return a.from[b.id] == 100 }) })
			a.mu.Lock()
			for i, m := range a.received[gossip.ByLink] {
				if m != fmt.Sprint("re: question ", i) {
					t.Fatalf("answer %d is %q", i, m)
				}
			}
			a.mu.Unlock()
			large := strings.Repeat("x", MaxMessage)
			a.send(b, large)
			until(t, "the largest message arrives", func() bool { return b.hasReceived(gossip.ByLink, large) })
			// Handed over at once they keep their order, and what is too long costs
			// only itself.
			a.bus.Send(b.id, b.bus.Address(), []byte("one"), []byte(large+"x"), []byte("two"), []byte("three"))
			until(t, "what was sent at once arrives", func() bool { return b.hasReceived(gossip.ByLink, "three") })
			b.mu.Lock()
			if got := b.received[gossip.ByLink]; !slices.Equal(got[len(got)-3:], []string{"one", "two", "three"}) {
				t.Errorf("sent at once, received %q", got[len(got)-3:])
			}
			b.mu.Unlock()
			links := a.bus.Links()
			if len(links) != 2 || links[0].Outgoing || !links[1].Outgoing || links[0].Node != b.id || links[1].Node != b.id {
				t.Errorf("links: %+v", links)
			}
			if !strings.Contains(a.logged.String(), "message too long") {
				t.Error("a message that is too long is not complained about")
			}
		})
	}
}

// TestLateFailureOfADial has a dial go nowhere, and end after another one made
// the link: what is said of the link last must be that it stands.
func TestLateFailureOfADial(t *testing.T) {
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	a := start(t, 1, func(o *Options) { o.DialTimeout = 300 * time.Millisecond })
	b := start(t, 2, nil)
	failed := make(chan error, 1)
	a.bus.Dial(nowhere.Addr().(*net.TCPAddr).AddrPort(), b.id, func(_ slots.NodeID, err error) { failed <- err })
	a.send(b, "hello")
	until(t, "the link is up", func() bool { return a.has(func() bool { return a.up[b.id] == 1 }) })
	if err := <-failed; err == nil {
		t.Fatal("the dial that goes nowhere succeeded")
	}
	if a.has(func() bool { return a.down[b.id] > 0 }) {
		t.Error("a dial that failed late told that the link is down")
	}
	// Who missed the word of it dials, and is told again.
	if _, err := a.dial(b.bus.Address(), b.id); err != nil {
		t.Fatal(err)
	}
	if a.has(func() bool { return a.up[b.id] != 2 || a.down[b.id] > 0 }) {
		t.Errorf("after a dial over a link that stands: up %d times, down %d times", a.up[b.id], a.down[b.id])
	}
}
