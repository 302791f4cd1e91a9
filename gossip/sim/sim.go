package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"slotmesh/gossip"
	"slotmesh/slots"
)

// Options say which life of which cluster to simulate.
type Options struct {
	Seed uint64
	// Plant puts bugs into the nodes; the zero Plant none.
	Plant Plant
	// Trace keeps a line for everything that happens.
	Trace bool
	// Crowded gives every primary two replicas: more candidates than usual.
	Crowded bool
	// OnlyCrash replaces the faults and the operator by one crash of one
	// primary in a quiet cluster with the default configuration: what
	// Stats.Recoveries then holds are times of failover.
	OnlyCrash bool
}

// Result is what a run showed.
type Result struct {
	Stats      Stats
	Violations []Violation
	Trace      string
	// Digest is equal for equal runs with Trace.
	Digest uint64
}

// The phases of a run, counted from when the cluster has formed. Peace must be
// long enough for every timeout of the machine to pass.
const (
	duration       = 60 * time.Second
	warDuration    = 42 * time.Second
	formDeadline   = 20 * time.Second
	watchedSlots   = 64
	clientPort     = 7000
	busPort        = 17000
	defaultTimeout = 15 * time.Second
)

var errUnreachable = errors.New("node does not answer")

// world is one simulated cluster.
type world struct {
	opts    Options
	plant   Plant
	rng     *rand.Rand
	now     time.Duration
	end     time.Duration
	queue   queue
	hosts   []*host
	ids     map[slots.NodeID]int
	net     network
	check   checker
	stats   Stats
	trace   trace
	tracing bool

	histories  uint64 // how many there have been
	violations []Violation
	replies    []reply
	freeReply  []int64

	// What the seed decides.
	primaries, replicas int
	spare               bool
	timeout             time.Duration
	validity            int
	coverage            bool
	slowest             time.Duration
	roughLinks          bool
	slots               [watchedSlots]slots.Slot
	watched             map[slots.Slot]int

	war       bool
	faults    []*fault
	forgotten map[int]bool
}

// Run simulates one life.
func Run(opts Options) Result {
	w := &world{
		opts:      opts,
		plant:     opts.Plant,
		rng:       rand.New(rand.NewPCG(opts.Seed, 0x510753e5)),
		ids:       map[slots.NodeID]int{},
		tracing:   opts.Trace,
		watched:   map[slots.Slot]int{},
		forgotten: map[int]bool{},
	}
	w.check.votes, w.check.elections = map[ballot]slots.NodeID{}, map[election]bool{}
	w.choose()
	w.form()
	w.run()
	if w.suspicion() {
		// A word that a lost packet held up may have been missed a moment ago: that is
		// put right by the next one.
		w.end += w.timeout
		w.run()
	}
	if w.stats.Formed && len(w.violations) == 0 && !opts.OnlyCrash {
		w.checkPeace()
	}
	w.stats.Seeds = 1
	w.stats.Elections = len(w.check.elections)
	result := Result{Stats: w.stats, Violations: w.violations}
	if w.tracing {
		result.Trace, result.Digest = w.trace.String(), w.trace.digest()
	}
	return result
}

// choose draws what kind of cluster this is.
func (w *world) choose() {
	// Mostly small clusters: what goes wrong does so among few, and the work
	// grows with the square.
	w.primaries = []int{5, 5, 5, 5, 5, 5, 6, 7}[w.rng.IntN(8)]
	w.replicas = []int{1, 1, 1, 2}[w.rng.IntN(4)]
	if w.opts.Crowded {
		w.replicas = 2
	}
	w.spare = w.rng.IntN(4) == 0
	w.timeout = []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second}[w.rng.IntN(5)]
	w.validity = []int{0, 10, 10}[w.rng.IntN(3)]
	w.coverage = w.rng.IntN(2) == 0
	w.slowest = 20*time.Millisecond + w.jitter(400*time.Millisecond)
	w.roughLinks = w.rng.IntN(4) == 0
	if w.opts.OnlyCrash {
		w.timeout, w.validity, w.coverage, w.roughLinks = defaultTimeout, 10, true, false
	}
	for bit := range w.slots {
		slot := slots.Slot(bit*(slots.Count/watchedSlots) + w.rng.IntN(slots.Count/watchedSlots))
		w.slots[bit] = slot
		w.watched[slot] = bit
	}
	n := w.primaries * (1 + w.replicas)
	if w.spare {
		n++
	}
	w.net = newNetwork(n)
	for i := range n {
		h := &host{w: w, index: i, address: fmt.Sprintf("10.0.0.%d", i+1), rate: 1 + (w.rng.Float64()-0.5)*4e-4}
		h.source = -1
		w.hosts = append(w.hosts, h)
	}
	w.tracef("seed %d: %d primaries, %d replicas each, spare=%v, node timeout %v, full coverage=%v",
		w.opts.Seed, w.primaries, w.replicas, w.spare, w.timeout, w.coverage)
}

// config is what the operator configured h with.
func (w *world) config(h *host) gossip.Config {
	return gossip.Config{
		Address:               gossip.Address{IP: h.ip(), Port: clientPort, BusPort: busPort},
		NodeTimeout:           w.timeout,
		ReplicaValidityFactor: w.validity,
		RequireFullCoverage:   w.coverage,
	}
}

func (w *world) hostOf(id slots.NodeID) int {
	if index, ok := w.ids[id]; ok {
		return index
	}
	return -1
}

func (w *world) hostAt(ip string, port int) int {
	for _, h := range w.hosts {
		if port == busPort && h.ip() == ip {
			return h.index
		}
	}
	return -1
}

// jitter draws a duration from 0 to limit.
func (w *world) jitter(limit time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(limit)))
}

// spread draws a duration from low to high.
func (w *world) spread(low, high time.Duration) time.Duration {
	return low + w.jitter(high-low)
}

// after calls fn when d has passed.
func (w *world) after(d time.Duration, fn func()) {
	w.queue.push(w.now+d, event{kind: evCall, call: fn})
}

// run lets time pass until the end.
func (w *world) run() {
	for len(w.violations) == 0 {
		at, ok := w.queue.next()
		if !ok || at > w.end {
			break
		}
		var ev event
		w.now, ev = w.queue.pop()
		w.stats.Events++
		w.dispatch(ev)
	}
}

func (w *world) dispatch(ev event) {
	switch ev.kind {
	case evCall:
		ev.call()
		return
	case evLink:
		w.linkArrives(ev)
		return
	case evLinkTry:
		w.linkTried(ev)
		return
	case evLinkTimeout:
		w.linkTimedOut(ev)
		return
	case evExchangeArrives:
		w.exchangeArrives(ev)
		return
	}
	h := w.hosts[ev.host]
	if ev.kind == evCast {
		h.feed(gossip.Received{Way: gossip.ByBroadcast, Message: ev.msg})
		return
	}
	if h.gen != ev.gen || !h.running {
		if ev.kind == evReply {
			w.takeReply(ev.n)
		}
		return
	}
	switch ev.kind {
	case evTick:
		h.ticked(ev)
	case evStream:
		h.streamTick()
		w.again(ev, streamInterval)
	case evBurst:
		h.burst()
		if h.own == 0 {
			w.again(ev, 4*burstInterval)
		} else {
			w.again(ev, burstInterval/2+w.jitter(burstInterval))
		}
	case evProbe:
		w.probe(ev.host)
		w.again(ev, probeInterval)
	case evExchange:
		if b := w.randomMember(ev.host); b >= 0 {
			w.exchange(ev.host, b)
		}
		w.again(ev, exchangeInterval/2+w.jitter(exchangeInterval))
	case evReply:
		h.replyLeaves(w.takeReply(ev.n))
	case evAnswered:
		h.feed(gossip.Answered{Node: w.hosts[ev.peer].id})
	case evSaved:
		h.saved()
	}
}

func (w *world) again(ev event, d time.Duration) { w.queue.push(w.now+d, ev) }

// keepReply and takeReply store a reply beside its event.
func (w *world) keepReply(r reply) int64 {
	if n := len(w.freeReply); n > 0 {
		at := w.freeReply[n-1]
		w.freeReply = w.freeReply[:n-1]
		w.replies[at] = r
		return at
	}
	w.replies = append(w.replies, r)
	return int64(len(w.replies) - 1)
}

func (w *world) takeReply(at int64) reply {
	w.freeReply = append(w.freeReply, at)
	return w.replies[at]
}

// form builds the cluster as an operator would: slots, epochs, MEET, REPLICATE.
// When all is well the sixty seconds begin.
func (w *world) form() {
	w.end = formDeadline
	for _, h := range w.hosts {
		h.boot()
		w.ids[h.id] = h.index
	}
	epochs := w.rng.IntN(3)
	w.after(50*time.Millisecond, func() {
		for i := range w.primaries {
			h := w.hosts[i]
			first, last := i*slots.Count/w.primaries, (i+1)*slots.Count/w.primaries
			list := make([]slots.Slot, 0, last-first)
			for slot := first; slot < last; slot++ {
				list = append(list, slots.Slot(slot))
			}
			h.request(gossip.AddSlots{Slots: list}, nil)
			switch epochs {
			case 0: // as redis-cli does
				h.request(gossip.SetConfigEpoch{Epoch: uint64(i + 1)}, nil)
			case 1: // all alike: the nodes must repair it
				h.request(gossip.SetConfigEpoch{Epoch: 1}, nil)
			}
		}
	})
	w.after(100*time.Millisecond, func() {
		for i, h := range w.hosts[1:] {
			to := w.hosts[0]
			if w.rng.IntN(2) == 0 {
				to = w.hosts[w.rng.IntN(i+1)]
			}
			h.request(gossip.Meet{IP: to.ip(), Port: clientPort, BusPort: busPort}, nil)
		}
	})
	w.after(600*time.Millisecond, w.attach)
}

// attach makes the replicas replicas, again and again until each said yes.
func (w *world) attach() {
	waiting := false
	for i := w.primaries; i < w.primaries*(1+w.replicas); i++ {
		h := w.hosts[i]
		if h.view == nil || !h.view.Self.IsReplica {
			waiting = true
			h.request(gossip.Replicate{Primary: w.hosts[i%w.primaries].id}, nil)
		}
	}
	if !waiting && w.settled() {
		w.stats.Formed = true
		w.end = w.now + duration
		w.begin()
		return
	}
	if w.now > formDeadline-time.Second {
		for _, h := range w.hosts {
			if h.view == nil {
				w.violate("formation", "%s published nothing", h.name())
				continue
			}
			w.violate("formation", "%s: replica=%v nodes=%d ok=%v (%s) linked=%v empty=%v", h.name(), h.view.Self.IsReplica, len(h.view.Nodes), h.view.OK, h.view.Reason, h.linked, h.empty)
		}
		return
	}
	w.after(200*time.Millisecond, w.attach)
}

// settled reports whether all nodes know each other, are up and have data.
func (w *world) settled() bool {
	for _, h := range w.hosts {
		if h.view == nil || !h.view.OK || len(h.view.Nodes) != len(w.hosts) || h.view.Self.IsReplica && (h.empty || !h.linked) {
			return false
		}
	}
	return true
}

// begin starts the sixty seconds.
func (w *world) begin() {
	w.tracef("formed")
	if w.opts.OnlyCrash {
		w.end = w.now + 10*time.Second
		w.after(w.spread(time.Second, 2*time.Second), w.crashOnePrimary)
		return
	}
	w.war = true
	w.after(w.spread(200*time.Millisecond, time.Second), w.nextFault)
	w.after(w.spread(200*time.Millisecond, time.Second), w.nextOperation)
	w.after(warDuration, w.makePeace)
}

func (w *world) makePeace() {
	w.tracef("peace")
	w.war = false
	for _, f := range w.faults {
		f.stop()
	}
	w.faults = nil
	w.flushStalled()
	for i := range 4 {
		w.after(time.Duration(1+2*i)*time.Second, w.repairSlots)
	}
	w.after(time.Second, w.meetForgotten)
	w.after(4*time.Second, w.meetForgotten)
	w.after(7*time.Second, w.meetForgotten)
	w.after(6*time.Second, w.repairCoverage)
}

// crashOnePrimary is the whole fault of a run with OnlyCrash.
func (w *world) crashOnePrimary() {
	h := w.hosts[w.rng.IntN(w.primaries)]
	if h.own == 0 {
		panic(fmt.Sprintf("seed %d: %s owns nothing", w.opts.Seed, h.name()))
	}
	w.mourn(h)
	h.crash(false)
}

// mourn notes when the watched slots lost their owner.
func (w *world) mourn(h *host) {
	for bit := range w.check.lostAt {
		if h.own&(1<<bit) != 0 {
			w.check.lostAt[bit] = w.now
		}
	}
}

// recovered is the first acknowledgement of a slot after its owner crashed.
func (w *world) recovered(took time.Duration) {
	if w.opts.OnlyCrash {
		w.stats.Recoveries = append(w.stats.Recoveries, took)
	}
}
