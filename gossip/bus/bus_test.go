package bus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"slotmesh/gossip"
	"slotmesh/slots"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a bus with a handler that remembers what it was told.
type node struct {
	t      testing.TB
	id     slots.NodeID
	bus    *Bus
	logged lockedBuffer

	mu        sync.Mutex
	metaText  string
	state     string
	received  map[gossip.Way][]string
	from      map[slots.NodeID]int
	members   map[slots.NodeID]string // id → IP
	metas     map[slots.NodeID]string
	met       map[slots.NodeID]bool
	answered  map[slots.NodeID]int
	up        map[slots.NodeID]int
	down      map[slots.NodeID]int
	refused   map[slots.NodeID]int
	suspected map[slots.NodeID]int
	forgotten map[slots.NodeID]bool
	onMessage func(from slots.NodeID, message []byte)
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (n *node) Meta() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return []byte(n.id.String() + " " + n.metaText)
}

func (n *node) LocalState() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return []byte(n.state)
}

func (n *node) Received(from slots.NodeID, way gossip.Way, message []byte) {
	n.mu.Lock()
	n.received[way] = append(n.received[way], string(message))
	if way == gossip.ByLink {
		n.from[from]++
	}
	on := n.onMessage
	n.mu.Unlock()
	if on != nil && way == gossip.ByLink {
		on(from, message)
	}
}

func (n *node) Member(meta []byte, ip string) {
	id, text, _ := strings.Cut(string(meta), " ")
	who, err := slots.ParseNodeID(id)
	if err != nil {
		n.t.Errorf("member with meta %q", meta)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members[who], n.metas[who] = ip, text
}

func (n *node) Met(meta []byte, _ string) {
	id, _, _ := strings.Cut(string(meta), " ")
	who, _ := slots.ParseNodeID(id)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.met[who] = true
	delete(n.forgotten, who)
}

func (n *node) count(m map[slots.NodeID]int, id slots.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m[id]++
}

func (n *node) Answered(id slots.NodeID)  { n.count(n.answered, id) }
func (n *node) LinkUp(id slots.NodeID)    { n.count(n.up, id) }
func (n *node) Suspected(id slots.NodeID) { n.count(n.suspected, id) }

func (n *node) LinkDown(id slots.NodeID, refused bool) {
	n.count(n.down, id)
	if refused {
		n.count(n.refused, id)
	}
}

func (n *node) Allowed(id slots.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.forgotten[id]
}

func (n *node) CheckMeta(id slots.NodeID, meta []byte) error {
	if !strings.HasPrefix(string(meta), id.String()+" ") {
		return errors.New("malformed identity record")
	}
	return nil
}

// has is true when test holds under the lock.
func (n *node) has(test func() bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return test()
}

func testID(number int) (id slots.NodeID) {
	copy(id[:], fmt.Sprintf("node %02d of the tests", number))
	return id
}

// start starts the bus of node number; tune may change its options.
func start(t testing.TB, number int, tune func(*Options)) *node {
	t.Helper()
	n := &node{
		t: t, id: testID(number), metaText: "first",
		received: map[gossip.Way][]string{}, from: map[slots.NodeID]int{},
		members: map[slots.NodeID]string{}, metas: map[slots.NodeID]string{}, met: map[slots.NodeID]bool{},
		answered: map[slots.NodeID]int{}, up: map[slots.NodeID]int{}, down: map[slots.NodeID]int{},
		refused: map[slots.NodeID]int{}, suspected: map[slots.NodeID]int{}, forgotten: map[slots.NodeID]bool{},
	}
	n.open(tune)
	t.Cleanup(func() { n.bus.Close() })
	return n
}

func (n *node) open(tune func(*Options)) {
	n.t.Helper()
	opt := Options{
		ID: n.id, BindAddrs: []string{"127.0.0.1"}, Handler: n,
		ProbeInterval: 100 * time.Millisecond, GossipInterval: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&n.logged, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if tune != nil {
		tune(&opt)
	}
	bus, err := Listen(opt)
	if err != nil {
		n.t.Fatal(err)
	}
	n.bus = bus
}

// until waits for a condition.
func until(t testing.TB, what string, test func() bool) {
	t.Helper()
	untilWithin(t, 10*time.Second, what, test)
}

func untilWithin(t testing.TB, limit time.Duration, what string, test func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !test() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// dial waits for the result of a Dial.
func (n *node) dial(addr netip.AddrPort, expect slots.NodeID) (slots.NodeID, error) {
	type result struct {
		id  slots.NodeID
		err error
	}
	results := make(chan result, 1)
	n.bus.Dial(addr, expect, func(id slots.NodeID, err error) { results <- result{id, err} })
	select {
	case r := <-results:
		return r.id, r.err
	case <-time.After(10 * time.Second):
		n.t.Fatal("dial does not end")
		panic("unreachable")
	}
}

func (n *node) meet(other *node) {
	n.t.Helper()
	if id, err := n.dial(other.bus.Address(), slots.NodeID{}); err != nil || id != other.id {
		n.t.Fatalf("meet: %s, %v", id, err)
	}
}

func (n *node) send(to *node, text string) {
	n.bus.Send(to.id, to.bus.Address(), []byte(text))
}

func (n *node) knows(id slots.NodeID) bool {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	_, ok := n.bus.members[id]
	return ok
}

func (n *node) hasReceived(way gossip.Way, text string) bool {
	return n.has(func() bool {
		for _, m := range n.received[way] {
			if m == text {
				return true
			}
		}
		return false
	})
}

// cluster starts nodes that all know each other.
func cluster(t testing.TB, count int, tune func(*Options)) []*node {
	t.Helper()
	nodes := make([]*node, count)
	for i := range nodes {
		nodes[i] = start(t, i+1, tune)
	}
	for _, n := range nodes[1:] {
		nodes[0].meet(n)
	}
	for _, n := range nodes {
		for _, other := range nodes {
			if n != other {
				until(t, "every node knows every other", func() bool { return n.knows(other.id) })
			}
		}
	}
	return nodes
}

func secret(texts ...string) func(*Options) {
	return func(o *Options) {
		o.Keys = nil
		for _, text := range texts {
			key := make([]byte, keyBytes)
			copy(key, text)
			o.Keys = append(o.Keys, key)
		}
	}
}

func TestJoinBroadcastAndState(t *testing.T) {
	for _, mode := range []struct {
		name string
		tune func(*Options)
	}{{"open", nil}, {"secured", secret("one")}} {
		t.Run(mode.name, func(t *testing.T) {
			nodes := cluster(t, 5, func(o *Options) {
				if mode.tune != nil {
					mode.tune(o)
				}
				o.PushPullInterval = 300 * time.Millisecond
			})
			for i, n := range nodes {
				n.bus.Broadcast("claim", []byte(fmt.Sprint("from ", i)))
				n.mu.Lock()
				n.state = fmt.Sprint("state of ", i)
				n.mu.Unlock()
			}
			for i, n := range nodes {
				for j := range nodes {
					if i != j {
						until(t, "broadcast reaches all", func() bool { return n.hasReceived(gossip.ByBroadcast, fmt.Sprint("from ", j)) })
					}
				}
			}
			for _, n := range nodes {
				n.mu.Lock()
				if got := len(n.received[gossip.ByBroadcast]); got != 4 {
					t.Errorf("%d broadcasts handed up, want each once: %q", got, n.received[gossip.ByBroadcast])
				}
				n.mu.Unlock()
			}
			until(t, "state is exchanged", func() bool {
				return nodes[4].has(func() bool { return len(nodes[4].received[gossip.ByRepair]) > 0 })
			})
			nodes[2].mu.Lock()
			nodes[2].metaText = "second"
			nodes[2].mu.Unlock()
			nodes[2].bus.MetaChanged()
			for _, n := range nodes {
				if n != nodes[2] {
					until(t, "new meta reaches all", func() bool {
						return n.has(func() bool { return n.metas[nodes[2].id] == "second" && n.members[nodes[2].id] == "127.0.0.1" })
					})
					until(t, "probes are answered", func() bool { return n.has(func() bool { return n.answered[nodes[2].id] > 0 }) })
				}
			}
			if !nodes[1].has(func() bool { return nodes[1].met[nodes[0].id] }) {
				t.Error("the node that was met was not told so")
			}
			if s := nodes[0].bus.Stats(); !s.UDPHealthy || s.Members != 4 || s.BroadcastsSent != 1 || s.BroadcastsReceived != 4 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

func TestEndedNodeIsRefusedAndSuspected(t *testing.T) {
	nodes := cluster(t, 3, nil)
	a, b := nodes[0], nodes[1]
	a.send(b, "hello")
	until(t, "link is up", func() bool { return a.has(func() bool { return a.up[b.id] == 1 }) })
	b.bus.Close()
	until(t, "the break is seen, and the dial that follows is refused", func() bool {
		return a.has(func() bool { return a.down[b.id] == 2 && a.refused[b.id] == 1 })
	})
	a.send(b, "are you there")
	until(t, "each dial reports", func() bool { return a.has(func() bool { return a.refused[b.id] >= 2 }) })
	for _, n := range []*node{a, nodes[2]} {
		until(t, "membership gives it up", func() bool { return n.has(func() bool { return n.suspected[b.id] == 1 }) })
	}

	// It comes back elsewhere.
	b.open(nil)
	if _, err := a.dial(b.bus.Address(), b.id); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{a, nodes[2]} {
		until(t, "it is a member again at its new address", func() bool {
			n.bus.mu.Lock()
			defer n.bus.mu.Unlock()
			return n.bus.members[b.id] == b.bus.Address()
		})
	}
}

func TestSecretsThatDiffer(t *testing.T) {
	tests := []struct {
		name string
		a, b func(*Options)
		want string
	}{
		{"other", secret("one"), secret("two"), "it has another cluster secret"},
		{"none here", nil, secret("two"), "its bus has a cluster secret and this one has not"},
		{"none there", secret("one"), nil, "its bus has no cluster secret and this one has"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := start(t, 1, test.a), start(t, 2, test.b)
			_, err := a.dial(b.bus.Address(), slots.NodeID{})
			if !errors.Is(err, ErrRefused) || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("dial: %v, want %q", err, test.want)
			}
			until(t, "both log it", func() bool {
				return strings.Contains(a.logged.String(), b.id.String()) && strings.Contains(b.logged.String(), a.id.String())
			})
			if len(b.members) != 0 || len(a.members) != 0 {
				t.Error("they became members all the same")
			}
		})
	}
}

func TestKeyRotation(t *testing.T) {
	nodes := cluster(t, 3, secret("old"))
	rotate := func(texts ...string) {
		for _, n := range nodes {
			var o Options
			secret(texts...)(&o)
			if err := n.bus.SetKeys(o.Keys); err != nil {
				t.Fatal(err)
			}
			n.mu.Lock()
			clear(n.answered)
			n.mu.Unlock()
		}
		for _, n := range nodes {
			n.bus.Broadcast("b", []byte(fmt.Sprint(n.id, texts)))
		}
		for _, n := range nodes {
			for _, other := range nodes {
				if n != other {
					until(t, fmt.Sprint("packets flow with ", texts), func() bool {
						return n.has(func() bool { return n.answered[other.id] > 0 }) &&
							n.hasReceived(gossip.ByBroadcast, fmt.Sprint(other.id, texts))
					})
				}
			}
		}
	}
	rotate("old", "new")
	rotate("new", "old")
	rotate("new")
	late := start(t, 9, secret("other", "new"))
	nodes[0].meet(late)
	until(t, "a node with the new secret joins", func() bool { return nodes[2].knows(late.id) })
	stale := start(t, 10, secret("old"))
	if _, err := nodes[0].dial(stale.bus.Address(), slots.NodeID{}); !errors.Is(err, ErrRefused) {
		t.Errorf("a node with the old secret joins: %v", err)
	}
	if err := nodes[0].bus.SetKeys(nil); err == nil {
		t.Error("a running bus was opened")
	}
}

func TestOtherVersionIsRefusedByName(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, func(o *Options) { o.version = 7 })
	_, err := a.dial(b.bus.Address(), slots.NodeID{})
	want := fmt.Sprintf("node %s speaks bus version 7, this node 1", b.id)
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), want) {
		t.Errorf("dial: %v", err)
	}
	if _, err := b.dial(a.bus.Address(), slots.NodeID{}); !errors.Is(err, ErrVersion) {
		t.Errorf("dial from the other side: %v", err)
	}
	for _, n := range []*node{a, b} {
		until(t, "both log it", func() bool { return strings.Contains(n.logged.String(), "speaks bus version") })
	}
	// A packet of that version.
	text := b.bus.packets.append(nil, a.id, packetGossip, []byte("whatever comes"))
	text[3] = 7
	if err := a.bus.transport.take(text, b.bus.Address()); err == nil || err.Error() != versionError(b.id, 7, WireVersion).Error() {
		t.Errorf("packet of another version: %v", err)
	}
}

func TestForgottenNodeStaysOutUntilMet(t *testing.T) {
	nodes := cluster(t, 3, nil)
	gone := nodes[2]
	for _, n := range nodes[:2] {
		n.mu.Lock()
		n.forgotten[gone.id] = true
		n.mu.Unlock()
		n.bus.Drop(gone.id)
	}
	for _, n := range nodes[:2] {
		until(t, "membership loses a forgotten node", func() bool { return !n.knows(gone.id) })
		if _, err := gone.dial(n.bus.Address(), n.id); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "has forgotten") {
			t.Errorf("forgotten node dials: %v", err)
		}
		n.mu.Lock()
		delete(n.from, gone.id)
		n.mu.Unlock()
		gone.send(n, "let me in")
		gone.bus.Broadcast("k", []byte("hear me"))
		until(t, "its link is refused", func() bool { return strings.Contains(n.logged.String(), "has forgotten it") })
	}
	for _, n := range nodes[:2] {
		if n.knows(gone.id) || n.hasReceived(gossip.ByBroadcast, "hear me") || n.hasReceived(gossip.ByLink, "let me in") {
			t.Error("a forgotten node is heard")
		}
	}
	nodes[0].meet(gone)
	until(t, "the node that met it knows it", func() bool { return nodes[0].knows(gone.id) && gone.knows(nodes[0].id) })
	if nodes[1].knows(gone.id) {
		t.Error("it is known where it is still forgotten")
	}
	// The tombstone is lifted there, too; the next link makes it a member.
	nodes[1].mu.Lock()
	delete(nodes[1].forgotten, gone.id)
	nodes[1].mu.Unlock()
	until(t, "known everywhere", func() bool {
		nodes[1].send(gone, "again")
		return nodes[1].knows(gone.id) && gone.knows(nodes[1].id)
	})
}

func TestStrangerAtAnOldAddressIsNotMerged(t *testing.T) {
	nodes := cluster(t, 2, nil)
	a, b := nodes[0], nodes[1]
	addr := b.bus.Address()
	a.send(b, "hello")
	until(t, "link is up", func() bool { return a.has(func() bool { return a.up[b.id] == 1 }) })
	b.bus.Close()
	// A node of another cluster takes the port over, and knows a third one.
	stranger := start(t, 7, func(o *Options) { o.Port = int(addr.Port()) })
	friend := start(t, 8, nil)
	stranger.meet(friend)
	_, err := a.dial(addr, b.id)
	if !errors.Is(err, ErrOtherNode) || !strings.Contains(err.Error(), stranger.id.String()) {
		t.Errorf("dial: %v", err)
	}
	a.send(b, "private")
	a.bus.Broadcast("k", []byte("private"))
	until(t, "membership gives the old node up", func() bool { return a.has(func() bool { return a.suspected[b.id] > 0 }) })
	until(t, "links are refused", func() bool { return a.has(func() bool { return a.down[b.id] >= 2 }) })
	for _, n := range []*node{stranger, friend} {
		if n.knows(a.id) || a.knows(n.id) || n.hasReceived(gossip.ByLink, "private") || n.hasReceived(gossip.ByBroadcast, "private") {
			t.Error("clusters have merged")
		}
	}
}

func TestBlockedUDP(t *testing.T) {
	tests := []struct {
		name  string
		block func(from int) bool
	}{
		{"both ways", func(int) bool { return true }},
		{"one way", func(from int) bool { return from == 1 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var blocked sync.Map // node id → bool
			nodes := make([]*node, 3)
			for i := range nodes {
				nodes[i] = start(t, i+1, func(o *Options) {
					o.PushPullInterval = 500 * time.Millisecond
					o.watch = 200 * time.Millisecond
					o.blockUDP = func(netip.AddrPort) bool {
						_, open := blocked.Load("open")
						return !open && test.block(i)
					}
				})
			}
			for _, n := range nodes[1:] {
				nodes[0].meet(n)
			}
			untilWithin(t, 20*time.Second, "it is noticed", func() bool { return !nodes[1].bus.Stats().UDPHealthy })
			nodes[1].bus.Broadcast("k", []byte("over links"))
			nodes[2].bus.Broadcast("k", []byte("back"))
			for i, n := range nodes {
				until(t, "membership is whole", func() bool { return n.bus.Stats().Members == 2 })
				if i != 1 {
					until(t, "broadcasts arrive", func() bool { return n.hasReceived(gossip.ByBroadcast, "over links") })
				}
				if i != 2 {
					until(t, "broadcasts arrive", func() bool { return n.hasReceived(gossip.ByBroadcast, "back") })
				}
			}
			if got := strings.Count(nodes[1].logged.String(), "UDP is blocked"); got != 1 {
				t.Errorf("it is logged %d times", got)
			}
			blocked.Store("open", true)
			untilWithin(t, 20*time.Second, "its return is noticed", func() bool {
				for _, n := range nodes {
					if !n.bus.Stats().UDPHealthy {
						return false
					}
				}
				return true
			})
		})
	}
}

func TestOpenBusAcceptsOnlyLoopback(t *testing.T) {
	n := start(t, 1, nil)
	if err := n.bus.CheckAddress("10.1.2.3"); err == nil || !strings.Contains(err.Error(), "cluster-secret-file") {
		t.Errorf("check: %v", err)
	}
	if _, err := n.dial(netip.MustParseAddrPort("10.1.2.3:17000"), slots.NodeID{}); !errors.Is(err, errOpenBus) {
		t.Errorf("dial: %v", err)
	}
	for _, ip := range []string{"127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"} {
		if err := n.bus.CheckAddress(ip); err != nil {
			t.Errorf("check %s: %v", ip, err)
		}
	}
	if n.bus.CheckAddress("localhost") == nil {
		t.Error("a name passes for an address")
	}
	packet := n.bus.packets.append(nil, n.id, packetEcho, make([]byte, echoBytes))
	if err := n.bus.transport.take(packet, netip.MustParseAddrPort("10.1.2.3:17000")); !errors.Is(err, errOpenBus) {
		t.Errorf("packet: %v", err)
	}
	for _, tune := range []func(*Options){secret("one"), func(o *Options) { o.AllowOpen = true }} {
		if err := start(t, 2, tune).bus.CheckAddress("10.1.2.3"); err != nil {
			t.Errorf("check: %v", err)
		}
	}
}

// TestRestart has a node that ends and starts again at once, under its old
// address, with everything forgotten but its id.
func TestRestart(t *testing.T) {
	nodes := cluster(t, 3, nil)
	a, b := nodes[0], nodes[1]
	a.send(b, "hello")
	until(t, "link is up", func() bool { return a.has(func() bool { return a.up[b.id] == 1 }) })
	port := int(b.bus.Address().Port())
	b.bus.Close()
	b.mu.Lock()
	b.metaText = "second life"
	b.mu.Unlock()
	b.open(func(o *Options) { o.Port = port })
	until(t, "it is linked again", func() bool {
		a.send(b, "again")
		return b.hasReceived(gossip.ByLink, "again")
	})
	for _, n := range []*node{a, nodes[2]} {
		until(t, "all know it, and it knows all", func() bool {
			return n.knows(b.id) && b.knows(n.id) && n.has(func() bool { return n.metas[b.id] == "second life" })
		})
	}
	b.bus.Broadcast("k", []byte("I am back"))
	until(t, "it is heard", func() bool {
		return a.hasReceived(gossip.ByBroadcast, "I am back") && nodes[2].hasReceived(gossip.ByBroadcast, "I am back")
	})
}

func TestAddresses(t *testing.T) {
	tests := []struct {
		name string
		tune func(*Options)
		want func(netip.AddrPort, int) bool
	}{
		{"wildcard, open", func(o *Options) { o.BindAddrs = []string{"*", "-::*"} }, func(a netip.AddrPort, port int) bool {
			return a.String() == fmt.Sprintf("127.0.0.1:%d", port)
		}},
		{"wildcard, secured", func(o *Options) { o.BindAddrs = []string{"*"}; secret("one")(o) }, func(a netip.AddrPort, port int) bool {
			return int(a.Port()) == port && !a.Addr().IsUnspecified()
		}},
		{"missing address", func(o *Options) { o.BindAddrs = []string{"-192.0.2.7", "127.0.0.1"} }, func(a netip.AddrPort, port int) bool {
			return a.String() == fmt.Sprintf("127.0.0.1:%d", port)
		}},
		{"announced", func(o *Options) { o.AdvertiseIP, o.AdvertisePort = "127.0.0.2", 5 }, func(a netip.AddrPort, _ int) bool {
			return a.String() == "127.0.0.2:5"
		}},
	}
	for i, test := range tests {
		n := start(t, i+1, test.tune)
		if got := n.bus.Address(); !test.want(got, int(n.bus.transport.port)) {
			t.Errorf("%s: %s", test.name, got)
		}
	}
	taken := start(t, 9, nil)
	for _, opt := range []Options{
		{ID: testID(1), Handler: taken, BindAddrs: []string{"127.0.0.1"}, Port: int(taken.bus.Address().Port())},
		{ID: testID(1), Handler: taken, BindAddrs: []string{"-192.0.2.7"}},
		{ID: testID(1), Handler: taken, BindAddrs: []string{"localhost"}},
		{ID: testID(1), Handler: taken, BindAddrs: []string{"127.0.0.1"}, AdvertiseIP: "here"},
		{ID: testID(1), Handler: taken, BindAddrs: []string{"127.0.0.1"}, Keys: [][]byte{{1, 2, 3}}},
		{Handler: taken, BindAddrs: []string{"127.0.0.1"}},
	} {
		if b, err := Listen(opt); err == nil {
			b.Close()
			t.Errorf("listens with %+v", opt)
		}
	}
}

// TestPartitionHeals cuts four nodes into two halves until each has given the
// other up. memberlist never tries again by itself; a Dial of known nodes does.
func TestPartitionHeals(t *testing.T) {
	var mu sync.Mutex
	side := map[netip.AddrPort]int{}
	cut := false
	blocked := func(from int, to netip.AddrPort) bool {
		mu.Lock()
		defer mu.Unlock()
		return cut && side[to] != from
	}
	nodes := make([]*node, 4)
	for i := range nodes {
		nodes[i] = start(t, i+1, func(o *Options) {
			o.blockUDP = func(to netip.AddrPort) bool { return blocked(i%2, to) }
			o.blockTCP = o.blockUDP
		})
		side[nodes[i].bus.Address()] = i % 2
	}
	for _, n := range nodes[1:] {
		nodes[0].meet(n)
	}
	whole := func() bool {
		for _, n := range nodes {
			if n.bus.Stats().Members != len(nodes)-1 {
				return false
			}
		}
		return true
	}
	until(t, "the cluster is whole", whole)
	mu.Lock()
	cut = true
	mu.Unlock()
	for i, n := range nodes {
		n.bus.mu.Lock()
		for id, in := range n.bus.inbound {
			for j, other := range nodes {
				if other.id == id && i%2 != j%2 {
					abort(in.conn)
				}
			}
		}
		n.bus.mu.Unlock()
	}
	until(t, "each half gives the other up", func() bool {
		for _, n := range nodes {
			if n.bus.Stats().Members != 1 {
				return false
			}
		}
		return true
	})
	if nodes[0].has(func() bool { return len(nodes[0].refused) > 0 }) {
		t.Error("silence counts as a refusal")
	}
	mu.Lock()
	cut = false
	mu.Unlock()
	if _, err := nodes[0].dial(nodes[1].bus.Address(), nodes[1].id); err != nil {
		t.Fatal(err)
	}
	nodes[2].dial(nodes[3].bus.Address(), nodes[3].id)
	until(t, "it is whole again", whole)
	nodes[3].bus.Broadcast("k", []byte("healed"))
	for _, n := range nodes[:3] {
		until(t, "broadcasts reach all", func() bool { return n.hasReceived(gossip.ByBroadcast, "healed") })
	}
}
