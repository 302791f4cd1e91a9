package store

import (
	"math/rand/v2"
	"testing"

	"slotmesh/slots"
)

// TestCounts compares the numbers of keys by slot with the sum of all.
func TestCounts(t *testing.T) {
	var c counts
	var plain [slots.Count]int
	r := rand.New(rand.NewPCG(1, 2))
	check := func() {
		t.Helper()
		total, order := 0, []slots.Slot{}
		for slot, n := range plain {
			total += n
			for range n {
				order = append(order, slots.Slot(slot))
			}
			if c.of(slots.Slot(slot)) != n {
				t.Fatalf("slot %d has %d, want %d", slot, c.of(slots.Slot(slot)), n)
			}
		}
		if c.all() != int64(total) {
			t.Fatalf("%d of all, want %d", c.all(), total)
		}
		for n, want := range order {
			if got, ok := c.nth(int64(n), 0); !ok || got != want {
				t.Fatalf("key %d is in slot %d (%v), want %d", n, got, ok, want)
			}
			if got, ok := c.pick(uint64(n + 7*total)); !ok || got != want {
				t.Fatalf("key %d is picked from slot %d (%v), want %d", n, got, ok, want)
			}
		}
		if _, ok := c.pick(5); ok != (total > 0) {
			t.Fatalf("a slot was picked from %d keys: %v", total, ok)
		}
		from := 0
		for slot, n := range plain {
			if n == 0 {
				continue
			}
			if got, ok := c.next(from); !ok || got != slots.Slot(slot) {
				t.Fatalf("after %d comes %d (%v), want %d", from, got, ok, slot)
			}
			from = slot + 1
		}
		if got, ok := c.next(from); ok {
			t.Fatalf("after %d comes %d, want none", from, got)
		}
		// Keys may go between the counting and the choosing.
		some, ok := c.nth(int64(total)+5, 0)
		if ok != (total > 0) || ok && some != order[0] {
			t.Fatalf("beyond the last key is slot %d (%v)", some, ok)
		}
	}
	check()
	for range 20 {
		for range 30 {
			slot := slots.Slot(r.IntN(slots.Count))
			switch n := r.IntN(5); {
			case n == 0:
				c.set(slot, 3)
				plain[slot] = 3
			case n == 1 && plain[slot] > 0:
				c.add(slot, -1)
				plain[slot]--
			default:
				c.add(slot, 1)
				plain[slot]++
			}
		}
		check()
	}
}
