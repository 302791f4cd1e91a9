package sim

import "time"

// kind says what an event is about; world.dispatch knows what to do with each.
type kind uint8

const (
	evTick kind = iota
	evStream
	evBurst
	evReply
	evProbe
	evAnswered
	evExchange
	evExchangeArrives
	evLink
	evLinkTry
	evLinkTimeout
	evCast
	evSaved
	evCall
)

// event is something that will happen. host is the one it happens to; gen is
// the incarnation of that host's process (or of a link) that it is meant for.
type event struct {
	kind kind
	host int
	peer int
	gen  uint32
	n    int64
	msg  []byte
	call func()
}

// queue is the heap of coming events, by instant and, within one instant, by
// the order in which they were scheduled: that order is part of the replay.
// Bodies live in a slab, so that the heap moves small entries and nothing is
// allocated per event.
type queue struct {
	heap   []entry
	bodies []event
	free   []int32
	seq    uint32
}

type entry struct {
	at   time.Duration
	seq  uint32
	body int32
}

func (a entry) before(b entry) bool {
	return a.at < b.at || a.at == b.at && int32(a.seq-b.seq) < 0
}

func (q *queue) push(at time.Duration, ev event) {
	var body int32
	if n := len(q.free); n > 0 {
		body = q.free[n-1]
		q.free = q.free[:n-1]
		q.bodies[body] = ev
	} else {
		body = int32(len(q.bodies))
		q.bodies = append(q.bodies, ev)
	}
	q.seq++
	q.heap = append(q.heap, entry{at, q.seq, body})
	h := q.heap
	i := len(h) - 1
	e := h[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// next is the instant of the earliest event; ok is false when there is none.
func (q *queue) next() (at time.Duration, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].at, true
}

func (q *queue) pop() (time.Duration, event) {
	h := q.heap
	top := h[0]
	n := len(h) - 1
	e := h[n]
	q.heap = h[:n]
	h = q.heap
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if !h[least].before(e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	if n > 0 {
		h[i] = e
	}
	ev := q.bodies[top.body]
	q.bodies[top.body] = event{}
	q.free = append(q.free, top.body)
	return top.at, ev
}
