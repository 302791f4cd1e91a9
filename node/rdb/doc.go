// Package rdb is Redis's dump format: values as DUMP and RESTORE carry them,
// and whole files as full syncs and saves write them.
//
// # Promises
//
//   - What is written is version 10, which Redis 7.0 reads. The one exception is
//     a hash with deadlines of fields, which no 7.0 has: it has the type that
//     Redis 7.4 gives it.
//   - Versions 1 to 12 and what Valkey 9 writes are read, with every type and
//     encoding that they ever had. A payload or file of a newer version is
//     refused, as are data of modules, by the module's name.
//   - A size in the input is believed only as far as bytes are there: nothing
//     is allocated for what was merely claimed.
//   - A checksum that does not fit is an error, unless Reader.AnyChecksum is set,
//     and so is every broken value;
//     no input makes this package panic. A refused value leaves nothing in the
//     arena. Errors in a file name the byte and the key.
//   - A value that is read gets the encoding that the reference would give it
//     under the limits in force.
//   - The reader and the writer stream. The writer hands a large collection on
//     in pieces; the reader builds it of so many elements at once as it may gather
//     where the format has elements, and string by string where it has packed nodes.
//   - What the reference keeps packed is dumped packed, and what comes packed is
//     taken over as it is where its type can live with that.
//
// A collection is read into a draft, which the caller puts into the keyspace or
// discards.
//
// A file is read entry by entry (Reader.Next), or loaded on all cores
// (Reader.Load): one goroutine finds where entries begin and end, by skipping
// lengths, and those of a heap's slots are built and inserted by one worker.
// What the skipping does not understand, Next reads, so that both refuse a file
// in the same words.
//
// Read dump.go (single values), writer.go and reader.go (files), load.go and
// skip.go (files on all cores), types.go and
// collections.go (which type is what), list.go, set.go, zset.go, hash.go and
// stream.go (the types), ziplist.go (what small collections were once), then
// encoding.go (lengths, integers, strings), lzf.go and crc64.go (crc64_amd64.s is for
// processors that multiply without carries). The package
// imports store and what lies below it, for the values, slots, and crew.
package rdb
