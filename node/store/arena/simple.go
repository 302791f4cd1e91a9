package arena

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"unsafe"
)

// ClassSize returns the number of bytes that a block of n bytes takes.
func ClassSize(n int) int {
	if n <= 128 {
		return max(8, (n+7)&^7)
	}
	shift := bits.Len(uint(n-1)) - 4
	return (n + 1<<shift - 1) >> shift << shift
}

type simple struct {
	mutex sync.Mutex
	limit int64
	next  int64
	open  int64
	used  int64
	free  map[int][]Ref
	sizes map[Ref]int
}

// New reserves a range of addresses.
func New(o Options) (*Memory, error) {
	size := o.Reserve
	if size == 0 {
		size = 512 << 30
	}
	base, err := reserve(size)
	for err != nil && o.Reserve == 0 && size > 1<<30 {
		size /= 2
		base, err = reserve(size)
	}
	if err != nil {
		return nil, err
	}
	m := &Memory{base: base, seed: maphash.MakeSeed(), heaps: make([]Heap, max(o.Heaps, 1))}
	m.simple.limit, m.simple.next = size, 16<<10
	m.simple.free, m.simple.sizes = map[int][]Ref{}, map[Ref]int{}
	for i := range m.heaps {
		m.heaps[i].memory = m
	}
	return m, nil
}

// Alloc returns a block of at least n bytes.
func (h *Heap) Alloc(n int) Ref {
	if n < 1 {
		panic("arena: block of no bytes")
	}
	s := &h.memory.simple
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c := ClassSize(n)
	var r Ref
	if f := s.free[c]; len(f) > 0 {
		r, s.free[c] = f[len(f)-1], f[:len(f)-1]
	} else {
		if s.next+int64(c) > s.limit {
			panic(ErrExhausted)
		}
		r = Ref(s.next / unit)
		s.next += int64(c)
		if s.next > s.open {
			to := min((s.next+4<<20)&^(1<<20-1), s.limit)
			if err := open(unsafe.Slice((*byte)(unsafe.Add(h.memory.base, s.open)), to-s.open)); err != nil {
				panic(ErrExhausted)
			}
			s.open = to
		}
	}
	s.sizes[r] = c
	s.used += int64(c)
	h.used += int64(c)
	return r
}

// Free gives a block back.
func (h *Heap) Free(r Ref) {
	s := &h.memory.simple
	s.mutex.Lock()
	defer s.mutex.Unlock()
	c, ok := s.sizes[r]
	if !ok {
		panic("arena: free of what is no block")
	}
	delete(s.sizes, r)
	s.free[c] = append(s.free[c], r)
	s.used -= int64(c)
	h.used -= int64(c)
}

// Size returns how many bytes the block r has.
func (h *Heap) Size(r Ref) int {
	s := &h.memory.simple
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.sizes[r]
}

// Sparse says whether moving the block r helps to free its page.
func (h *Heap) Sparse(Ref) bool { return false }

// Used returns the bytes of all blocks.
func (m *Memory) Used() int64 {
	m.simple.mutex.Lock()
	defer m.simple.mutex.Unlock()
	return m.simple.used
}

// Mapped returns the bytes that are opened.
func (m *Memory) Mapped() int64 {
	m.simple.mutex.Lock()
	defer m.simple.mutex.Unlock()
	return m.simple.open
}

// Used returns the bytes of the heap's blocks.
func (h *Heap) Used() int64 {
	h.memory.simple.mutex.Lock()
	defer h.memory.simple.mutex.Unlock()
	return h.used
}

// Limit returns how many bytes are reserved.
func (m *Memory) Limit() int64 { return m.simple.limit }
