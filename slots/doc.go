// Package slots is the arithmetic of a cluster's key space: which of the
// 16384 hash slots a key belongs to, sets of slots and their ranges, the
// identifiers of the nodes that own them, and the immutable Table that says
// where each slot is served.
//
// Everything here is a pure value: no clock, no socket, no disk, no lock. A
// Table is built once and never changed, so that any goroutine may read it
// without asking; the one who learns something new builds another.
//
// Read slot.go (keys to slots), then set.go (sets and ranges), then table.go
// (who serves what, and the verdict on a request).
//
// Source: Redis Cluster specification, "Key distribution model" and "MOVED
// Redirection".
package slots
