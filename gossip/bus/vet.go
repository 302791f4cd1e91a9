package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// memberlist decodes what peers send with room to spare: a compressed message
// may unfold to 40 MiB and hold more of its kind, and a header of ten bytes may
// order a table of a million nodes. This file looks at its bytes before it
// does. Our nodes never compress, so nothing that they say is lost; the rest
// keeps an open bus from being emptied of memory by a few packets.

// memberlist's message types, as far as they are let through.
const (
	mlPing         = 0
	mlIndirectPing = 1
	mlAck          = 2
	mlSuspect      = 3
	mlAlive        = 4
	mlDead         = 5
	mlPushPull     = 6
	mlCompound     = 7
	mlNack         = 11
	mlChecked      = 12
	mlError        = 13
)

const (
	// maxStreamBytes bounds one membership stream: a push/pull of 10,000 nodes
	// with their claims fits.
	maxStreamBytes = 16 << 20
	// maxStreamNodes bounds the member table of one push/pull.
	maxStreamNodes = 20_000
)

var errNotMembership = errors.New("not a membership message")

// vetPacket reports whether body may be shown to memberlist: one message, or a
// compound of simple ones, with or without a checksum.
func vetPacket(body []byte) error {
	if len(body) > 5 && body[0] == mlChecked {
		body = body[5:]
	}
	if len(body) < 2 {
		return errNotMembership
	}
	if body[0] != mlCompound {
		return vetKind(body[0])
	}
	count, lengths := int(body[1]), body[2:]
	if len(lengths) < 2*count {
		return errNotMembership
	}
	parts := lengths[2*count:]
	for i := range count {
		size := int(binary.BigEndian.Uint16(lengths[2*i:]))
		if size == 0 || size > len(parts) {
			return errNotMembership
		}
		if err := vetKind(parts[0]); err != nil {
			return err
		}
		parts = parts[size:]
	}
	return nil
}

func vetKind(kind byte) error {
	switch kind {
	case mlPing, mlIndirectPing, mlAck, mlSuspect, mlAlive, mlDead, mlNack:
		return nil
	}
	return fmt.Errorf("%w: type %d", errNotMembership, kind)
}

// vetStream looks at the first bytes of a membership stream. It returns false
// when it needs to see more of them; 64 are always enough.
func vetStream(head []byte) (enough bool, err error) {
	if len(head) == 0 {
		return false, nil
	}
	switch head[0] {
	case mlPing, mlAck, mlError:
		return true, nil
	case mlPushPull:
	default:
		return false, fmt.Errorf("%w: stream of type %d", errNotMembership, head[0])
	}
	nodes, state, enough := pushPullHeader(head[1:])
	switch {
	case enough && (nodes < 0 || state < 0):
		return false, fmt.Errorf("%w: malformed header", errNotMembership)
	case enough && (nodes > maxStreamNodes || state > maxStreamBytes):
		return false, fmt.Errorf("%w: %d nodes and %d bytes of state", errNotMembership, nodes, state)
	case !enough && len(head) >= 64:
		return false, fmt.Errorf("%w: endless header", errNotMembership)
	}
	return enough, nil
}

// pushPullHeader reads the msgpack map that starts a push/pull: Nodes,
// UserStateLen and Join. It returns -1 for both when b is something else.
func pushPullHeader(b []byte) (nodes, state int64, enough bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	if b[0] != 0x83 { // a map of three
		return -1, -1, true
	}
	b = b[1:]
	for range 3 {
		if len(b) == 0 {
			return 0, 0, false
		}
		size := int(b[0] & 0x1f)
		if b[0]&0xe0 != 0xa0 { // a short string
			return -1, -1, true
		}
		if len(b) < 1+size+1 {
			return 0, 0, false
		}
		name := string(b[1 : 1+size])
		b = b[1+size:]
		value, used, ok := msgpackInt(b)
		if !ok {
			return -1, -1, true
		}
		if used > len(b) {
			return 0, 0, false
		}
		b = b[used:]
		switch name {
		case "Nodes":
			nodes = value
		case "UserStateLen":
			state = value
		case "Join":
		default:
			return -1, -1, true
		}
	}
	return nodes, state, true
}

// msgpackInt reads a bool or an integer that is not negative. When used is
// more than len(b) the value is not complete yet.
func msgpackInt(b []byte) (value int64, used int, ok bool) {
	width := 0
	switch lead := b[0]; {
	case lead < 0x80:
		return int64(lead), 1, true
	case lead == 0xc2 || lead == 0xc3:
		return 0, 1, true
	case lead >= 0xcc && lead <= 0xcf: // unsigned, 1 to 8 bytes
		width = 1 << (lead - 0xcc)
	case lead >= 0xd0 && lead <= 0xd3: // signed, 1 to 8 bytes
		width = 1 << (lead - 0xd0)
	default:
		return 0, 0, false
	}
	if len(b) < 1+width {
		return 0, len(b) + 1, true
	}
	var wide uint64
	for _, c := range b[1 : 1+width] {
		wide = wide<<8 | uint64(c)
	}
	if wide > 1<<40 {
		return 0, 0, false
	}
	return int64(wide), 1 + width, true
}
