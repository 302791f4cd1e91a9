package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"slotmesh/gossip"
	"slotmesh/slots"
)

// host is one machine of the simulated world with the process that runs on it.
// What a crash loses and what it leaves is kept apart: disk, stored and the
// clock survive, the rest belongs to one incarnation.
type host struct {
	w     *world
	index int
	id    slots.NodeID

	// disk is the last durable Save; stored is the data that a restart loads.
	disk   []byte
	stored dataset

	// rate is the speed of the host's clock against the world's and base its
	// reading at bootAt.
	rate   float64
	base   time.Duration
	bootAt time.Duration

	running, paused, vanished bool
	// gen is the incarnation of the process.
	gen     uint32
	machine *gossip.Machine
	// lastMeta is the identity record that membership carries.
	lastMeta []byte
	// inbox is what waits while the process is stopped or writes its state.
	inbox  []input
	saving bool
	// stepping guards against an event that carrying out another one causes.
	stepping bool
	// pending is the Ready whose Save is being written.
	pending gossip.Ready
	// tickDue is what the machine said of its next tick, and tick numbers the
	// event that is to bring it.
	tickDue gossip.Instant
	tick    int64
	// calmUntil is until when the machine is told that nobody is served.
	calmUntil time.Duration
	// dieAfterSave makes the process crash between Save and Send.
	dieAfterSave bool

	view *gossip.View
	// knew are the nodes that the process knew when it was started.
	knew map[slots.NodeID]bool
	// lease is the fence: by the host's own clock. lapsed is for how long there was
	// none in the last seconds.
	lease  gossip.Instant
	lapsed time.Duration
	// table is the routing that own was computed from: the watched slots that
	// this process believes to own, as bits, and open those that migrate.
	table     *slots.Table
	own, open uint64
	gainedAt  [watchedSlots]time.Duration
	term      int64
	// met is until when a MEET admits a node that may still be forgotten here.
	met    map[slots.NodeID]time.Duration
	probed int

	// faults counts what is wrong with the host and its surroundings now, and
	// faultEnded is when the last of it was mended.
	faults     int
	faultEnded time.Duration

	address string
	node
}

// input is an event and who waits for the answer.
type input struct {
	ev   gossip.Event
	done func(error)
}

func (h *host) ip() string { return h.address }

func (h *host) name() string { return fmt.Sprintf("n%d", h.index) }

// alive reports whether the process runs, is not stopped and can be reached.
func (h *host) alive() bool { return h.running && !h.paused && !h.vanished }

// bars reports whether the bus of h refuses other: a node that was forgotten
// and that no MEET admitted lately.
func (h *host) bars(other *host) bool {
	return h.machine != nil && h.machine.Forgotten(other.id) && h.w.now >= h.met[other.id]
}

// clock is the host's monotonic clock.
func (h *host) clock() gossip.Instant {
	return h.base + time.Duration(float64(h.w.now-h.bootAt)*h.rate)
}

// worldTime is when the host's clock will show t.
func (h *host) worldTime(t gossip.Instant) time.Duration {
	if t == gossip.Forever {
		return t
	}
	return h.bootAt + time.Duration(float64(t-h.base)/h.rate)
}

// boot starts the process from what the disk holds.
func (h *host) boot() {
	w := h.w
	h.gen++
	h.running, h.paused, h.vanished = true, false, false
	h.bootAt = w.now
	h.base = time.Duration(w.rng.Int64N(int64(time.Hour)))
	h.inbox, h.saving, h.stepping, h.dieAfterSave = nil, false, false, false
	h.view, h.table, h.own, h.open, h.lease = nil, nil, 0, 0, 0
	h.term++
	h.met = map[slots.NodeID]time.Duration{}
	machine, err := gossip.New(gossip.Options{
		Config: w.config(h),
		Saved:  h.disk,
		Rand:   rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64())),
		Now:    h.clock(),
		Empty:  h.empty,

		Recovered: h.recovered(),
		Faults:    w.plant.inside,
	})
	if err != nil {
		w.violate("restart", "%s does not start from its own state: %v", h.name(), err)
		h.running = false
		return
	}
	h.machine = machine
	h.id = machine.Self()
	h.lastMeta = machine.Meta()
	w.tracef("%s boots as %.8s empty=%v data=%d", h.name(), h.id, h.empty, h.data.length)
	gen := h.gen
	h.tickDue = 0
	h.feed(h.replicationEvent())
	w.queue.push(w.now+w.jitter(streamInterval), event{kind: evStream, host: h.index, gen: gen})
	w.queue.push(w.now+w.jitter(burstInterval), event{kind: evBurst, host: h.index, gen: gen})
	w.queue.push(w.now+w.jitter(probeInterval), event{kind: evProbe, host: h.index, gen: gen})
	w.queue.push(w.now+w.jitter(exchangeInterval), event{kind: evExchange, host: h.index, gen: gen})
}

// crash ends the process. A save that is being written may or may not be on
// the disk. A vanished host takes its kernel with it: nobody is told.
func (h *host) crash(vanish bool) {
	if !h.running {
		return
	}
	w := h.w
	w.tracef("%s crashes vanish=%v saving=%v", h.name(), vanish, h.saving)
	if h.saving && w.rng.IntN(2) == 0 {
		h.disk = h.pending.Save
	}
	h.running, h.vanished = false, vanish
	h.paused = false
	h.gen++
	h.stored = h.data
	h.forgetProcess()
	w.resetLinks(h.index)
	for other := range w.net.n {
		w.net.member[h.index][other] = false
	}
}

// pause stops the process as SIGSTOP does: its clock goes on, its kernel goes
// on taking in what is sent.
func (h *host) pause() {
	if h.running && !h.paused {
		h.w.tracef("%s is stopped", h.name())
		h.paused = true
	}
}

func (h *host) resume() {
	if !h.paused {
		return
	}
	h.w.tracef("%s goes on", h.name())
	h.paused = false
	h.resumeReplies()
	waiting := h.onResume
	h.onResume = nil
	h.stepping = true
	for _, fn := range waiting {
		fn()
	}
	h.stepping = false
	h.drainInbox()
}

// feed gives the machine an event now, or as soon as the process can take it.
func (h *host) feed(ev gossip.Event) { h.take(input{ev: ev}) }

// request is an operator's command; done, if any, gets the answer. A process
// that is stopped does not answer: the connection ends and the command is lost.
func (h *host) request(ev gossip.Event, done func(error)) {
	if !h.alive() {
		if done != nil {
			done(errUnreachable)
		}
		return
	}
	h.take(input{ev, done})
}

func (h *host) take(in input) {
	if !h.running {
		return
	}
	h.inbox = append(h.inbox, in)
	h.drainInbox()
}

func (h *host) drainInbox() {
	for len(h.inbox) > 0 && h.running && !h.paused && !h.saving && !h.stepping {
		in := h.inbox[0]
		if len(h.inbox) == 1 {
			h.inbox = h.inbox[:0]
		} else {
			h.inbox = h.inbox[1:]
		}
		h.stepping = true
		err := h.step(in.ev)
		h.stepping = false
		if in.done != nil {
			in.done(err)
		}
	}
}

func (h *host) step(ev gossip.Event) error {
	w := h.w
	now := h.clock()
	err := h.machine.Step(ev, now)
	if err != nil {
		if _, fromBus := ev.(gossip.Received); fromBus {
			w.violate("decode", "%s cannot read its peer's message: %v", h.name(), err)
		}
	}
	r := h.machine.Ready(now)
	h.armTick()
	if r.Save != nil {
		w.stats.Saves++
		h.saving, h.pending = true, r
		took := 100*time.Microsecond + w.jitter(900*time.Microsecond)
		if h.slowDisk > 0 {
			took += w.jitter(150 * time.Millisecond)
		}
		w.queue.push(w.now+took, event{kind: evSaved, host: h.index, gen: h.gen})
		return err
	}
	h.carryOut(r)
	return err
}

// tickLate is how late a tick may come: the process has to be woken for it.
const tickLate = 40 * time.Millisecond

// armTick sets the timer to the machine's next tick.
func (h *host) armTick() {
	due := h.machine.Due()
	if due == h.tickDue {
		return
	}
	h.tickDue = due
	h.tick++
	at := max(h.w.now, h.worldTime(due)) + h.w.jitter(tickLate)
	h.w.queue.push(at, event{kind: evTick, host: h.index, gen: h.gen, n: h.tick})
}

// ticked is when the timer fires. A process that is busy takes the tick when it
// has time.
func (h *host) ticked(ev event) {
	switch {
	case ev.n != h.tick:
	case h.paused || h.saving || len(h.inbox) > 0:
		h.w.again(ev, 10*time.Millisecond)
	default:
		h.feed(gossip.Tick{Served: h.seemsBusy()})
	}
}

// seemsBusy is what the machine is told of its clients. Now and then it is told
// for some seconds that there are none: they write all the same, so that what it
// promises is seen not to rest on it.
func (h *host) seemsBusy() bool {
	w := h.w
	if w.now < h.calmUntil {
		return false
	}
	if w.rng.IntN(150) == 0 {
		h.calmUntil = w.now + 3*time.Second + w.jitter(8*time.Second)
		w.stats.Calms++
	}
	return true
}

// saved is when the state is durable and the rest of the Ready may follow.
func (h *host) saved() {
	w := h.w
	if !w.plant.skipSave || h.disk == nil {
		h.disk = h.pending.Save
	}
	if h.dieAfterSave {
		h.saving = false
		w.stats.CrashesAfterSave++
		h.crash(false)
		return
	}
	h.saving = false
	r := h.pending
	h.pending = gossip.Ready{}
	if h.paused {
		// The process was stopped in the middle: the rest waits with it.
		h.onResume = append(h.onResume, func() { h.carryOut(r) })
		return
	}
	h.stepping = true
	h.carryOut(r)
	h.stepping = false
	h.drainInbox()
}

// carryOut follows a Ready after its Save, in the order of package gossip.
func (h *host) carryOut(r gossip.Ready) {
	w := h.w
	if w.tracing {
		for _, line := range r.Log {
			w.tracef("%s: %s", h.name(), line.Text)
		}
	}
	h.setLease(r.Lease)
	if r.View != nil {
		h.publish(r.View)
	}
	for _, id := range r.Drop {
		if other := w.hostOf(id); other >= 0 {
			w.net.member[h.index][other] = false
			w.breakLink(h.index, other, false)
		}
	}
	for _, out := range r.Send {
		w.tap(h, out.Message, out.To)
		if to := w.hostOf(out.To); to >= 0 && to != h.index {
			w.stats.Messages++
			w.sendLink(h.index, to, out.Message)
		}
	}
	for _, b := range r.Broadcast {
		if len(b.Message) > gossip.MaxBroadcast {
			w.violate("broadcast", "%s broadcasts %d bytes", h.name(), len(b.Message))
		}
		w.stats.Broadcasts++
		w.broadcast(h.index, b.Message)
	}
	for _, d := range r.Dial {
		w.join(h.index, d)
	}
	if r.MetaChanged {
		h.lastMeta = h.machine.Meta()
		w.announce(h.index)
	}
}

// setLease moves the fence; replies that were held may go.
func (h *host) setLease(lease gossip.Instant) {
	if h.w.plant.noFence {
		lease = gossip.Forever
	}
	if h.lease == lease {
		return
	}
	if w := h.w; w.now > w.end-leasesSince && h.lease != 0 {
		h.lapsed += max(0, w.now-max(h.worldTime(h.lease), w.end-leasesSince))
	}
	h.lease = lease
	if len(h.held) > 0 {
		h.releaseHeld()
	}
}

// publish makes view the one that routing and replication follow.
func (h *host) publish(view *gossip.View) {
	w := h.w
	previous := h.view
	h.view = view
	if previous == nil || previous.MayServe != view.MayServe || previous.HoldWrites != view.HoldWrites {
		w.tracef("%s may serve=%v holds writes=%v", h.name(), view.MayServe, view.HoldWrites)
	}
	if view.Self.ID != h.id {
		h.id = view.Self.ID
	}
	if view.Table != h.table {
		h.table = view.Table
		h.route()
	}
	open := uint64(0)
	for slot := range view.Self.Migrating {
		if bit, ok := w.watched[slot]; ok {
			open |= 1 << bit
		}
	}
	h.open = open
	if !view.Self.IsReplica {
		h.drained &= open
	}
	if previous == nil {
		h.knew = map[slots.NodeID]bool{}
		for _, n := range view.Nodes {
			h.knew[n.ID] = true
		}
		if view.Self.IsReplica {
			h.becomeReplica()
		}
		h.followView(nil)
		return
	}
	switch {
	case previous.Self.IsReplica && !view.Self.IsReplica && view.Self.Slots.Empty():
		h.reset()
	case previous.Self.IsReplica && !view.Self.IsReplica:
		h.promoted(previous)
	case !previous.Self.IsReplica && view.Self.IsReplica:
		h.term++
		h.becomeReplica()
	}
	if previous.Self.ConfigEpoch != view.Self.ConfigEpoch {
		w.epochChanged(h)
	}
	h.followView(previous)
}

// route computes which of the watched slots the routing gives to this node.
func (h *host) route() {
	own := uint64(0)
	t := h.table
	if !t.Replica {
		for bit, slot := range h.w.slots {
			if t.Owner[slot] == t.Self {
				own |= 1 << bit
			}
		}
	}
	if h.own&^own != 0 {
		h.term++
	}
	for gained, bit := own&^h.own, 0; gained != 0; gained, bit = gained>>1, bit+1 {
		if gained&1 != 0 {
			h.gainedAt[bit] = h.w.now
			h.w.tracef("%s gains slot %d", h.name(), h.w.slots[bit])
		}
	}
	h.own = own
}
