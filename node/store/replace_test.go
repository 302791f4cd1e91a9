package store

import (
	"fmt"
	"slices"
	"testing"

	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// TestReplace takes a snapshot of a store, replaces its content while the
// snapshot is open, and takes another: each has its own content.
func TestReplace(t *testing.T) {
	const now = 1_700_000_000_000
	put := func(s *Store, db int, key, text string) {
		s.Insert(Entry{
			DB: db, Slot: slots.Of([]byte(key)), Key: []byte(key), Value: value.TextValue([]byte(text)),
			ExpireAtMs: now + 1000, IdleSec: -1, Freq: -1,
		}, now)
	}
	walk := func(sn *Snapshot) (all []string) {
		err := sn.Walk(func(_ slots.Slot, fn func()) { fn() }, func(entries []Entry) error {
			for _, e := range entries {
				all = append(all, fmt.Sprintf("%d/%s=%s", e.DB, e.Key, e.Value.Bytes))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return all
	}
	s := New(Options{})
	var before, after []string
	loaded := s.Sibling()
	for i := range 300 {
		key := fmt.Sprintf("key:%03d", i)
		put(s, i%3, key, "old")
		before = append(before, fmt.Sprintf("%d/%s=old", i%3, key))
		if i%2 == 0 {
			put(loaded, i%2, key, "new")
			after = append(after, fmt.Sprintf("%d/%s=new", i%2, key))
		}
	}
	slices.Sort(before)
	slices.Sort(after)

	first := s.Cut(nil)
	s.Replace(loaded)
	second := s.Cut(nil)
	put(s, 5, "later", "x")
	if got := walk(first); !slices.Equal(got, before) {
		t.Errorf("the snapshot before has %d entries: %q", len(got), got)
	}
	if got := walk(second); !slices.Equal(got, after) {
		t.Errorf("the snapshot after has %d entries: %q", len(got), got)
	}
	first.Close()
	second.Close()
	if s.Len(0) != 150 || s.Len(1) != 0 || s.Len(5) != 1 || s.Expires(0) != 150 || s.AverageTTL(0, now) != 1000 {
		t.Errorf("counters: %d, %d, %d keys, %d with an expiry", s.Len(0), s.Len(1), s.Len(5), s.Expires(0))
	}
	if _, due := s.NextDue(0, now+2000); !due {
		t.Error("nothing is due")
	}
	// And again, with what Replace left behind.
	s.Replace(s.Sibling())
	if !s.Empty() {
		t.Error("not empty after an empty store took the place")
	}
}

// TestSettle: a sibling that has taken the place of a store counts what a store
// does into which the same was put.
func TestSettle(t *testing.T) {
	const now = 1_700_000_000_000
	fill := func(s *Store) {
		for i := range 3000 {
			key := fmt.Appendf(nil, "key:%d", i%2000)
			e := Entry{DB: i % 3, Slot: slots.Of(key), Key: key, Value: value.IntValue(int64(i)), IdleSec: -1, Freq: -1}
			if i%4 == 0 {
				e.ExpireAtMs = now + int64(i)
			}
			s.InsertAll([]Entry{e}, now)
			if i%7 == 0 {
				s.Delete(e.DB, e.Slot, key)
			}
		}
		s.Flush(2)
	}
	plain := New(Options{Databases: 3})
	fill(plain)
	s := New(Options{Databases: 3})
	s.Set(0, 1, []byte("old"), value.IntValue(1), false, now)
	loaded := s.Sibling()
	fill(loaded)
	s.Replace(loaded)
	for db := range 3 {
		if s.Len(db) != plain.Len(db) || s.Expires(db) != plain.Expires(db) || s.AverageTTL(db, now) != plain.AverageTTL(db, now) {
			t.Errorf("database %d: %d keys, %d expire, in %d ms; want %d, %d, %d", db,
				s.Len(db), s.Expires(db), s.AverageTTL(db, now), plain.Len(db), plain.Expires(db), plain.AverageTTL(db, now))
		}
		for slot := range slots.Slot(slots.Count) {
			if s.CountInSlot(db, slot) != plain.CountInSlot(db, slot) {
				t.Fatalf("database %d, slot %d: %d keys, want %d", db, slot, s.CountInSlot(db, slot), plain.CountInSlot(db, slot))
			}
		}
	}
	for slot := slots.Slot(0); ; slot++ {
		got, more := s.NextDue(slot, now+1500)
		want, wanted := plain.NextDue(slot, now+1500)
		if got != want || more != wanted {
			t.Fatalf("from slot %d on, %d is due (%v), want %d (%v)", slot, got, more, want, wanted)
		}
		if slot = got; !more {
			break
		}
	}
	if s.Len(0) == 0 || s.Expires(1) == 0 {
		t.Error("there is nothing to count")
	}
}

// TestHurryEnds: a sibling is in a hurry for memory until it has taken the store's
// place, is cut, or is abandoned, and says so once.
func TestHurryEnds(t *testing.T) {
	for what, end := range map[string]func(s, loaded *Store){
		"Replace":         func(s, loaded *Store) { s.Replace(loaded) },
		"Abandon":         func(s, loaded *Store) { s.Abandon(loaded) },
		"Cut and Replace": func(s, loaded *Store) { loaded.Cut(nil).Close(); s.Replace(loaded) },
		"Cut and Abandon": func(s, loaded *Store) { loaded.Cut(nil).Close(); s.Abandon(loaded) },
	} {
		s := New(Options{})
		loaded, ended := s.Sibling(), 0
		hurried := loaded.hurried
		loaded.hurried = func() { hurried(); ended++ }
		end(s, loaded)
		if ended != 1 {
			t.Errorf("%s: it ended %d times", what, ended)
		}
	}
}
