// Package hll counts distinct elements by HyperLogLog, on strings in the very
// bytes of Redis:
//
//	"HYLL", form (0 dense, 1 sparse), 3 bytes unused, cached count (8 bytes,
//	little-endian; its top bit set when it is not right any more), registers
//
// There are 16384 registers of 6 bits. The dense form has them one after the
// other, the lowest bits first. The sparse form is a list of runs:
//
//	00nnnnnn           n+1 registers are zero
//	01nnnnnn nnnnnnnn  n+1 registers are zero
//	1vvvvvnn           n+1 registers are v+1
//
// An element goes to the register of 14 bits of its hash, which keeps the
// greatest number of zeros, plus one, that the other bits of a hash ended in.
//
// # What it promises
//
// The same elements added in the same order give the same bytes as they do
// there, changes of form included. Functions that take the bytes of a string
// trust Valid and nothing else: a list of runs that is too long, too short or cut
// off is found out and never read or written beyond.
//
// # Reading it
//
// hll.go has the string as a whole and the counting, dense.go and sparse.go the
// two forms. The package imports the standard library only.
package hll
