package rdb

import (
	"fmt"

	"slotmesh/node/store"
	"slotmesh/node/store/value"
)

// Type is the byte that says how a value is encoded.
type Type byte

// TypeString is the type of strings, the same in every version.
const TypeString Type = 0

// readContent reads a value of type t: one row a type that can be read. known is
// false for every other type.
func (d *decoder) readContent(t Type) (v value.Value, known bool, err error) {
	switch t {
	case TypeString:
		v, err = d.readString()
	default:
		return value.Value{}, false, nil
	}
	return v, true, err
}

// typeOf returns the type that values of v's kind and encoding are written as:
// one row a kind. A kind without one cannot be in the store.
func typeOf(v value.Value) Type {
	switch v.Kind {
	case value.KindString:
		return TypeString
	}
	panic("rdb: no type for values of kind " + v.Kind.String())
}

// appendContent appends v as typeOf says: one row a kind. The rows are branches
// and not function values so that tables stay on the stack.
func appendContent(b []byte, v value.Value, seen lzfTable) []byte {
	switch v.Kind {
	case value.KindString:
		return appendStringValue(b, v, seen)
	}
	panic("rdb: no codec for values of kind " + v.Kind.String())
}

// String names the type as error messages do.
func (t Type) String() string {
	names := [...]string{
		0: "string", 1: "list", 2: "set", 3: "zset", 4: "hash", 5: "zset (binary scores)",
		6: "module (pre-release)", 7: "module", 9: "hash (zipmap)", 10: "list (ziplist)",
		11: "set (intset)", 12: "zset (ziplist)", 13: "hash (ziplist)", 14: "list (quicklist)",
		15: "stream", 16: "hash (listpack)", 17: "zset (listpack)", 18: "list (quicklist of listpacks)",
		19: "stream (2)", 20: "set (listpack)", 21: "stream (3)",
		22: "hash with field expiry (pre-release)", 23: "hash with field expiry (listpack, pre-release)",
		24: "hash with field expiry", 25: "hash with field expiry (listpack)",
	}
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return fmt.Sprintf("type %d", byte(t))
}

// TypeError refuses a value of a type that this node does not have.
type TypeError struct {
	Type Type
	// Key is the value's key, nil in a dump payload.
	Key []byte
	// Module is the name of the module that owns the type, if any.
	Module string
}

func (e *TypeError) Error() string {
	what := "value"
	if e.Key != nil {
		what = fmt.Sprintf("key %q", clip(e.Key))
	}
	if e.Module != "" {
		return fmt.Sprintf("rdb: %s is data of module %q, which is not supported", what, e.Module)
	}
	return fmt.Sprintf("rdb: %s has type %s, which is not supported", what, e.Type)
}

// clip shortens a key for a message.
func clip(key []byte) []byte {
	const most = 128
	if len(key) > most {
		return append(key[:most:most], "..."...)
	}
	return key
}

const (
	typeModulePre Type = 6
	typeModule    Type = 7
)

// readValue reads a value of type t, whose key is for messages.
func (d *decoder) readValue(t Type, key []byte) (value.Value, error) {
	if v, known, err := d.readContent(t); known {
		return v, err
	}
	refused := &TypeError{Type: t, Key: key}
	if t == typeModule || t == typeModulePre {
		if id, err := d.plainLength(); err == nil {
			refused.Module = moduleName(id)
		}
	}
	return value.Value{}, refused
}

// moduleName decodes a module type's id: nine characters of six bits above ten
// bits of version.
func moduleName(id uint64) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var name [9]byte
	id >>= 10
	for i := len(name) - 1; i >= 0; i-- {
		name[i] = alphabet[id&63]
		id >>= 6
	}
	return string(name[:])
}

func (d *decoder) readString() (value.Value, error) {
	t, err := d.text()
	switch {
	case err != nil:
		return value.Value{}, err
	case t.isInt:
		return value.IntValue(t.n), nil
	}
	return value.StringValue(t.bytes), nil
}

func appendStringValue(b []byte, v value.Value, seen lzfTable) []byte {
	if v.Enc == value.EncInt {
		return appendIntText(b, v.Int)
	}
	return appendString(b, v.Bytes, seen)
}

// appendValue appends the type byte and, after key (if that is not nil), v.
func appendValue(b []byte, key []byte, v value.Value, seen lzfTable) []byte {
	b = append(b, byte(typeOf(v)))
	if key != nil {
		b = appendString(b, key, seen)
	}
	return appendContent(b, v, seen)
}

// Entry is what files are made of. The name is here for packages that move
// entries and have no other business with the store.
type Entry = store.Entry
