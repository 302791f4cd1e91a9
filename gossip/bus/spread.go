package bus

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"slotmesh/gossip"
	"slotmesh/slots"
)

// memberlist sends a broadcast to a few random members at its next tick, and
// that is all: who gets it does not pass it on. So the bus spreads broadcasts
// itself, with memberlist's queue. Each carries who began it and a number, and
// a node that sees it for the first time hands it up and queues it again, which
// makes it an epidemic in a cluster of any size. What is new goes out at once
// and again every spreadEvery until it was sent often enough, so a failure is
// known everywhere within milliseconds, and an idle bus has no ticks.
//
// One broadcast is
//
//	tag     1 byte
//	origin  20 bytes
//	run     8 bytes, random for each start of the origin
//	number  4 bytes, counts the broadcasts of this run
//	key     8 bytes; a queued broadcast of the same origin and key is replaced
//	message
//
// and a packet holds as many as fit, each after its length in 2 bytes.

const (
	broadcastTag    = 1
	broadcastHeader = 1 + 20 + 8 + 4 + 8
	// maxOrigins bounds the memory of what was seen. It is twice the largest
	// cluster with one restart each; an open bus can be made to reach it.
	maxOrigins = 16384
	// maxQueue bounds the queue; honest nodes queue a few keys each. What is
	// thrown away beyond it is what was sent most often.
	maxQueue = 8192

	// spreadTo is how many members are sent to in a round: all, in the usual
	// small cluster. spreadEvery is the time between rounds, spreadSoon that
	// before a round for something new.
	spreadTo    = 5
	spreadEvery = 20 * time.Millisecond
	spreadSoon  = time.Millisecond
	// spreadLength is the length before each broadcast in a packet.
	spreadLength = 2
)

var errNotBroadcast = errors.New("malformed broadcast")

// spread is the queue of broadcasts, own and passed on, and the memory of
// those that were seen. Any goroutine may use it.
type spread struct {
	self  slots.NodeID
	run   uint64
	seed  maphash.Seed
	queue memberlist.TransmitLimitedQueue

	wake chan struct{} // capacity 1: the queue is not empty

	mu     sync.Mutex
	number uint32
	seen   map[runName]*window
}

func newSpread(self slots.NodeID, run uint64, retransmits int, members func() int) *spread {
	s := &spread{
		self: self, run: run, seed: maphash.MakeSeed(),
		wake: make(chan struct{}, 1), seen: make(map[runName]*window),
	}
	s.queue.NumNodes = members
	s.queue.RetransmitMult = retransmits
	return s
}

// start queues a broadcast of this node and returns its encoding. message is
// at most gossip.MaxBroadcast bytes.
func (s *spread) start(key string, message []byte) []byte {
	s.mu.Lock()
	s.number++
	number := s.number
	s.mu.Unlock()
	text := make([]byte, 0, broadcastHeader+len(message))
	text = append(text, broadcastTag)
	text = append(text, s.self[:]...)
	text = binary.BigEndian.AppendUint64(text, s.run)
	text = binary.BigEndian.AppendUint32(text, number)
	text = binary.BigEndian.AppendUint64(text, maphash.String(s.seed, key))
	text = append(text, message...)
	s.pass(text)
	return text
}

// pass queues text, which must be a broadcast that is not changed any more.
func (s *spread) pass(text []byte) {
	s.queue.QueueBroadcast(&queued{
		name: string(text[1:21]) + string(text[33:broadcastHeader]),
		text: text,
	})
	if s.queue.NumQueued() > maxQueue {
		s.queue.Prune(maxQueue / 2)
	}
	s.nudge()
}

// nudge begins a round if there is anything to send.
func (s *spread) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next returns the body of a packet with the broadcasts that are due, or nil.
// Each call counts as sent.
func (s *spread) next() []byte {
	texts := s.queue.GetBroadcasts(spreadLength, membershipPacket)
	var body []byte
	for _, text := range texts {
		body = binary.BigEndian.AppendUint16(body, uint16(len(text)))
		body = append(body, text...)
	}
	return body
}

// splitSpread calls take with each broadcast in body.
func splitSpread(body []byte, take func([]byte)) error {
	for len(body) > 0 {
		if len(body) < spreadLength {
			return errNotBroadcast
		}
		size := int(binary.BigEndian.Uint16(body))
		if body = body[spreadLength:]; size > len(body) {
			return errNotBroadcast
		}
		take(body[:size])
		body = body[size:]
	}
	return nil
}

// spreadNews is one goroutine for the life of the bus: it empties the queue.
func (b *Bus) spreadNews() {
	for {
		select {
		case <-b.spread.wake:
		case <-b.ctx.Done():
			return
		}
		for b.spreadRound() {
			select {
			case <-time.After(spreadSoon):
			case <-b.ctx.Done():
				return
			}
			select {
			case <-b.spread.wake:
			case <-time.After(spreadEvery - spreadSoon):
			case <-b.ctx.Done():
				return
			}
		}
	}
}

// spreadRound sends to a few random members, and reports whether there is more.
func (b *Bus) spreadRound() bool {
	targets := b.randomMembers(spreadTo)
	for _, to := range targets {
		body := b.spread.next()
		if body == nil {
			return false
		}
		if p := b.peer(to.id, false); p != nil && p.tunnels() {
			p.send(to.addr, frameSpread, body)
		}
		// What the network loses is sent again, and repaired in the end.
		_ = b.transport.write(to.addr, to.id, packetSpread, body)
	}
	// A lonely node keeps what it has to say for the next one that joins, but
	// does not look for it.
	return len(targets) > 0 && b.spread.queue.NumQueued() > 0
}

// member is one row of the membership.
type member struct {
	id   slots.NodeID
	addr netip.AddrPort
}

// randomMembers picks up to count members other than this node.
func (b *Bus) randomMembers(count int) []member {
	picked := make([]member, 0, count)
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := 0
	for id, addr := range b.members {
		// Reservoir sampling: the order of a map is not random enough.
		if seen++; len(picked) < count {
			picked = append(picked, member{id, addr})
		} else if i := rand.IntN(seen); i < count {
			picked[i] = member{id, addr}
		}
	}
	return picked
}

// receive takes a broadcast that came from anywhere. It returns the origin and
// the message when it is new; passing it on is the caller's decision.
func (s *spread) receive(text []byte) (origin slots.NodeID, message []byte, fresh bool, err error) {
	if len(text) < broadcastHeader || text[0] != broadcastTag || len(text) > broadcastHeader+gossip.MaxBroadcast {
		return origin, nil, false, errNotBroadcast
	}
	copy(origin[:], text[1:])
	if origin == s.self {
		return origin, nil, false, nil
	}
	name := runName{origin, binary.BigEndian.Uint64(text[21:])}
	number := binary.BigEndian.Uint32(text[29:])
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen[name]
	if seen == nil {
		if len(s.seen) >= maxOrigins {
			clear(s.seen)
		}
		seen = &window{}
		s.seen[name] = seen
	}
	return origin, text[broadcastHeader:], seen.take(uint64(number)), nil
}

// queued is one broadcast in the queue. A younger one of the same name
// replaces it.
type queued struct {
	name string
	text []byte
}

var _ memberlist.NamedBroadcast = (*queued)(nil)

func (q *queued) Name() string    { return q.name }
func (q *queued) Message() []byte { return q.text }
func (q *queued) Finished()       {}

func (q *queued) Invalidates(other memberlist.Broadcast) bool {
	named, ok := other.(memberlist.NamedBroadcast)
	return ok && named.Name() == q.name
}
