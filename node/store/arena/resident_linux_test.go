package arena

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// resident returns how many bytes of m the system has in memory, the side table
// included.
func resident(t *testing.T, m *Memory) int64 { return smaps(t, m, "Rss:") }

// smaps returns what the system says of m, the side table included, under that
// name.
func smaps(t *testing.T, m *Memory, name string) int64 {
	t.Helper()
	from, to := uintptr(m.table), uintptr(unsafe.Add(m.base, m.Limit()))
	var sum int64
	eachMapping(t, name, func(start, end uintptr, says string) {
		var kib int64
		if start < from || end > to {
			return
		}
		if _, err := fmt.Sscanf(says, "%d kB", &kib); err != nil {
			t.Fatal(err)
		}
		sum += kib << 10
	})
	return sum
}

// eachMapping calls do with what the system says of each mapping of the process under
// that name. Source: proc(5), smaps.
func eachMapping(t *testing.T, name string, do func(start, end uintptr, says string)) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var start, end uintptr
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			start, end = from, to
		}
		if says, ok := strings.CutPrefix(lines.Text(), name); ok {
			do(start, end, says)
		}
	}
}

func TestResident(t *testing.T) {
	// A thousand blocks of all sizes up to 1 KiB in 16 heaps.
	m := newMemory(t, Options{Heaps: 16})
	for i := range 1000 {
		clear(m.Bytes(m.Heap(i).Alloc(i+1), i+1))
	}
	if got := resident(t, m); got == 0 || got > 3<<20 {
		t.Errorf("%d bytes resident for a thousand blocks", got)
	}
	m = newMemory(t, Options{Heaps: 16})
	for i := range 100 {
		clear(m.Bytes(m.Heap(i).Alloc(92), 92))
	}
	if got := resident(t, m); got == 0 || got > 128<<10 {
		t.Errorf("%d bytes resident for a hundred blocks", got)
	}

	const count = 500_000
	for _, small := range []bool{false, true} {
		m := newMemory(t, Options{Heaps: 16, SmallPages: small})
		refs := make([]Ref, count)
		for i := range refs {
			refs[i] = m.Heap(i).Alloc(92)
			clear(m.Bytes(refs[i], 92))
		}
		got, slack := resident(t, m), int64(0)
		if !small {
			slack = hugeBytes
		}
		if got > 97*count+slack || got < m.Used() {
			t.Errorf("small pages %v: %d bytes resident, %d for a block", small, got, got/count)
		}
		if got > m.Mapped()+m.Mapped()/500+8<<10 {
			t.Errorf("small pages %v: %d bytes resident, %d mapped", small, got, m.Mapped())
		}
		for i, r := range refs {
			if i%100 != 0 {
				m.Heap(i).Free(r)
			}
		}
		for i, r := range refs {
			if i%100 == 0 {
				m.Heap(i).Free(r)
			}
		}
		if got := resident(t, m); got > 8<<20 {
			t.Errorf("small pages %v: %d bytes resident after all were freed", small, got)
		}
		m.Trim()
		if got := resident(t, m); got > 1<<20 {
			t.Errorf("small pages %v: %d bytes resident after Trim", small, got)
		}
	}
}

// TestResidentIsMapped changes blocks of all sizes at random and compares what
// Mapped tells with the system's word.
func TestResidentIsMapped(t *testing.T) {
	m := newMemory(t, Options{Heaps: 2})
	rnd := rand.New(rand.NewPCG(3, 4))
	var blocks []held
	for round := range 12 {
		size := int64(40+rnd.IntN(60)) << 20
		for m.Used() < size {
			b := held{heap: rnd.IntN(2), n: 1 + rnd.IntN(1<<(4+rnd.IntN(17)))}
			b.ref = m.Heap(b.heap).Alloc(b.n)
			clear(m.Bytes(b.ref, b.n))
			blocks = append(blocks, b)
		}
		rnd.Shuffle(len(blocks), func(i, j int) { blocks[i], blocks[j] = blocks[j], blocks[i] })
		for size = m.Used() / 8 * int64(rnd.IntN(9)); m.Used() > size; blocks = blocks[:len(blocks)-1] {
			b := blocks[len(blocks)-1]
			m.Heap(b.heap).Free(b.ref)
		}
		if got := resident(t, m); got > m.Mapped()+1<<20 {
			t.Fatalf("round %d: %d bytes resident, %d mapped", round, got, m.Mapped())
		}
	}
	check(t, m)
}
