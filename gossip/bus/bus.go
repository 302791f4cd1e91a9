package bus

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"slotmesh/gossip"
	"slotmesh/slots"
)

// Options is what a bus needs to know. ID, BindAddrs and Handler are required.
type Options struct {
	ID slots.NodeID
	// BindAddrs are the IP addresses to listen on, with TCP and UDP on Port, in
	// the words of the bind directive: * and ::* are the wildcards, and an
	// address after a minus sign is left out when this machine has no such.
	// Port 0 takes a free one; Bus.Address tells which.
	BindAddrs []string
	Port      int
	// AdvertiseIP and AdvertisePort are what other nodes are told to use. When
	// empty it is the first address bound, and for a wildcard the loopback
	// address on a bus that only accepts such, else a private address of this
	// machine.
	AdvertiseIP   string
	AdvertisePort int

	// Keys are the cluster secrets as LoadSecret returns them. The first seals,
	// all open. Without any the bus is open: nothing is encrypted, nobody is
	// authenticated, and only loopback peers are accepted unless AllowOpen.
	Keys      [][]byte
	AllowOpen bool

	Log     *slog.Logger
	Handler Handler

	// The rest tunes the membership; zero means the default. The package
	// comment has the formulas.
	ProbeInterval    time.Duration // 400 ms
	GossipInterval   time.Duration // 300 ms
	PushPullInterval time.Duration // 5 s
	DialTimeout      time.Duration // 1 s: for a connection, and again for its handshake

	// Tests say that they speak another version, look at UDP more often, drop
	// packets, or fail to dial.
	version  uint16
	watch    time.Duration
	blockUDP func(to netip.AddrPort) bool
	blockTCP func(to netip.AddrPort) bool
}

// Handler is the node above the bus. Its methods are called from many
// goroutines, some of them under locks of the membership: they must return at
// once and must not call the Bus, so they hand on what they get. The bytes that
// they are given are theirs.
type Handler interface {
	// Meta returns this node's identity record, at most 512 bytes.
	Meta() []byte
	// LocalState returns what Received takes ByRepair at another node.
	LocalState() []byte
	// Received brings a message; from is zero unless way is gossip.ByLink.
	Received(from slots.NodeID, way gossip.Way, message []byte)
	// Member brings the identity record of a node that joined or changed.
	Member(meta []byte, ip string)
	// Met is Member for a node at the other end of an operator's MEET, sent or
	// received: a tombstone does not count. It is followed by Member.
	Met(meta []byte, ip string)
	// Answered says that id answered a probe of this node.
	Answered(id slots.NodeID)
	// LinkUp and LinkDown tell of the link on which this node sends to id.
	// refused says that a dial was answered with connection refused. LinkDown
	// is repeated for every dial that fails.
	LinkUp(id slots.NodeID)
	LinkDown(id slots.NodeID, refused bool)
	// Suspected says that the membership gave id up.
	Suspected(id slots.NodeID)
	// Allowed reports whether id may take part; false for a forgotten node.
	Allowed(id slots.NodeID) bool
	// CheckMeta reports why meta is not an identity record of id, or nil.
	CheckMeta(id slots.NodeID, meta []byte) error
}

// Bus is this node's end of the cluster bus. Its methods may be called by any
// goroutine, and none but Close waits for anything.
type Bus struct {
	opt     Options
	handler Handler
	log     *quietLog
	stats   counters

	transport *transport
	list      *memberlist.Memberlist
	spread    *spread
	packets   packetWriter
	opener    packetReader
	run       uint64
	secured   bool // there is a cluster secret
	advertise netip.AddrPort
	lastTrip  atomic.Int64  // when UDP last went to anyone and back, Unix ns
	memory    atomic.Int64  // bytes held for what has not come whole; see maxHeld
	announce  chan struct{} // capacity 1: the meta changed

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// mu comes before peer.mu and after every other lock; no handler and
	// nothing of memberlist is called while it is held.
	mu       sync.Mutex
	closed   bool
	keys     *keyset
	conns    map[net.Conn]struct{}
	peers    map[slots.NodeID]*peer
	inbound  map[slots.NodeID]*inbound
	members  map[slots.NodeID]netip.AddrPort
	met      map[slots.NodeID]time.Time
	dialling map[dialKey]bool
	joined   map[slots.NodeID]time.Time
	streams  int
	halfOpen map[netip.Addr]int
	halfAll  int
}

type dialKey struct {
	addr   netip.AddrPort
	expect slots.NodeID
}

// metFor is how long a MEET admits a node without asking Handler.Allowed: the
// time that the handler may take to lift its tombstone.
const metFor = 10 * time.Second

// Listen binds the bus port and starts the bus of one node identity. A node
// that changes its id (CLUSTER RESET HARD) closes its bus and listens anew.
func Listen(opt Options) (*Bus, error) {
	if opt.ID.IsZero() || opt.Handler == nil || len(opt.BindAddrs) == 0 {
		return nil, errors.New("bus: listen: node id, handler and bind address are required")
	}
	keys, err := newKeyset(opt.Keys)
	if err != nil {
		return nil, err
	}
	setDefault(&opt.ProbeInterval, 400*time.Millisecond)
	setDefault(&opt.GossipInterval, 300*time.Millisecond)
	setDefault(&opt.PushPullInterval, 5*time.Second)
	setDefault(&opt.DialTimeout, time.Second)
	setDefault(&opt.watch, watchPace)
	if opt.version == 0 {
		opt.version = WireVersion
	}
	var run [8]byte
	_, _ = rand.Read(run[:])
	b := &Bus{
		opt:      opt,
		handler:  opt.Handler,
		log:      newQuietLog(opt.Log),
		run:      binary.BigEndian.Uint64(run[:]),
		announce: make(chan struct{}, 1),
		secured:  keys.secured(),
		keys:     keys,
		conns:    make(map[net.Conn]struct{}),
		peers:    make(map[slots.NodeID]*peer),
		inbound:  make(map[slots.NodeID]*inbound),
		members:  make(map[slots.NodeID]netip.AddrPort),
		met:      make(map[slots.NodeID]time.Time),
		dialling: make(map[dialKey]bool),
		joined:   make(map[slots.NodeID]time.Time),
		halfOpen: make(map[netip.Addr]int),
	}
	b.packets.self, b.packets.run = opt.ID, b.run
	b.packets.setKeys(keys)
	b.opener.self = opt.ID
	b.opener.setKeys(keys)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.transport, err = listen(b)
	if err != nil {
		b.cancel()
		return nil, fmt.Errorf("bus: listen: %w", err)
	}
	b.advertise, err = b.chooseAddress()
	if err == nil {
		err = b.startMembership()
	}
	if err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("bus: listen: %w", err)
	}
	b.transport.serve()
	b.lastTrip.Store(time.Now().UnixNano())
	b.spawn(b.announceChanges)
	b.spawn(b.spreadNews)
	b.spawn(b.watchUDP)
	return b, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Address returns where other nodes are told to reach this bus.
func (b *Bus) Address() netip.AddrPort { return b.advertise }

// Close ends everything at once. Other nodes notice: there is no farewell,
// because a node that goes away for a restart must not count as one that left.
// When it returns, the port is free and the handler is not called any more but
// by calls that had begun.
func (b *Bus) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		b.wg.Wait()
		return nil
	}
	b.closed = true
	conns := make([]net.Conn, 0, len(b.conns))
	for conn := range b.conns {
		conns = append(conns, conn)
	}
	b.mu.Unlock()
	b.cancel()
	for _, conn := range conns {
		_ = conn.Close()
	}
	var err error
	if b.list != nil {
		err = b.list.Shutdown()
	} else {
		err = b.transport.Shutdown()
	}
	b.wg.Wait()
	return err
}

// abort closes conn and throws away what is still to be sent.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// spawn runs fn in a goroutine that Close waits for. It returns false when the
// bus is closed.
func (b *Bus) spawn(fn func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.wg.Go(fn)
	return true
}

// track makes Close abort conn; false means that it came too late.
func (b *Bus) track(conn net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.conns[conn] = struct{}{}
	return true
}

func (b *Bus) release(conn net.Conn) {
	_ = conn.Close()
	b.mu.Lock()
	delete(b.conns, conn)
	b.mu.Unlock()
}

// SetKeys replaces the cluster secrets. Connections that stand stay as they
// are; what is sealed from now on uses the first key. Whether the bus is open
// cannot change while it runs.
func (b *Bus) SetKeys(secrets [][]byte) error {
	keys, err := newKeyset(secrets)
	if err != nil {
		return err
	}
	if keys.secured() != b.secured {
		return errors.New("bus: a cluster secret cannot be added or taken away while the node runs")
	}
	b.mu.Lock()
	b.keys = keys
	b.mu.Unlock()
	b.opener.setKeys(keys)
	b.packets.setKeys(keys)
	return nil
}

// errOpenBus is what CLUSTER MEET answers.
var errOpenBus = errors.New("the cluster bus is open and accepts only loopback addresses: " +
	"set cluster-secret-file, or cluster-allow-open-bus yes if the network is trusted")

// CheckAddress returns why a node at ip cannot be met, in words for the
// operator, or nil.
func (b *Bus) CheckAddress(ip string) error {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return fmt.Errorf("invalid node address %q", ip)
	}
	return b.checkIP(addr)
}

func (b *Bus) checkIP(ip netip.Addr) error {
	if ip.Unmap().IsLoopback() || b.opt.AllowOpen || b.secured {
		return nil
	}
	return errOpenBus
}

// allowed reports whether id may take part.
func (b *Bus) allowed(id slots.NodeID) bool {
	if b.handler.Allowed(id) {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	until, ok := b.met[id]
	if ok && time.Now().After(until) {
		delete(b.met, id)
		return false
	}
	return ok
}

// welcomeMet admits a node that was met, whatever its past.
func (b *Bus) welcomeMet(s *session) {
	b.mu.Lock()
	b.met[s.peer] = time.Now().Add(metFor)
	b.mu.Unlock()
	b.handler.Met(bytes.Clone(s.meta()), s.addr().Addr().String())
}

// MetaChanged says that Handler.Meta has a new value to announce.
func (b *Bus) MetaChanged() {
	select {
	case b.announce <- struct{}{}:
	default:
	}
}

// announceEvery spaces announcements: a reshard changes the meta with every
// slot, and the last one tells all.
const announceEvery = 20 * time.Millisecond

func (b *Bus) announceChanges() {
	for {
		select {
		case <-b.announce:
		case <-b.ctx.Done():
			return
		}
		// The error says that the broadcast is not out yet, which nobody waits for.
		_ = b.list.UpdateNode(time.Nanosecond)
		select {
		case <-time.After(announceEvery):
		case <-b.ctx.Done():
			return
		}
	}
}

// Broadcast sends message to every node of the cluster, each of which passes
// it on. A broadcast with the same key that is still queued is replaced.
// message is at most gossip.MaxBroadcast bytes; a longer one is a mistake of
// the caller, is logged, and is not sent.
func (b *Bus) Broadcast(key string, message []byte) {
	if len(message) > gossip.MaxBroadcast {
		b.log.line(slog.LevelWarn, "broadcast size", "cluster bus: broadcast too long, dropped",
			"bytes", len(message), "key", key)
		return
	}
	b.stats.broadcastsSent.Add(1)
	b.spread.start(key, message)
}

// Drop forgets id: its links are closed, and it is not heard any more as long
// as Handler.Allowed refuses it.
func (b *Bus) Drop(id slots.NodeID) {
	b.mu.Lock()
	p, in := b.peers[id], b.inbound[id]
	delete(b.peers, id)
	delete(b.met, id)
	delete(b.joined, id)
	b.mu.Unlock()
	if p != nil {
		p.drop()
	}
	if in != nil {
		abort(in.conn)
	}
}

// privateAddress finds an address of this machine to be reached at.
func privateAddress() (netip.Addr, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	var public netip.Addr
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		switch ip := prefix.Addr().Unmap(); {
		case ip.IsLoopback() || ip.IsLinkLocalUnicast():
		case ip.IsPrivate():
			return ip, nil
		case !public.IsValid():
			public = ip
		}
	}
	if !public.IsValid() {
		public = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return public, nil
}

func (b *Bus) chooseAddress() (netip.AddrPort, error) {
	port := uint16(b.opt.AdvertisePort)
	if port == 0 {
		port = b.transport.port
	}
	ip := b.transport.listeners[0].Addr().(*net.TCPAddr).AddrPort().Addr()
	var err error
	if text := b.opt.AdvertiseIP; text != "" {
		if ip, err = netip.ParseAddr(text); err != nil {
			return netip.AddrPort{}, fmt.Errorf("address to advertise: %w", err)
		}
	}
	if ip.IsUnspecified() {
		if !b.secured && !b.opt.AllowOpen {
			ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		} else if ip, err = privateAddress(); err != nil {
			return netip.AddrPort{}, fmt.Errorf("address to advertise: %w", err)
		}
	}
	return netip.AddrPortFrom(ip.Unmap(), port), nil
}
