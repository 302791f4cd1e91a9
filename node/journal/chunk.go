package journal

import (
	"sync/atomic"

	"slotmesh/slots"
)

// A chunk is a stretch of the stream: bytes, and where each entry ends. Chunks
// form a list from old to new. The journal keeps the list's head, and each
// reader the chunk it stands in: what lies before all of them is garbage.
//
// The writer, who holds Journal.mu, fills buf and marks and then publishes by
// the two counters; readers look at the counters first. Once next is set the
// counters are final.
type chunk struct {
	// start is the stream offset of buf[0].
	start int64
	buf   []byte

	bytes   atomic.Int64
	entries atomic.Int64
	marks   atomic.Pointer[[]mark]
	next    atomic.Pointer[chunk]
}

// mark is one entry of a chunk: where it ends, and the slot it concerns.
type mark struct {
	end  uint32
	slot slots.Slot
}

// What stands in an entry's slot when it is not about just one.
const (
	// SlotSelect is a SELECT that the journal inserted.
	SlotSelect slots.Slot = slots.Count + iota
	// SlotControl is a PING or GETACK: bytes that change nothing.
	SlotControl
	// SlotAll is an effect on more than one slot, such as FLUSHALL or a group
	// over several slots.
	SlotAll
)

const (
	smallestChunk = 16 << 10
	largestChunk  = 256 << 10
	// firstMarks is sized for entries of about 100 bytes in a chunk of 128 KiB.
	firstMarks = 1024
)

// chunkSize divides the backlog so that dropping the oldest chunk does not
// drop much of it.
func chunkSize(backlogBytes int64) int {
	return int(min(max(backlogBytes/8, smallestChunk), largestChunk))
}

func newChunk(start int64, buf []byte) *chunk {
	return &chunk{start: start, buf: buf}
}

// publish makes everything up to end visible as one more entry. The caller
// holds Journal.mu and has filled buf.
func (c *chunk) publish(end int64, slot slots.Slot) {
	n := c.entries.Load()
	marks := c.marks.Load()
	if marks == nil || int(n) == len(*marks) {
		// Readers may hold the old array; its marks are final, so a copy will do.
		size := firstMarks
		switch {
		case len(c.buf) > largestChunk:
			size = 1 // an oversized entry has its chunk to itself
		case marks != nil:
			size = 2 * len(*marks)
		}
		grown := make([]mark, size)
		if marks != nil {
			copy(grown, *marks)
		}
		c.marks.Store(&grown)
		marks = &grown
	}
	// An entry beyond 4 GiB does not fit the mark; it is alone in its chunk, and
	// NextEntry takes the chunk's end.
	(*marks)[n] = mark{end: uint32(end), slot: slot}
	c.bytes.Store(end)
	c.entries.Store(n + 1)
}

// end is the stream offset after the last published byte.
func (c *chunk) end() int64 { return c.start + c.bytes.Load() }
