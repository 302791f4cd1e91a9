package bus

import (
	"sync/atomic"
	"time"

	"slotmesh/slots"
)

// counters are what Stats shows, as they are counted.
type counters struct {
	messagesSent, messagesReceived         atomic.Int64
	messageBytesSent, messageBytesReceived atomic.Int64
	packetsSent, packetsReceived           atomic.Int64
	packetBytesSent, packetBytesReceived   atomic.Int64
	broadcastsSent, broadcastsReceived     atomic.Int64
	answers, repairs                       atomic.Int64
	dropped, refused                       atomic.Int64
}

// Stats is what the bus did since it started.
type Stats struct {
	// Messages went over links, Packets over UDP; bytes are as on the wire but
	// for received messages, which are counted without framing.
	MessagesSent, MessagesReceived         int64
	MessageBytesSent, MessageBytesReceived int64
	PacketsSent, PacketsReceived           int64
	PacketBytesSent, PacketBytesReceived   int64
	// Broadcasts are counted once at their origin and once where they arrive.
	BroadcastsSent, BroadcastsReceived int64
	// Answers are probes of the membership that were answered, Repairs are
	// states of other members that were merged.
	Answers, Repairs int64
	// Dropped are messages that a link could not take, Refused are packets and
	// connections that were not what they must be.
	Dropped, Refused int64
	// Members is how many other nodes the membership has for alive, Queued how
	// many broadcasts still are to be sent.
	Members, Queued int
	// UDPHealthy is false while UDP is blocked to a linked node; the cluster
	// then works over links, slower.
	UDPHealthy bool
}

// Stats returns the counters.
func (b *Bus) Stats() Stats {
	b.mu.Lock()
	members := len(b.members)
	b.mu.Unlock()
	healthy := true
	for _, p := range b.allPeers() {
		p.mu.Lock()
		healthy = healthy && (p.conn == nil || !p.udp.blocked)
		p.mu.Unlock()
	}
	c := &b.stats
	return Stats{
		MessagesSent: c.messagesSent.Load(), MessagesReceived: c.messagesReceived.Load(),
		MessageBytesSent: c.messageBytesSent.Load(), MessageBytesReceived: c.messageBytesReceived.Load(),
		PacketsSent: c.packetsSent.Load(), PacketsReceived: c.packetsReceived.Load(),
		PacketBytesSent: c.packetBytesSent.Load(), PacketBytesReceived: c.packetBytesReceived.Load(),
		BroadcastsSent: c.broadcastsSent.Load(), BroadcastsReceived: c.broadcastsReceived.Load(),
		Answers: c.answers.Load(), Repairs: c.repairs.Load(),
		Dropped: c.dropped.Load(), Refused: c.refused.Load(),
		Members: members, Queued: b.spread.queue.NumQueued(),
		UDPHealthy: healthy,
	}
}

// allPeers copies the peers, for work that takes their locks.
func (b *Bus) allPeers() []*peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	peers := make([]*peer, 0, len(b.peers))
	for _, p := range b.peers {
		peers = append(peers, p)
	}
	return peers
}

// LinkInfo is one row of CLUSTER LINKS.
type LinkInfo struct {
	// Outgoing is true for a link that this node dialled and sends on.
	Outgoing bool
	Node     slots.NodeID
	Created  time.Time
	// Events is "r" or "rw" in the reference's words.
	Events string
	// SendBufferAllocated and SendBufferUsed are bytes; an incoming link has no
	// send buffer.
	SendBufferAllocated, SendBufferUsed int
}

// Links returns the links that stand.
func (b *Bus) Links() []LinkInfo {
	peers := b.allPeers()
	b.mu.Lock()
	links := make([]LinkInfo, 0, len(peers)+len(b.inbound))
	for id, in := range b.inbound {
		links = append(links, LinkInfo{Node: id, Created: in.since, Events: "r"})
	}
	b.mu.Unlock()
	for _, p := range peers {
		p.mu.Lock()
		if p.conn != nil {
			info := LinkInfo{Outgoing: true, Node: p.id, Created: p.since, Events: "r", SendBufferAllocated: cap(p.buf)}
			if used := p.queued + len(p.rest); used > 0 {
				info.Events, info.SendBufferUsed = "rw", used
			}
			links = append(links, info)
		}
		p.mu.Unlock()
	}
	return links
}
