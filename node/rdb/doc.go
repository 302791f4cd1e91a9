// Package rdb is Redis's dump format: values as DUMP and RESTORE carry them,
// and whole files as full syncs and saves write them.
//
// # Promises
//
//   - What is written is version 10, which Redis 7.0 reads.
//   - Headers of version 1 to 12 are read. A payload or file of a newer version
//     is refused, as are data of modules, by the module's name.
//   - A size in the input is believed only as far as bytes are there: nothing
//     is allocated for what was merely claimed.
//   - A checksum that does not fit is an error, and so is every broken value;
//     no input makes this package panic.
//   - The reader and the writer stream: neither holds more than one entry.
//
// Each value type has its rows in types.go: how it is read and how it is
// written. A type without them is refused by name, with its key.
//
// Read dump.go (single values), writer.go and reader.go (files), types.go (the
// rows), then encoding.go (lengths, integers, strings), lzf.go and crc64.go.
// The package imports store, for the values, and nothing else of this module.
package rdb
