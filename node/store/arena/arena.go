package arena

import (
	"errors"
	"hash/maphash"
	"unsafe"
)

// Ref names a block: the number of the 8-byte unit that it begins at. 0 names
// none. A Ref has at most RefBits bits.
type Ref uint64

// RefBits is how many bits of a Ref may be set: 512 GiB can be addressed.
const RefBits = 36

// unit is the number of bytes that a Ref counts in.
const unit = 8

// ErrExhausted is what Alloc panics with when the reserved range is used up or
// the system gives no more memory. There is no way on from it.
var ErrExhausted = errors.New("arena: out of memory")

// Options of a Memory.
type Options struct {
	// Reserve is how many bytes of addresses are set aside, none of them used
	// yet; 0 means as many as the system allows, 512 GiB at most.
	Reserve int64
	// Heaps is the number of heaps; 0 means 1.
	Heaps int
}

// Memory is one range of addresses with its heaps.
type Memory struct {
	base  unsafe.Pointer
	heaps []Heap
	// seed keys Hash; New makes it.
	seed maphash.Seed

	simple simple
}

// Heap hands out blocks of a Memory. It is safe for concurrent use.
type Heap struct {
	memory *Memory
	used   int64
}

// Heap returns heap i.
func (m *Memory) Heap(i int) *Heap { return &m.heaps[i%len(m.heaps)] }

// Memory returns what the heap is a part of.
func (h *Heap) Memory() *Memory { return h.memory }

// Bytes returns n bytes from r on. They are memory of the block for as long as
// it is not freed; afterwards they may show anything, but reading them is no
// fault.
func (m *Memory) Bytes(r Ref, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(m.base, uintptr(r)*unit)), n)
}
