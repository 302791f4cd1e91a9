// Package store is the keyspace: 16384 slots times the databases, each part
// made when it is first used, with expiry, access clocks and snapshots.
//
// # What it promises
//
// Every part of the keyspace belongs to one slot, and the caller holds that
// slot's lock (or has the store for itself) around every call that names a
// slot. Two calls on different slots never touch the same memory, except for
// counters that are atomic and the heaps of the arena, which lock for
// themselves. Calls on the whole keyspace (Flush, Swap, Cut) need every slot at
// once: the caller holds Engine.Exclusive.
//
// A key is looked up once and then spoken of by a Ref. What a Ref shows (Key,
// Value) are views of bytes inside the store: they are good until the next
// change of that slot and never after the slot's lock is given up. The Cell in a
// Ref is the value open for change; the packages of the types (hash, list, set,
// stream, zset) work on it.
//
// # How it lies in memory
//
// Nothing that grows with the data is seen by the garbage collector. A record
// (package value) is a block of the arena: header, key, payload. The index of a
// slot is a table of 64-bit entries, 28 bits of the key's hash and 36 of the
// record's place, in the order of the hashes. So a walk over a slot (SCAN, a
// snapshot, the reaper) is a walk over hashes: it goes on at a hash, whatever
// was added, deleted or resized in between.
//
// # Snapshots
//
// A cut raises the version that changes are marked with. The walk emits records
// that have not changed since; a writer that is about to change one hands it
// over first. The trees of collections are copied on write while a snapshot is
// open, so a snapshot needs only their roots and reads them without a lock.
// Blocks that it may still read are retired, and freed when it is closed.
//
// # How to read it
//
// store.go (keys and their Refs), database.go (one database: its slots and
// counters, flushed and swapped as one pointer), counts.go (how many keys each slot
// has), space.go (its part of one slot, and what records tell it), index.go (hash
// to record), indexstats.go (how full its tables are), expiry.go (the heaps of deadlines), clock.go (idle time and
// frequency), candidates.go (what eviction looks at), scan.go (cursors, random
// keys), snapshot.go (cuts: the state at one instant, walked while writers go on),
// aside.go (trees changed while a snapshot keeps them), reaper.go (what is given
// back later), compact.go (blocks out of sparse pages), insert.go (what files and
// full syncs put in), replace.go (a store that is filled beside this one and takes
// its place), warm.go (memory asked for ahead of a pipeline).
//
// # Purity
//
// No clock, no socket, no disk: the time comes with each call. The hash seed is
// random, but nothing that can be observed depends on it, but for the order of
// SCAN.
package store
