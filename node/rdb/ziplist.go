package rdb

import "encoding/binary"

// Before listpacks there were ziplists: total bytes u32, offset of the last
// entry u32, number of entries u16, entries, 0xFF. An entry is the length of the
// one before (1 byte, or 0xFE and 4), an encoding byte, and what belongs to it.
// Source: the reference's ziplist.c.
const (
	ziplistHeader   = 10
	ziplistEnd      = 0xff
	ziplistWidePrev = 0xfe
)

// eachOfZiplist calls visit for the entries of zl, whose every byte is checked.
func eachOfZiplist(zl []byte, visit func(text []byte, n int64, isInt bool)) error {
	if len(zl) < ziplistHeader+1 || binary.LittleEndian.Uint32(zl) != uint32(len(zl)) || zl[len(zl)-1] != ziplistEnd {
		return errZiplist
	}
	count, before, last := 0, 0, ziplistHeader
	at := ziplistHeader
	for at < len(zl)-1 {
		start := at
		prev := int(zl[at])
		at++
		if prev == ziplistWidePrev {
			if at+4 > len(zl) {
				return errZiplist
			}
			prev = int(binary.LittleEndian.Uint32(zl[at:]))
			at += 4
		} else if prev == ziplistEnd {
			return errZiplist
		}
		if prev != before {
			return errZiplist
		}
		size, ok := ziplistEntry(zl[at:len(zl)-1], visit)
		if !ok {
			return errZiplist
		}
		at += size
		before, last = at-start, start
		count++
	}
	const unknown = 1<<16 - 1
	stated := int(binary.LittleEndian.Uint16(zl[8:]))
	if at != len(zl)-1 || stated != unknown && stated != count || int(binary.LittleEndian.Uint32(zl[4:])) != last {
		return errZiplist
	}
	return nil
}

// ziplistEntry reads one entry from b, behind the length of the one before, and
// returns how long it is.
func ziplistEntry(b []byte, visit func(text []byte, n int64, isInt bool)) (size int, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	text := func(head, n int) (int, bool) {
		if n > len(b)-head {
			return 0, false
		}
		visit(b[head:head+n], 0, false)
		return head + n, true
	}
	number := func(width int, read func(b []byte) int64) (int, bool) {
		if len(b) < 1+width {
			return 0, false
		}
		visit(nil, read(b[1:]), true)
		return 1 + width, true
	}
	switch first := b[0]; first >> 6 {
	case 0:
		return text(1, int(first))
	case 1:
		if len(b) < 2 {
			return 0, false
		}
		return text(2, int(first&63)<<8|int(b[1]))
	case 2:
		if len(b) < 5 {
			return 0, false
		}
		return text(5, int(binary.BigEndian.Uint32(b[1:])))
	default:
		switch {
		case first == 0xc0:
			return number(2, func(b []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(b))) })
		case first == 0xd0:
			return number(4, func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) })
		case first == 0xe0:
			return number(8, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
		case first == 0xf0:
			return number(3, func(b []byte) int64 {
				return int64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8)
			})
		case first == 0xfe:
			return number(1, func(b []byte) int64 { return int64(int8(b[0])) })
		case first >= 0xf1 && first <= 0xfd:
			return number(0, func([]byte) int64 { return int64(first&15) - 1 })
		}
	}
	return 0, false
}

// A zipmap was a small hash once: number of fields, then for each the length and
// bytes of the field, and length, unused bytes behind, and bytes of the value,
// and 0xFF. A length is one byte, or 0xFE and 4. Source: the reference's
// zipmap.c.
func eachOfZipmap(zm []byte, visit func(field, val []byte) error) error {
	if len(zm) < 2 || zm[len(zm)-1] != ziplistEnd {
		return errZipmap
	}
	body := zm[1 : len(zm)-1]
	length := func() (int, bool) {
		if len(body) == 0 || body[0] == ziplistEnd {
			return 0, false
		}
		n := int(body[0])
		body = body[1:]
		if n == ziplistWidePrev {
			if len(body) < 4 {
				return 0, false
			}
			n = int(binary.LittleEndian.Uint32(body))
			body = body[4:]
		}
		return n, n <= len(body)
	}
	count := 0
	for len(body) > 0 {
		n, ok := length()
		if !ok {
			return errZipmap
		}
		field := body[:n]
		body = body[n:]
		if n, ok = length(); !ok || len(body) == 0 {
			return errZipmap
		}
		unused := int(body[0])
		body = body[1:]
		if n+unused > len(body) {
			return errZipmap
		}
		if err := visit(field, body[:n]); err != nil {
			return err
		}
		body = body[n+unused:]
		count++
	}
	switch {
	case count == 0:
		return errEmpty
	case zm[0] < ziplistWidePrev && int(zm[0]) != count:
		return errZipmap
	}
	return nil
}
