package store

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// TestWalkHoldsSlotsBriefly walks crowded slots and large values and counts what
// is done while a slot is locked, and what is locked while entries are emitted.
// A second snapshot is handed every record that the walk of the first looks at,
// so it shows how many those are.
func TestWalkHoldsSlotsBriefly(t *testing.T) {
	const now = 1_700_000_000_000
	s := New(Options{})
	put := func(slot slots.Slot, i, size int) {
		s.Insert(Entry{
			DB: i % 2, Slot: slot, Key: fmt.Appendf(nil, "%d:%d", slot, i),
			Value: value.TextValue(bytes.Repeat([]byte("v"), size)), IdleSec: -1, Freq: -1,
		}, now)
	}
	total := 0
	for slot := slots.Slot(0); slot < slots.Count; slot += 1000 {
		crowd := map[slots.Slot]int{3000: 20 * turnRecords, 5000: 3000}[slot] + 10
		for i := range crowd {
			size := 8
			if slot == 5000 {
				size = 1000
			}
			put(slot, i, size)
			total++
		}
	}
	for i := range 5 {
		put(7000, 1000+i, 1<<20) // lent, not copied
		total++
	}

	walked, watching := s.Cut(nil), s.Cut(nil)
	defer walked.Close()
	defer watching.Close()
	locked, holds, emitted, mostRecords, mostBytes, batch := false, 0, 0, 0, 0, 0
	err := walked.Walk(func(_ slots.Slot, fn func()) {
		before := count(watching)
		locked = true
		fn()
		locked = false
		holds++
		if count(watching) == before {
			return
		}
		copied := 0
		for _, e := range slices.Concat(watching.handed...)[before:] {
			if size := len(e.Key) + len(e.Value.Bytes); size < aliasBytes {
				copied += size
			}
		}
		mostRecords = max(mostRecords, count(watching)-before)
		mostBytes = max(mostBytes, copied)
	}, func(entries []Entry) error {
		if locked {
			t.Error("entries were emitted with a slot locked")
		}
		batch = max(batch, len(entries))
		emitted += len(entries)
		return nil
	})
	if err != nil || emitted != total || count(watching) != total {
		t.Fatalf("%d emitted, %d handed over, of %d: %v", emitted, count(watching), total, err)
	}
	if mostRecords > turnRecords || mostRecords < turnRecords/2 {
		t.Errorf("up to %d records at a time, want no more than %d", mostRecords, turnRecords)
	}
	for _, piece := range watching.handed {
		if cap(piece) > handedLen {
			t.Errorf("%d handed over entries side by side: a writer may have to copy them", cap(piece))
		}
	}
	// The last record of a turn may go over.
	if mostBytes > turnBytes+aliasBytes || mostBytes < turnBytes/2 {
		t.Errorf("up to %d bytes copied at a time, want no more than %d and a value", mostBytes, turnBytes)
	}
	if holds < slots.Count || holds > slots.Count+total/turnRecords*8 {
		t.Errorf("%d turns", holds)
	}
}

// count is how many records writers handed over to sn.
func count(sn *Snapshot) (n int) {
	for _, entries := range sn.handed {
		n += len(entries)
	}
	return n
}

// TestWholesaleIsOnePointer: FLUSHALL, SWAPDB and the end of a full sync, which
// run with everything locked, move databases and do not look into them.
func TestWholesaleIsOnePointer(t *testing.T) {
	const now = 1_700_000_000_000
	s := New(Options{})
	for slot := range slots.Slot(slots.Count) {
		s.Insert(Entry{Slot: slot, Key: []byte("k"), Value: value.IntValue(1), ExpireAtMs: now + 1, IdleSec: -1, Freq: -1}, now)
	}
	content := s.dbs[0].Load()
	s.Swap(0, 3)
	if s.dbs[3].Load() != content || s.dbs[0].Load() != nil || s.Len(3) != slots.Count {
		t.Error("SWAPDB moved something else than the database")
	}
	sn := s.Cut(nil)
	defer sn.Close()
	s.Flush(-1)
	if len(sn.gone) != 1 || &sn.gone[0].spaces[0] != &content.spaces[0] || content.keys.all() != slots.Count {
		t.Error("the snapshot was not given the database as it is")
	}
	loaded := s.Sibling()
	loaded.Insert(Entry{DB: 2, Slot: 5, Key: []byte("k"), Value: value.IntValue(2), IdleSec: -1, Freq: -1}, now)
	fresh := loaded.dbs[2].Load()
	s.Replace(loaded)
	if s.dbs[2].Load() != fresh || s.Len(2) != 1 {
		t.Error("Replace moved something else than the databases")
	}
}

// TestHandedPiecesAreUsedAgain: beside a walk writers hand over a few records at a
// time, again and again, and the walk gives back the room that they take.
func TestHandedPiecesAreUsedAgain(t *testing.T) {
	const (
		now     = 1_700_000_000_000
		records = 1000
		last    = slots.Slot(slots.Count - 1)
	)
	s := New(Options{})
	key := func(i int) []byte { return fmt.Appendf(nil, "%d", i) }
	put := func(slot slots.Slot, i, size int) {
		s.Insert(Entry{Slot: slot, Key: key(i), Value: value.TextValue(bytes.Repeat([]byte("v"), size)), IdleSec: -1, Freq: -1}, now)
	}
	for i := range records {
		put(0, i, 1000)
		put(last, i, 8)
	}
	sn := s.Cut(nil)
	defer sn.Close()
	changed, most := 0, 0
	pieces := map[*Entry]bool{}
	emitted := map[string]int{}
	err := sn.Walk(func(_ slots.Slot, fn func()) { fn() }, func(entries []Entry) error {
		size := 0
		for _, e := range entries {
			size += len(e.Value.Bytes)
			emitted[fmt.Sprint(e.Slot, " ", string(e.Key), " ", len(e.Value.Bytes))]++
		}
		most = max(most, size)
		if entries[0].Slot == last && cap(entries) == handedLen {
			pieces[&entries[:1][0]] = true
		}
		if changed < records {
			put(last, changed, 9)
			changed++
		}
		return nil
	})
	if err != nil || len(emitted) != 2*records {
		t.Fatalf("%d of %d records emitted: %v", len(emitted), 2*records, err)
	}
	for i := range records {
		if n := emitted[fmt.Sprint(last, " ", i, " ", 8)]; n != 1 {
			t.Fatalf("record %d was emitted %d times as of the cut", i, n)
		}
	}
	if changed < 2*spareLen || len(pieces) == 0 || len(pieces) > spareLen {
		t.Errorf("%d times a record was handed over, in %d pieces", changed, len(pieces))
	}
	if most > batchBytes+turnBytes+aliasBytes {
		t.Errorf("%d bytes were emitted at once", most)
	}
}
