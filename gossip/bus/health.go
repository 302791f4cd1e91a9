package bus

import (
	"crypto/rand"
	"log/slog"
	"net/netip"
	"time"

	"slotmesh/slots"
)

// Networks that let TCP through and drop UDP exist, also one way only, and
// memberlist gossips by UDP alone. So the bus watches, for each node that it
// has a link to, when a packet last made the way there and back: a probe of
// the membership, or when there was none for a while an echo of its own. After
// lostEchoes unanswered echoes over a link that stands, packets to that node
// go over the link as well, and the node, which sees them come that way,
// answers likewise. UDP is tried on, so that its return is noticed. A node that
// hears nothing by UDP links itself to members it had no messages for, to find
// out and to have a way around.

const (
	// watchPace is how often the watch looks, and the pace of the echoes.
	watchPace = time.Second
	// echoAfter is for how many looks no round trip may be seen before an echo
	// is sent.
	echoAfter = 2
	// lostEchoes is how many in a row make UDP count as blocked.
	lostEchoes = 3
	// tunnelFor is for how many looks a packet that came over the link makes
	// the answers take the same way.
	tunnelFor = 5
	// detours is how many members are linked at each tick while UDP fails.
	detours = 8
)

// udpHealth is what is known of UDP to one node. peer.mu guards it.
type udpHealth struct {
	lastTrip    time.Time
	echo        [echoBytes]byte // the one under way
	unanswered  int
	blocked     bool
	tunnelUntil time.Time
}

// linked is called when a link comes up: an echo is due at once, and those
// that were lost while the node was away do not count.
func (h *udpHealth) linked() {
	h.lastTrip, h.unanswered = time.Time{}, 0
}

// tunnels reports whether packets to p also go over its link.
func (p *peer) tunnels() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.udp.blocked || !p.udp.tunnelUntil.IsZero() && time.Now().Before(p.udp.tunnelUntil)
}

// watchUDP is one goroutine for the life of the bus.
func (b *Bus) watchUDP() {
	ticker := time.NewTicker(b.opt.watch)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.sendEchoes()
		case <-b.ctx.Done():
			return
		}
	}
}

// sendEchoes also looks after links whose node membership has lost, which
// memberlist would never try again.
func (b *Bus) sendEchoes() {
	now := time.Now()
	failing := now.UnixNano()-b.lastTrip.Load() >= int64(2*echoAfter*b.opt.watch)
	for _, p := range b.allPeers() {
		p.mu.Lock()
		addr := p.addr
		due := p.conn != nil && (p.udp.blocked || now.Sub(p.udp.lastTrip) >= echoAfter*b.opt.watch)
		newly := due && !p.udp.blocked && p.udp.unanswered >= lostEchoes
		if due {
			p.udp.blocked = p.udp.blocked || newly
			p.udp.unanswered++
			_, _ = rand.Read(p.udp.echo[:])
		}
		echo, linked := p.udp.echo, p.conn != nil
		failing = failing || linked && p.udp.blocked
		p.mu.Unlock()
		if linked {
			b.ensureMember(p.id, addr)
		}
		if newly {
			b.log.line(slog.LevelWarn, "udp blocked", "cluster bus: UDP is blocked between this node and others, "+
				"the cluster works over streams, slower", "node", p.id.String(), "address", addr.String())
		}
		if due {
			_ = b.transport.write(addr, p.id, packetEcho, echo[:])
		}
	}
	if failing {
		b.takeDetours()
	}
}

// takeDetours links some of the members that are not linked yet.
func (b *Bus) takeDetours() {
	var found []member
	b.mu.Lock()
	for id, addr := range b.members {
		if p := b.peers[id]; p != nil && p.up() {
			continue
		}
		if found = append(found, member{id, addr}); len(found) == detours {
			break
		}
	}
	b.mu.Unlock()
	for _, d := range found {
		if p := b.peer(d.id, true); p != nil {
			p.poke(d.addr)
		}
	}
}

// echoed takes the answer to an echo.
func (b *Bus) echoed(id slots.NodeID, body []byte) {
	p := b.peer(id, false)
	if p == nil {
		return
	}
	p.mu.Lock()
	fits := string(p.udp.echo[:]) == string(body)
	recovered := fits && p.udp.blocked
	if fits {
		p.udp.lastTrip, p.udp.unanswered, p.udp.blocked = time.Now(), 0, false
		b.lastTrip.Store(p.udp.lastTrip.UnixNano())
	}
	p.mu.Unlock()
	if recovered {
		b.log.line(slog.LevelInfo, "udp again", "cluster bus: UDP works again", "node", id.String())
	}
}

// pinged takes a completed probe of the membership. While packets may go over
// the link it says nothing about UDP.
func (b *Bus) pinged(id slots.NodeID) {
	p := b.peer(id, false)
	if p == nil {
		// Without a link the packets can only have gone by UDP.
		b.lastTrip.Store(time.Now().UnixNano())
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.udp.blocked && time.Now().After(p.udp.tunnelUntil) {
		p.udp.lastTrip, p.udp.unanswered = time.Now(), 0
		b.lastTrip.Store(p.udp.lastTrip.UnixNano())
	}
}

// tunnelled notes that id sends packets over its link.
func (b *Bus) tunnelled(id slots.NodeID, addr netip.AddrPort) {
	p := b.peer(id, true)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.udp.tunnelUntil = time.Now().Add(tunnelFor * b.opt.watch)
	if !p.addr.IsValid() {
		p.addr = addr
	}
}
