package arena

import (
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Ref names a block: the number of the 8-byte unit that it begins at. 0 names
// none. A Ref has at most RefBits bits.
type Ref uint64

// RefBits is how many bits of a Ref may be set: 512 GiB can be addressed.
const RefBits = 36

// unit is the number of bytes that a Ref counts in.
const unit = 8

// maxReserve is the number of bytes that Refs can address.
const maxReserve = unit << RefBits

// ErrExhausted is what Alloc panics with when the reserved range is used up or
// the system gives no more memory. There is no way on from it.
var ErrExhausted = errors.New("arena: out of memory")

// Options of a Memory.
type Options struct {
	// Reserve is how many bytes of addresses are set aside, none of them used
	// yet; 0 means as many as the system allows, 512 GiB at most.
	Reserve int64
	// Heaps is the number of heaps, 65,535 at most; 0 means 1.
	Heaps int
	// SmallPages leaves the size of the system's pages as it is. Otherwise the
	// system is asked for huge pages (2 MiB), all but the first few MiB: that
	// saves time in every access, and may make some more memory resident than
	// Mapped tells.
	SmallPages bool
}

// Memory is one range of addresses with its heaps. It is safe for concurrent
// use.
type Memory struct {
	base  unsafe.Pointer
	table unsafe.Pointer // the side table: one frame struct per frame
	heaps []Heap
	// opened is the number of frames, from the first, that may be accessed,
	// together with their part of the table. It only grows.
	opened atomic.Uint32
	limit  uint32 // number of frames of the range
	// seed keys Hash.
	seed maphash.Seed

	_ [64]byte // what is above is read often and hardly ever changes

	// shared has the pages of the larger blocks of all heaps.
	shared Heap
	runs   runs
	pages  pages
}

// New reserves a range of addresses. It returns an error that wraps the
// system's when that many are not to be had.
func New(o Options) (*Memory, error) {
	heaps := max(o.Heaps, 1)
	if heaps > sharedIndex {
		return nil, fmt.Errorf("arena: %d heaps are too many", heaps)
	}
	if o.Reserve < 0 || o.Reserve > maxReserve {
		return nil, fmt.Errorf("arena: cannot reserve %d bytes, only up to %d", o.Reserve, int64(maxReserve))
	}
	size := o.Reserve
	if size == 0 {
		size = defaultReserve
	}
	size = max(size, leastReserve) &^ (frameBytes - 1)
	r, err := reserve(tableBytes(size), size, !o.SmallPages)
	for i := 0; err != nil && i < 4*(graceRounds+1); i++ {
		// Addresses of Memories that nobody reaches may be had after collections,
		// once the goroutines that clean up have had their turn.
		runtime.GC()
		for range 100 {
			runtime.Gosched()
		}
		r, err = reserve(tableBytes(size), size, !o.SmallPages)
	}
	for err != nil && o.Reserve == 0 && size > leastDefault {
		size /= 2
		r, err = reserve(tableBytes(size), size, !o.SmallPages)
	}
	if err != nil {
		return nil, err
	}
	m := &Memory{base: r.base, table: r.table, limit: uint32(size / frameBytes), heaps: make([]Heap, heaps), seed: maphash.MakeSeed()}
	for i := range m.heaps {
		m.heaps[i].memory, m.heaps[i].index = m, uint16(i)
	}
	m.shared.memory, m.shared.index = m, sharedIndex
	m.runs.init(m, !o.SmallPages)
	runtime.AddCleanup(m, release, lease{mapping: r.mapping, rounds: graceRounds})
	return m, nil
}

const (
	// leastReserve holds a frame that is never used and a few more.
	leastReserve = 8 * frameBytes
	// leastDefault is where New stops to ask for less.
	leastDefault = 256 << 20
)

// graceRounds is how many collections pass between the one that finds a Memory
// unreachable and the one that gives its addresses back. The contract says that
// whoever reads its bytes keeps it reachable, but it is easily broken by a
// function that reads its last view when nothing mentions the Memory any more;
// no such function runs through several collections.
const graceRounds = 2

// lease is what remains of a Memory that is no longer reachable.
type lease struct {
	mapping mapping
	rounds  int
}

// witness is what a collection must find unreachable for a round to pass. The
// pointer keeps it out of the batches of tiny objects.
type witness struct{ _ [4]*byte }

func release(l lease) {
	if l.rounds == 0 {
		l.mapping.release()
		return
	}
	l.rounds--
	runtime.AddCleanup(new(witness), release, l)
}

// Heap returns heap i, modulo the number of heaps.
func (m *Memory) Heap(i int) *Heap { return &m.heaps[i%len(m.heaps)] }

// Bytes returns n bytes from r on. They are memory of the block for as long as
// it is not freed; afterwards they may show anything, but reading them is no
// fault for as long as m is reachable.
func (m *Memory) Bytes(r Ref, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(m.base, uintptr(r)*unit)), n)
}

// Used returns the bytes of all blocks that are not freed, each with those that
// its size class rounds up to. It takes no lock: blocks that come and go at the
// same time are counted or not.
func (m *Memory) Used() int64 {
	var n int64
	for i := range m.heaps {
		n += m.heaps[i].Used()
	}
	return n
}

// Operations returns how many blocks were handed out and taken back so far. The
// difference of two calls measures what was done in between, without a clock.
func (m *Memory) Operations() (n int64) {
	count := func(h *Heap) {
		h.mutex.Lock()
		n += h.operations
		h.mutex.Unlock()
	}
	count(&m.shared)
	for i := range m.heaps {
		count(&m.heaps[i])
	}
	return n
}

// Peek returns the 8 bytes at r, whatever they are: of a block, of a freed one,
// of none. It returns 0 for what was never opened.
func (m *Memory) Peek(r Ref) uint64 {
	if uint64(r) >= uint64(m.opened.Load())*frameUnits {
		return 0
	}
	return atomic.LoadUint64((*uint64)(unsafe.Add(m.base, uintptr(r)*unit)))
}

// Mapped returns the bytes that were opened for blocks and not given back to the
// system: at most so many are resident, as far as the system's pages are not
// larger than a frame. The side table, 1/512 of that, is not among them.
func (m *Memory) Mapped() int64 { return m.runs.mapped.Load() * frameBytes }

// Excess returns how many of the mapped bytes are in use only because blocks are
// spread over more pages than they need: what moving all of them that Sparse
// points out can give back, about.
func (m *Memory) Excess() int64 {
	n := m.shared.excess()
	for i := range m.heaps {
		n += m.heaps[i].excess()
	}
	return n
}

// Spare returns how many of the mapped bytes are in no page and wait for their next
// use: see Trim and Settle.
func (m *Memory) Spare() int64 {
	m.runs.mutex.Lock()
	defer m.runs.mutex.Unlock()
	return int64(m.runs.dirtyFrames) * frameBytes
}

// Refile makes the next blocks come from the fullest pages there are: Alloc goes
// on with a page until that is full, which may have become the emptiest. It is
// for whoever is about to move blocks out of sparse pages.
func (m *Memory) Refile() {
	m.shared.refile()
	for i := range m.heaps {
		m.heaps[i].refile()
	}
}

// Limit returns how many bytes are reserved.
func (m *Memory) Limit() int64 { return int64(m.limit) * frameBytes }

// Trim gives all free frames back to the system, also those that are kept for
// the next use, and returns how many bytes that were.
func (m *Memory) Trim() int64 {
	for i := range m.heaps {
		m.heaps[i].trim()
	}
	m.shared.trim()
	return int64(m.runs.giveBack(0, allFrames, true)) * frameBytes
}

// Settle gives back some MiB of the free frames that are too many, as Free does
// with the first of them, and reports whether there are more. It keeps the system from
// filling the huge pages whose parts went back. It is for whoever has time; nobody waits
// for it.
func (m *Memory) Settle() (more bool) { return m.runs.settle(4 * hugeFrames) }

// word returns the first eight bytes of the block r.
func (m *Memory) word(r Ref) *uint64 {
	return (*uint64)(unsafe.Add(m.base, uintptr(r)*unit))
}
