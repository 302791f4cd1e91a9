package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"

	"slotmesh/node/store/value"
)

const (
	// Version is the version of what is written: that of Redis 7.0.
	Version = 10
	// MaxVersion is the newest version that is read.
	MaxVersion = 12
	// valkeyVersion is what Valkey 9 writes: version 11 and a type of its own.
	valkeyVersion = 80
	// footerSize: two bytes of version, eight of checksum.
	footerSize = 10
)

var (
	// ErrChecksum: a payload is too short, of a newer version, or its checksum
	// is wrong. The client's text is "ERR DUMP payload version or checksum are
	// wrong".
	ErrChecksum = errors.New("rdb: payload version or checksum are wrong")
	// ErrFormat: the checksum fits and the value is broken or of a type that is
	// not supported. The client's text is "ERR Bad data format". The error
	// returned wraps it with what is wrong.
	ErrFormat = errors.New("rdb: bad data format")
)

// AppendDump appends the payload of DUMP for v: type, value, version and
// checksum.
func AppendDump(dst []byte, v value.Value) []byte { return appendDump(dst, v, new(scratch)) }

func appendDump(dst []byte, v value.Value, tmp *scratch) []byte {
	start := len(dst)
	dst = appendValue(dst, nil, v, tmp, nil)
	version := uint16(Version)
	if Type(dst[start]) == typeHashTTL {
		version = MaxVersion
	}
	dst = binary.LittleEndian.AppendUint16(dst, version)
	return binary.LittleEndian.AppendUint64(dst, updateCRC(0, dst[start:]))
}

// Dumper makes payloads of DUMP one after the other, in memory that it keeps from
// one to the next. The zero Dumper is ready.
type Dumper struct {
	tmp scratch
	out []byte
}

// Dump returns what AppendDump appends, good until the next call.
func (d *Dumper) Dump(v value.Value) []byte {
	out := appendDump(d.out[:0], v, &d.tmp)
	const keep = 256 << 10
	if cap(out) <= keep {
		d.out = out
	}
	if cap(d.tmp.pack) > keep {
		d.tmp.pack = nil
	}
	return out
}

// ParseDump reads a payload of DUMP, as Parser.Parse does.
func ParseDump(payload []byte, to Target) (value.Value, *value.Draft, error) {
	return new(Parser).Parse(payload, to)
}

// Parser reads payloads of DUMP one after the other, in memory that it keeps from
// one to the next. The zero Parser is ready.
type Parser struct{ d decoder }

// Parse reads a payload of DUMP. A string comes as a value, a collection as a draft.
// Both may alias the payload and the Parser, and are good until its next call. The
// error is ErrChecksum or wraps ErrFormat.
func (p *Parser) Parse(payload []byte, to Target) (value.Value, *value.Draft, error) {
	if len(payload) < footerSize {
		return value.Value{}, nil, ErrChecksum
	}
	body, footer := payload[:len(payload)-footerSize], payload[len(payload)-footerSize:]
	version := binary.LittleEndian.Uint16(footer)
	sum := binary.LittleEndian.Uint64(footer[2:])
	if version > MaxVersion && version != valkeyVersion || updateCRC(0, payload[:len(payload)-8]) != sum {
		return value.Value{}, nil, ErrChecksum
	}
	if len(body) == 0 {
		return value.Value{}, nil, fmt.Errorf("%w: %w", ErrFormat, errTruncated)
	}
	d := &p.d
	d.buf, d.pos, d.valkey, d.lends = body, 1, version == valkeyVersion, true
	v, draft, err := d.readValue(Type(body[0]), nil, to)
	d.buf = nil
	switch {
	case err != nil:
		return value.Value{}, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	case d.pos != len(body):
		if draft != nil {
			draft.Discard()
		}
		return value.Value{}, nil, fmt.Errorf("%w: %d bytes after the value", ErrFormat, len(body)-d.pos)
	}
	return v, draft, nil
}
