// Package persist keeps a node's data on disk in Redis's own files: the
// multi-part append only file and RDB files.
//
// It knows no server and no cluster. It follows the journal like a replica
// does, takes snapshots through a rdb.Source, and gives what it loads to a Target;
// package node supplies both. Everything it does to the disk goes through FS,
// so that tests can lose power at any call.
//
// # Promises
//
//   - Written is the journal offset up to which everything is in the file:
//     what is before it survives the end of the process, however it ends.
//   - Synced is the offset up to which everything is on the disk: what is before
//     it survives the loss of power.
//   - What a crash leaves behind can always be loaded: at most an incomplete
//     end is cut off, and kept beside the file. An end begins where the file ends
//     within an entry, or where zeros stand that no fsync has vouched for (#DISK).
//   - Damage anywhere else is an error that names the file and the byte.
//   - A failed fsync is never assumed to have worked later: what it was about is
//     written again, from memory and to other files.
//
// # How to read
//
// fs.go is the disk; manifest.go says which files there are; aof.go is the API,
// start.go its beginning and end, writer.go what happens all the time, rewrite.go
// now and then, plain.go bases of commands, received.go bases that a primary sends;
// load.go is what happens at the start, with spread.go, which has commands applied on
// all cores; entries.go cuts a file into entries and
// annotate.go is what the files say about offsets and time; check.go is slotmesh
// check-aof. rdbfile.go saves RDB files, rdbload.go loads them. memfs is the file system of the
// tests. The package imports crew, journal, rdb, resp, store and slots.
package persist
