package arena

import (
	"sync"
	"sync/atomic"
)

// pages is what size of pages the system is asked for: huge ones, but for a while
// small ones. The rest of the file has huge ones made ready before they are used.
type pages struct {
	mutex sync.Mutex
	// hurries counts those who are in a hurry. It is changed under the mutex.
	hurries atomic.Int64
}

// Hurry asks the system for small pages until end is called, which is to be done
// once. It is for whoever is about to fill much memory and is being waited for: a
// huge page is cleared as a whole before its first byte is there, and is seldom one
// that was in use just now, so that the memory behind it is cold, or even has to be
// found by the host of a virtual machine. Afterwards the system makes huge pages out
// of the small ones, at its leisure.
func (m *Memory) Hurry() (end func()) {
	m.hurried(1)
	return func() { m.hurried(-1) }
}

func (m *Memory) hurried(by int64) {
	if !m.runs.huge {
		return
	}
	p := &m.pages
	p.mutex.Lock()
	defer p.mutex.Unlock()
	now := p.hurries.Add(by)
	if (now-by == 0) != (now == 0) && m.limit > smallFrames {
		preferHuge(m.bytesOf(smallFrames, m.limit-smallFrames), now == 0)
		m.runs.forget()
	}
}

// Low returns a channel that has a value when a Memory of huge pages has few free
// frames left that are resident. Whoever receives it is to call Prepare.
func (m *Memory) Low() <-chan struct{} { return m.runs.low }

// Prepare makes the huge page resident that will be used next if none has been before,
// and reports whether it has. That takes as long as the system takes to find and clear
// it, milliseconds if the host of a virtual machine has to, for which otherwise
// whoever touches it first waits. It is for a goroutine that nobody waits for.
//
// The page counts as free frames that may stay resident, of which there are then no
// more than are left when some have been given back.
func (m *Memory) Prepare() bool { return m.runs.prepare() }

// lacks says so if there is room for a huge page among the free frames that may stay
// resident. The caller holds the mutex.
func (r *runs) lacks() {
	if r.mayPrepare() {
		select {
		case r.low <- struct{}{}:
		default: // it has been said
		}
	}
}

// mayPrepare reports whether prepare has anything to do. Somebody who is in a hurry
// wants small pages.
func (r *runs) mayPrepare() bool {
	return r.huge && !r.unprepared && r.top > smallFrames && r.dirtyFrames+hugeFrames <= r.keep()/4*3 && r.memory.pages.hurries.Load() == 0
}

func (r *runs) prepare() bool {
	r.preparing.Lock()
	defer r.preparing.Unlock()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !r.mayPrepare() {
		return false
	}
	x, n := r.top, hugeFrames-r.top%hugeFrames
	if clean := r.clean.fit(2*hugeFrames - 1); clean != 0 {
		// A huge page lies inside.
		all := r.drop(&r.clean, clean)
		x, n = (clean+hugeFrames-1)&^(hugeFrames-1), hugeFrames
		if x > clean {
			r.add(&r.clean, kindClean, clean, x-clean)
		}
		if end := clean + all; x+n < end {
			r.add(&r.clean, kindClean, x+n, end-x-n)
		}
		r.taken(x, n)
	} else {
		if n > r.memory.limit-x || !r.open(x+n) {
			return false
		}
		r.top += n
	}
	// While the system works the frames are nobody's: in no set, and before top.
	r.mapped.Add(int64(n))
	r.mutex.Unlock()
	err := populate(r.memory.bytesOf(x, n))
	r.mutex.Lock()
	if err != nil {
		r.unprepared = true
		r.mapped.Add(-int64(n))
		r.lay(x, n)
		return false
	}
	r.dirtyFrames += n
	r.join(&r.dirty, kindDirty, x, n)
	return true
}
