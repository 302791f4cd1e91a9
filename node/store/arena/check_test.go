package arena

import (
	"fmt"
	"slices"
)

// check reads the whole side table and fails if it contradicts itself, the free
// sets, the shelves or the sums. Nothing else may use m meanwhile.
func check(t interface {
	Helper()
	Fatalf(string, ...any)
}, m *Memory,
) {
	t.Helper()
	if err := inspect(m); err != nil {
		t.Fatalf("%v", err)
	}
}

type extent struct{ first, frames uint32 }

func inspect(m *Memory) error {
	r := &m.runs
	var dirty, clean []extent
	var used, dirtyFrames uint32
	var bytes int64
	pages := make([][]uint32, (len(m.heaps)+1)*classCount)
	for x := uint32(1); x < r.top; {
		f, n := m.frame(x), uint32(0)
		inner := func(i uint32) frame { return frame{} }
		switch {
		case f.kind == kindDirty || f.kind == kindClean:
			n = f.frames
			inner = func(i uint32) frame {
				if i == n-1 {
					return frame{kind: f.kind, frames: n}
				}
				return frame{}
			}
			if f.kind == kindDirty {
				dirty, dirtyFrames = append(dirty, extent{x, n}), dirtyFrames+n
			} else {
				clean = append(clean, extent{x, n})
			}
			if x+n < r.top && m.frame(x+n).kind == f.kind {
				return fmt.Errorf("frame %d: free run of %d frames has a neighbour of its kind", x, n)
			}
		case f.kind == kindLarge:
			n = f.frames
			used += n
			bytes += int64(n) * frameBytes
		case f.kind >= kindPage:
			c := &classes[f.kind-kindPage]
			n = uint32(c.frames)
			used += n
			bytes += int64(f.used) * int64(c.size)
			inner = func(i uint32) frame { return frame{kind: f.kind, back: uint8(i)} }
			at := min(int(f.heap), len(m.heaps))*classCount + int(f.kind-kindPage)
			pages[at] = append(pages[at], x)
			free := int(c.blocks) - int(f.fresh)
			for i := f.free; i != 0; i = uint16(*m.word(Ref(x)*frameUnits + Ref(uint32(i-1)*c.units))) {
				if free++; free > int(c.blocks) || i > f.fresh {
					return fmt.Errorf("frame %d: broken list of free blocks", x)
				}
			}
			if free+int(f.used) != int(c.blocks) {
				return fmt.Errorf("frame %d: %d free and %d used of %d blocks", x, free, f.used, c.blocks)
			}
		default:
			return fmt.Errorf("frame %d: kind %d where a run begins", x, f.kind)
		}
		if n == 0 || x+n > r.top {
			return fmt.Errorf("frame %d: run of %d frames up to %d", x, n, r.top)
		}
		for i := uint32(1); i < n; i++ {
			got, want := *m.frame(x + i), inner(i)
			if got.kind != want.kind || f.kind >= kindPage && got.back != want.back || got.frames != want.frames && f.kind < kindPage {
				return fmt.Errorf("frame %d: row %+v inside of a run, want %+v", x+i, got, want)
			}
		}
		x += n
	}
	if used != r.used || dirtyFrames != r.dirtyFrames || int64(used+dirtyFrames) != r.mapped.Load() {
		return fmt.Errorf("%d frames used and %d dirty; sums say %d, %d and %d mapped", used, dirtyFrames, r.used, r.dirtyFrames, r.mapped.Load())
	}
	if bytes != m.Used() {
		return fmt.Errorf("%d bytes used; Used says %d", bytes, m.Used())
	}
	for _, set := range []struct {
		set  *freeSet
		want []extent
	}{{&r.dirty, dirty}, {&r.clean, clean}} {
		slices.SortFunc(set.want, func(a, b extent) int {
			if a.frames != b.frames {
				return int(a.frames) - int(b.frames)
			}
			return int(a.first) - int(b.first)
		})
		var got []extent
		var walk func(x uint32) error
		walk = func(x uint32) error {
			if x == 0 {
				return nil
			}
			f := m.frame(x)
			for _, child := range []uint32{f.next, f.prev} {
				if child != 0 && rank(child) > rank(x) {
					return fmt.Errorf("frame %d: child %d has a higher rank", x, child)
				}
			}
			if err := walk(f.next); err != nil {
				return err
			}
			got = append(got, extent{x, f.frames})
			return walk(f.prev)
		}
		if err := walk(set.set.root); err != nil {
			return err
		}
		if !slices.Equal(got, set.want) {
			return fmt.Errorf("free set %v, table %v", got, set.want)
		}
	}
	if err := inspectHoles(r, clean); err != nil {
		return err
	}
	return inspectShelves(m, pages)
}

// inspectHoles compares what is counted of the huge pages with their clean frames.
func inspectHoles(r *runs, clean []extent) error {
	counts := make(map[uint32]uint32)
	for _, run := range clean {
		for x := run.first; r.huge && x < run.first+run.frames; x++ {
			counts[x/hugeFrames]++
		}
	}
	told, due := 0, len(r.holes.due)
	for number, page := range r.holes.pages {
		if page.frames != counts[number] {
			return fmt.Errorf("huge page %d: %d frames were given back, counted are %d", number, counts[number], page.frames)
		}
		if page.told {
			told++
		}
		if page.due {
			due--
		}
		if page.open() != page.told && !page.due {
			return fmt.Errorf("huge page %d: %+v, and the system is not to be told", number, page)
		}
	}
	if told != r.holes.told || due != 0 {
		return fmt.Errorf("%d huge pages are told and %d too many due, want %d and none", told, due, r.holes.told)
	}
	for number, n := range counts {
		if _, known := r.holes.pages[number]; !known && n < hugeFrames && number >= smallFrames/hugeFrames {
			return fmt.Errorf("huge page %d: %d frames were given back, and nobody knows", number, n)
		}
	}
	return nil
}

func inspectShelves(m *Memory, pages [][]uint32) error {
	excess := int64(0)
	for i := range len(m.heaps) + 1 {
		h, idle := &m.shared, 0
		if i < len(m.heaps) {
			h = &m.heaps[i]
		}
		for k := range classCount {
			s, c, want := &h.shelves[k], &classes[k], pages[i*classCount+k]
			blocks, listed := 0, 0
			least := 1 // pages that the blocks need
			for _, x := range want {
				f := m.frame(x)
				blocks += int(f.used)
				bin := c.binOf(f.used)
				if f.used == c.blocks {
					bin = binFull
				}
				if x == s.current {
					bin = binCurrent
				} else if bin < bins {
					listed++
				}
				if f.bin != bin {
					return fmt.Errorf("page %d with %d of %d blocks says it is in bin %d, want %d", x, f.used, c.blocks, f.bin, bin)
				}
				if f.used == 0 {
					idle++
				}
			}
			for least*int(c.blocks) < blocks {
				least++
			}
			excess += int64(max(len(want)-least, 0)) * int64(c.frames) * frameBytes
			for b, x := range s.bins {
				if (x != 0) != (s.filled>>b&1 != 0) {
					return fmt.Errorf("class %d: bin %d begins with %d, filled is %b", k, b, x, s.filled)
				}
				for before := uint32(0); x != 0; before, x = x, m.frame(x).next {
					if listed <= 0 {
						return fmt.Errorf("class %d: more pages in bins than there are, or a circle", k)
					}
					if f := m.frame(x); int(f.bin) != b || f.prev != before {
						return fmt.Errorf("class %d: page %d in bin %d: %+v", k, x, b, f)
					}
					listed--
				}
			}
			if listed != 0 || blocks != int(s.blocks) || len(want) != int(s.pages) {
				return fmt.Errorf("heap %d class %d: %d pages with %d blocks, %d not listed; shelf says %d, %d", i, k, len(want), blocks, listed, s.pages, s.blocks)
			}
		}
		if idle > 1 {
			return fmt.Errorf("heap %d keeps %d empty pages", i, idle)
		}
	}
	if got := m.Excess(); got != excess {
		return fmt.Errorf("%d bytes of pages are too many; Excess says %d", excess, got)
	}
	return nil
}

// trimmed fails unless m without blocks gives everything back.
func trimmed(t interface {
	Helper()
	Fatalf(string, ...any)
}, m *Memory,
) {
	t.Helper()
	if m.Used() != 0 {
		t.Fatalf("%d bytes used by no block", m.Used())
	}
	for m.Settle() {
	}
	spare := 0
	for i := range len(m.heaps) + 1 {
		h := &m.shared
		if i < len(m.heaps) {
			h = &m.heaps[i]
		}
		if h.spare != 0 {
			spare += int(classes[h.spare-1].frames)
		}
	}
	if kept := m.runs.keep(); m.Mapped() > int64(kept+uint32(spare))*frameBytes {
		t.Fatalf("%d bytes mapped for no block", m.Mapped())
	}
	m.Trim()
	check(t, m)
	if m.Mapped() != 0 || m.runs.top != 1 {
		t.Fatalf("%d bytes mapped up to frame %d for no block after Trim", m.Mapped(), m.runs.top)
	}
}
