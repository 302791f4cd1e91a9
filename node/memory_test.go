package node

import (
	"runtime"
	"strconv"
	"strings"
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

// TestMemoryIsPrepared: a node whose store grows takes notice of what its memory says
// it lacks.
func TestMemoryIsPrepared(t *testing.T) {
	n, dial, _ := startNode(t)
	c := dial()
	value := strings.Repeat("x", 64<<10)
	for i := range 1000 {
		c.do("set", strconv.Itoa(i), value)
	}
	memory := n.store.Memory()
	if memory.Mapped() < 60<<20 {
		t.Fatalf("%d bytes are mapped", memory.Mapped())
	}
	waitFor(t, "the node has heard that its memory is low", func() bool { return len(memory.Low()) == 0 })
}

// TestMemorySampleIsKeptForAWhile counts on one sample while it is young, and on
// another when it was forgotten.
func TestMemorySampleIsKeptForAWhile(t *testing.T) {
	var m memorySampler
	first := m.read()
	if first.total == 0 || first.objects == 0 || first.resident == 0 {
		t.Errorf("sample %+v", first)
	}
	m.at = time.Now().Add(time.Hour) // as young as can be
	m.last.total = 1
	if m.read().total != 1 {
		t.Error("a young sample is not kept")
	}
	m.forget()
	if m.read().total == 1 {
		t.Error("a sample is kept that was to be forgotten")
	}
	m.at, m.last.total = time.Now().Add(-sampleAge), 1
	if m.read().total == 1 {
		t.Error("an old sample is kept")
	}
}
