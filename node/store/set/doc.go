// Package set is the set: members without order, each once.
//
// # What it promises
//
// Read gives a Reader of a value.Value, Open a Set of a value.Cell: reading and
// changing, whether the value belongs to a key, to a snapshot or to a draft.
// Has, Add and Remove take constant time, but for sets of integers, where they
// move what lies behind the place, and the logarithm of the size in large sets;
// Member (the choice of a random one) likewise. None of them takes memory of Go's
// heap. Members that are returned are views: good until the next change.
//
// # The three forms
//
// An intset, when all members are integers and there are at most
// Limits.IntsetEntries: the very bytes that Redis keeps and files, that is
//
//	width u32 (2, 4 or 8), number of members u32, members ascending
//
// Everything else has the encoding "hashtable", as there; but up to packedEntries
// members in packedBytes bytes it is a listpack in the payload, whose members
// stand in the order they came in. Beyond, it is one tree whose items are the
// members and whose prefixes are their keyed hashes, and the payload is the root.
// A set never goes back to a smaller form.
//
// The order of a tree is that of the hashes, in every set of one Memory. That is
// what a Place (SSCAN's cursor) counts in, and why sets of that form are
// intersected and united by walking them side by side.
//
// # Reading it
//
// intset.go (the integers), reader.go (reading), set.go (changing), remove.go
// (removing many), build.go (building one from many members), load.go (from members
// in any order), bundle.go (small results), algebra.go (several sets at once). The
// package imports value, tree, listpack and arena.
package set
