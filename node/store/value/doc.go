// Package value is what one key holds: its kind and encoding, a view of its
// content (Value), and the content open for change (Cell).
//
// # What it promises
//
// A record is one block of the arena without pointers: a header, the key, the
// payload. The payload of a string is its bytes; that of a collection begins
// with the encoded roots of its trees, if it has any, and goes on as its type
// likes. What a Cell or a Value shows is good until the next change of the
// slot; a Value that a snapshot hands out is good until the snapshot is closed.
//
// Every change goes through Edit, Splice or SetRoot of a Cell. They tell the
// Home of the record first, which hands the old content to open snapshots, and
// they see to it that bytes which a snapshot still reads are replaced and not
// changed.
//
// # How to read it
//
// kind.go (types and encodings, as commands name them), value.go (views,
// strings, numbers), record.go (the layout of a record), cell.go (changing
// one), draft.go (values that are not a key's yet).
package value
