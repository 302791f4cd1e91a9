package rdb

import (
	"math/bits"
	"math/rand/v2"
	"testing"
)

// TestCRC compares with the definition, bit by bit, whatever the length and
// wherever the input is cut.
func TestCRC(t *testing.T) {
	plain := func(crc uint64, p []byte) uint64 {
		for _, b := range p {
			crc ^= uint64(b)
			for range 8 {
				crc = crc>>1 ^ bits.Reverse64(jones)*(crc&1)
			}
		}
		return crc
	}
	random := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 5*crcLane)
	for i := range p {
		p[i] = byte(random.Uint32())
	}
	lengths := []int{crcLane, 2*crcLane - 1, 2 * crcLane, 2*crcLane + 1, 4 * crcLane, len(p)}
	for n := range 4 * foldMin {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		for range 5 {
			start, cut := random.Uint64(), random.IntN(n+1)
			if got, want := updateCRC(updateCRC(start, p[:cut]), p[cut:n]), plain(start, p[:n]); got != want {
				t.Errorf("%d bytes, cut at %d: %x, want %x", n, cut, got, want)
			}
			// As where the processor does not multiply without carries.
			if got, want := jonesTables.update(start, p[cut:n]), plain(start, p[cut:n]); got != want {
				t.Errorf("%d bytes, looked up: %x, want %x", n-cut, got, want)
			}
		}
	}
}

func BenchmarkCRC(b *testing.B) {
	p := make([]byte, 256<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		updateCRC(1, p)
	}
}
