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

// typeOf returns the type that v is written as, in a dump or in a file.
func typeOf(v value.Value, dump bool) Type {
	if v.Kind == value.KindString {
		return TypeString
	}
	return typeOfCollection(v, dump)
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
	what := "the value"
	if e.Key != nil {
		what = fmt.Sprintf("key %q", clip(e.Key))
	}
	if e.Module != "" {
		return fmt.Sprintf("%s is data of module %q, which is not supported", what, e.Module)
	}
	return fmt.Sprintf("%s has type %s, which is not supported", what, e.Type)
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

// readValue reads a value of type t, whose key is for messages. A string comes
// as a value, a collection as a draft.
func (d *decoder) readValue(t Type, key []byte, to Target) (value.Value, *value.Draft, error) {
	if t == TypeString {
		v, err := d.readString()
		return v, nil, err
	}
	if draft, known, err := d.readCollection(t, to); known {
		return value.Value{}, draft, err
	}
	refused := &TypeError{Type: t, Key: key}
	if t == typeModule || t == typeModulePre {
		if id, err := d.plainLength(); err == nil {
			refused.Module = moduleName(id)
		}
	}
	return value.Value{}, nil, refused
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
	var t text
	var err error
	if d.lends {
		t, err = d.textIn(&d.first)
	} else {
		t, err = d.text()
	}
	switch {
	case err != nil:
		return value.Value{}, err
	case t.isInt:
		return value.IntValue(t.n), nil
	}
	return value.StringValue(t.bytes), nil
}

func appendStringValue(b []byte, v value.Value, tmp *scratch) []byte {
	if v.Enc == value.EncInt {
		return appendIntText(b, v.Int)
	}
	return appendString(b, v.Bytes, tmp)
}

// appendValue appends the type byte and, after key (if that is not nil), v. What
// w can be given on the way goes there; nil keeps all of it.
func appendValue(b []byte, key []byte, v value.Value, tmp *scratch, w *Writer) []byte {
	b = append(b, byte(typeOf(v, w == nil)))
	if key != nil {
		b = appendString(b, key, tmp)
	}
	if v.Kind == value.KindString {
		return appendStringValue(b, v, tmp)
	}
	return appendCollection(b, v, tmp, w)
}

// Entry is what files are made of. The name is here for packages that move
// entries and have no other business with the store.
type Entry = store.Entry
