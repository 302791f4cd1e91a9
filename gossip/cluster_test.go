package gossip

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"slotmesh/slots"
)

// testNet is a small loopback world: machines, links that open on demand, and
// messages that arrive after a millisecond, in order for each link. It carries
// out Ready as package doc says. Faults beyond kill and cut are sim's business.
type testNet struct {
	t     *testing.T
	now   Instant
	rng   *rand.Rand
	nodes []*testNode
	queue []delivery
	seq   int
	cut   func(from, to *testNode) bool
	calm  bool // no client is served
}

type testNode struct {
	net   *testNet
	name  string
	port  int
	m     *Machine
	alive bool
	saved []byte
	view  *View
	lease Instant
	log   []string
	repl  Replication
	links map[*testNode]bool
	cfg   Config
}

type delivery struct {
	at Instant
	n  int
	do func()
}

func newNet(t *testing.T) *testNet {
	return &testNet{t: t, now: time.Second, rng: rand.New(rand.NewPCG(1, 2))}
}

func (w *testNet) start(name string) *testNode {
	port := 7000 + len(w.nodes)
	n := &testNode{net: w, name: name, port: port}
	n.cfg = Config{
		Address:     Address{Port: port, BusPort: port + 10000},
		NodeTimeout: 15 * time.Second, ReplicaValidityFactor: 10, RequireFullCoverage: true,
	}
	w.nodes = append(w.nodes, n)
	n.boot(false)
	return n
}

func (n *testNode) boot(empty bool) {
	n.bootWith(Options{Empty: empty}, Replication{Offset: 100, LinkUp: true})
}

// bootWith starts the process with data as opts and repl tell.
func (n *testNode) bootWith(opts Options, repl Replication) {
	opts.Config, opts.Saved, opts.Now = n.cfg, n.saved, n.net.now
	opts.Rand = rand.New(rand.NewPCG(n.net.rng.Uint64(), 7))
	m, err := New(opts)
	if err != nil {
		n.net.t.Fatalf("%s: %v", n.name, err)
	}
	n.m, n.alive, n.links = m, true, map[*testNode]bool{}
	n.repl = repl
	if n.repl.Empty = opts.Empty; opts.Empty {
		n.repl.Offset = 0
	}
	n.step(n.repl)
}

// kill ends the process: links break, and who dials is refused.
func (n *testNode) kill() {
	n.alive = false
	for _, o := range n.net.nodes {
		if o.links[n] {
			delete(o.links, n)
			n.net.later(time.Millisecond, func() { o.step(LinkDown{Node: n.m.Self()}) })
		}
	}
}

func (w *testNet) later(d time.Duration, do func()) {
	w.seq++
	w.queue = append(w.queue, delivery{w.now + d, w.seq, do})
}

func (n *testNode) step(ev Event) {
	if n.alive {
		if err := n.m.Step(ev, n.net.now); err != nil {
			n.net.t.Fatalf("%s: %T: %v", n.name, ev, err)
		}
		n.carryOut()
	}
}

func (n *testNode) do(ev Event) error {
	err := n.m.Step(ev, n.net.now)
	n.carryOut()
	return err
}

func (w *testNet) byID(id slots.NodeID) *testNode {
	for _, n := range w.nodes {
		if n.m.Self() == id {
			return n
		}
	}
	return nil
}

func (w *testNet) byBus(port int) *testNode {
	for _, n := range w.nodes {
		if n.port+10000 == port {
			return n
		}
	}
	return nil
}

func (w *testNet) blocked(a, b *testNode) bool {
	return w.cut != nil && (w.cut(a, b) || w.cut(b, a))
}

func (n *testNode) carryOut() {
	w := n.net
	r := n.m.Ready(w.now)
	if r.Save != nil {
		n.saved = r.Save
	}
	if r.View != nil {
		n.view = r.View
	}
	n.lease = r.Lease
	for _, l := range r.Log {
		n.log = append(n.log, l.Text)
	}
	for _, s := range r.Send {
		to := w.byID(s.To)
		if to == nil || w.blocked(n, to) {
			continue
		}
		if !to.alive {
			w.later(time.Millisecond, func() { n.step(LinkDown{Node: s.To, Refused: true}) })
			continue
		}
		n.link(to)
		from := n.m.Self()
		w.later(time.Millisecond, func() { to.step(Received{From: from, Way: ByLink, Message: s.Message}) })
	}
	for _, b := range r.Broadcast {
		for _, to := range w.nodes {
			if to != n && to.alive && !w.blocked(n, to) && to.m.members[n.m.Self()] != nil {
				w.later(50*time.Millisecond, func() { to.step(Received{Way: ByBroadcast, Message: b.Message}) })
			}
		}
	}
	for _, d := range r.Dial {
		to := w.byBus(d.BusPort)
		if to == nil || w.blocked(n, to) {
			continue
		}
		if !to.alive {
			if !d.Expect.IsZero() {
				w.later(time.Millisecond, func() { n.step(LinkDown{Node: d.Expect, Refused: true}) })
			}
			continue
		}
		w.later(time.Millisecond, func() {
			if to.alive && n.alive {
				n.step(Member{Meta: to.m.Meta(), IP: "127.0.0.1", Met: d.Expect.IsZero()})
				to.step(Member{Meta: n.m.Meta(), IP: "127.0.0.1", Met: d.Expect.IsZero()})
			}
		})
	}
}

func (n *testNode) link(to *testNode) {
	if n.links[to] {
		return
	}
	n.links[to], to.links[n] = true, true
	n.net.later(0, func() { n.step(LinkUp{to.m.Self()}); to.step(LinkUp{n.m.Self()}) })
}

// run lets time pass until done holds, checks that it does within limit.
func (w *testNet) run(limit time.Duration, what string, done func() bool) time.Duration {
	w.t.Helper()
	begin := w.now
	for w.now-begin < limit {
		if done != nil && done() {
			return w.now - begin
		}
		w.now += time.Millisecond
		for {
			best := -1
			for i, d := range w.queue {
				if d.at <= w.now && (best < 0 || d.at < w.queue[best].at || d.at == w.queue[best].at && d.n < w.queue[best].n) {
					best = i
				}
			}
			if best < 0 {
				break
			}
			d := w.queue[best]
			w.queue = append(w.queue[:best], w.queue[best+1:]...)
			d.do()
		}
		if w.now/time.Millisecond%10 == 0 {
			for _, n := range w.nodes {
				n.step(Tick{Served: !w.calm})
			}
		}
	}
	if done != nil {
		for _, n := range w.nodes {
			w.t.Logf("%s alive=%v lease=%v now=%v ok=%v %s\n%s\n%s", n.name, n.alive, n.lease, w.now, n.view.OK, n.view.Reason, n.describe(), strings.Join(n.log, "\n"))
		}
		w.t.Fatalf("not within %v: %s", limit, what)
	}
	return limit
}

func (n *testNode) describe() string {
	var b strings.Builder
	for _, o := range n.view.Nodes {
		fmt.Fprintf(&b, "  %s replica=%v primary=%.6s epoch=%d pfail=%v fail=%v linked=%v slots=%s\n",
			n.net.byID(o.ID).name, o.IsReplica, o.Primary.String(), o.ConfigEpoch, o.PFail, o.Fail, o.Linked, o.Slots)
	}
	return b.String()
}

func (n *testNode) owns(slot slots.Slot) bool {
	t := n.view.Table
	return t.Owner[slot] == t.Self && !n.view.Self.IsReplica
}

// slotOf is the first slot of n.
func slotOf(n *testNode) slots.Slot { return n.view.Self.Slots.Ranges()[0].First }

func (n *testNode) leased() bool { return n.alive && n.lease > n.net.now }

// cluster makes primaries p0… with even shares and one replica each, r0….
func (w *testNet) cluster(primaries, replicas int) {
	w.t.Helper()
	for i := range primaries {
		n := w.start(fmt.Sprintf("p%d", i))
		var list []slots.Slot
		for s := i * slots.Count / primaries; s < (i+1)*slots.Count/primaries; s++ {
			list = append(list, slots.Slot(s))
		}
		w.must(n.do(AddSlots{list}))
		w.must(n.do(SetConfigEpoch{uint64(i + 1)}))
	}
	for i := range replicas {
		w.start(fmt.Sprintf("r%d", i))
	}
	for _, n := range w.nodes[1:] {
		w.must(n.do(Meet{IP: "127.0.0.1", Port: 7000, BusPort: 17000}))
	}
	w.run(5*time.Second, "everybody knows everybody", func() bool {
		for _, n := range w.nodes {
			if len(n.view.Nodes) != len(w.nodes) || !n.view.OK {
				return false
			}
		}
		return true
	})
	for i := range replicas {
		w.must(w.nodes[primaries+i].do(Replicate{Primary: w.nodes[i%primaries].m.Self()}))
	}
	w.run(3*time.Second, "roles known, leases held", func() bool {
		for i, n := range w.nodes {
			if i < primaries && !n.leased() || len(n.view.Nodes) != len(w.nodes) || !n.view.OK {
				return false
			}
			for j := range replicas {
				if !n.view.Node(w.nodes[primaries+j].m.Self()).IsReplica {
					return false
				}
			}
		}
		return true
	})
	for _, n := range w.nodes[primaries:] {
		n.step(n.repl) // synced
	}
	w.run(500*time.Millisecond, "", nil)
}

func (w *testNet) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// agree waits until all living nodes show the same slots under distinct epochs.
func (w *testNet) agree() {
	w.t.Helper()
	w.run(5*time.Second, "one slot table everywhere", func() bool {
		want := ""
		for _, n := range w.nodes {
			if !n.alive {
				continue
			}
			var b strings.Builder
			epochs := map[uint64]bool{}
			for _, o := range n.view.Nodes {
				fmt.Fprintf(&b, "%s %d %v %s|", o.ID, o.ConfigEpoch, o.IsReplica, o.Slots)
				if !o.IsReplica && !o.Slots.Empty() {
					if epochs[o.ConfigEpoch] {
						return false
					}
					epochs[o.ConfigEpoch] = true
				}
			}
			if want == "" {
				want = b.String()
			}
			if b.String() != want {
				return false
			}
		}
		return true
	})
}
