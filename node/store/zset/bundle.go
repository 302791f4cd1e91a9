package zset

import (
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
)

// Bundle gathers the members of a set with the encoding listpack in Go's memory, for
// results of commands: most are small, and then are written to where they stay in one
// piece. Its zero value is empty, and its memory is used again after Reset.
type Bundle struct {
	lp []byte
	n  int
}

// Reset empties the bundle.
func (b *Bundle) Reset() { b.lp, b.n = b.lp[:0], 0 }

// Add adds a member, which must be behind those that were added before. It does not, and
// returns false, if the set would have another encoding then, or would not be packed.
func (b *Bundle) Add(member []byte, score float64, l *Limits) bool {
	if b.n >= min(l.Entries, packedLen) || len(member) > l.Value {
		return false
	}
	score += 0 // There is no zero with a sign.
	size := packedSize(member, score)
	if len(b.lp)+size > packedBytes {
		return false
	}
	if b.n == 0 {
		b.lp = listpack.AppendEmpty(b.lp[:0])
	}
	b.lp = appendPacked(b.lp, member, score, size)
	b.n++
	return true
}

// Len is the number of members.
func (b *Bundle) Len() int { return b.n }

// Value is the set, which is not empty: a view of the bundle.
func (b *Bundle) Value() value.Value {
	return value.Value{Kind: value.KindZSet, Enc: value.EncListpack, Bytes: b.lp}
}
