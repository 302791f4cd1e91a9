package store

import "slotmesh/slots"

// IndexStats is how the keys of a database lie in the tables of their slots.
// While a table is resized it counts as two: Main is what it was, Target what it
// becomes.
type IndexStats struct{ Main, Target TableStats }

// TableStats is of several hash tables together.
type TableStats struct {
	// Homes is how many places a hash may lead to, Elements the number of entries.
	Homes, Elements int
	// Sharing counts the homes by the number of entries that they have; those of
	// the last number have as many or more.
	Sharing [50]int
	// Most is the number of entries of the home with most.
	Most int
}

// Taken is the number of homes that have entries.
func (t *TableStats) Taken() int { return t.Homes - t.Sharing[0] }

// AddIndexStats adds the keys of db in slot to stats. The slot must be locked.
func (s *Store) AddIndexStats(stats *IndexStats, db int, slot slots.Slot) {
	sp := s.space(db, slot)
	if sp == nil {
		return
	}
	x := &sp.index
	if !x.growing {
		stats.Main.add(&x.current, 0, 0)
		return
	}
	// What was moved stands in old still, up to oldAt and below moved.
	stats.Main.add(&x.old, int(x.oldAt), x.moved)
	stats.Target.add(&x.current, 0, 0)
}

// add counts the entries of a table from a place on whose hashes are not below low.
// Those of one home follow each other.
func (s *TableStats) add(t *table, from int, low uint32) {
	s.Homes += int(t.size)
	taken, home, sharing := 0, -1, 0
	end := func() {
		if sharing > 0 {
			taken++
			s.Most = max(s.Most, sharing)
			s.Sharing[min(sharing, len(s.Sharing)-1)]++
		}
	}
	for _, entry := range t.entries[from:] {
		if entry == 0 || hashOf(entry) < low {
			continue
		}
		s.Elements++
		if h := t.home(hashOf(entry)); h != home {
			end()
			home, sharing = h, 0
		}
		sharing++
	}
	end()
	s.Sharing[0] += int(t.size) - taken
}
