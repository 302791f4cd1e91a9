package bus

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"slotmesh/slots"
)

// The handshake, c being the side that dialled:
//
//	c→s  preface | purpose flags expect nonce count tags
//	s→c  preface | status nonce index proof
//	c→s  proof, then a frame with its identity
//	s→c  a frame with its identity
//
// The preface is magic, wire version and node id, and it is the same in every
// version for ever: a node that speaks another version can be refused, and
// complained about, by name. It comes first and is answered in all cases.
//
// On a secured bus c offers a tag for each key that it has, s picks the first
// that it has too, and both prove that they hold it with an HMAC over
// everything said so far, which holds both nonces and both ids. The keys of the
// connection come from the same transcript. On an open bus there are no tags
// and no proofs, and the ids are what they claim to be.
const (
	// WireVersion is the version of everything that this package puts on the
	// wire: handshake, frames, packets and broadcasts.
	WireVersion = 1

	prefaceBytes  = 4 + 2 + 20
	nonceBytes    = 32
	tagBytes      = 8
	proofBytes    = 32
	offerBytes    = 1 + 1 + 20 + nonceBytes + 1 // without its tags
	answerBytes   = 1 + nonceBytes + 1 + proofBytes
	identityBytes = 2 + 16 // bus port and address, before the meta
	maxIdentity   = identityBytes + 512
)

// streamMagic starts every connection and packetMagic every packet.
const (
	streamMagic = "\xf7smb"
	packetMagic = "\xf7p"
)

// purpose says what a connection is for.
type purpose byte

const (
	forLink   purpose = 1 // messages of the cluster state
	forStream purpose = 2 // one exchange of the membership
)

const (
	flagMeet    byte = 1 << iota // an operator's MEET: a tombstone does not count
	flagSecured                  // the side that dialled has a secret
)

// status is the answer to a hello.
type status byte

const (
	statusWelcome status = iota
	statusOtherNode
	statusForgotten
	statusNeedsSecret
	statusHasNoSecret
	statusOtherSecret
	statusSelf
	statusBusy
)

var statusText = [...]string{
	statusWelcome:     "welcome",
	statusOtherNode:   "another node lives at this address",
	statusForgotten:   "it has forgotten this node, CLUSTER MEET lets it in again",
	statusNeedsSecret: "its bus has a cluster secret and this one has not",
	statusHasNoSecret: "its bus has no cluster secret and this one has",
	statusOtherSecret: "it has another cluster secret",
	statusSelf:        "it is this node itself",
	statusBusy:        "it has too many connections",
}

func (s status) String() string {
	if int(s) < len(statusText) {
		return statusText[s]
	}
	return fmt.Sprintf("refused with status %d", byte(s))
}

// Errors of a handshake that Dial's caller may decide on.
var (
	// ErrRefused is wrapped when the peer refused this node, for a reason that
	// the message gives.
	ErrRefused = errors.New("refused")
	// ErrOtherNode is wrapped when another node than the expected one answered.
	ErrOtherNode = errors.New("another node lives at this address")
	// ErrVersion is wrapped when the peer speaks another bus version.
	ErrVersion = errors.New("another bus version")

	errNotBus = errors.New("not a bus connection")
	errProof  = errors.New("it could not prove that it knows the cluster secret")
)

func versionError(peer slots.NodeID, theirs, own uint16) error {
	return fmt.Errorf("%w: node %s speaks bus version %d, this node %d", ErrVersion, peer, theirs, own)
}

func appendPreface(dst []byte, self slots.NodeID, version uint16) []byte {
	dst = append(dst, streamMagic...)
	dst = binary.BigEndian.AppendUint16(dst, version)
	return append(dst, self[:]...)
}

// readPreface returns who speaks, also together with ErrVersion.
func readPreface(r io.Reader, text []byte, own uint16) (peer slots.NodeID, err error) {
	if _, err := io.ReadFull(r, text); err != nil {
		return peer, err
	}
	if string(text[:4]) != streamMagic {
		return peer, errNotBus
	}
	copy(peer[:], text[6:])
	if version := binary.BigEndian.Uint16(text[4:]); version != own {
		return peer, versionError(peer, version, own)
	}
	return peer, nil
}

// greeting is what one side brings to a handshake.
type greeting struct {
	self     slots.NodeID
	version  uint16 // WireVersion, except in tests
	keys     *keyset
	identity []byte

	// The rest is the dialling side's.
	purpose purpose
	meet    bool
	expect  slots.NodeID // zero: whoever answers
}

// session is a connection after its handshake.
type session struct {
	conn     net.Conn
	peer     slots.NodeID
	identity []byte // the peer's
	purpose  purpose
	meet     bool
	reader   frameReader
	writer   frameWriter
}

// greet is the dialling side of the handshake. The caller has set a deadline
// and closes conn when an error is returned.
func greet(conn net.Conn, g greeting) (*session, error) {
	said := appendPreface(nil, g.self, g.version)
	flags := byte(0)
	if g.meet {
		flags |= flagMeet
	}
	if g.keys.secured() {
		flags |= flagSecured
	}
	nonce := newNonce()
	said = append(said, byte(g.purpose), flags)
	said = append(said, g.expect[:]...)
	said = append(said, nonce...)
	said = append(said, byte(len(g.keys.keys)))
	for _, k := range g.keys.keys {
		said = append(said, sign(k.hello, "tag", g.self[:], nonce)[:tagBytes]...)
	}
	if _, err := conn.Write(said); err != nil {
		return nil, err
	}

	r := bufio.NewReaderSize(conn, 4<<10)
	var answer [prefaceBytes + answerBytes]byte
	peer, err := readPreface(r, answer[:prefaceBytes], g.version)
	if err != nil {
		return nil, err
	}
	rest := answer[prefaceBytes:]
	if _, err := io.ReadFull(r, rest[:1]); err != nil {
		return nil, err
	}
	if !g.expect.IsZero() && peer != g.expect {
		return nil, fmt.Errorf("%w: %s, not %s", ErrOtherNode, peer, g.expect)
	}
	if s := status(rest[0]); s != statusWelcome {
		return nil, fmt.Errorf("node %s: %w: %s", peer, ErrRefused, s)
	}
	if _, err := io.ReadFull(r, rest[1:]); err != nil {
		return nil, err
	}
	s := &session{conn: conn, peer: peer, purpose: g.purpose, meet: g.meet}
	s.reader.r = r
	var out []byte
	if g.keys.secured() {
		said = append(said, answer[:len(answer)-proofBytes]...)
		index := int(rest[1+nonceBytes])
		if index >= len(g.keys.keys) {
			return nil, fmt.Errorf("node %s: %w", peer, errProof)
		}
		k := g.keys.keys[index]
		if !hmac.Equal(rest[2+nonceBytes:], sign(k.hello, "server", said)) {
			return nil, fmt.Errorf("node %s: %w", peer, errProof)
		}
		out = sign(k.hello, "client", said)
		s.writer.aead = newAEAD(sign(k.session, "client", said))
		s.reader.aead = newAEAD(sign(k.session, "server", said))
	}
	out = s.writer.append(out, frameIdentity, g.identity)
	if _, err := conn.Write(out); err != nil {
		return nil, err
	}
	return s, s.readIdentity()
}

// welcome is the accepting side of the handshake. admit decides whether peer
// may come in; the id that it is given is proven only afterwards, so it must
// not act on it. The caller has set a deadline and closes conn when an error
// is returned.
func welcome(conn net.Conn, g greeting, admit func(peer slots.NodeID, p purpose, meet bool) status) (*session, error) {
	r := bufio.NewReaderSize(conn, 4<<10)
	said := make([]byte, prefaceBytes+offerBytes, prefaceBytes+offerBytes+maxKeys*tagBytes)
	peer, err := readPreface(r, said[:prefaceBytes], g.version)
	if errors.Is(err, ErrVersion) {
		// The other side wants to complain by name, too.
		_, _ = conn.Write(append(appendPreface(nil, g.self, g.version), byte(statusBusy)))
	}
	if err != nil {
		return nil, err
	}
	offer := said[prefaceBytes:]
	if _, err := io.ReadFull(r, offer); err != nil {
		return nil, err
	}
	s := &session{conn: conn, peer: peer, purpose: purpose(offer[0]), meet: offer[1]&flagMeet != 0}
	expect := slots.NodeID(offer[2:22])
	nonce := offer[22 : 22+nonceBytes]
	count := int(offer[offerBytes-1])
	if count > maxKeys || (s.purpose != forLink && s.purpose != forStream) {
		return nil, errNotBus
	}
	said = said[:len(said)+count*tagBytes]
	tags := said[prefaceBytes+offerBytes:]
	if _, err := io.ReadFull(r, tags); err != nil {
		return nil, err
	}

	verdict, index, k := statusWelcome, 0, (*key)(nil)
	switch secured := offer[1]&flagSecured != 0; {
	case !expect.IsZero() && expect != g.self:
		verdict = statusOtherNode
	case peer == g.self || peer.IsZero():
		verdict = statusSelf
	case secured && !g.keys.secured():
		verdict = statusHasNoSecret
	case !secured && g.keys.secured():
		verdict = statusNeedsSecret
	case secured:
		if index, k = g.keys.match(peer, nonce, tags); k == nil {
			verdict = statusOtherSecret
		}
	}
	if verdict == statusWelcome {
		verdict = admit(peer, s.purpose, s.meet)
	}
	answer := append(appendPreface(nil, g.self, g.version), byte(verdict))
	if verdict != statusWelcome {
		_, _ = conn.Write(answer)
		return nil, fmt.Errorf("node %s: %w: %s", peer, ErrRefused, refusal(verdict))
	}
	answer = append(append(answer, newNonce()...), byte(index))
	proof := make([]byte, proofBytes)
	s.reader.r = r
	if k != nil {
		said = append(said, answer...)
		proof = sign(k.hello, "server", said)
		s.reader.aead = newAEAD(sign(k.session, "client", said))
		s.writer.aead = newAEAD(sign(k.session, "server", said))
	}
	if _, err := conn.Write(append(answer, proof...)); err != nil {
		return nil, err
	}
	if k != nil {
		var theirs [proofBytes]byte
		if _, err := io.ReadFull(r, theirs[:]); err != nil {
			return nil, err
		}
		if !hmac.Equal(theirs[:], sign(k.hello, "client", said)) {
			return nil, fmt.Errorf("node %s: %w", peer, errProof)
		}
	}
	if err := s.readIdentity(); err != nil {
		return nil, err
	}
	_, err = conn.Write(s.writer.append(nil, frameIdentity, g.identity))
	return s, err
}

// refusal words a status for the log of the side that refuses.
func refusal(s status) string {
	switch s {
	case statusOtherNode:
		return "it expects another node at this address"
	case statusForgotten:
		return "this node has forgotten it, CLUSTER MEET lets it in again"
	case statusNeedsSecret:
		return "it has no cluster secret and this node has"
	case statusHasNoSecret:
		return "it has a cluster secret and this node has none"
	case statusOtherSecret:
		return "it has another cluster secret"
	case statusBusy:
		return "this node has too many connections"
	default:
		return s.String()
	}
}

// match returns the first key that the offer has a tag for, and the place of
// that tag.
func (s *keyset) match(peer slots.NodeID, nonce, tags []byte) (int, *key) {
	for _, k := range s.keys {
		own := sign(k.hello, "tag", peer[:], nonce)[:tagBytes]
		for i := 0; i*tagBytes < len(tags); i++ {
			if hmac.Equal(own, tags[i*tagBytes:(i+1)*tagBytes]) {
				return i, k
			}
		}
	}
	return 0, nil
}

func (s *session) readIdentity() error {
	s.reader.limit = maxIdentity
	kind, payload, err := s.reader.next()
	s.reader.limit = MaxMessage
	if err != nil {
		return err
	}
	if kind != frameIdentity || len(payload) < identityBytes || len(payload) > maxIdentity {
		return fmt.Errorf("node %s: malformed identity", s.peer)
	}
	s.identity = append([]byte(nil), payload...)
	return nil
}

// appendIdentity encodes where a node says it is reached, and its meta.
func appendIdentity(dst []byte, addr netip.AddrPort, meta []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, addr.Port())
	ip := addr.Addr().As16()
	return append(append(dst, ip[:]...), meta...)
}

// addr and meta split the peer's identity.
func (s *session) addr() netip.AddrPort {
	ip := netip.AddrFrom16([16]byte(s.identity[2:identityBytes])).Unmap()
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(s.identity))
}

func (s *session) meta() []byte { return s.identity[identityBytes:] }

func newNonce() []byte {
	nonce := make([]byte, nonceBytes)
	// crypto/rand.Read never fails: it ends the process instead.
	_, _ = rand.Read(nonce)
	return nonce
}
