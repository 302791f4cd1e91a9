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
