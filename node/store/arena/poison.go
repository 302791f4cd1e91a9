package arena

import "fmt"

// What blocks show in the debug build.
const (
	patternNew  = 0xa5 // not written to yet
	patternFree = 0xdb // freed; the first eight bytes are the list's
)

// paintMost bounds how much of a large block is painted.
const paintMost = 1 << 20

// paint fills the size bytes of the block r.
func (m *Memory) paint(r Ref, size int, pattern byte) {
	size = min(size, paintMost)
	b := m.Bytes(r, size)
	b[0] = pattern
	for n := 1; n < size; n *= 2 {
		copy(b[n:], b[:n])
	}
}

// verify panics unless the free block r shows what it was painted with.
func (m *Memory) verify(r Ref, size int) {
	for i, c := range m.Bytes(r, size)[unit:] {
		if c != patternFree {
			panic(fmt.Sprintf("arena: block %d of %d bytes: byte %d was written after the block was freed", r, size, unit+i))
		}
	}
}
