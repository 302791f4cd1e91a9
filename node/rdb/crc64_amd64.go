package rdb

import "golang.org/x/sys/cpu"

// canFold reports whether foldBlocks may be called.
var canFold = cpu.X86.HasPCLMULQDQ

// foldBlocks returns 16 bytes, as two little-endian words, whose checksum is that of
// the first n bytes at p behind crc. n is a multiple of 16 and at least foldMin. by
// tells how a remainder is moved on by four blocks, and by one.
//
//go:noescape
func foldBlocks(crc uint64, p *byte, n int, by *[2][2]uint64) (first, second uint64)
