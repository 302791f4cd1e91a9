package arena

import "sync"

// pages is what size of pages the system is asked for: huge ones, but for a while
// small ones.
type pages struct {
	mutex sync.Mutex
	// hurries counts those who are in a hurry.
	hurries int
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

func (m *Memory) hurried(by int) {
	if !m.runs.huge {
		return
	}
	p := &m.pages
	p.mutex.Lock()
	defer p.mutex.Unlock()
	before := p.hurries
	p.hurries += by
	if (before == 0) != (p.hurries == 0) && m.limit > smallFrames {
		preferHuge(m.bytesOf(smallFrames, m.limit-smallFrames), p.hurries == 0)
	}
}
