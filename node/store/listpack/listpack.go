package listpack

import "encoding/binary"

const (
	// HeaderSize is where the first entry begins.
	HeaderSize = 6
	// EmptySize is the length of a listpack without entries.
	EmptySize = HeaderSize + 1
	// UnknownLen is the number of entries in a header that does not know it: such
	// a listpack has or had that many or more.
	UnknownLen = 1<<16 - 1

	endByte = 0xff
)

// Empty returns a new listpack without entries.
func Empty() []byte { return AppendEmpty(nil) }

// AppendEmpty appends a listpack without entries to dst.
func AppendEmpty(dst []byte) []byte { return append(dst, EmptySize, 0, 0, 0, 0, 0, endByte) }

// PutEmpty writes a listpack without entries into b, EmptySize bytes.
func PutEmpty(b []byte) { AppendEmpty(b[:0:EmptySize]) }

// Fix puts the header of lp right after entries came (more > 0) or went, and
// writes the byte behind the last one.
func Fix(lp []byte, more int) {
	binary.LittleEndian.PutUint32(lp, uint32(len(lp)))
	lp[len(lp)-1] = endByte
	if n := int(binary.LittleEndian.Uint16(lp[4:])); n != UnknownLen && more != 0 {
		binary.LittleEndian.PutUint16(lp[4:], uint16(min(n+more, UnknownLen)))
	}
}

// Push appends an entry to a listpack that fills lp, a slice of the caller's.
func Push(lp, text []byte) []byte {
	at := End(lp)
	lp = grow(lp, EntrySize(text))
	Put(lp[at:], text)
	Fix(lp, 1)
	return lp
}

// PushInt is Push for an integer.
func PushInt(lp []byte, n int64) []byte {
	at := End(lp)
	lp = grow(lp, IntSize(n))
	PutInt(lp[at:], n)
	Fix(lp, 1)
	return lp
}

func grow(b []byte, n int) []byte {
	for cap(b) < len(b)+n {
		b = append(b[:cap(b)], 0)[:len(b)]
	}
	return b[:len(b)+n]
}

// Len returns the number of entries. It counts them if the header does not know.
func Len(lp []byte) int {
	if n := int(binary.LittleEndian.Uint16(lp[4:])); n != UnknownLen {
		return n
	}
	n := 0
	for pos := First(lp); pos >= 0; pos = Next(lp, pos) {
		n++
	}
	return n
}

// End is where the listpack ends: the place to put an entry behind the last one.
func End(lp []byte) int { return len(lp) - 1 }

// First returns the place of the first entry.
func First(lp []byte) int {
	if lp[HeaderSize] == endByte {
		return -1
	}
	return HeaderSize
}

// Last returns the place of the last entry.
func Last(lp []byte) int { return before(lp, len(lp)-1) }

// Next returns the place of the entry behind the one at pos.
func Next(lp []byte, pos int) int {
	pos = after(lp, pos)
	if lp[pos] == endByte {
		return -1
	}
	return pos
}

// Prev returns the place of the entry before the one at pos.
func Prev(lp []byte, pos int) int { return before(lp, pos) }

// Skip returns where the n-th entry behind pos begins: End if there are just n,
// or fewer.
func Skip(lp []byte, pos, n int) int {
	for ; n > 0 && lp[pos] != endByte; n-- {
		pos = after(lp, pos)
	}
	return pos
}

// Seek returns the place of entry index, counted from 0, or back from -1 for
// the last one. It walks from the nearer end.
func Seek(lp []byte, index int) int {
	n := int(binary.LittleEndian.Uint16(lp[4:]))
	switch {
	case n == UnknownLen:
	case index >= n || index < -n:
		return -1
	case index >= 0 && index > n/2:
		index -= n
	case index < -n/2:
		index += n
	}
	if index < 0 {
		pos := Last(lp)
		for ; pos >= 0 && index < -1; index++ {
			pos = before(lp, pos)
		}
		return pos
	}
	pos := First(lp)
	for ; pos >= 0 && index > 0; index-- {
		pos = Next(lp, pos)
	}
	return pos
}

// after returns where the entry at pos ends.
func after(lp []byte, pos int) int {
	e := lp[pos]
	switch {
	case e < tagText6:
		return pos + 2
	case e < tagInt13:
		return pos + 2 + int(e&0x3f)
	}
	size := bodySize(lp[pos:])
	return pos + size + backSize(size)
}

// before returns the place of the entry that ends at pos.
func before(lp []byte, pos int) int {
	if pos <= HeaderSize {
		return -1
	}
	pos--
	size := int(lp[pos] & 0x7f)
	for shift := 7; lp[pos]&0x80 != 0; shift += 7 {
		pos--
		size |= int(lp[pos]&0x7f) << shift
	}
	return pos - size
}

// Entry returns the entry at pos: a view of its text, or the integer; and the
// place of the next entry.
func Entry(lp []byte, pos int) (text []byte, n int64, isInt bool, next int) {
	text, n, isInt, next = parse(lp, pos)
	if lp[next] == endByte {
		next = -1
	}
	return text, n, isInt, next
}

// ShortText returns a view of the text of the entry at pos and where it ends, if it is
// one of those that most are; ok is false for others.
func ShortText(lp []byte, pos int) (text []byte, end int, ok bool) {
	e := lp[pos]
	if e < tagText6 || e >= tagInt13 {
		return nil, 0, false
	}
	end = pos + 2 + int(e&0x3f)
	return lp[pos+1 : end-1 : end-1], end, true
}

// AppendText appends the text of the entry at pos, an integer in decimal.
func AppendText(dst, lp []byte, pos int) []byte {
	text, n, isInt, _ := parse(lp, pos)
	if isInt {
		return appendInt(dst, n)
	}
	return append(dst, text...)
}

// TextLen is the length of what AppendText appends.
func TextLen(lp []byte, pos int) int {
	text, n, isInt, _ := parse(lp, pos)
	if isInt {
		return IntLen(n)
	}
	return len(text)
}

// Equal reports whether the entry at pos has this text.
func Equal(lp []byte, pos int, b []byte) bool {
	text, n, isInt, _ := parse(lp, pos)
	if !isInt {
		return string(text) == string(b)
	}
	m, ok := ParseInt(b)
	return ok && m == n
}

// FindBack returns the place of the last entry with the text b of those up to the one
// at from, which may be -1 for none.
func FindBack(lp []byte, from int, b []byte) int {
	number, isNumber := ParseInt(b)
	for pos := from; pos >= 0; pos = before(lp, pos) {
		text, n, isInt, _ := parse(lp, pos)
		if isInt && isNumber && n == number || !isInt && string(text) == string(b) {
			return pos
		}
	}
	return -1
}

// Find returns the place of the first entry with the text b. It looks at the
// one at from, which may be -1 for none, leaves out the skip entries behind it,
// looks at the next, and so on.
func Find(lp []byte, from, skip int, b []byte) int {
	if from < 0 {
		return -1
	}
	// An entry that is kept as text begins with this byte if it is as long as b.
	tag := byte(endByte)
	if len(b) < 1<<6 {
		tag = tagText6 | byte(len(b))
	}
	// Texts that are alike are most often so at their beginnings.
	last := tag
	if len(b) > 0 {
		last = b[len(b)-1]
	}
	number, isNumber := ParseInt(b)
	for pos := from; ; {
		e := lp[pos]
		var next int
		switch {
		case e == tag:
			if e == endByte {
				return -1
			}
			next = pos + 2 + len(b)
			if lp[next-2] == last && string(lp[pos+1:next-1]) == string(b) {
				return pos
			}
		case e < tagText6:
			if isNumber && number == int64(e) {
				return pos
			}
			next = pos + 2
		case e < tagInt13:
			next = pos + 2 + int(e&0x3f)
		case e == endByte:
			return -1
		default:
			var text []byte
			var n int64
			var isInt bool
			text, n, isInt, next = parse(lp, pos)
			if isInt && isNumber && n == number || !isInt && string(text) == string(b) {
				return pos
			}
		}
		pos = next
		for range skip {
			if lp[pos] == endByte {
				return -1
			}
			pos = after(lp, pos)
		}
	}
}
