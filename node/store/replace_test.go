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
