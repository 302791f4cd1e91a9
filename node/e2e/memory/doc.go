// Package memory fills nodes beyond maxmemory under every policy and works on
// collections of 300,000 members, and measures what that does to memory and
// to others.
//
// # What it promises
//
// Under each maxmemory-policy a node and its replica take more writes than fit:
// used_memory stays within the limit, the process, from 256 MiB on, within 1.15 of
// it, the policy
// decides who goes, and the replica ends with the same keys. With
// SLOTMESH_LONG=1 each policy is written to for a minute and the collections
// have ten million members.
//
// # What it may import
//
// The standard library, slots and the harness.
//
// # How to read it
//
// policies_test.go is maxmemory; large_test.go the collections; defrag_test.go the
// pages that deletions leave behind.
package memory
