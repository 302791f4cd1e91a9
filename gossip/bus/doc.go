// Package bus connects the nodes of a cluster. It is the only package that
// knows hashicorp/memberlist. It carries bytes and does not know what they
// mean: package gossip makes and reads them, package node stands between.
//
// It imports gossip for the names of the ways that a message can come, slots
// for node ids, memberlist, and what sockets and ciphers need.
//
// # What it does
//
//   - Membership: who is there and reachable where, spread by memberlist's
//     gossip, with the identity record (Handler.Meta) of each node.
//   - Hints of failure: SWIM's probes (Handler.Answered, Handler.Suspected).
//   - Links: one connection each way between two nodes that talk, for leases,
//     votes and handover (Bus.Send, Handler.LinkUp, Handler.LinkDown).
//   - Broadcasts to every node (Bus.Broadcast), which each passes on once.
//   - Repair: now and then two nodes exchange their whole state
//     (Handler.LocalState), which mends what gossip lost.
//
// Messages may be lost, on every way, and broadcasts may come out of order;
// none comes twice on a link, and a broadcast twice only after a restart of the
// receiver. Repetition is the cluster state's business.
//
// # What it promises
//
// TCP and UDP share the bus port. Every connection, memberlist's included,
// begins with a handshake that proves the cluster secret to both sides (hello.go),
// and every packet names its sender and its receiver (packet.go). So nothing
// reaches memberlist or Handler.Received but from a node that speaks this wire
// version, holds a cluster secret if there is one, meant this very node and not
// a former owner of its address, and is allowed. Garbage, truncation, slowness
// and bombs end in a closed connection or a dropped packet, a counter, and a
// line in the log every few seconds. A node of another version is refused by
// name, on both sides.
//
// What the cluster secret does not hide: who talks to whom, when and how much.
// Recorded traffic can be read by whoever gets hold of the secret later. A
// recorded packet may be played once to a node that has restarted since; what
// the cluster state makes of an old message is its own duty.
//
// Without a secret the bus is open: the handshake and packets have the same
// layout and prove nothing, so only loopback peers are taken, unless
// Options.AllowOpen.
//
// # Knobs and formulas
//
// n is the number of nodes, log is to base 10 and at least 1.
//
//	ProbeInterval     P = 400 ms: each node probes one other per P, so each is
//	                  probed by somebody about once per P. A probe waits P/2 for
//	                  the direct answer and until P for indirect ones and TCP.
//	suspicion         a member is given up 3·log(n)·P after it is first suspected
//	                  when another member confirms it, at most twice that; so a
//	                  silent node is Suspected everywhere after about 4·P to 8·P
//	                  (n ≤ 10). A node that has ended is known much sooner: its
//	                  links break, and the dial that follows is refused.
//	GossipInterval    G = 300 ms: news of the membership (who joined, changed,
//	                  is suspected) go to 3 random members per G, and with
//	                  probes.
//	retransmits       each node sends each news 6·ceil(log10(n+1)) times.
//	broadcasts        go to 5 random members at once and again every 20 ms until
//	                  sent that often. Since everyone passes them on, n nodes are
//	                  reached in about log6(n) hops; who is missed all the same is
//	                  repaired by push/pull.
//	PushPullInterval  R = 5 s: each node exchanges its state with a random member
//	                  per R, 2R for n > 32, 3R for n > 64 and so on.
//	links             dialled when there is something to send, and by Dial. Backoff 20, 40, …
//	                  200 ms, and 1 s after a handshake that failed. Data that is
//	                  not acknowledged for 2 s ends a link.
//	UDP               an echo after 2 s without a round trip; 3 lost echoes over a
//	                  link that stands make UDP count as blocked (after about 4 s),
//	                  and packets then take the link.
//
// # How to read it
//
// bus.go has the interface. link.go is the life of a link, connect.go how
// connections begin, hello.go and frame.go what is said on them. packet.go is
// the format of packets, transport.go gives them to memberlist, vet.go looks at
// what memberlist gets, stream.go wraps its streams. members.go is the membership, spread.go the broadcasts,
// health.go the watch over UDP. secret.go reads cluster-secret-file and derives
// every key.
package bus
