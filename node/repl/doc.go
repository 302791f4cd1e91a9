// Package repl is replication over Redis's own wire, in both roles: Primary
// feeds replicas that asked with PSYNC or SYNC, Replica follows a primary. Each
// side may be a real redis-server.
//
// # What it promises
//
//   - A full sync is the state at exactly one offset of the journal, streamed
//     while commands go on; what follows is the stream from that offset.
//   - A replica's journal repeats the primary's bytes, so that its offsets and
//     history ids are the primary's, down the chain and after a promotion. A
//     broken link resumes where it broke, if the backlog still has it.
//   - A replica keeps its old data until the new are complete: they are loaded
//     beside and take the old ones' place at once.
//   - A primary's transaction is applied and journaled as one step.
//   - What a peer sends is bounded: sizes are believed only as far as bytes
//     are there, and a peer that is silent for repl-timeout is left.
//   - Transfers yield to the event loops every few kilobytes.
//
// # What it needs
//
// A rdb.Source and a Target, which package node implements over the engine and
// the store, a journal, a log, and Settings, which are asked again and again so
// that they may change.
//
// # How to read it
//
// settings.go (what the operator decides), primary.go (the replicas of this
// node), feed.go (one of them), acks.go (who has what; WAIT), replica.go (the
// life of a link to a primary), handshake.go, load.go (full sync, received),
// stream.go (what follows it).
//
// The package imports crew, journal, rdb, resp and slots.
package repl
