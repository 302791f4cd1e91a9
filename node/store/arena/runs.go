package arena

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// runs knows which frames are free, and hands them out in runs.
//
// A free run is dirty (resident still) or clean (given back); neighbours of the
// same kind are always one run. Frames from top on have never been used. A dirty
// run is preferred, of those the shortest that is long enough.
type runs struct {
	memory *Memory
	huge   bool
	mapped atomic.Int64 // frames in use and dirty ones

	// giving is held while frames are given back. It is taken before mutex.
	giving sync.Mutex

	// low has a value when few dirty frames were left since it was read last.
	// preparing is held while more are made; it is taken before mutex.
	low       chan struct{}
	preparing sync.Mutex
	// unprepared is set once the system does not make frames resident when asked to.
	unprepared bool

	// mutex may be taken while that of a heap is held, never the reverse.
	mutex        sync.Mutex
	dirty, clean freeSet
	top          uint32
	used         uint32 // frames in use
	dirtyFrames  uint32 // frames in dirty
	holes        holes
}

const (
	// hugeFrames is the number of frames in one of the system's huge pages.
	hugeFrames = hugeBytes / frameBytes
	hugeBytes  = 2 << 20
	// The first smallFrames are never part of a huge page, so that a Memory with
	// little in it stays small.
	smallFrames = 16 * hugeFrames
	// idleFrames dirty frames, and 1/idleShare of those in use, are kept.
	idleFrames = (2 << 20) / frameBytes
	idleShare  = 64
	// The range is opened in steps of at least openFrames and at most
	// openMaxFrames, and of 1/openShare of what is open.
	openFrames    = (32 << 20) / frameBytes
	openMaxFrames = (1 << 30) / frameBytes
	openShare     = 4
	// fewFrames bounds how long a Free may be busy with giving back: whoever frees
	// may hold what others wait for. The next ones go on with it, and Settle.
	fewFrames = hugeFrames
	allFrames = 1 << 31
)

func (r *runs) init(m *Memory, huge bool) {
	r.memory, r.huge = m, huge
	r.dirty.memory, r.clean.memory = m, m
	r.low = make(chan struct{}, 1)
	r.top = 1 // Ref 0 names no block: frame 0 stays unused
}

// take returns the first of n frames that are no longer free and whose rows say
// that they are of that kind, for a page all of them; 0 if there is no space.
func (r *runs) take(n uint32, kind uint8) uint32 {
	r.mutex.Lock()
	first := r.find(n)
	if first == 0 {
		// A run that is long enough may be dirty in parts.
		r.mutex.Unlock()
		r.giveBack(0, allFrames, true)
		r.mutex.Lock()
		first = r.find(n)
	}
	if first != 0 {
		r.used += n
		f := r.memory.frame(first)
		if f.kind = kind; kind == kindLarge {
			f.frames = n
		} else {
			for i := uint32(1); i < n; i++ {
				f := r.memory.frame(first + i)
				f.kind, f.back = kind, uint8(i)
			}
		}
	}
	r.mutex.Unlock()
	return first
}

// find takes n frames out of what is free. The caller holds the mutex.
func (r *runs) find(n uint32) uint32 {
	if x := r.dirty.fit(n); x != 0 {
		all := r.drop(&r.dirty, x)
		if all > n {
			r.add(&r.dirty, kindDirty, x+n, all-n)
		}
		r.dirtyFrames -= n
		r.lacks()
		return x
	}
	x, more := r.clean.fit(n), uint32(0)
	if x != 0 {
		all := r.drop(&r.clean, x)
		if more = r.beyond(x, n, x+all); n+more < all {
			r.add(&r.clean, kindClean, x+n+more, all-n-more)
		}
		r.taken(x, n+more)
	} else {
		if n > r.memory.limit-r.top {
			return 0
		}
		x, more = r.top, r.beyond(r.top, n, r.memory.limit)
		if !r.open(x + n + more) {
			return 0
		}
		r.top = x + n + more
	}
	r.mapped.Add(int64(n + more))
	if more > 0 {
		r.dirtyFrames += more
		r.join(&r.dirty, kindDirty, x+n, more)
	}
	r.lacks()
	return x
}

// beyond returns how many of the clean frames between x+n and end get resident
// when the n frames from x on are used: the rest of the last huge page, if it
// was clean as a whole.
func (r *runs) beyond(x, n, end uint32) uint32 {
	last := (x + n - 1) &^ (hugeFrames - 1)
	if !r.huge || last < max(x, smallFrames) || last+hugeFrames > end {
		return 0
	}
	return last + hugeFrames - (x + n)
}

// keep returns how many dirty frames may stay. The caller holds the mutex.
func (r *runs) keep() uint32 {
	n := idleFrames + r.used/idleShare
	if r.huge {
		n += hugeFrames // what beyond has added may wait for its use
	}
	return n
}

// drop takes the free run x out, clears its rows, and returns its length.
func (r *runs) drop(s *freeSet, x uint32) uint32 {
	s.remove(x)
	first := r.memory.frame(x)
	n := first.frames
	last := r.memory.frame(x + n - 1)
	first.kind, first.frames = kindNone, 0
	last.kind, last.frames = kindNone, 0
	return n
}

// add puts a free run in that has no neighbours of its kind.
func (r *runs) add(s *freeSet, kind uint8, x, n uint32) {
	first, last := r.memory.frame(x), r.memory.frame(x+n-1)
	first.kind, first.frames = kind, n
	last.kind, last.frames = kind, n
	s.add(x)
}

// join puts a free run in, as one with its neighbours of the same kind.
func (r *runs) join(s *freeSet, kind uint8, x, n uint32) {
	if f := r.memory.frame(x - 1); f.kind == kind {
		before := x - f.frames
		n += r.drop(s, before)
		x = before
	}
	if x+n < r.top && r.memory.frame(x+n).kind == kind {
		n += r.drop(s, x+n)
	}
	if kind == kindClean && x+n == r.top {
		r.top = x
		return
	}
	r.add(s, kind, x, n)
}

// lay puts frames that are not resident any more among the clean ones.
func (r *runs) lay(x, n uint32) {
	top := r.top
	r.given(x, n)
	r.join(&r.clean, kindClean, x, n)
	r.taken(r.top, top-r.top)
}

// put takes back what take has returned, 0 included.
func (r *runs) put(first uint32) {
	if first == 0 {
		return
	}
	r.mutex.Lock()
	f := r.memory.frame(first)
	var n uint32
	switch {
	case f.kind == kindLarge:
		n = f.frames
		f.kind, f.frames = kindNone, 0
	case f.kind >= kindPage:
		n = uint32(classes[f.kind-kindPage].frames)
		for i := range n {
			f := r.memory.frame(first + i)
			f.kind, f.back = kindNone, 0
		}
	default:
		r.mutex.Unlock()
		panic("arena: block freed twice")
	}
	r.used -= n
	r.dirtyFrames += n
	r.join(&r.dirty, kindDirty, first, n)
	keep := r.keep()
	over := r.dirtyFrames > keep
	r.mutex.Unlock()
	if over {
		// A quarter more than necessary, so that it is not to be done again at
		// once.
		r.giveBack(keep/4*3, fewFrames, false)
	}
}

// settle gives back about most frames of those that are too many, tells the system of
// holes, and reports whether there are more frames.
func (r *runs) settle(most uint32) (more bool) {
	defer r.tell()
	r.mutex.Lock()
	keep := r.keep()
	over := r.dirtyFrames > keep
	r.mutex.Unlock()
	if !over || r.giveBack(keep/4*3, most, true) == 0 {
		return false
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.dirtyFrames > r.keep()
}

// giveBack gives dirty frames to the system, of the longest runs first, until no
// more than keep are left or about most are given, and returns how many that
// were. The mutex is free while the system works; no other user of the range
// waits for it. Unless wait is set it does nothing if it is being done already.
func (r *runs) giveBack(keep, most uint32, wait bool) (given uint32) {
	if wait {
		r.giving.Lock()
	} else if !r.giving.TryLock() {
		return 0
	}
	defer r.giving.Unlock()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for r.dirtyFrames > keep && given < most {
		x := r.dirty.longest()
		n := r.drop(&r.dirty, x)
		from, to := x, x+n
		if first, last := (x+hugeFrames-1)&^(hugeFrames-1), to&^(hugeFrames-1); r.huge && keep > 0 && first < last {
			// To give a part of a huge page back breaks it up: whole ones only,
			// as long as there are any.
			from, to = first, last
		}
		to = from + min(to-from, (most-given+hugeFrames-1)&^(hugeFrames-1))
		if x < from {
			r.add(&r.dirty, kindDirty, x, from-x)
		}
		if to < x+n {
			r.add(&r.dirty, kindDirty, to, x+n-to)
		}
		x, n = from, to-from
		r.dirtyFrames -= n
		r.mutex.Unlock()
		err := discard(r.memory.bytesOf(x, n))
		r.mutex.Lock()
		if err != nil {
			r.dirtyFrames += n
			r.join(&r.dirty, kindDirty, x, n)
			return given
		}
		given += n
		r.mapped.Add(-int64(n))
		r.lay(x, n)
	}
	return given
}

// open makes the frames before upTo accessible, and some more. The caller holds
// the mutex.
func (r *runs) open(upTo uint32) bool {
	m := r.memory
	now := m.opened.Load()
	if upTo <= now {
		return true
	}
	step := min(max(now/openShare, openFrames), openMaxFrames)
	to := min(max(upTo, now+step), m.limit)
	rows := tableBytes(int64(now) * frameBytes)
	if rows > 0 {
		rows -= 64 << 10 // the last step may be open in part only
	}
	more := tableBytes(int64(to)*frameBytes) - rows
	if openRange(unsafe.Slice((*byte)(unsafe.Add(m.table, rows)), more)) != nil || openRange(m.bytesOf(now, to-now)) != nil {
		return false
	}
	m.opened.Store(to)
	return true
}

// bytesOf returns the memory of n frames.
func (m *Memory) bytesOf(first, n uint32) []byte {
	return m.Bytes(Ref(first)*frameUnits, int(n)*frameBytes)
}
