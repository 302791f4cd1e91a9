// Package journal is the ordered stream of effects: what changed in the
// keyspace, in the one order that replicas, files and slot migrations agree on.
//
// An effect is a command in its final form (absolute expiry, chosen members),
// encoded once as RESP and addressed by byte offset, so that positions are
// those of Redis's master_repl_offset and a replica's journal, which repeats
// its primary's bytes verbatim, has the same offsets as its primary's. SELECT
// is inserted when the database changes; SELECT, PING and REPLCONF GETACK count
// as bytes like everything else.
//
// # Promises
//
//   - Append may be called from several goroutines. The order of the entries of
//     one slot is the order of the calls, if the callers hold that slot's lock.
//   - Bytes once published never change: a reader's slices stay valid.
//   - An entry (one effect, or a group between MULTI and EXEC) lies in one
//     chunk and becomes visible at once.
//   - At least Options.BacklogBytes of history are kept once the journal is
//     active, if that much was written. A reader keeps what it has not read,
//     up to its own limit; then it is cut, which is its loss alone.
//   - Every entry carries its slot, so that a reader can pick those of a set
//     of slots (Reader.NextEntry).
//   - Until Activate, Append costs one atomic load and nothing is kept.
//
// # Histories
//
// A journal belongs to a history, named by an id of 40 hex digits. Promote
// starts a new history that shares the old one's past: the old id stays known
// up to the offset of the change. Adopt takes over another node's history.
//
// Read journal.go (writing), then chunk.go (storage), reader.go (reading),
// history.go (ids) and watermark.go (waiting for a position). The package
// imports resp and slots, and nothing else of this module.
package journal
