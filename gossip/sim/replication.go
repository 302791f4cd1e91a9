package sim

import (
	"time"

	"slotmesh/gossip"
)

// node is what a process knows of data, streams and clients.
type node struct {
	data dataset
	// empty is Replication.Empty: started without the data that was there.
	empty bool
	// moved is true while the data is another shard's: the operator gave this
	// replica to another primary, from which it has yet to sync.
	moved bool
	// drained are the watched slots whose keys an unfinished migration has
	// already moved away.
	drained uint64
	// slowDisk counts the faults that make saving slow.
	slowDisk int8

	// The replies that a client has yet to get: outstanding are on their way,
	// held wait for the lease, stopped for the process.
	outstanding   int
	held, stopped []reply
	// onResume waits for the end of a pause.
	onResume []func()

	// The stream of a replica: whom it follows, since which incarnation.
	source    int
	sourceGen uint32
	linked    bool
	heard     time.Duration
	// connectAt is when the next attempt to connect is over; 0 for none. While
	// syncing, it is when the full sync will be complete.
	connectAt time.Duration
	syncing   bool
	incoming  dataset
	// incomingDrained is what of the primary's drained slots the stream tells:
	// the keys that MIGRATE moved away are deleted in it too.
	incomingDrained uint64
	// consentEpoch is the epoch at which this process last stood with its
	// primary's consent, or 0.
	consentEpoch uint64
}

const streamInterval = 40 * time.Millisecond

// forgetProcess drops what only a running process has.
func (h *host) forgetProcess() {
	h.node = node{data: h.data, moved: h.moved, drained: h.drained, slowDisk: h.slowDisk, source: -1}
	h.inbox, h.saving, h.stepping, h.pending = nil, false, false, gossip.Ready{}
	h.own, h.open, h.view, h.table = 0, 0, nil, nil
	h.machine = nil
}

// replicationEvent is what the node tells its machine about its data.
func (h *host) replicationEvent() gossip.Replication {
	ev := gossip.Replication{
		Offset:     h.data.length,
		Empty:      h.empty,
		LinkUp:     h.linked,
		SinceHeard: h.w.now - h.heard,
	}
	if line := h.data.history; line != nil {
		ev.History = line.name
		if line.parent != nil {
			ev.Past, ev.Shared = line.parent.name, line.forkAt
		}
	}
	if h.view != nil && !h.view.Self.IsReplica {
		for _, other := range h.w.hosts {
			if other.linked && other.source == h.index {
				ev.Replicas++
			}
		}
		ev.Drained = h.view.HoldWrites && h.outstanding == 0
	}
	return ev
}

// recovered is what the files held with which the process was started: the last
// write in them names the history in which it was made.
func (h *host) recovered() *gossip.Recovery {
	line := h.data.history
	if line == nil {
		return nil
	}
	for line.parent != nil && h.data.length <= line.forkAt {
		line = line.parent
	}
	return &gossip.Recovery{History: line.name, Offset: h.data.length}
}

// streamTick moves replication on and tells the machine.
func (h *host) streamTick() {
	if h.paused || h.view == nil {
		return
	}
	if h.view.Self.IsReplica {
		h.receiveStream()
	}
	h.feed(h.replicationEvent())
}

// followView points the stream to the primary that the view names.
func (h *host) followView(previous *gossip.View) {
	if !h.view.Self.IsReplica {
		return
	}
	if previous != nil && previous.Self.IsReplica && previous.Self.Primary == h.view.Self.Primary {
		return
	}
	h.source = h.w.hostOf(h.view.Self.Primary)
	h.disconnect()
}

func (h *host) disconnect() {
	h.linked, h.syncing, h.connectAt = false, false, 0
}

// becomeReplica ends the life as a primary. A node that never had data has
// nothing to be promoted for until its first full sync.
func (h *host) becomeReplica() {
	h.held = nil
	h.disconnect()
	h.heard = h.w.now
	if h.data.length == 0 {
		h.empty = true
	}
}

// receiveStream connects to the primary, syncs, and takes over what it wrote.
func (h *host) receiveStream() {
	w := h.w
	if h.source < 0 {
		h.source = w.hostOf(h.view.Self.Primary)
		if h.source < 0 {
			return
		}
	}
	p := w.hosts[h.source]
	if !p.running || !w.net.connected(h.index, p.index) {
		h.disconnect()
		return
	}
	if p.paused {
		return
	}
	feeds := p.view != nil && !p.view.Self.IsReplica && p.view.MayServe
	switch {
	case !feeds || h.connectAt > 0 && h.sourceGen != p.gen || h.linked && h.sourceGen != p.gen:
		h.disconnect()
	case h.linked:
		if !h.data.prefixOf(h.incoming) && h.data.length > 0 {
			h.disconnect()
			return
		}
		h.data, h.heard = h.incoming, w.now
		h.drained = h.incomingDrained
		h.incoming, h.incomingDrained = p.data, p.drained
	case h.connectAt == 0:
		h.sourceGen = p.gen
		h.connectAt = w.now + 5*time.Millisecond + w.jitter(30*time.Millisecond)
	case w.now < h.connectAt:
		if h.syncing {
			h.heard = w.now
		}
	case h.syncing:
		w.stats.FullSyncs++
		w.checkWipe(h, p)
		h.data, h.drained, h.empty = p.data, p.drained, false
		h.goOn(p)
	case !h.empty && h.data.prefixOf(p.data):
		h.goOn(p)
	default:
		h.syncing = true
		h.connectAt = w.now + 50*time.Millisecond + w.jitter(400*time.Millisecond)
	}
}

// goOn begins to follow p's stream from where the data ends.
func (h *host) goOn(p *host) {
	// The answer to the attempt names the primary's history.
	h.data.history = p.data.history
	h.linked, h.syncing, h.connectAt, h.moved = true, false, 0, false
	h.heard, h.incoming, h.incomingDrained = h.w.now, p.data, p.drained
}

// ownHistory makes sure that what is written here is written to a history of
// this node's own: the first write after a start or a promotion begins one.
func (h *host) ownHistory() {
	if h.data.history == nil {
		h.data.history = h.w.newHistory(history{owner: h.index})
	}
	if h.data.history.owner != h.index {
		h.fork(bornPromoted, h.data.length-1)
	}
	// A primary that serves has a history id, with whatever it has.
	h.empty = false
}

func (h *host) fork(born birth, at int64) {
	h.data.history = h.w.newHistory(history{parent: h.data.history, forkAt: at, born: born, owner: h.index, at: h.w.now})
}

// promoted is the end of the life as a replica.
func (h *host) promoted(previous *gossip.View) {
	w := h.w
	h.term++
	h.disconnect()
	w.stats.Promotions++
	w.checkPromotion(h, previous)
	h.fork(bornPromoted, h.data.length)
	h.moved = false
	w.tracef("%s is promoted at %d, epoch %d", h.name(), h.data.length, h.view.Self.ConfigEpoch)
}

// reset is CLUSTER RESET of a replica: a primary without slots and without data.
func (h *host) reset() {
	h.term++
	h.disconnect()
	h.data, h.empty, h.moved = dataset{}, false, false
}

// restore loads what a start finds: everything, all but the last writes, or
// nothing.
func (h *host) restore(kind restart) {
	w := h.w
	h.data, h.empty = h.stored, false
	// Who wrote itself goes on under a new name, and offers the old one up to here.
	wrote := h.data.history != nil && h.data.history.owner == h.index
	switch kind {
	case restartWhole:
		if wrote {
			h.fork(bornRestarted, h.data.length)
		}
	case restartTruncated:
		if lose := w.rng.Int64N(20); h.data.length > 0 && (lose > 0 || wrote) {
			before := h.data
			h.data.length = max(0, h.data.length-lose)
			h.fork(bornTruncated, h.data.length)
			h.data.history.before = before
		}
	case restartEmpty:
		h.data = dataset{history: w.newHistory(history{born: bornEmpty, owner: h.index, at: w.now})}
		h.empty, h.moved = true, false
		h.drained = 0
	}
}

type restart uint8

const (
	restartWhole restart = iota
	restartTruncated
	restartEmpty
)
