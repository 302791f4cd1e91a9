package store

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slotmesh/node/store/value"
)

// TestIndexStats counts the entries of one slot's index in another way, while it
// grows and shrinks.
func TestIndexStats(t *testing.T) {
	s := New(Options{})
	random := rand.New(rand.NewPCG(4, 5))
	resized := 0
	for i := range 30_000 {
		key := []byte(fmt.Sprint("key", random.IntN(6000)))
		if chance := 80 - 60*(i/15_000); random.IntN(100) < chance {
			s.Set(0, 5, key, value.IntValue(1), false, 0)
		} else {
			s.Delete(0, 5, key)
		}
		if i%7 != 0 {
			continue
		}
		var stats IndexStats
		s.AddIndexStats(&stats, 0, 5)
		x := &s.space(0, 5).index
		sum := func(t *TableStats) (homes, entries int) {
			for n, count := range t.Sharing {
				homes, entries = homes+count, entries+n*count
			}
			return homes, entries
		}
		if x.growing {
			resized++
			if homes, entries := sum(&stats.Target); entries != taken(&x.current) || homes != int(x.current.size) || entries != stats.Target.Elements {
				t.Fatalf("step %d: %d entries of %d homes in the new table of %d and %d: %+v", i, entries, homes, taken(&x.current), x.current.size, stats.Target)
			}
		}
		homes, entries := sum(&stats.Main)
		if entries != stats.Main.Elements || homes != stats.Main.Homes || stats.Main.Elements+stats.Target.Elements != x.n {
			t.Fatalf("step %d: %d entries of %d homes, and %d of %d in the new table, of %d keys: %+v", i, entries, homes, stats.Target.Elements, stats.Target.Homes, x.n, stats.Main)
		}
		if stats.Main.Sharing[stats.Main.Most] == 0 && stats.Main.Most > 0 || stats.Main.Taken() > stats.Main.Elements {
			t.Fatalf("step %d: %+v", i, stats.Main)
		}
	}
	if resized == 0 {
		t.Error("the index was never seen while it grew")
	}
}

// taken is the number of entries of t.
func taken(t *table) (n int) {
	for _, entry := range t.entries {
		if entry != 0 {
			n++
		}
	}
	return n
}
