package command

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fillKeys gives n keys of every sort that a walk treats on its own, and returns those
// that KEYS * shows: keys that share a slot, few and many, long ones, and some that have
// ended.
func fillKeys(n *node) (want []string) {
	set := func(key string) {
		n.do("SET", key, "value")
		want = append(want, key)
	}
	for i := range 3000 {
		set(fmt.Sprint("key:", i))
	}
	for i := range 20 {
		set(fmt.Sprint("{few}", i))
		set(fmt.Sprint("{long}", strings.Repeat("x", 250+i/2), i))
	}
	for i := range 2 * walkTurn {
		set(fmt.Sprint("{many}", i))
	}
	for i := range 100 {
		n.do("SET", fmt.Sprint("key:", 5000+i), "value", "PX", "1")
	}
	n.now.Add(1000)
	slices.Sort(want)
	return want
}

// allKeys are the keys that KEYS shows, sorted.
func (n *node) allKeys(pattern string) (keys []string) {
	for _, key := range decoded(n.do("KEYS", pattern)).([]any) {
		keys = append(keys, key.(string))
	}
	slices.Sort(keys)
	return keys
}

// TestKeysFindsEveryKey: a walk that glances, one that meets somebody inside the gate,
// and one in a transaction find the same.
func TestKeysFindsEveryKey(t *testing.T) {
	n := newNode(t)
	n.engine.SetReplica(true) // keys that have ended stay
	want := fillKeys(n)
	check := func(how string) {
		t.Helper()
		if got := n.allKeys("*"); !slices.Equal(got, want) {
			t.Errorf("%s: %d keys, want %d", how, len(got), len(want))
		}
		var some []string
		for _, key := range want {
			if strings.HasPrefix(key, "key:1") && strings.Contains(key[5:], "9") {
				some = append(some, key)
			}
		}
		if got := n.allKeys("key:1*9*"); !slices.Equal(got, some) {
			t.Errorf("%s: some are %d keys, want %d", how, len(got), len(some))
		}
	}
	check("alone")
	other := &n.engine.gate.lanes[len(n.engine.gate.lanes)-1]
	other.RLock()
	check("not alone")
	other.RUnlock()
	n.engine.gate.close()
	n.engine.gate.open()
	check("alone again")
}

// TestKeysWhileWriting: a key that is there from the beginning of KEYS to its end is
// found, whatever others write meanwhile.
func TestKeysWhileWriting(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	for i := range 2000 {
		n.do("SET", fmt.Sprint("stays:", i), "value")
	}
	stop, writers := make(chan struct{}), sync.WaitGroup{}
	for w := range 2 {
		writers.Go(func() {
			other := &node{engine: n.engine, conn: &testConn{}, call: Call{Lane: w + 1}}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprint("goes:", w, ":", i%5000)
				other.do("SET", key, "value")
				if i%3 == 0 {
					other.do("DEL", key)
				}
			}
		})
	}
	for range 20 {
		if got := len(n.allKeys("stays:*")); got != 2000 {
			t.Errorf("%d keys of 2000", got)
		}
	}
	close(stop)
	writers.Wait()
}
