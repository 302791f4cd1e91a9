package bus

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"slotmesh/slots"
)

// A packet is what UDP carries, and what a link carries for it (framePacket,
// then without the layout below):
//
//	magic   2 bytes
//	version 2 bytes
//	from    20 bytes, the sender
//	kind    1 byte
//	flags   1 byte: 1 when the body is sealed
//	to      20 bytes, the receiver
//	run     8 bytes, random for each start of the sender
//	number  8 bytes, counts the packets of this run
//	body    a membership packet, broadcasts, or the nonce of an echo
//
// Sender and receiver are named so that a node which now lives at the address
// of a former member of another cluster is not drawn into it, and a forgotten
// node is recognised by its packets. On a secured bus the body is sealed, the
// header is authenticated with it, and a packet that comes a second time is
// dropped. On an open bus nothing is proven.
const (
	packetHeader   = 2 + 2 + 20 + 1 + 1 + 20 + 8 + 8
	packetOverhead = packetHeader + 16
	// maxPacket is the largest packet sent, in bytes: it fits the smallest
	// usual MTU with room for a tunnel's headers. Larger ones are dropped unread.
	maxPacket = 1400
	// membershipPacket is how much of it is left for memberlist.
	membershipPacket = maxPacket - packetOverhead
)

// The kinds of packet.
const (
	packetGossip byte = 1 + iota // memberlist's
	packetEcho                   // asks for packetEchoed with the same body
	packetEchoed
	packetSpread // broadcasts
)

const echoBytes = 8

var (
	errNotPacket = errors.New("not a bus packet")
	errNotForUs  = errors.New("packet for another node")
	errReplayed  = errors.New("packet came before")
	errSealed    = errors.New("packet does not open with any cluster secret of this node")
)

// packetWriter seals packets; any goroutine may use it.
type packetWriter struct {
	self   slots.NodeID
	run    uint64
	number atomic.Uint64
	aead   atomic.Pointer[cipher.AEAD] // nil pointer on an open bus
}

// setKeys takes the key that seals from now on.
func (w *packetWriter) setKeys(keys *keyset) {
	if !keys.secured() {
		w.aead.Store(nil)
		return
	}
	aead := keys.keys[0].packetAEAD(w.self, w.run)
	w.aead.Store(&aead)
}

// append adds a packet to dst.
func (w *packetWriter) append(dst []byte, to slots.NodeID, kind byte, body []byte) []byte {
	start := len(dst)
	aead := w.aead.Load()
	flags := byte(0)
	if aead != nil {
		flags = 1
	}
	dst = append(dst, packetMagic...)
	dst = binary.BigEndian.AppendUint16(dst, WireVersion)
	dst = append(dst, w.self[:]...)
	dst = append(dst, kind, flags)
	dst = append(dst, to[:]...)
	number := w.number.Add(1)
	dst = binary.BigEndian.AppendUint64(dst, w.run)
	dst = binary.BigEndian.AppendUint64(dst, number)
	if aead == nil {
		return append(dst, body...)
	}
	nonce := counterNonce(number)
	return (*aead).Seal(dst, nonce[:], body, dst[start:])
}

// packetReader opens packets; any goroutine may use it.
type packetReader struct {
	self slots.NodeID

	mu   sync.Mutex
	keys *keyset
	// runs holds what is known of senders that have proven themselves, so
	// garbage cannot make it grow.
	runs map[runName]*senderRun
}

type runName struct {
	from slots.NodeID
	run  uint64
}

// senderRun is one run of one sender: its key under each secret, and which
// numbers have come.
type senderRun struct {
	aeads []cipher.AEAD
	seen  window
}

// maxRuns bounds packetReader.runs. Each restart of a node adds a run, so all
// are thrown away when it is reached; the only loss is the memory of replays.
const maxRuns = 8192

func (r *packetReader) setKeys(keys *keyset) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = keys
	r.runs = make(map[runName]*senderRun)
}

// open returns sender, kind and body of a packet. The sender is also returned
// with ErrVersion. body aliases text.
func (r *packetReader) open(text []byte) (from slots.NodeID, kind byte, body []byte, err error) {
	if len(text) < 24 || string(text[:2]) != packetMagic {
		return from, 0, nil, errNotPacket
	}
	copy(from[:], text[4:])
	if version := binary.BigEndian.Uint16(text[2:]); version != WireVersion {
		return from, 0, nil, versionError(from, version, WireVersion)
	}
	if len(text) < packetHeader {
		return from, 0, nil, errNotPacket
	}
	if to := slots.NodeID(text[26:46]); to != r.self {
		return from, 0, nil, fmt.Errorf("%w: %s", errNotForUs, to)
	}
	kind, flags := text[24], text[25]
	name := runName{from, binary.BigEndian.Uint64(text[46:])}
	number := binary.BigEndian.Uint64(text[54:])
	header, body := text[:packetHeader], text[packetHeader:]

	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.keys.secured() {
		if flags != 0 {
			return from, 0, nil, fmt.Errorf("%w: this bus is open", errSealed)
		}
		return from, kind, body, nil
	}
	if flags != 1 {
		return from, 0, nil, fmt.Errorf("%w: it is not sealed", errSealed)
	}
	run := r.runs[name]
	if run == nil {
		run = &senderRun{}
		for _, k := range r.keys.keys {
			run.aeads = append(run.aeads, k.packetAEAD(from, name.run))
		}
	}
	nonce := counterNonce(number)
	for _, aead := range run.aeads {
		// A failed Open clears what it was given to write to, so the plain text
		// goes to new room while there are other keys to try.
		var plain []byte
		if len(run.aeads) == 1 {
			plain = body[:0]
		}
		if plain, err = aead.Open(plain, nonce[:], body, header); err != nil {
			continue
		}
		if !run.seen.take(number) {
			return from, 0, nil, errReplayed
		}
		if r.runs[name] == nil {
			if len(r.runs) >= maxRuns {
				clear(r.runs)
			}
			r.runs[name] = run
		}
		return from, kind, plain, nil
	}
	return from, 0, nil, errSealed
}

// window remembers which of the last numbers have come. Numbers that are older
// than it reaches count as come.
type window struct {
	top  uint64
	bits [windowBits / 64]uint64
}

const windowBits = 1024

// take reports whether n is new, and remembers it.
func (w *window) take(n uint64) bool {
	if n > w.top {
		if n-w.top >= windowBits {
			w.bits = [windowBits / 64]uint64{}
		} else {
			for i := w.top + 1; i < n; i++ {
				w.bits[i%windowBits/64] &^= 1 << (i % 64)
			}
		}
		w.top = n
	} else if w.top-n >= windowBits || w.bits[n%windowBits/64]&(1<<(n%64)) != 0 {
		return false
	}
	w.bits[n%windowBits/64] |= 1 << (n % 64)
	return true
}
