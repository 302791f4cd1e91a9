// Package store is the keyspace: 16384 slots times the databases, each part
// made when it is first used, with expiry, access clocks and snapshots.
//
// # What it promises
//
// Every part of the keyspace belongs to one slot, and the caller holds that
// slot's lock (or has the store for itself) around every call that names a
// slot. Two calls on different slots never touch the same memory, except for
// counters that are atomic. Calls on the whole keyspace (Flush, Swap, Cut) need
// every slot at once: the caller holds Engine.Exclusive.
//
// A key is looked up once and then spoken of by a Ref. What a Ref shows (Key,
// Value) are views of bytes inside the store: they are good until the next
// change of that slot and never after the slot's lock is given up. Nothing in
// the interface hands out a Go pointer to a value, so that the inside may be
// records of bytes in pages without pointers.
//
// # How to read it
//
// value.go (kinds, encodings, what a value is), store.go (keys and their Refs),
// database.go (one database: its slots and counters, flushed and swapped as one
// pointer), space.go (its part of one slot: dense records), index.go
// (hash to position, growing step by step), expiry.go (the heap of deadlines),
// clock.go (idle time and frequency), scan.go (cursors, random keys),
// snapshot.go (cuts: the state at one instant, walked while writers go on).
//
// # Purity
//
// No clock, no socket, no disk: the time comes with each call. The hash seed is
// random, but nothing that can be observed depends on it.
package store
