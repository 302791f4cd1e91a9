package arena

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Heap hands out blocks of a Memory. It is safe for concurrent use.
//
// A heap keeps a shelf of pages for each class. Blocks are taken from one of
// them, the current one, until it is full; then the fullest of the others takes
// its place. So pages with few blocks left are used last, and get empty.
//
// Blocks above ownSize are rarer and their pages longer: they lie in pages that
// all heaps share, which one more heap keeps; the others only count them.
type Heap struct {
	memory *Memory
	index  uint16

	// published is used, for those who do not hold the mutex; elsewhere are bytes of
	// blocks that lie in pages which all heaps share, or in none.
	published, elsewhere atomic.Int64

	mutex sync.Mutex
	used  int64 // bytes of blocks in the heap's own pages
	// operations is how many blocks were handed out and taken back.
	operations int64
	// spare is the shelf whose current page may be empty, plus 1. All other
	// empty pages are given up: a heap keeps one, so that a block which comes and
	// goes alone does not take a page with it each time.
	spare   int
	shelves [classCount]shelf

	_ [64]byte // no two heaps share a cache line
}

// shelf is what a heap has of one class. Pages are named by their first frame;
// 0 is none.
type shelf struct {
	// current is the page that blocks are taken from. It is not full, and in no
	// bin. 0 after it got full, until the next Alloc.
	current uint32
	pages   uint32
	blocks  uint32 // that are not free, in all pages
	// filled has bit b set if bin b has pages.
	filled uint32
	// bins are lists of pages that are neither full nor empty nor current, by
	// the share of their blocks that are used.
	bins [bins]uint32
}

// sharedIndex is the index of the heap that keeps the shared pages.
const sharedIndex = 1<<16 - 1

const (
	// bins is the number of lists by fill.
	bins     = 8
	binShift = 16
	// binFull and binCurrent are what frame.bin says of pages in no list.
	binFull    = bins
	binCurrent = bins + 1
)

// binOf returns the bin of a page with that many blocks in use, fewer than all.
func (c *class) binOf(used uint16) uint8 { return uint8(uint32(used) * c.binScale >> binShift) }

// Memory returns what the heap is a part of.
func (h *Heap) Memory() *Memory { return h.memory }

// Used returns the bytes of the heap's blocks, as Memory.Used does.
func (h *Heap) Used() int64 { return h.published.Load() + h.elsewhere.Load() }

// Alloc returns a block of at least n bytes, n >= 1, which show anything. It
// panics with ErrExhausted if there is no space for it.
func (h *Heap) Alloc(n int) Ref {
	if uint(n-1) >= ownSize {
		return h.allocShared(n)
	}
	return h.alloc(classOf(n))
}

// allocShared is Alloc for blocks above ownSize.
func (h *Heap) allocShared(n int) Ref {
	if n < 1 {
		panic("arena: a block has at least one byte")
	}
	m := h.memory
	if n <= largestClass {
		k := classOf(n)
		r := m.shared.alloc(k)
		h.elsewhere.Add(int64(classes[k].size))
		return r
	}
	frames := framesOf(n)
	if frames > int(m.limit) {
		panic(ErrExhausted)
	}
	first := m.runs.take(uint32(frames), kindLarge)
	if first == 0 {
		panic(ErrExhausted)
	}
	r, size := Ref(first)*frameUnits, frames*frameBytes
	if poisoned {
		m.paint(r, size, patternNew)
	}
	h.addFrames(int64(size))
	return r
}

// alloc returns a block of class k out of the heap's own pages.
func (h *Heap) alloc(k int) Ref {
	m, c := h.memory, &classes[k]
	h.mutex.Lock()
	s := &h.shelves[k]
	page := s.current
	if page == 0 {
		if page = h.turn(k); page == 0 {
			h.mutex.Unlock()
			panic(ErrExhausted)
		}
	}
	f := m.frame(page)
	var r Ref
	if f.free != 0 {
		r = Ref(page)*frameUnits + Ref(uint32(f.free-1)*c.units)
		f.free = m.takeLink(r, c)
	} else {
		r = Ref(page)*frameUnits + Ref(uint32(f.fresh)*c.units)
		f.fresh++
	}
	if f.used++; f.used == c.blocks {
		f.bin, s.current = binFull, 0
	}
	s.blocks++
	h.operations++
	h.count(int64(c.size))
	h.mutex.Unlock()
	if poisoned {
		m.paint(r, int(c.size), patternNew)
	}
	return r
}

// turn makes another page of class k current and returns it: the fullest there
// is, or a new one; 0 if there is no space for one. The caller holds the mutex.
func (h *Heap) turn(k int) uint32 {
	s := &h.shelves[k]
	if s.filled != 0 {
		b := uint8(bits.Len32(s.filled) - 1)
		page := s.bins[b]
		h.unlink(s, page)
		h.memory.frame(page).bin = binCurrent
		s.current = page
		return page
	}
	c := &classes[k]
	page := h.memory.runs.take(uint32(c.frames), kindPage+uint8(k))
	if page == 0 {
		return 0
	}
	f := h.memory.frame(page)
	f.heap, f.bin = h.index, binCurrent
	f.used, f.free, f.fresh = 0, 0, 0
	f.next, f.prev = 0, 0
	s.current = page
	s.pages++
	return page
}

// Free gives the block r back. Another heap may have handed it out: a value that
// moves to another slot keeps its blocks. Those of more than ownSize bytes are
// then taken off this heap's Used instead of that one's.
func (h *Heap) Free(r Ref) {
	m := h.memory
	page, kind := m.locate(r)
	switch {
	case kind == kindLarge:
		size := int64(m.frame(page).frames) * frameBytes
		if poisoned {
			m.paint(r, int(size), patternFree)
		}
		m.runs.put(page)
		h.addFrames(-size)
	case kind >= kindPage+ownClasses:
		m.shared.free(r, page, int(kind)-kindPage)
		h.elsewhere.Add(-int64(classes[kind-kindPage].size))
	default:
		m.owner(page).free(r, page, int(kind)-kindPage)
	}
}

// owner returns the heap of a page, which stays the same while a block in it
// lives.
func (m *Memory) owner(page uint32) *Heap { return &m.heaps[m.frame(page).heap] }

// free gives back the block r of class k in a page that is the heap's own.
func (h *Heap) free(r Ref, page uint32, k int) {
	m, c := h.memory, &classes[k]
	offset := uint64(r) - uint64(page)*frameUnits
	i := uint32(offset * c.reciprocal >> 32)
	f := m.frame(page)

	h.mutex.Lock()
	if f.heap != h.index || uint64(i*c.units) != offset || i >= uint32(f.fresh) {
		h.mutex.Unlock()
		panic("arena: free of what is no block of the heap")
	}
	if f.used == 0 || m.isFree(f, page, r, c) {
		h.mutex.Unlock()
		panic("arena: block freed twice")
	}
	if poisoned {
		m.paint(r, int(c.size), patternFree)
	}
	m.putLink(r, f.free)
	f.free = uint16(i + 1)
	f.used--
	s := &h.shelves[k]
	s.blocks--
	h.operations++
	h.count(-int64(c.size))

	var empty uint32
	switch b := c.binOf(f.used); {
	case f.used == 0:
		empty = h.emptied(k, page)
	case f.bin != b && f.bin != binCurrent:
		if f.bin != binFull {
			h.unlink(s, page)
		}
		h.link(s, page, b)
	}
	h.mutex.Unlock()
	m.runs.put(empty)
}

// emptied is called when the last block of a page is free, and returns the page
// that is to be given up, if any. The caller holds the mutex, and gives the page
// up without it.
func (h *Heap) emptied(k int, page uint32) uint32 {
	s, f := &h.shelves[k], h.memory.frame(page)
	if f.bin < bins {
		h.unlink(s, page)
	}
	if s.current != 0 && s.current != page {
		s.pages--
		return page
	}
	s.current, f.bin = page, binCurrent
	other := h.dropSpare(k)
	h.spare = k + 1
	return other
}

// dropSpare takes the spare page from its shelf, unless that is shelf k or the
// page is in use again, and returns it. The caller holds the mutex.
func (h *Heap) dropSpare(k int) uint32 {
	if h.spare == 0 || h.spare == k+1 {
		return 0
	}
	s := &h.shelves[h.spare-1]
	h.spare = 0
	page := s.current
	if page == 0 || h.memory.frame(page).used != 0 {
		return 0
	}
	s.current = 0
	s.pages--
	return page
}

// trim gives the spare page up.
func (h *Heap) trim() {
	h.mutex.Lock()
	page := h.dropSpare(-1)
	h.mutex.Unlock()
	h.memory.runs.put(page)
}

func (h *Heap) link(s *shelf, page uint32, b uint8) {
	f := h.memory.frame(page)
	f.bin, f.prev, f.next = b, 0, s.bins[b]
	if f.next != 0 {
		h.memory.frame(f.next).prev = page
	}
	s.bins[b] = page
	s.filled |= 1 << b
}

func (h *Heap) unlink(s *shelf, page uint32) {
	f := h.memory.frame(page)
	if f.next != 0 {
		h.memory.frame(f.next).prev = f.prev
	}
	if f.prev != 0 {
		h.memory.frame(f.prev).next = f.next
		return
	}
	if s.bins[f.bin] = f.next; f.next == 0 {
		s.filled &^= 1 << f.bin
	}
}

// count counts bytes of blocks in the heap's pages. Those in shared pages are counted by
// the heaps that they come from. The caller holds the mutex.
func (h *Heap) count(n int64) {
	if h.index != sharedIndex {
		h.used += n
		h.published.Store(h.used)
	}
}

// addFrames counts a block that lies in no page.
func (h *Heap) addFrames(size int64) {
	h.mutex.Lock()
	h.operations++
	h.mutex.Unlock()
	h.elsewhere.Add(size)
}

// locate returns the first frame of the page or run that r lies in, and its
// kind. It panics if r is no block, as far as that can be seen without a lock.
func (m *Memory) locate(r Ref) (first uint32, kind uint8) {
	at := uint64(r) / frameUnits
	if at >= uint64(m.opened.Load()) {
		panic("arena: reference to no block")
	}
	f := m.frame(uint32(at))
	if f.kind < kindLarge || f.kind == kindLarge && r%frameUnits != 0 {
		panic("arena: reference to no block")
	}
	return uint32(at) - uint32(f.back), f.kind
}

// Size returns how many bytes the block r has, at least those it was asked for.
func (h *Heap) Size(r Ref) int {
	first, kind := h.memory.locate(r)
	if kind == kindLarge {
		return int(h.memory.frame(first).frames) * frameBytes
	}
	return int(classes[kind-kindPage].size)
}

// Sparse tells whether the block r should be moved to a new one, because its page
// holds so few blocks that it is worth while to empty it and the blocks find
// room in other pages of the heap. Never so in the page that Alloc takes blocks
// from. A block of the heap must be given.
func (h *Heap) Sparse(r Ref) bool {
	page, kind := h.memory.locate(r)
	if kind == kindLarge {
		return false
	}
	if kind >= kindPage+ownClasses {
		h = &h.memory.shared
	} else {
		h = h.memory.owner(page)
	}
	f, c, s := h.memory.frame(page), &classes[kind-kindPage], &h.shelves[kind-kindPage]
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if f.bin >= bins {
		return false
	}
	used, blocks, pages, perPage := uint64(f.used), uint64(s.blocks), uint64(s.pages), uint64(c.blocks)
	elsewhere := (pages-1)*perPage - (blocks - used)
	if elsewhere < used {
		return false
	}
	if blocks*32 < pages*perPage*31 {
		// The shelf as a whole wastes space: half of its pages make room for
		// the rest.
		return used*pages <= blocks
	}
	return 2*used*pages <= blocks
}

// refile puts the pages that blocks are taken from among the others.
func (h *Heap) refile() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for k := range h.shelves {
		s := &h.shelves[k]
		if s.current == 0 {
			continue
		}
		if f := h.memory.frame(s.current); f.used > 0 {
			h.link(s, s.current, classes[k].binOf(f.used))
			s.current = 0
		}
	}
}

// excess returns how many bytes the heap's pages would be fewer if the blocks
// stood close together.
func (h *Heap) excess() (n int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for k := range h.shelves {
		s, c := &h.shelves[k], &classes[k]
		if s.pages < 2 {
			continue
		}
		need := (s.blocks + uint32(c.blocks) - 1) / uint32(c.blocks)
		n += int64(s.pages-max(need, 1)) * int64(c.frames) * frameBytes
	}
	return n
}

// The first two bytes of a free block name the next free one of its page. The
// other six of its first eight are a mark that says that it is free: data may
// look the same, so that a block with the mark is looked for in the list.
const mark = 0x5afe_b10c_f4ee << 16

func (m *Memory) putLink(r Ref, next uint16) { *m.word(r) = mark | uint64(next) }

func (m *Memory) takeLink(r Ref, c *class) uint16 {
	w := *m.word(r)
	if w&^0xffff != mark {
		panic("arena: a block was written to after it was freed")
	}
	if poisoned {
		m.verify(r, int(c.size))
	}
	return uint16(w)
}

// isFree tells whether the block r of page f is in its list of free blocks.
func (m *Memory) isFree(f *frame, page uint32, r Ref, c *class) bool {
	if *m.word(r)&^0xffff != mark {
		return false
	}
	i := f.free
	for range c.blocks { // not endless, should the list be damaged
		if i == 0 {
			break
		}
		at := Ref(page)*frameUnits + Ref(uint32(i-1)*c.units)
		if at == r {
			return true
		}
		i = uint16(*m.word(at))
	}
	return false
}
