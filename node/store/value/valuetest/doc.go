// Package valuetest is what the tests of the types share: a keyspace of one
// record, with snapshots of it, and memory for it.
//
// A Home does for its record what the store does for all: a cut freezes what
// there is, who is about to change it hands it over first, and what a snapshot may
// still read is kept until the snapshots are closed.
package valuetest
