package sim

import (
	"time"

	"slotmesh/gossip"
)

// network is what lies between the hosts. All of it is indexed by the hosts'
// numbers, first the one that sends.
type network struct {
	n int
	// cut and refuse count the faults that are in force for a direction: a cut
	// one swallows packets, a refusing one answers dials with a reset.
	cut, refuse [][]int8
	// lossy counts faults that make packets of a host get lost, and slow those
	// that make them late.
	lossy, slow []int8
	// member says whether the sender's membership holds the other as alive.
	member [][]bool
	links  [][]link
}

// link is one direction's stream between two nodes: ordered, and reliable for
// as long as it is up. When it breaks, what was under way is lost.
type link struct {
	state linkState
	gen   uint32
	// last is when the latest message will arrive; none overtakes it.
	last time.Duration
	// waiting are messages for a link that is being dialled, or that stall
	// because the packets of an established one are swallowed.
	waiting [][]byte
	stalled bool
}

type linkState uint8

const (
	linkDown linkState = iota
	linkDialing
	linkUp
)

const (
	// dialTimeout is how long a dial waits for an answer, stallTimeout how long
	// an established link is silent before it is given up.
	dialTimeout  = time.Second
	stallTimeout = 2500 * time.Millisecond
	// metFor is how long a MEET admits a node that is still forgotten.
	metFor = 10 * time.Second
	// linkQueue is how many messages wait for one link; more are dropped.
	linkQueue = 256

	probeInterval    = 200 * time.Millisecond
	exchangeInterval = 4 * time.Second
)

func newNetwork(n int) network {
	net := network{n: n, lossy: make([]int8, n), slow: make([]int8, n)}
	for range n {
		net.cut = append(net.cut, make([]int8, n))
		net.refuse = append(net.refuse, make([]int8, n))
		net.member = append(net.member, make([]bool, n))
		net.links = append(net.links, make([]link, n))
	}
	return net
}

// passes reports whether packets get from a to b at all.
func (net *network) passes(a, b int) bool {
	return net.cut[a][b] == 0 && net.refuse[a][b] == 0
}

// connected reports whether a stream between a and b can live.
func (net *network) connected(a, b int) bool {
	return net.passes(a, b) && net.passes(b, a)
}

// latency draws the time of one packet from a to b.
func (w *world) latency(a, b int) time.Duration {
	d := 100*time.Microsecond + time.Duration(w.rng.Int64N(int64(900*time.Microsecond)))
	if w.rng.IntN(100) == 0 {
		d += time.Duration(w.rng.Int64N(int64(20 * time.Millisecond)))
	}
	if w.net.slow[a]+w.net.slow[b] > 0 {
		d += time.Duration(w.rng.Int64N(int64(w.slowest)))
	}
	return d
}

// lost draws whether a packet is lost. Streams repeat lost packets: for them it
// is a delay.
func (w *world) lost(a, b int) bool {
	percent := 1
	if w.net.lossy[a]+w.net.lossy[b] > 0 {
		percent = 30
	}
	return w.rng.IntN(100) < percent
}

// sendLink hands a message to the link from a to b and dials it when it is down.
func (w *world) sendLink(a, b int, msg []byte) {
	l := &w.net.links[a][b]
	switch {
	case l.state == linkDown:
		l.state = linkDialing
		l.gen++
		l.waiting = append(l.waiting[:0], msg)
		w.dialLink(a, b, l)
	case l.state == linkDialing || l.stalled:
		if len(l.waiting) < linkQueue {
			l.waiting = append(l.waiting, msg)
		}
	case !w.net.connected(a, b):
		// The segment, or its acknowledgement, is swallowed: the stream stalls.
		l.stalled = true
		l.waiting = append(l.waiting[:0], msg)
		w.queue.push(w.now+w.jitter(stallTimeout), event{kind: evLinkTimeout, host: a, peer: b, gen: l.gen})
	default:
		w.transmit(a, b, l, msg)
	}
}

func (w *world) transmit(a, b int, l *link, msg []byte) {
	at := w.now + w.latency(a, b)
	if w.lost(a, b) {
		w.stats.Dropped++
		at += 200*time.Millisecond + w.jitter(100*time.Millisecond)
	}
	if at <= l.last {
		at = l.last + time.Microsecond
	}
	l.last = at
	w.queue.push(at, event{kind: evLink, host: b, peer: a, gen: l.gen, msg: msg})
	if w.roughLinks && w.rng.IntN(100) == 0 {
		// A link that broke and was mended by its owner repeats what it is not
		// sure of, later and out of order.
		w.stats.Duplicated++
		w.queue.push(at+w.jitter(300*time.Millisecond), event{kind: evLink, host: b, peer: a, gen: l.gen, msg: msg})
	}
}

// linkArrives delivers a message of the link from a at b.
func (w *world) linkArrives(ev event) {
	a, b := ev.peer, ev.host
	if w.net.links[a][b].gen != ev.gen || w.net.links[a][b].state != linkUp {
		w.stats.Dropped++
		return
	}
	if w.hosts[b].bars(w.hosts[a]) {
		return
	}
	w.hosts[b].feed(gossip.Received{From: w.hosts[a].id, Way: gossip.ByLink, Message: ev.msg})
}

// dialLink schedules what a dial of a towards b will end in.
func (w *world) dialLink(a, b int, l *link) {
	try := event{kind: evLinkTry, host: a, peer: b, gen: l.gen}
	target := w.hosts[b]
	if !w.net.connected(a, b) && w.net.refuse[a][b]+w.net.refuse[b][a] == 0 || target.vanished {
		try.kind = evLinkTimeout
		w.queue.push(w.now+w.jitter(dialTimeout), try)
		return
	}
	w.queue.push(w.now+2*w.latency(a, b), try)
}

// linkTried is the answer to a dial.
func (w *world) linkTried(ev event) {
	a, b := ev.host, ev.peer
	l := &w.net.links[a][b]
	if l.gen != ev.gen || l.state != linkDialing {
		return
	}
	source, target := w.hosts[a], w.hosts[b]
	switch {
	case w.net.refuse[a][b]+w.net.refuse[b][a] > 0, !target.running && !target.vanished:
		w.breakLink(a, b, true)
	case target.vanished || target.paused || !w.net.connected(a, b):
		w.queue.push(w.now+w.jitter(dialTimeout), event{kind: evLinkTimeout, host: a, peer: b, gen: l.gen})
	case w.barred(a, b):
		w.breakLink(a, b, false)
	default:
		l.state = linkUp
		l.stalled = false
		l.last = w.now
		waiting := l.waiting
		l.waiting = nil
		source.feed(gossip.LinkUp{Node: target.id})
		for _, msg := range waiting {
			w.transmit(a, b, l, msg)
		}
	}
}

// linkTimedOut ends a dial without answer, or looks at a stream that stalls:
// when the packets flow again so does it, else it is given up.
func (w *world) linkTimedOut(ev event) {
	a, b := ev.host, ev.peer
	l := &w.net.links[a][b]
	if l.gen != ev.gen || l.state == linkDown || l.state == linkUp && !l.stalled {
		return
	}
	w.breakLink(a, b, false)
}

// flushStalled lets the streams that stalled go on after a partition ended.
func (w *world) flushStalled() {
	for a := range w.net.n {
		for b := range w.net.n {
			l := &w.net.links[a][b]
			if l.state != linkUp || !l.stalled || !w.net.connected(a, b) {
				continue
			}
			l.stalled = false
			waiting := l.waiting
			l.waiting = nil
			for _, msg := range waiting {
				w.transmit(a, b, l, msg)
			}
		}
	}
}

// breakLink ends the link from a to b; what was under way is lost and a's
// machine hears of it.
func (w *world) breakLink(a, b int, refused bool) {
	l := &w.net.links[a][b]
	if l.state == linkDown {
		return
	}
	w.stats.Dropped += len(l.waiting)
	l.state = linkDown
	l.stalled = false
	l.waiting = nil
	l.gen++
	w.hosts[a].feed(gossip.LinkDown{Node: w.hosts[b].id, Refused: refused})
}

// resetLinks breaks the links of host h, as its kernel does when the process
// ends; peers that can be reached hear of it at once, the others later.
func (w *world) resetLinks(h int) {
	for other := range w.net.n {
		w.net.links[h][other] = link{gen: w.net.links[h][other].gen + 1}
		l := &w.net.links[other][h]
		if l.state == linkDown {
			continue
		}
		if w.hosts[h].vanished || !w.net.connected(h, other) {
			if !l.stalled && l.state == linkUp {
				l.stalled = true
				w.queue.push(w.now+w.jitter(stallTimeout), event{kind: evLinkTimeout, host: other, peer: h, gen: l.gen})
			}
			continue
		}
		w.breakLink(other, h, false)
	}
}

// relay reports whether gossip gets from a to b: directly, or through a third
// member.
func (w *world) relay(a, b int) bool {
	if !w.hosts[b].running || w.hosts[b].vanished {
		return false
	}
	if w.net.member[a][b] && w.net.passes(a, b) {
		return true
	}
	for c := range w.net.n {
		if c != a && c != b && w.hosts[c].alive() && w.net.member[a][c] && w.net.member[c][b] && w.net.passes(a, c) && w.net.passes(c, b) {
			return true
		}
	}
	return false
}

// broadcast spreads a message as gossip does: to most, after a while, to some
// twice, and now and then much later.
func (w *world) broadcast(a int, msg []byte) {
	for b := range w.net.n {
		if b == a || !w.relay(a, b) {
			continue
		}
		copies := 1
		if w.rng.IntN(20) == 0 {
			copies++
			w.stats.Duplicated++
		}
		for range copies {
			if w.lost(a, b) {
				w.stats.Dropped++
				continue
			}
			delay := w.latency(a, b) + w.jitter(60*time.Millisecond)
			if w.rng.IntN(200) == 0 {
				w.stats.Delayed++
				delay += time.Second + w.jitter(8*time.Second)
			}
			w.queue.push(w.now+delay, event{kind: evCast, host: b, peer: a, msg: msg})
		}
	}
}

// probe is SWIM's: a asks one member, and asks others to ask when it is silent.
func (w *world) probe(a int) {
	source := w.hosts[a]
	if source.paused {
		return
	}
	for range w.net.n {
		source.probed = (source.probed + 1) % w.net.n
		if source.probed != a && w.net.member[a][source.probed] {
			break
		}
	}
	b := source.probed
	if b == a || !w.net.member[a][b] {
		return
	}
	target := w.hosts[b]
	if w.net.connected(a, b) && target.alive() && !w.lost(a, b) {
		w.queue.push(w.now+w.latency(a, b)+w.latency(b, a), event{kind: evAnswered, host: a, peer: b, gen: source.gen})
		return
	}
	if target.alive() && w.relay(a, b) && w.relay(b, a) {
		// Others reach it and say so.
		return
	}
	w.after(w.spread(300*time.Millisecond, 900*time.Millisecond), func() { w.declareDead(a, b) })
}

// declareDead ends a suspicion that b could not refute: a gives b up, and so do
// those who hear of it.
func (w *world) declareDead(a, b int) {
	if !w.hosts[a].alive() || w.hosts[b].alive() && w.relay(b, a) {
		return
	}
	for c := range w.net.n {
		if w.net.member[c][b] && (c == a || c != b && w.relay(a, c)) {
			w.net.member[c][b] = false
			w.hosts[c].feed(gossip.Suspected{Node: w.hosts[b].id})
		}
	}
}

// exchange is push/pull: a sends its whole state to one member and gets that
// member's.
func (w *world) exchange(a, b int) {
	source, target := w.hosts[a], w.hosts[b]
	if !source.alive() || !target.alive() || !w.net.connected(a, b) || w.barred(a, b) {
		return
	}
	w.stats.Exchanges++
	w.queue.push(w.now+w.latency(a, b), event{kind: evExchangeArrives, host: b, peer: a, n: 1, msg: source.machine.LocalState()})
}

// exchangeArrives merges a state; n says whether it is to be answered.
func (w *world) exchangeArrives(ev event) {
	b, a := w.hosts[ev.host], w.hosts[ev.peer]
	if !b.alive() || b.bars(a) {
		return
	}
	b.feed(gossip.Member{Meta: a.lastMeta, IP: a.ip()})
	b.feed(gossip.Received{Way: gossip.ByRepair, Message: ev.msg})
	if ev.n == 1 && b.alive() {
		w.queue.push(w.now+w.latency(b.index, a.index), event{kind: evExchangeArrives, host: a.index, peer: b.index, msg: b.machine.LocalState()})
	}
}

// randomMember draws a member of a's membership, or -1.
func (w *world) randomMember(a int) int {
	from := w.rng.IntN(w.net.n)
	for i := range w.net.n {
		b := (from + i) % w.net.n
		if b != a && w.net.member[a][b] {
			return b
		}
	}
	return -1
}

// barred reports whether either of the two was told to have nothing to do with
// the other.
func (w *world) barred(a, b int) bool {
	return w.hosts[a].bars(w.hosts[b]) || w.hosts[b].bars(w.hosts[a])
}

// join carries out Ready.Dial: a shakes hands with whoever listens at the
// address; both learn the other's identity and exchange their states, and each
// tells its members of the other.
func (w *world) join(a int, d gossip.Dial) {
	b := w.hostAt(d.IP, d.BusPort)
	if b < 0 || b == a {
		return
	}
	w.after(2*w.latency(a, b), func() {
		source, target := w.hosts[a], w.hosts[b]
		if !source.alive() || !target.alive() || !w.net.connected(a, b) {
			return
		}
		if !d.Expect.IsZero() && (d.Expect != target.id || w.barred(a, b)) {
			return
		}
		sourceMeta, targetMeta := source.lastMeta, target.lastMeta
		met := d.Expect.IsZero()
		if met {
			source.met[target.id], target.met[source.id] = w.now+metFor, w.now+metFor
		}
		source.feed(gossip.Member{Meta: targetMeta, IP: target.ip(), Met: met})
		target.feed(gossip.Member{Meta: sourceMeta, IP: source.ip(), Met: met})
		w.enlist(a, b)
	})
}

// enlist makes a and b members of each other, tells everybody around them and
// lets them exchange states.
func (w *world) enlist(a, b int) {
	w.net.member[a][b], w.net.member[b][a] = true, true
	w.exchange(a, b)
	for c := range w.net.n {
		if c != a && c != b && w.net.member[a][c] && !(w.net.member[c][b] && w.net.member[b][c]) {
			w.introduce(c, b)
		}
		if c != a && c != b && w.net.member[b][c] && !(w.net.member[c][a] && w.net.member[a][c]) {
			w.introduce(c, a)
		}
	}
}

// introduce lets c learn by gossip that b is a member, and b that c is.
func (w *world) introduce(c, b int) {
	w.after(w.latency(c, b)+w.jitter(80*time.Millisecond), func() {
		if !w.hosts[c].alive() || !w.hosts[b].alive() || w.barred(b, c) || !w.net.connected(b, c) {
			return
		}
		w.net.member[c][b], w.net.member[b][c] = true, true
		w.hosts[c].feed(gossip.Member{Meta: w.hosts[b].lastMeta, IP: w.hosts[b].ip()})
		w.hosts[b].feed(gossip.Member{Meta: w.hosts[c].lastMeta, IP: w.hosts[c].ip()})
	})
}

// announce spreads the changed identity record of a.
func (w *world) announce(a int) {
	meta := w.hosts[a].lastMeta
	for b := range w.net.n {
		if b == a || !w.relay(a, b) || w.lost(a, b) {
			continue
		}
		w.after(w.latency(a, b)+w.jitter(60*time.Millisecond), func() {
			if w.hosts[b].alive() && !w.hosts[b].bars(w.hosts[a]) {
				w.hosts[b].feed(gossip.Member{Meta: meta, IP: w.hosts[a].ip()})
			}
		})
	}
}
