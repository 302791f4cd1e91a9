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

var xmodem = crc16.MakeTable(crc16.CRC16_XMODEM)

// Of returns the slot of key: CRC16 (XMODEM) of its hash tag modulo Count.
func Of(key []byte) Slot {
	return Slot(crc16.Checksum(HashTag(key), xmodem) % Count)
}

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
