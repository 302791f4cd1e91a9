package stream

import (
	"bytes"
	"math"
	"slices"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
)

// ID names an entry: milliseconds and a number within them, in that order of
// weight.
type ID struct{ Ms, Seq uint64 }

// MaxID is the last possible one. The first, the zero ID, names no entry.
var MaxID = ID{math.MaxUint64, math.MaxUint64}

// Compare returns -1, 0 or 1.
func (id ID) Compare(other ID) int {
	switch {
	case id == other:
		return 0
	case id.Less(other):
		return -1
	}
	return 1
}

// Less reports whether id comes before other.
func (id ID) Less(other ID) bool {
	return id.Ms < other.Ms || id.Ms == other.Ms && id.Seq < other.Seq
}

// IsZero reports whether id is 0-0.
func (id ID) IsZero() bool { return id == ID{} }

// Next returns the following id; after the last one comes 0-0 and ok is false.
func (id ID) Next() (next ID, ok bool) {
	id.Seq++
	if id.Seq == 0 {
		id.Ms++
	}
	return id, !id.IsZero()
}

// Prev returns the id before; before 0-0 comes the last one and ok is false.
func (id ID) Prev() (prev ID, ok bool) {
	ok = !id.IsZero()
	if id.Seq == 0 {
		id.Ms--
	}
	id.Seq--
	return id, ok
}

// Append appends the text "ms-seq". It writes the digits where they belong:
// every reply has one, and copying what was just written waits for it.
func (id ID) Append(dst []byte) []byte {
	ms, seq := listpack.Digits(id.Ms), listpack.Digits(id.Seq)
	at := len(dst)
	dst = slices.Grow(dst, ms+1+seq)[:at+ms+1+seq]
	putDecimal(dst[at:at+ms], id.Ms)
	dst[at+ms] = '-'
	putDecimal(dst[at+ms+1:], id.Seq)
	return dst
}

// TextLen is the length of what Append appends.
func (id ID) TextLen() int { return listpack.Digits(id.Ms) + 1 + listpack.Digits(id.Seq) }

// putDecimal writes n, which has as many digits as b is long.
func putDecimal(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// String returns the text "ms-seq".
func (id ID) String() string { return string(id.Append(nil)) }

// maxIDText is the longest text that the reference reads as an id.
const maxIDText = 127

// ParseID reads "ms-seq", or "ms" alone, which gets the sequence missing.
func ParseID(text []byte, missing uint64) (ID, bool) {
	id, _, ok := parseID(text, missing, true, false)
	return id, ok
}

// ParseBound is ParseID for an end of a range: "-" is the first id there could
// be and "+" the last.
func ParseBound(text []byte, missing uint64) (ID, bool) {
	id, _, ok := parseID(text, missing, false, false)
	return id, ok
}

// ParseNewID is ParseID for an entry that is to be added: with "ms-*", auto is
// true and the sequence is still to be chosen.
func ParseNewID(text []byte) (id ID, auto, ok bool) { return parseID(text, 0, true, true) }

// parseID follows the reference's streamGenericParseIDOrReply, which reads a C
// string: what follows a NUL does not count.
func parseID(text []byte, missing uint64, strict, star bool) (id ID, auto, ok bool) {
	if len(text) > maxIDText {
		return ID{}, false, false
	}
	if end := bytes.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	if len(text) == 1 && (text[0] == '-' || text[0] == '+') {
		if text[0] == '+' {
			id = MaxID
		}
		return id, false, !strict
	}
	ms, seq := text, []byte(nil)
	dash := bytes.IndexByte(text, '-')
	if dash >= 0 {
		ms, seq = text[:dash], text[dash+1:]
	}
	if id.Ms, ok = parseUint(ms); !ok {
		return ID{}, false, false
	}
	switch {
	case dash < 0:
		id.Seq = missing
	case star && len(seq) == 1 && seq[0] == '*':
		auto = true
	default:
		if id.Seq, ok = parseUint(seq); !ok {
			return ID{}, false, false
		}
	}
	return id, auto, true
}

// parseUint reads an unsigned number as the reference's string2ull does: the
// canonical form of a number that is not negative, or else whatever strtoull
// takes, leading blanks and signs included.
func parseUint(text []byte) (uint64, bool) {
	if n, ok := value.ParseInt(text); ok {
		return uint64(n), n >= 0
	}
	for len(text) > 0 && (text[0] == ' ' || '\t' <= text[0] && text[0] <= '\r') {
		text = text[1:]
	}
	negative := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		negative = text[0] == '-'
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, false
	}
	var n uint64
	for _, c := range text {
		digit := uint64(c - '0')
		if digit > 9 || n > math.MaxUint64/10 || n*10 > math.MaxUint64-digit {
			return 0, false
		}
		n = n*10 + digit
	}
	if negative {
		n = -n
	}
	return n, true
}
