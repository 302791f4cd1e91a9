package bus

import (
	"bufio"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// A frame is what a connection carries after its handshake:
//
//	length  4 bytes, big endian, of everything that follows
//	kind    1 byte
//	payload up to MaxMessage bytes
//
// On a secured bus kind and payload are sealed with AES-256-GCM under a key
// that belongs to this connection and direction alone. The nonce is the
// frame's number, so a frame that is repeated, left out or moved does not open.
const (
	// MaxMessage is the largest message that a link carries, in bytes.
	MaxMessage = 1 << 20

	frameHeader = 4
	// frameChunk is how much of a frame is made room for before it has come:
	// a peer must send what it wants remembered.
	frameChunk = 16 << 10
)

// The kinds of frame.
const (
	frameIdentity byte = 1 + iota // the last step of a handshake, once each way
	frameMessage                  // bytes of the cluster state, on a link
	framePacket                   // a membership packet that UDP would not carry, on a link
	frameStream                   // bytes of a membership stream
	frameSpread                   // broadcasts that UDP would not carry, on a link
)

// frameWriter seals frames of one direction of one connection. One goroutine
// at a time uses it.
type frameWriter struct {
	aead    cipher.AEAD // nil on an open bus
	counter uint64
}

// append adds a frame to dst. len(payload) must not exceed MaxMessage.
func (w *frameWriter) append(dst []byte, kind byte, payload []byte) []byte {
	size := 1 + len(payload)
	if w.aead != nil {
		size += w.aead.Overhead()
	}
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	body := len(dst)
	dst = append(append(dst, kind), payload...)
	if w.aead == nil {
		return dst
	}
	nonce := counterNonce(w.counter)
	w.counter++
	// Sealing in place needs room for the tag behind the plain text.
	var tag [16]byte
	dst = append(dst, tag[:]...)
	plain := dst[body : len(dst)-len(tag)]
	w.aead.Seal(plain[:0], nonce[:], plain, dst[start:body])
	return dst
}

// frameReader opens frames of one direction of one connection.
type frameReader struct {
	r       *bufio.Reader
	aead    cipher.AEAD // nil on an open bus
	counter uint64
	limit   int // of a payload
	buf     []byte

	// budget counts the room that frames take beyond frameChunk, on all
	// connections; held is this one's part of it.
	budget *atomic.Int64
	held   int64
}

// maxHeld bounds the memory for frames and streams that have not come whole.
// Only an open bus has peers that would make them come slowly.
const maxHeld = 256 << 20

var errMemory = errors.New("too much is being received at the same time")

// hold takes n bytes of the budget.
func (r *frameReader) hold(n int) error {
	if r.budget == nil {
		return nil
	}
	r.held += int64(n)
	if r.budget.Add(int64(n)) > maxHeld {
		return errMemory
	}
	return nil
}

// settle gives back what was held.
func (r *frameReader) settle() {
	if r.held > 0 {
		r.budget.Add(-r.held)
		r.held = 0
	}
}

// next returns the next frame. payload is valid until the following call. An
// error ends the connection: there is no way to find the next frame.
func (r *frameReader) next() (kind byte, payload []byte, err error) {
	r.settle()
	var header [frameHeader]byte
	if _, err := io.ReadFull(r.r, header[:]); err != nil {
		return 0, nil, err
	}
	overhead := 0
	if r.aead != nil {
		overhead = r.aead.Overhead()
	}
	size := int64(binary.BigEndian.Uint32(header[:]))
	if size < int64(1+overhead) || size > int64(1+r.limit+overhead) {
		return 0, nil, fmt.Errorf("frame of %d bytes", size)
	}
	body := r.buf[:0]
	for have := 0; have < int(size); have = len(body) {
		chunk := min(int(size)-have, max(frameChunk, have))
		if have > 0 {
			if err := r.hold(chunk); err != nil {
				return 0, nil, err
			}
		}
		body = append(body, make([]byte, chunk)...)
		if _, err := io.ReadFull(r.r, body[have:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
	}
	// One large message must not keep its room for the life of a link.
	if cap(body) <= 4*frameChunk {
		r.buf = body
	} else {
		r.buf = nil
	}
	if r.aead != nil {
		nonce := counterNonce(r.counter)
		r.counter++
		if body, err = r.aead.Open(body[:0], nonce[:], body, header[:]); err != nil {
			return 0, nil, fmt.Errorf("frame %d does not open: %w", r.counter-1, err)
		}
	}
	return body[0], body[1:], nil
}

func counterNonce(counter uint64) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[4:], counter)
	return nonce
}
