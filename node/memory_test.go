package node

import (
	"runtime"
	"testing"
	"time"
)

// TestGarbageIsCollectedInTime tells a collection overdue when there was none for a
// while and the heap is large, and not before.
func TestGarbageIsCollectedInTime(t *testing.T) {
	var k collector
	now := time.Now()
	wait := func() bool { // until nobody else has collected in between
		for range 100 {
			if k.due(now) {
				t.Error("a collection is overdue at once")
			}
			if now = now.Add(staleAge); k.due(now) {
				return true
			}
		}
		return false
	}
	large := make([]byte, 2*staleHeap)
	runtime.GC()
	if !wait() {
		t.Error("a large heap needs no collection")
	}
	runtime.KeepAlive(large)
	runtime.GC()
	if k.due(now) {
		t.Error("a collection is overdue that has just been made")
	}
	if wait() {
		t.Error("a small heap needs a collection")
	}
}
