package command

import (
	"fmt"
	"testing"
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
