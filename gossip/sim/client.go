package sim

import (
	"time"

	"slotmesh/gossip"
)

// reply is the answer to one burst of writes on its way to the clients.
type reply struct {
	mask     uint64
	position int64
	term     int64
	// since is when the burst ran: a held reply does not wait for ever.
	since time.Duration
}

const burstInterval = 25 * time.Millisecond

// burst lets the clients write to every watched slot that the node serves.
func (h *host) burst() {
	w := h.w
	if h.view == nil || h.paused || h.view.HoldWrites || !h.view.MayServe || !h.table.Up {
		return
	}
	mask := h.own &^ h.drained
	if mask == 0 || h.view.Self.IsReplica {
		return
	}
	if h.clock() >= h.lease {
		// The gate holds new requests too while the lease is stale.
		return
	}
	h.data.length++
	h.ownHistory()
	r := reply{mask: mask, position: h.data.length, term: h.term, since: w.now}
	delay := w.jitter(3 * time.Millisecond)
	switch w.rng.IntN(8) {
	case 0:
		delay = w.jitter(200 * time.Millisecond)
	case 1:
		// As late as the fence allows: the instant before the lease ends.
		if h.lease != gossip.Forever {
			delay = max(0, h.worldTime(h.lease)-w.now-time.Microsecond)
			delay = min(delay, 2*time.Second)
		}
	}
	h.outstanding++
	w.queue.push(w.now+delay, event{kind: evReply, host: h.index, gen: h.gen, n: w.keepReply(r)})
}

// replyLeaves looks at the fence at the instant at which a reply would be
// written to its socket.
func (h *host) replyLeaves(r reply) {
	if h.paused {
		h.stopped = append(h.stopped, r)
		return
	}
	h.outstanding--
	h.tryReply(r)
	if h.outstanding == 0 && h.view.HoldWrites {
		h.feed(h.replicationEvent())
	}
}

func (h *host) tryReply(r reply) {
	w := h.w
	if r.term != h.term || !h.view.MayServe || h.view.Self.IsReplica {
		// Deposed since: the connection is closed, the client knows nothing.
		w.stats.Deposed++
		return
	}
	if h.clock() >= h.lease {
		if w.now-r.since < w.timeout {
			w.stats.Held++
			h.held = append(h.held, r)
		}
		return
	}
	w.acknowledge(h, r)
}

// releaseHeld tries the held replies again after the lease was renewed.
func (h *host) releaseHeld() {
	held := h.held
	h.held = nil
	for _, r := range held {
		h.tryReply(r)
	}
}

// resumeReplies lets out what piled up in a stopped process.
func (h *host) resumeReplies() {
	stopped := h.stopped
	h.stopped = nil
	for _, r := range stopped {
		h.replyLeaves(r)
	}
}
