package value

import "strconv"

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

// Encoding is how a value is kept, as OBJECT ENCODING names it. That of a
// collection says which of the reference's forms it would have there, by the
// same thresholds; how it lies in memory is the type's own business.
type Encoding uint8

// The encodings.
const (
	EncRaw Encoding = iota
	EncInt
	EncEmbstr
	EncHashtable
	EncQuicklist
	EncListpack
	EncIntset
	EncSkiplist
	EncStream
)

var encodingNames = [...]string{"raw", "int", "embstr", "hashtable", "quicklist", "listpack", "intset", "skiplist", "stream"}

// String returns the name that OBJECT ENCODING answers.
func (e Encoding) String() string {
	if int(e) < len(encodingNames) {
		return encodingNames[e]
	}
	return "encoding(" + strconv.Itoa(int(e)) + ")"
}
