package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"slotmesh/gossip"
	"slotmesh/slots"
)

const (
	// maxMembers bounds the member table; only an open bus can be made to
	// reach it.
	maxMembers = 10_000
	// retransmits is memberlist's RetransmitMult, for its broadcasts and ours.
	retransmits = 6
	// joinEvery is how often a node that is linked and not a member is joined.
	joinEvery = time.Second
)

// startMembership creates the memberlist.
func (b *Bus) startMembership() error {
	probe := b.opt.ProbeInterval
	b.spread = newSpread(b.opt.ID, b.run, retransmits, func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.members) + 1
	})
	c := memberlist.DefaultLANConfig()
	c.Name = b.opt.ID.String()
	c.Transport = b.transport
	c.BindPort = int(b.transport.port)
	c.AdvertiseAddr = b.advertise.Addr().String()
	c.AdvertisePort = int(b.advertise.Port())
	c.DelegateProtocolVersion = WireVersion
	c.DelegateProtocolMin = WireVersion
	c.DelegateProtocolMax = WireVersion
	c.TCPTimeout = 5 * time.Second
	c.ProbeInterval = probe
	c.ProbeTimeout = probe / 2
	c.SuspicionMult = 3
	c.SuspicionMaxTimeoutMult = 2
	c.AwarenessMaxMultiplier = 4
	c.RetransmitMult = retransmits
	c.GossipInterval = b.opt.GossipInterval
	c.GossipNodes = 3
	c.GossipToTheDeadTime = 10 * time.Second
	c.PushPullInterval = b.opt.PushPullInterval
	// A node that comes back elsewhere is believed as soon as its old self is dead.
	c.DeadNodeReclaimTime = time.Nanosecond
	c.UDPBufferSize = membershipPacket
	// Ours are small, and who never compresses need not accept what unfolds.
	c.EnableCompression = false
	c.RequireNodeNames = true
	c.HandoffQueueDepth = 4096
	c.LogOutput = nil
	c.Logger = log.New(b.log, "", 0)
	d := &delegate{bus: b}
	c.Delegate, c.Events, c.Alive, c.Ping = d, d, d, d
	list, err := memberlist.Create(c)
	b.list = list
	return err
}

// ended reports whether Close was called: memberlist's goroutines and timers
// go on for a moment.
func (b *Bus) ended() bool { return b.ctx.Err() != nil }

// meta returns the identity record, or nothing when it is too long to announce.
func (b *Bus) meta() []byte {
	meta := b.handler.Meta()
	if len(meta) > memberlist.MetaMaxSize {
		b.log.line(slog.LevelError, "meta", "cluster bus: identity record too long", "bytes", len(meta))
		return nil
	}
	return meta
}

// delegate is the bus as memberlist sees it. Its methods are called under
// memberlist's locks, so they call nothing of memberlist and never wait.
type delegate struct{ bus *Bus }

var (
	_ memberlist.Delegate      = (*delegate)(nil)
	_ memberlist.EventDelegate = (*delegate)(nil)
	_ memberlist.AliveDelegate = (*delegate)(nil)
	_ memberlist.PingDelegate  = (*delegate)(nil)
)

func (d *delegate) NodeMeta(int) []byte { return d.bus.meta() }

// NotifyMsg and GetBroadcasts have no part: broadcasts go their own way, see
// spread.go.
func (d *delegate) NotifyMsg([]byte) {}

func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

func (d *delegate) LocalState(bool) []byte {
	state := d.bus.handler.LocalState()
	if len(state) > maxStreamBytes/2 {
		d.bus.log.line(slog.LevelError, "state", "cluster bus: state too long to exchange", "bytes", len(state))
		return nil
	}
	return state
}

func (d *delegate) MergeRemoteState(state []byte, _ bool) {
	if d.bus.ended() {
		return
	}
	d.bus.stats.repairs.Add(1)
	d.bus.handler.Received(slots.NodeID{}, gossip.ByRepair, bytes.Clone(state))
}

// NotifyAlive keeps out who is forgotten, unreachable, or speaks otherwise.
func (d *delegate) NotifyAlive(node *memberlist.Node) error {
	id, err := slots.ParseNodeID(node.Name)
	if err != nil {
		return err
	}
	if id == d.bus.opt.ID {
		return nil
	}
	addr, ok := netip.AddrFromSlice(node.Addr)
	if !ok || node.Port == 0 {
		return fmt.Errorf("node %s has no address", id)
	}
	if err := d.bus.checkIP(addr); err != nil {
		return err
	}
	if node.DCur != WireVersion {
		return versionError(id, uint16(node.DCur), WireVersion)
	}
	if !d.bus.allowed(id) {
		return fmt.Errorf("node %s is forgotten", id)
	}
	if err := d.bus.handler.CheckMeta(id, bytes.Clone(node.Meta)); err != nil {
		return fmt.Errorf("node %s: %w", id, err)
	}
	d.bus.mu.Lock()
	defer d.bus.mu.Unlock()
	if _, known := d.bus.members[id]; !known && len(d.bus.members) >= maxMembers {
		return errors.New("too many members")
	}
	return nil
}

func (d *delegate) NotifyJoin(node *memberlist.Node)   { d.bus.memberSeen(node) }
func (d *delegate) NotifyUpdate(node *memberlist.Node) { d.bus.memberSeen(node) }

func (d *delegate) NotifyLeave(node *memberlist.Node) {
	id, err := slots.ParseNodeID(node.Name)
	if err != nil || id == d.bus.opt.ID || d.bus.ended() {
		return
	}
	d.bus.mu.Lock()
	delete(d.bus.members, id)
	d.bus.mu.Unlock()
	d.bus.handler.Suspected(id)
}

func (d *delegate) AckPayload() []byte { return nil }

func (d *delegate) NotifyPingComplete(node *memberlist.Node, _ time.Duration, _ []byte) {
	id, err := slots.ParseNodeID(node.Name)
	if err != nil || d.bus.ended() {
		return
	}
	d.bus.stats.answers.Add(1)
	d.bus.pinged(id)
	d.bus.handler.Answered(id)
}

// memberSeen is called when a node joined or changed.
func (b *Bus) memberSeen(node *memberlist.Node) {
	id, err := slots.ParseNodeID(node.Name)
	addr, ok := netip.AddrFromSlice(node.Addr)
	if err != nil || !ok || id == b.opt.ID || b.ended() {
		return
	}
	addr = addr.Unmap()
	b.mu.Lock()
	b.members[id] = netip.AddrPortFrom(addr, node.Port)
	b.mu.Unlock()
	b.spread.nudge()
	b.handler.Member(bytes.Clone(node.Meta), addr.String())
}

// takeBroadcast hands up a broadcast that is new here, and passes it on. text
// is not changed any more.
func (b *Bus) takeBroadcast(text []byte) {
	origin, message, fresh, err := b.spread.receive(text)
	if err != nil {
		b.log.line(slog.LevelWarn, "broadcast", "cluster bus: broadcast refused", "error", err)
		return
	}
	if !fresh || !b.allowed(origin) {
		return
	}
	b.stats.broadcastsReceived.Add(1)
	b.spread.pass(text)
	b.handler.Received(slots.NodeID{}, gossip.ByBroadcast, bytes.Clone(message))
}

// ErrDialling is the result of a Dial while the same one is under way.
var ErrDialling = errors.New("a handshake with this address is under way")

// Dial shakes hands with the node at addr and joins its cluster to this one's.
// expect is the node that must be there; when it is zero the dial is an
// operator's MEET: whoever is there is taken, and takes this node, tombstones
// notwithstanding. done may be nil; it is called once, from a goroutine, with
// who was found. Its error wraps ErrOtherNode, ErrRefused or ErrVersion when
// the node could be reached and did not agree.
func (b *Bus) Dial(addr netip.AddrPort, expect slots.NodeID, done func(slots.NodeID, error)) {
	name := dialKey{addr, expect}
	b.mu.Lock()
	busy := b.dialling[name]
	b.dialling[name] = true
	b.mu.Unlock()
	if busy {
		if done != nil {
			b.spawn(func() { done(expect, ErrDialling) })
		}
		return
	}
	finish := func(id slots.NodeID, err error) {
		b.mu.Lock()
		delete(b.dialling, name)
		b.mu.Unlock()
		if err != nil && b.ctx.Err() == nil {
			level := LevelVerbose
			if expect.IsZero() || isQuarrel(err) {
				level = slog.LevelWarn
			}
			b.log.line(level, "dial "+addr.String(), "cluster bus: handshake failed", "address", addr.String(), "error", err)
		}
		if done != nil {
			done(id, err)
		}
	}
	if !b.spawn(func() { finish(b.meet(addr, expect)) }) {
		finish(expect, errors.New("bus: closed"))
	}
}

func (b *Bus) meet(addr netip.AddrPort, expect slots.NodeID) (slots.NodeID, error) {
	isMeet := expect.IsZero()
	if !isMeet {
		if !b.allowed(expect) {
			return expect, fmt.Errorf("node %s is forgotten", expect)
		}
		if p := b.peer(expect, false); p != nil && p.up() {
			// The link has proven who is there; only membership may be missing, or
			// the word that there is a link. A link that breaks meanwhile says so
			// after this.
			b.handler.LinkUp(expect)
			return expect, b.join(expect, addr)
		}
	}
	s, err := b.connect(addr, expect, forLink, isMeet, b.opt.DialTimeout)
	if err != nil {
		if !isMeet && b.ctx.Err() == nil {
			b.linkFailed(expect, addr, err)
		}
		return expect, err
	}
	id := s.peer
	if err := b.handler.CheckMeta(id, bytes.Clone(s.meta())); err != nil {
		b.release(s.conn)
		return id, fmt.Errorf("node %s: %w", id, err)
	}
	if isMeet {
		b.welcomeMet(s)
	}
	b.handler.Member(bytes.Clone(s.meta()), s.addr().Addr().String())
	if p := b.peer(id, true); p == nil || !p.adopt(s, addr) {
		b.release(s.conn)
	}
	return id, b.join(id, addr)
}

// join exchanges state with id, which makes both members of one cluster, if
// it is not a member already.
func (b *Bus) join(id slots.NodeID, addr netip.AddrPort) error {
	b.mu.Lock()
	_, member := b.members[id]
	b.mu.Unlock()
	if member {
		return nil
	}
	if _, err := b.list.Join([]string{id.String() + "/" + addr.String()}); err != nil {
		return fmt.Errorf("join %s: %w", id, err)
	}
	return nil
}

// ensureMember joins a node that is linked and not a member: its announcement
// was lost, or came while it was still forgotten here.
func (b *Bus) ensureMember(id slots.NodeID, addr netip.AddrPort) {
	now := time.Now()
	b.mu.Lock()
	_, member := b.members[id]
	last, tried := b.joined[id]
	due := !member && (!tried || now.Sub(last) >= joinEvery)
	if due {
		if len(b.joined) >= maxMembers {
			clear(b.joined)
		}
		b.joined[id] = now
	}
	b.mu.Unlock()
	if due {
		b.spawn(func() {
			if err := b.join(id, addr); err != nil && b.ctx.Err() == nil {
				b.log.line(LevelVerbose, "join", "cluster bus: join failed", "node", id.String(), "error", err)
			}
		})
	}
}

func isEOF(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
