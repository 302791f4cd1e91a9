package arena

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

// caught returns what f panics with, nil if it does not.
func caught(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

// wantPanic fails unless f panics with a text that contains want.
func wantPanic(t *testing.T, what, want string, f func()) {
	t.Helper()
	if v, ok := caught(f).(string); !ok || !strings.Contains(v, want) {
		t.Errorf("%s: panic %q, want %q", what, v, want)
	}
}

func TestMisuse(t *testing.T) {
	m := newMemory(t, Options{Heaps: 2})
	h := m.Heap(0)
	for _, n := range []int{8, 92, 4000, 5000, 100_000} {
		keep := h.Alloc(n)
		var refs []Ref
		for range 3 {
			refs = append(refs, h.Alloc(n))
		}
		if n > unit {
			wantPanic(t, "within a block", "no block", func() { h.Free(keep + 1) })
		}
		if n <= 92 { // the page is not full
			wantPanic(t, "never handed out", "no block", func() { h.Free(refs[2] + Ref(ClassSize(n)/unit)) })
		}
		for _, r := range refs {
			h.Free(r)
		}
		for _, r := range refs {
			wantPanic(t, "again", "freed twice", func() { h.Free(r) })
		}
		h.Free(keep)
		wantPanic(t, "again, page empty", "block", func() { h.Free(keep) })
	}
	large := h.Alloc(1 << 20)
	wantPanic(t, "within a large block", "no block", func() { h.Free(large + 1) })
	wantPanic(t, "a frame within a large block", "no block", func() { h.Free(large + frameUnits) })
	h.Free(large)
	wantPanic(t, "large again", "no block", func() { h.Free(large) })
	for _, r := range []Ref{0, 1 << 30, 1<<RefBits - 1, 1 << 40} {
		wantPanic(t, "nowhere", "no block", func() { h.Free(r) })
		wantPanic(t, "nowhere", "no block", func() { h.Size(r) })
	}
	wantPanic(t, "no byte", "at least one byte", func() { h.Alloc(0) })
	wantPanic(t, "negative", "at least one byte", func() { h.Alloc(-5) })
	check(t, m) // nothing has changed and no lock is held
	trimmed(t, m)
}

func TestWriteAfterFree(t *testing.T) {
	m := newMemory(t, Options{})
	h := m.Heap(0)
	h.Alloc(100)
	r := h.Alloc(100)
	h.Free(r)
	m.Bytes(r, 8)[5]++
	wantPanic(t, "alloc", "written to after it was freed", func() { h.Alloc(100) })
	if !poisoned {
		return
	}
	h = newMemory(t, Options{}).Heap(0)
	h.Alloc(100)
	r = h.Alloc(100)
	h.Memory().Bytes(r, 100)[50] = 1
	h.Free(r)
	for i, c := range h.Memory().Bytes(r, 100)[8:] {
		if c != patternFree {
			t.Fatalf("byte %d of a free block is %x", i, c)
		}
	}
	h.Memory().Bytes(r, 100)[50] = 1
	wantPanic(t, "alloc", "byte 50 was written after the block was freed", func() { h.Alloc(100) })
}

func TestExhausted(t *testing.T) {
	m := newMemory(t, Options{Reserve: 4 << 20})
	h := m.Heap(0)
	if m.Limit() != 4<<20 {
		t.Fatalf("limit %d", m.Limit())
	}
	for _, n := range []int{64, 3000, 8 << 10, 120 << 10, 300 << 10} {
		var refs []Ref
		for {
			if v := caught(func() { refs = append(refs, h.Alloc(n)) }); v != nil {
				if err, ok := v.(error); !ok || !errors.Is(err, ErrExhausted) {
					t.Fatalf("panic %v", v)
				}
				break
			}
		}
		if got := float64(m.Used()) / float64(m.Limit()); got < 0.85 {
			t.Errorf("blocks of %d bytes fill %.2f of the range", n, got)
		}
		check(t, m)
		for _, r := range refs {
			h.Free(r)
		}
		// What was given back and what was not are one run again for this.
		h.Free(h.Alloc(3 << 20))
		check(t, m)
	}
	for _, n := range []int{4 << 20, 1 << 40, 1<<63 - 1} {
		if v := caught(func() { h.Alloc(n) }); v != ErrExhausted {
			t.Errorf("Alloc(%d): %v", n, v)
		}
	}
	trimmed(t, m)
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Heaps: 1 << 16}, {Reserve: -1}, {Reserve: maxReserve + 1}} {
		if m, err := New(o); err == nil {
			t.Errorf("%+v: %d bytes", o, m.Limit())
		}
	}
	m := newMemory(t, Options{Reserve: 1, Heaps: 3})
	if m.Heap(4) != m.Heap(1) || m.Heap(1).Memory() != m {
		t.Error("heaps are not numbered modulo their number")
	}
	h := m.Heap(2)
	r := h.Alloc(1)
	if h.Used() != 8 || m.Heap(0).Used() != 0 || m.Used() != 8 || m.Mapped() != frameBytes {
		t.Errorf("one block: %d, %d used, %d mapped", h.Used(), m.Used(), m.Mapped())
	}
	h.Free(r)
	trimmed(t, m)
}

// TestHuge has blocks of hundreds of MiB, next to small ones.
func TestHuge(t *testing.T) {
	m := newMemory(t, Options{})
	h := m.Heap(0)
	small := h.Alloc(10)
	for _, n := range []int{300 << 20, 700<<20 + 1, 512 << 20} {
		r := h.Alloc(n)
		if size := h.Size(r); size < n || size >= n+frameBytes {
			t.Fatalf("block of %d bytes has %d", n, size)
		}
		b := m.Bytes(r, n)
		b[0], b[n/2], b[n-1] = 1, 2, 3
		if h.Sparse(r) {
			t.Error("a large block is sparse")
		}
		held := m.Mapped()
		h.Free(r)
		if given := held - m.Mapped(); given > 2*hugeBytes {
			t.Errorf("Free itself gave %d bytes back", given)
		}
		if b[n/2] == 7 {
			t.Error("what nobody wrote is there") // reading is no fault
		}
		before := m.Mapped()
		for m.Settle() {
			if given := before - m.Mapped(); given > 16<<20 {
				t.Errorf("one Settle gave %d bytes back", given)
			}
			before = m.Mapped()
		}
		if m.Mapped() > 4<<20 {
			t.Fatalf("%d bytes mapped after free", m.Mapped())
		}
	}
	h.Free(small)
	trimmed(t, m)
}

// TestCompaction frees most of many blocks, here and there, and moves those that
// are said to be in sparse pages: the rest must then fit in little more than it
// takes, after few moves.
func TestCompaction(t *testing.T) {
	type block struct {
		ref Ref
		n   int
	}
	for _, keep := range []float64{0.03, 0.2, 0.5, 0.8} {
		m := newMemory(t, Options{})
		h, rnd := m.Heap(0), rand.New(rand.NewPCG(7, 7))
		var blocks []block
		for m.Used() < 24<<20 {
			n := 40 + rnd.IntN(160)
			if rnd.IntN(100) == 0 {
				n = 6000 + rnd.IntN(2000)
			}
			blocks = append(blocks, block{h.Alloc(n), n})
		}
		var left []block
		for _, b := range blocks {
			if rnd.Float64() < keep {
				left = append(left, b)
			} else {
				h.Free(b.ref)
			}
		}
		loose, moves := m.Mapped(), 0
		for range 4 {
			for i, b := range left {
				if h.Sparse(b.ref) {
					left[i].ref = h.Alloc(b.n)
					h.Free(b.ref)
					moves++
				}
			}
		}
		check(t, m)
		tight := m.Used()*31/30 + int64(m.runs.keep())*frameBytes + 1<<20
		if m.Mapped() > tight {
			t.Errorf("%.2f kept, %d bytes used: %d bytes mapped, %d after compaction, want %d", keep, m.Used(), loose, m.Mapped(), tight)
		}
		if moves > len(left)*5/4 {
			t.Errorf("%.2f kept: %d moves of %d blocks", keep, moves, len(left))
		}
		for _, b := range left {
			if h.Sparse(b.ref) {
				t.Errorf("%.2f kept: a page is sparse still", keep)
				break
			}
		}
	}
}

// TestUnreachable makes more Memories than there are addresses for.
func TestUnreachable(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the collector takes them back here")
	}
	for i := range 600 {
		m, err := New(Options{Reserve: maxReserve})
		if err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		h := m.Heap(0)
		clear(m.Bytes(h.Alloc(1000), 1000))
	}
}

// TestSpare frees all there is: what is kept for the next use is told, and Trim gives
// that back.
func TestSpare(t *testing.T) {
	m, err := New(Options{SmallPages: true})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Heap(0)
	blocks := make([]Ref, 64)
	for i := range blocks {
		blocks[i] = h.Alloc(2 * largestClass)
	}
	if m.Spare() != 0 {
		t.Errorf("%d bytes are spare while all are in use", m.Spare())
	}
	for _, b := range blocks {
		h.Free(b)
	}
	if m.Spare() == 0 || m.Spare() != m.Mapped() {
		t.Errorf("%d bytes are spare, but %d are mapped and none in use", m.Spare(), m.Mapped())
	}
	if given := m.Trim(); m.Spare() != 0 || given == 0 {
		t.Errorf("%d bytes are spare after %d were given back", m.Spare(), given)
	}
}
