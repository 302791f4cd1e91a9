package command

import (
	"fmt"
	"strconv"
	"testing"

	"slotmesh/slots"
)

// TestEvictionOfWhatWasUsedSince reads keys after they were chosen to go: others go in
// their place.
func TestEvictionOfWhatWasUsedSince(t *testing.T) {
	n := newNode(t)
	n.now.Store(1_700_000_000_000)
	for i := range 1000 {
		n.do("SET", fmt.Sprint("{slot}", i), "v")
	}
	for range 50 {
		n.now.Add(100_000)
		evictOneOf(n.engine, AllKeysLRU)
		chosen := len(n.engine.eviction.pool)
		if chosen == 0 {
			t.Fatal("no key is chosen to go next")
		}
		for _, c := range n.engine.eviction.pool {
			if got := n.do("GET", string(c.key)); got != "$1\r\nv\r\n" {
				t.Fatalf("%s was chosen and went, %d seconds idle: %q", c.key, c.score, got)
			}
		}
		used := make(map[string]bool)
		for _, c := range n.engine.eviction.pool {
			used[string(c.key)] = true
		}
		evictOneOf(n.engine, AllKeysLRU)
		for key := range used {
			if n.do("EXISTS", key) != ":1\r\n" {
				t.Errorf("%s was read a moment ago and went, one of %d", key, chosen)
			}
		}
	}
}

// TestEvictionDuringTransits evicts keys while others are sent to another node again and
// again.
func TestEvictionDuringTransits(t *testing.T) {
	n := newNode(t)
	const keys = 5000
	for i := range keys {
		n.do("SET", strconv.Itoa(i), "v")
	}
	stop, over := make(chan struct{}), make(chan struct{})
	sent := []byte("sent")
	go func() {
		defer close(over)
		for {
			select {
			case <-stop:
				return
			default:
			}
			var release [64]func()
			for i := range release {
				release[i] = n.engine.Transit(slots.Of(sent), 0, [][]byte{sent})
			}
			for _, end := range release {
				end()
			}
		}
	}()
	for range keys {
		evictOneOf(n.engine, AllKeysRandom)
	}
	close(stop)
	<-over
	if got := n.do("DBSIZE"); got != ":0\r\n" {
		t.Errorf("left: %q", got)
	}
}
