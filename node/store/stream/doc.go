// Package stream is the stream type: an append-only run of entries, each an id
// with fields and values, and groups of consumers that read them together.
//
// # What it promises
//
// Entries lie in blocks that are, byte for byte, the listpacks that the
// reference keeps and files (block.go): a new block begins where it begins one,
// because approximate trimming removes whole blocks and so shows where they end.
// The payload of a stream's record is the roots of up to four trees, a few
// numbers, and the last block, as long as it is the last one (stream.go). The
// trees are
//
//   - blocks but the last one, by id;
//   - names of groups and consumers, with what is known of them (names.go);
//   - their numbers, with the names;
//   - what is pending, by group and id, and by consumer and id (pending.go).
//
// So whatever names an id, a group or a consumer takes a time that grows with
// the logarithm of the stream's size, plus what it returns or removes.
//
// A Reader needs no lock on a value that a snapshot holds. A Stream collects
// changes of the roots and numbers and writes them with Save: until then, and
// without it, the key is as it was but for the trees, so Save must follow every
// change. Views that either hands out are good until the next change.
//
// Numbers from outside are checked by the callers; blocks from outside by
// AppendBlock, which looks at every byte. What it took cannot make this package
// read outside a block or go on for ever, whatever ids and counts it claims.
//
// # How to read it
//
// id.go, block.go, stream.go, range.go, trim.go, append.go (the quick way to add an
// entry), then names.go, group.go, pending.go and lag.go; radix.go counts nodes of a
// tree that is not there; build.go is for files and dumps.
//
// # Imports
//
// value, tree, arena (through them) and listpack.
package stream
