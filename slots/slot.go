package slots

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/sigurn/crc16"
)

// Count is the number of hash slots of every cluster.
const Count = 16384

// Slot is a hash slot: 0 to Count-1.
type Slot uint16

// Of returns the slot of key: CRC16 (XMODEM) of its hash tag modulo Count.
func Of(key []byte) Slot { return Slot(checksum(HashTag(key)) % Count) }

// checksum is sigurn/crc16's Checksum for XMODEM, eight bytes at a time: that
// package's way of one byte at a time is 7 % of a pipelined GET. shifted[n][b]
// is the checksum of the byte b followed by n zeros; checksums of bytes at
// different places add up by exclusive or.
func checksum(data []byte) uint16 {
	crc := uint16(0)
	for len(data) >= 8 {
		crc = shifted[7][data[0]^byte(crc>>8)] ^ shifted[6][data[1]^byte(crc)] ^
			shifted[5][data[2]] ^ shifted[4][data[3]] ^ shifted[3][data[4]] ^
			shifted[2][data[5]] ^ shifted[1][data[6]] ^ shifted[0][data[7]]
		data = data[8:]
	}
	for _, b := range data {
		crc = crc<<8 ^ shifted[0][b^byte(crc>>8)]
	}
	return crc
}

var shifted = func() (tables [8][256]uint16) {
	xmodem := crc16.MakeTable(crc16.CRC16_XMODEM)
	for b := range 256 {
		crc := crc16.Checksum([]byte{byte(b)}, xmodem)
		for n := range tables {
			tables[n][b] = crc
			crc = crc16.Update(crc, []byte{0}, xmodem)
		}
	}
	return tables
}()

// HashTag returns the part of key that decides its slot: what stands between
// the first '{' and the first '}' after it, or all of key when there is no
// such pair or nothing stands between them. The result aliases key.
func HashTag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	length := bytes.IndexByte(key[open+1:], '}')
	if length <= 0 {
		return key
	}
	return key[open+1 : open+1+length]
}

// Parse reads a slot in decimal. The error names the text and the range.
func Parse(text string) (Slot, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n >= Count {
		return 0, fmt.Errorf("slot %q is not a number from 0 to %d", text, Count-1)
	}
	return Slot(n), nil
}
