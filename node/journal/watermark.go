package journal

import (
	"container/heap"
	"sync"
	"sync/atomic"
)

// Watermark is a position that only moves forward, and those who wait for it:
// "written up to here", "acknowledged by two replicas up to here". The zero
// Watermark is at 0 and ready for use.
type Watermark struct {
	pos atomic.Int64

	mu      sync.Mutex
	waiters waiterHeap
}

type waiter struct {
	pos   int64
	fn    func()
	index int // in the heap, -1 when it is out
}

// NewWatermark returns one that stands at pos. At -1 it has not reached the offset
// 0 at which a history may begin, with data.
func NewWatermark(pos int64) *Watermark {
	w := new(Watermark)
	w.pos.Store(pos)
	return w
}

// Position returns where the watermark stands.
func (w *Watermark) Position() int64 { return w.pos.Load() }

// Reached reports whether the watermark is at pos or beyond.
func (w *Watermark) Reached(pos int64) bool { return w.pos.Load() >= pos }

// Advance moves the watermark to pos, if that is forward, and calls the
// functions that waited for it, in the order of their positions, without a
// lock.
func (w *Watermark) Advance(pos int64) {
	w.mu.Lock()
	if pos <= w.pos.Load() {
		w.mu.Unlock()
		return
	}
	w.pos.Store(pos)
	var due []func()
	for len(w.waiters) > 0 && w.waiters[0].pos <= pos {
		due = append(due, heap.Pop(&w.waiters).(*waiter).fn)
	}
	w.mu.Unlock()
	for _, fn := range due {
		fn()
	}
}

// Notify calls fn once, when the watermark has reached pos: at once, on this
// goroutine, if it has, else on the one that advances it. After cancel has
// returned true fn will not be called; false means that it was or will be.
func (w *Watermark) Notify(pos int64, fn func()) (cancel func() bool) {
	w.mu.Lock()
	if w.pos.Load() >= pos {
		w.mu.Unlock()
		fn()
		return func() bool { return false }
	}
	one := &waiter{pos: pos, fn: fn}
	heap.Push(&w.waiters, one)
	w.mu.Unlock()
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		if one.index < 0 {
			return false
		}
		heap.Remove(&w.waiters, one.index)
		return true
	}
}

// waiterHeap has the least position on top.
type waiterHeap []*waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(a, b int) bool { return h[a].pos < h[b].pos }

func (h waiterHeap) Swap(a, b int) {
	h[a], h[b] = h[b], h[a]
	h[a].index, h[b].index = a, b
}

func (h *waiterHeap) Push(x any) {
	one := x.(*waiter)
	one.index = len(*h)
	*h = append(*h, one)
}

func (h *waiterHeap) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	one.index = -1
	return one
}
