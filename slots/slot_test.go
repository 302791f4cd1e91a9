package slots

import (
	"math/rand/v2"
	"testing"

	"github.com/sigurn/crc16"
)

func TestChecksumIsTheLibrarys(t *testing.T) {
	xmodem := crc16.MakeTable(crc16.CRC16_XMODEM)
	rng := rand.New(rand.NewPCG(1, 2))
	for length := range 200 {
		data := make([]byte, length)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		if got, want := checksum(data), crc16.Checksum(data, xmodem); got != want {
			t.Fatalf("%d bytes: %04x, want %04x", length, got, want)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	key := []byte("key:000000012345")
	for b.Loop() {
		Of(key)
	}
}
