package rdb

import (
	"encoding/binary"
	"math/bits"
)

// The checksum of the dump format is the CRC-64 of Jones: polynomial
// ad93d23594c935a9, reflected, without inversion at either end.
const jones = 0xad93d23594c935a9

// crcLane is how long each of the two parts is that are summed side by side: one
// alone is a chain of look-ups of which each waits for the one before.
const crcLane = 1 << 8

// crcTables are slicing-by-8 tables: slices[k][b] is the checksum of byte b
// followed by k zero bytes. lane[k][b] is what byte k of a checksum, b, is after
// crcLane more zero bytes.
//
// folds are what the two words of 16 bytes are multiplied with, where the processor
// multiplies without carries, to stand 64 bytes further on, and 16.
type crcTables struct {
	slices, lane [8][256]uint64
	folds        [2][2]uint64
}

// foldMin is the shortest input that is folded: four blocks of 16 bytes.
const foldMin = 64

var jonesTables = newCRCTables()

func newCRCTables() *crcTables {
	var t crcTables
	reflected := bits.Reverse64(jones)
	for b := range 256 {
		crc := uint64(b)
		for range 8 {
			crc = crc>>1 ^ reflected*(crc&1)
		}
		t.slices[0][b] = crc
	}
	for b := range 256 {
		for k := 1; k < 8; k++ {
			crc := t.slices[k-1][b]
			t.slices[k][b] = t.slices[0][byte(crc)] ^ crc>>8
		}
	}
	// Checksums are linear: that of a byte is the sum of those of its bits.
	for k := range 8 {
		for b := 1; b < 256; b++ {
			if rest := b & (b - 1); rest != 0 {
				t.lane[k][b] = t.lane[k][rest] ^ t.lane[k][b^rest]
				continue
			}
			crc := uint64(b) << (8 * k)
			for range crcLane / 8 {
				crc = look(&t.slices, crc)
			}
			t.lane[k][b] = crc
		}
	}
	// A product of reflected words is short of one bit, which the power makes up for.
	power := uint64(1) << 63
	for n := 1; n < 8*foldMin+64; n++ {
		power = power>>1 ^ reflected*(power&1)
		switch n {
		case 8*foldMin + 63:
			t.folds[0][0] = power
		case 8*foldMin - 1:
			t.folds[0][1] = power
		case 8*16 + 63:
			t.folds[1][0] = power
		case 8*16 - 1:
			t.folds[1][1] = power
		}
	}
	return &t
}

// look returns what crc, with eight bytes of input added to it, is behind them. t are
// the slices.
func look(t *[8][256]uint64, crc uint64) uint64 {
	// In pairs, for a sum of eight waits for each of them.
	return ((t[7][byte(crc)] ^ t[6][byte(crc>>8)]) ^ (t[5][byte(crc>>16)] ^ t[4][byte(crc>>24)])) ^
		((t[3][byte(crc>>32)] ^ t[2][byte(crc>>40)]) ^ (t[1][byte(crc>>48)] ^ t[0][byte(crc>>56)]))
}

// updateCRC returns the checksum of what crc is the checksum of, followed by p.
func updateCRC(crc uint64, p []byte) uint64 {
	t := jonesTables
	if canFold && len(p) >= foldMin {
		n := len(p) &^ 15
		first, second := foldBlocks(crc, &p[0], n, &t.folds)
		crc = look(&t.slices, look(&t.slices, first)^second)
		p = p[n:]
	}
	return t.update(crc, p)
}

// update is updateCRC by looking up.
func (t *crcTables) update(crc uint64, p []byte) uint64 {
	for len(p) >= 2*crcLane {
		first, second := p[:crcLane], p[crcLane:2*crcLane]
		behind := uint64(0)
		for i := 0; i <= crcLane-8; i += 8 {
			crc = look(&t.slices, crc^binary.LittleEndian.Uint64(first[i:]))
			behind = look(&t.slices, behind^binary.LittleEndian.Uint64(second[i:]))
		}
		crc = t.after(crc) ^ behind
		p = p[2*crcLane:]
	}
	for len(p) >= 8 {
		crc = look(&t.slices, crc^binary.LittleEndian.Uint64(p))
		p = p[8:]
	}
	for _, b := range p {
		crc = t.slices[0][byte(crc)^b] ^ crc>>8
	}
	return crc
}

// after returns what crc is after crcLane zero bytes.
func (t *crcTables) after(crc uint64) (sum uint64) {
	for k := range 8 {
		sum ^= t.lane[k][byte(crc>>(8*k))]
	}
	return sum
}
