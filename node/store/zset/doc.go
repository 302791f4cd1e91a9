// Package zset is the sorted set: members, each with a score, in the order of
// score and then member.
//
// # What it promises
//
// Read gives a Reader of a value, which may be the view that a snapshot holds;
// it takes no lock. Open gives a ZSet of a cell, which changes it; a draft's
// cell will do. Places are ranks, counted from 0 for the least score: every
// range, by rank, score or member, becomes two ranks first. Members and cursors
// that are returned are views, good until the next change of the slot. Nothing
// is allocated on the Go heap for an element.
//
// # Two forms
//
// A small set is packed: the payload is a listpack of member, score, member,
// score, in order, byte for byte the one that the reference keeps and files. A
// large one is two trees: one by score, whose prefix is the score's bits made
// to order as the numbers do and whose item is the member; and one by the
// member's hash, whose item is the score's eight bytes and the member. Which
// form is in use depends on size alone, but for a listpack that comes from a file or
// a payload, which stays one up to the reference's limits until a member comes; the
// encoding that the value bears (listpack or skiplist) follows the reference's rules
// and never goes back.
//
// # How to read it
//
// zset.go (reading), together.go (several members at once), cursor.go (walking),
// ranges.go (ranges), change.go (changing), remove.go (members that go together),
// packed.go (the listpack), bundle.go (small results), build.go (whole sets), load.go
// (whole sets in any order), score.go (numbers and their text), number.go (the texts that
// most are).
//
// # Imports
//
// value, tree, listpack.
package zset
