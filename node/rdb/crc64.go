package rdb

import "math/bits"

// The checksum of the dump format is the CRC-64 of Jones: polynomial
// ad93d23594c935a9, reflected, without inversion at either end.
const jones = 0xad93d23594c935a9

// crcTables are slicing-by-8 tables: crcTables[k][b] is the checksum of byte b
// followed by k zero bytes.
type crcTables [8][256]uint64

var jonesTables = newCRCTables()

func newCRCTables() *crcTables {
	var t crcTables
	reflected := bits.Reverse64(jones)
	for b := range 256 {
		crc := uint64(b)
		for range 8 {
			crc = crc>>1 ^ reflected*(crc&1)
		}
		t[0][b] = crc
	}
	for b := range 256 {
		for k := 1; k < 8; k++ {
			crc := t[k-1][b]
			t[k][b] = t[0][byte(crc)] ^ crc>>8
		}
	}
	return &t
}

// updateCRC returns the checksum of what crc is the checksum of, followed by p.
func updateCRC(crc uint64, p []byte) uint64 {
	t := jonesTables
	for len(p) >= 8 {
		crc ^= uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
			uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
		crc = t[7][byte(crc)] ^ t[6][byte(crc>>8)] ^ t[5][byte(crc>>16)] ^ t[4][byte(crc>>24)] ^
			t[3][byte(crc>>32)] ^ t[2][byte(crc>>40)] ^ t[1][byte(crc>>48)] ^ t[0][byte(crc>>56)]
		p = p[8:]
	}
	for _, b := range p {
		crc = t[0][byte(crc)^b] ^ crc>>8
	}
	return crc
}
