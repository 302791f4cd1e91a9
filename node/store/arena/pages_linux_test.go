package arena

import (
	"os"
	"strings"
	"testing"
)

// huge returns how many bytes of m lie in huge pages.
func huge(t *testing.T, m *Memory) int64 { return smaps(t, m, "AnonHugePages:") }

// TestHurry: who is in a hurry gets small pages, and the next one huge ones again.
func TestHurry(t *testing.T) {
	enabled, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(enabled), "[never]") {
		t.Skipf("this system has no huge pages: %s %v", enabled, err)
	}
	m := newMemory(t, Options{})
	h := m.Heap(0)
	fill := func() {
		const n = 64 << 20
		clear(m.Bytes(h.Alloc(n), n))
	}
	first, second := m.Hurry(), m.Hurry()
	fill()
	first()
	fill()
	if got := huge(t, m); got != 0 {
		t.Errorf("%d bytes in huge pages while somebody is in a hurry", got)
	}
	second()
	fill()
	if got := huge(t, m); got < 32<<20 {
		t.Errorf("%d bytes in huge pages when nobody is", got)
	}
	check(t, m)
}

// TestPrepare: what is prepared is resident, in huge pages, is used next, and is no
// more than a part of what may be resident and free.
func TestPrepare(t *testing.T) {
	enabled, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(enabled), "[never]") {
		t.Skipf("this system has no huge pages: %s %v", enabled, err)
	}
	m := newMemory(t, Options{})
	h := m.Heap(0)
	low := func() bool {
		select {
		case <-m.Low():
			return true
		default:
			return false
		}
	}
	fill := func(n int) {
		for ; n > 0; n -= frameBytes {
			clear(m.Bytes(h.Alloc(frameBytes), frameBytes))
		}
	}
	fill(16 << 20)
	if low() || m.Prepare() {
		t.Error("a small Memory prepares huge pages")
	}
	fill(80 << 20)
	if !low() {
		t.Error("a Memory that grows does not say so")
	}
	before := m.Mapped()
	if end := m.Hurry(); m.Prepare() {
		t.Error("small pages are prepared")
	} else {
		end()
	}
	prepared := int64(0)
	for m.Prepare() {
		prepared += hugeBytes
	}
	switch got := m.Mapped() - before; {
	case m.runs.unprepared:
		t.Skip("this system prepares nothing")
	case prepared == 0 || got > prepared || got <= prepared-hugeBytes:
		t.Errorf("%d bytes are prepared, %d more are mapped", prepared, got)
	case m.Spare() > int64(m.runs.keep()/4*3)*frameBytes:
		t.Errorf("%d bytes are resident and free, %d may be", m.Spare(), int64(m.runs.keep())*frameBytes)
	}
	if got := resident(t, m); got < m.Mapped()-frameBytes {
		t.Errorf("%d bytes resident, %d mapped", got, m.Mapped())
	}
	if got := huge(t, m); got < 64<<20 {
		t.Errorf("%d bytes in huge pages", got)
	}
	check(t, m)
	top := m.runs.top
	for low() {
	}
	for m.Spare() > frameBytes {
		fill(frameBytes)
	}
	if m.runs.top != top {
		t.Error("what was prepared is not used next")
	}
	if !low() {
		t.Error("a Memory whose prepared pages are used up does not say so")
	}

	// Space that was given back is used before new space is.
	block := h.Alloc(32 << 20)
	clear(m.Bytes(block, 32<<20))
	h.Alloc(8 << 20) // behind it
	h.Free(block)
	m.Trim()
	top = m.runs.top
	if made := m.Prepare(); !made || m.runs.top != top {
		t.Errorf("prepared %v, the space in use ends at %d, not %d: there is some that was given back", made, m.runs.top, top)
	}
	check(t, m)
	m.Trim()
	if m.Spare() != 0 {
		t.Errorf("%d bytes are free and resident after Trim", m.Spare())
	}
	check(t, m)
}

// TestHoles: the system leaves huge pages alone of which a part was given back, before
// and after somebody was in a hurry, and none when all is used again.
func TestHoles(t *testing.T) {
	enabled, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(enabled), "[never]") {
		t.Skipf("this system has no huge pages: %s %v", enabled, err)
	}
	m := newMemory(t, Options{})
	h := m.Heap(0)
	var blocks []Ref
	for range smallFrames + 16*hugeFrames {
		blocks = append(blocks, h.Alloc(frameBytes))
		clear(m.Bytes(blocks[len(blocks)-1], frameBytes))
	}
	// settle returns how many huge pages have a hole, and says so if others are left
	// alone or one of these is not.
	settle := func(when string) int {
		for m.Settle() {
		}
		check(t, m)
		holes := make(map[uint32]bool)
		for x := uint32(1); x < m.runs.top; {
			n := max(m.frame(x).frames, 1)
			if m.frame(x).kind == kindClean {
				for i := range n {
					holes[(x+i)/hugeFrames] = true
				}
			}
			x += n
		}
		left := make(map[uint32]bool)
		eachMapping(t, "VmFlags:", func(start, end uintptr, says string) {
			for number := range m.runs.top / hugeFrames {
				at := uintptr(m.base) + uintptr(number)*hugeBytes
				left[number] = left[number] || start <= at && at < end && strings.Contains(says, " nh")
			}
		})
		for number := uint32(smallFrames / hugeFrames); (number+1)*hugeFrames <= m.runs.top; number++ {
			if left[number] != holes[number] {
				t.Errorf("%s: huge page %d is left alone: %v; has a hole: %v", when, number, left[number], holes[number])
			}
		}
		return len(holes)
	}
	for i := 0; i < len(blocks); i += 2 {
		h.Free(blocks[i])
	}
	if settle("half is free") == 0 {
		t.Error("there are no holes to look at")
	}
	m.Hurry()()
	settle("after a hurry")
	for i := 0; i < len(blocks); i += 2 {
		blocks[i] = h.Alloc(frameBytes)
	}
	if n := settle("all is used again"); n != 0 {
		t.Errorf("%d pages have a hole when all is used again", n)
	}
}
