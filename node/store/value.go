package store

import (
	"strconv"

	"slotmesh/slots"
)

// Kind is the type of a key's value.
type Kind uint8

// The kinds, in the order of the reference's object types.
const (
	KindString Kind = iota
	KindList
	KindSet
	KindZSet
	KindHash
	KindModule
	KindStream
)

var kindNames = [...]string{"string", "list", "set", "zset", "hash", "module", "stream"}

// String returns the name that TYPE answers.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// ParseKind returns the kind that SCAN's TYPE option names, in any case. The
// reference compares the name and takes one that does not exist as a kind no
// key has, so ok is false rather than an error.
func ParseKind(name []byte) (kind Kind, ok bool) {
	for i, known := range kindNames {
		if len(name) == len(known) && equalFold(name, known) {
			return Kind(i), true
		}
	}
	return 0, false
}

func equalFold(b []byte, lower string) bool {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Encoding is how a value is kept, as OBJECT ENCODING names it.
type Encoding uint8

// The encodings of strings. Those of collections follow with the collections.
const (
	EncRaw Encoding = iota
	EncInt
	EncEmbstr
)

var encodingNames = [...]string{"raw", "int", "embstr"}

// String returns the name that OBJECT ENCODING answers.
func (e Encoding) String() string {
	if int(e) < len(encodingNames) {
		return encodingNames[e]
	}
	return "encoding(" + strconv.Itoa(int(e)) + ")"
}

// EmbstrMax is the longest string whose encoding is called embstr.
const EmbstrMax = 44

// Value is the content of a key. As a view (Ref.Value) Bytes aliases the store;
// in an Entry it is detached as documented there.
type Value struct {
	Kind Kind
	Enc  Encoding
	// Int is the content of a string with EncInt; Bytes is nil then.
	Int int64
	// Bytes is the content of any other string, and the packed content of a
	// small collection.
	Bytes []byte
}

// StringValue returns b as a string value with the encoding that SET chooses:
// an integer where the text is one, embstr up to EmbstrMax bytes, else raw. It
// aliases b.
func StringValue(b []byte) Value {
	if n, ok := ParseInt(b); ok {
		return Value{Enc: EncInt, Int: n}
	}
	return TextValue(b)
}

// TextValue is StringValue for a text that stays text although it may look
// like an integer. It aliases b.
func TextValue(b []byte) Value {
	if len(b) <= EmbstrMax {
		return Value{Enc: EncEmbstr, Bytes: b}
	}
	return Value{Enc: EncRaw, Bytes: b}
}

// RawValue is a string of the growable kind that APPEND and SETRANGE leave
// behind, whatever its length. It aliases b.
func RawValue(b []byte) Value { return Value{Enc: EncRaw, Bytes: b} }

// IntValue is a string that holds n.
func IntValue(n int64) Value { return Value{Enc: EncInt, Int: n} }

// AppendText appends the content of a string value to dst.
func (v Value) AppendText(dst []byte) []byte {
	if v.Enc == EncInt && v.Kind == KindString {
		return strconv.AppendInt(dst, v.Int, 10)
	}
	return append(dst, v.Bytes...)
}

// TextLen is the length of what AppendText appends.
func (v Value) TextLen() int {
	if v.Enc == EncInt && v.Kind == KindString {
		return decimalLen(v.Int)
	}
	return len(v.Bytes)
}

func decimalLen(n int64) int {
	length := 1
	u := uint64(n)
	if n < 0 {
		length++
		u = -u
	}
	for ; u >= 10; u /= 10 {
		length++
	}
	return length
}

// Detach returns v with Bytes of its own.
func (v Value) Detach() Value {
	if v.Bytes != nil {
		v.Bytes = append(make([]byte, 0, len(v.Bytes)), v.Bytes...)
	}
	return v
}

// ParseInt reads b as the one canonical decimal form of a 64-bit integer: no
// blanks, no plus, no leading zeros, no "-0". Source: the reference's
// string2ll.
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	digits := b
	negative := b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	if digits[0] == '0' {
		return 0, len(b) == 1
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	if negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= 1<<63-1
}

// Entry is one key with everything that belongs to it, outside the store.
type Entry struct {
	DB    int
	Slot  slots.Slot
	Key   []byte
	Value Value
	// ExpireAtMs is the Unix time of the key's end in milliseconds, 0 for none.
	ExpireAtMs int64
	// IdleSec is the time since the last access, -1 when the policy does not
	// keep it; Freq the access counter, -1 when the policy does not keep it.
	IdleSec int64
	Freq    int
}
