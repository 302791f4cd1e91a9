package value

import (
	"strconv"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
)

// EmbstrMax is the longest string whose encoding is called embstr.
const EmbstrMax = 44

// Value is the content of a key, to be read.
type Value struct {
	Kind Kind
	Enc  Encoding
	// Roots is how many encoded tree.Roots Bytes begins with: 0 for a string and
	// for a packed collection.
	Roots uint8
	// Int is the content of a string with EncInt; Bytes is nil then.
	Int int64
	// Bytes is the content of any other string, and the payload of a collection.
	Bytes []byte
	// Memory is where the trees of a collection are.
	Memory *arena.Memory
	// FieldsExpireAt is when the first field of a hash expires, Unix
	// milliseconds, 0 for never. Only values that go into a store tell it.
	FieldsExpireAt int64
}

// Tree returns tree i of a collection, to be read.
func (v Value) Tree(i int) tree.View {
	return tree.View{Memory: v.Memory, Root: tree.ParseRoot(v.Bytes[i*tree.RootSize:])}
}

// Rest is the payload behind the roots.
func (v Value) Rest() []byte { return v.Bytes[int(v.Roots)*tree.RootSize:] }

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
	if v.Enc == EncInt {
		return strconv.AppendInt(dst, v.Int, 10)
	}
	return append(dst, v.Bytes...)
}

// TextLen is the length of what AppendText appends.
func (v Value) TextLen() int {
	if v.Enc == EncInt {
		return listpack.IntLen(v.Int)
	}
	return len(v.Bytes)
}

// Detach returns v with Bytes of its own. The trees of a collection stay where
// they are.
func (v Value) Detach() Value {
	if v.Bytes != nil {
		v.Bytes = append(make([]byte, 0, len(v.Bytes)), v.Bytes...)
	}
	return v
}

// ParseInt reads b as a 64-bit integer in the form that makes a string an
// integer: see listpack.ParseInt.
func ParseInt(b []byte) (int64, bool) { return listpack.ParseInt(b) }
