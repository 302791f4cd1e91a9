// Package listpack reads and writes listpacks: sequences of short texts and
// integers packed into one run of bytes, in exactly the form in which Redis 7
// keeps and files them.
//
//	total bytes u32, number of entries u16 (65535: not known), entries, 0xFF
//
// An entry is an encoding byte with what belongs to it, and the length of that
// once more behind it, so that it can be walked backwards. A text that is the
// canonical decimal form of a 64-bit integer is kept as the integer.
//
// # What it promises
//
// All functions are pure and allocate nothing, those that append to a slice of
// the caller's excepted. A place in a listpack is the offset of an entry from
// its beginning; no place is -1. Views alias the listpack. Functions trust what
// they are given, for a listpack lies in a process's own memory; what comes from
// outside goes through Validate first, which looks at every byte.
//
// # Changing one
//
// A listpack usually lies in the payload of a key's record, at some offset base,
// and whoever owns the record moves the bytes. So a change is three steps: make
// room, fill it, put the header right.
//
//	size := listpack.EntrySize(text)
//	lp := cell.Splice(base+pos, 0, size)[base:] // pos may be listpack.End(lp)
//	listpack.Put(lp[pos:], text)
//	listpack.Fix(lp, +1)
//
// Removing entries is a Splice that inserts nothing (pos to Skip(lp, pos, n))
// and a Fix with -n; replacing one is a Splice of both and a Fix with 0. An
// interface over the cell instead of these steps would move it to the heap.
//
// # How to read it
//
// listpack.go (reading and changing), entry.go (the forms of an entry), validate.go
// (what comes from outside), distinct.go (whether texts differ), decimal.go (decimal
// numbers, eight digits at once).
//
// # Imports
//
// The standard library only.
package listpack
