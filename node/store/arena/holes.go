package arena

// holes knows the huge pages of which a part was given back. The system, which makes
// huge pages of small ones at its leisure, would fill the hole: what was given back
// would be resident again after a while, and nobody would have used it. So it is told to
// leave such a page alone, until nothing of it is given back any more, or all of it.
//
// It is told by Settle: an Alloc or Free may be what others wait for, and the system
// takes its time.
type holes struct {
	// pages has the pages by number, those of which nothing or all was given back only
	// as long as the system is to be told. The mutex of runs guards it, and the rest.
	pages map[uint32]hole
	// due are the pages of which the system is to be told.
	due []uint32
	// told counts those that it leaves alone.
	told int
}

type hole struct {
	// frames counts those that were given back.
	frames uint32
	// told is set if the system leaves the page alone, due if it is among the due ones.
	told, due bool
}

// mostHoles is how many pages are told of at most: each may take two of the mappings of
// which a system allows a process 65,530 by default.
const mostHoles = 16_384

func (h hole) open() bool { return 0 < h.frames && h.frames < hugeFrames }

// given counts the n frames from x on, before top, as given back. The caller holds the
// mutex.
func (r *runs) given(x, n uint32) {
	r.count(x, n, 0, func(frames, part uint32) uint32 { return frames + part })
}

// taken counts n frames that were given back as no longer so: they are used, or lie
// beyond top now.
func (r *runs) taken(x, n uint32) {
	r.count(x, n, hugeFrames, func(frames, part uint32) uint32 { return frames - part })
}

// count changes the counts of the pages in which the n frames from x on lie; a page that
// is not known has the count unknown.
func (r *runs) count(x, n, unknown uint32, change func(frames, part uint32) uint32) {
	if !r.huge {
		return
	}
	h := &r.holes
	end := x + n
	for x = max(x, smallFrames); x < end; {
		number := x / hugeFrames
		next := min((number+1)*hugeFrames, end)
		page, known := h.pages[number]
		if !known {
			page.frames = unknown
		}
		page.frames = change(page.frames, next-x)
		h.keep(number, page, known)
		x = next
	}
}

// keep notes what became of a page.
func (h *holes) keep(number uint32, page hole, known bool) {
	if !page.due && page.open() != page.told {
		page.due = true
		h.due = append(h.due, number)
	}
	switch {
	case page.open() || page.told || page.due:
		if h.pages == nil {
			h.pages = make(map[uint32]hole)
		}
		h.pages[number] = page
	case known:
		delete(h.pages, number)
	}
}

// tell tells the system of the pages that are due. While somebody is in a hurry it makes
// no huge pages anyway.
func (r *runs) tell() {
	m := r.memory
	m.pages.mutex.Lock()
	defer m.pages.mutex.Unlock()
	for m.pages.hurries.Load() == 0 {
		number, alone, ok := r.nextHole()
		if !ok {
			return
		}
		preferHuge(m.bytesOf(number*hugeFrames, hugeFrames), !alone)
	}
}

// nextHole takes a due page and returns whether the system is to leave it alone.
func (r *runs) nextHole() (number uint32, alone, ok bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	h := &r.holes
	for len(h.due) > 0 {
		last := len(h.due) - 1
		number, h.due = h.due[last], h.due[:last]
		page := h.pages[number]
		page.due = false
		alone = page.open()
		switch {
		case alone == page.told:
		case !alone:
			h.told--
			page.told, ok = false, true
		case h.told < mostHoles && (number+1)*hugeFrames <= r.memory.limit:
			h.told++
			page.told, ok = true, true
		}
		if page.told || alone {
			h.pages[number] = page
		} else {
			delete(h.pages, number)
		}
		if ok {
			return number, alone, true
		}
	}
	return 0, false, false
}

// forget has all of them told again: the system was told of all pages something else.
func (r *runs) forget() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	h := &r.holes
	h.told = 0
	for number, page := range h.pages {
		page.told = false
		delete(h.pages, number)
		h.keep(number, page, false)
	}
}
