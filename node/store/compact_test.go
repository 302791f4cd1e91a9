package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// TestCompaction deletes most keys at random and counts what the system gets
// back, what a step does while it has a slot, and that no value changed.
func TestCompaction(t *testing.T) {
	const (
		now    = 1_700_000_000_000
		fields = 20_000
	)
	keys := 200_000
	if os.Getenv("SLOTMESH_LONG") != "" {
		keys = 5_000_000
	}
	s := store.New(store.Options{Databases: 2})
	random := rand.New(rand.NewPCG(1, 2))
	place := func(i int) (slots.Slot, []byte) {
		key := fmt.Appendf(nil, "key:%012d", i)
		return slots.Of(key), key
	}
	text := func(i int) string { return fmt.Sprintf("%0*d", 20+i%90, i) }
	for i := range keys {
		slot, key := place(i)
		ref := s.Set(0, slot, key, value.TextValue([]byte(text(i))), false, now)
		if i%5 == 0 {
			ref.SetExpire(now + int64(i))
		}
	}
	large := s.Set(1, 7, []byte("large"), value.Value{Kind: value.KindHash, Enc: value.EncListpack}, false, now)
	h := hash.Open(&large.Cell, limits)
	for i := range fields {
		h.Set([]byte(fmt.Sprint("f", i)), []byte(text(i)))
	}
	kept := func(i int) bool { return i%5 == 3 || i%500 == 0 }
	deleted := random.Perm(keys)
	for _, i := range deleted {
		if slot, key := place(i); !kept(i) {
			s.Delete(0, slot, key)
		}
	}
	for _, i := range random.Perm(fields) {
		if !kept(i) {
			ref := s.Find(1, 7, []byte("large"))
			h := hash.Open(&ref.Cell, limits)
			h.Delete([]byte(fmt.Sprint("f", i)))
		}
	}

	m := s.Memory()
	before, excess, walks, steps, most := m.Mapped(), m.Excess(), 0, 0, int64(0)
	for last := excess + 1; m.Excess() > excess/16 && m.Excess() < last; walks++ {
		last = m.Excess()
		walk := s.Compaction()
		for {
			if _, more := walk.Next(); !more {
				break
			}
			before := walk.Counts()
			walk.Step()
			did := walk.Counts()
			most = max(most, did.Hits-before.Hits)
			if hits, keys, moved := did.Hits-before.Hits, did.KeyHits-before.KeyHits, did.Bytes-before.Bytes; keys > 0 && moved == 0 || moved > 0 && hits == 0 {
				t.Fatalf("a step moved %d blocks, of %d keys, and %d bytes", hits, keys, moved)
			}
			steps++
		}
	}
	for m.Settle() {
	}
	t.Logf("%d keys: %d KiB in blocks; %d KiB mapped before, %d of them too many; %d mapped after %d walks, %d too many; %d steps, the longest moved %d blocks",
		keys, m.Used()>>10, before>>10, excess>>10, m.Mapped()>>10, walks, m.Excess()>>10, steps, most)
	if m.Excess() > excess/8 || before-m.Mapped() < excess*3/4 {
		t.Error("sparse pages are left")
	}
	if most > 100 {
		t.Errorf("%d blocks were moved with one slot locked", most)
	}

	for i := range keys {
		slot, key := place(i)
		ref := s.Find(0, slot, key)
		if ref.OK() != kept(i) {
			t.Fatalf("%s is there: %v", key, ref.OK())
		}
		if !ref.OK() {
			continue
		}
		want := int64(0)
		if i%5 == 0 {
			want = now + int64(i)
		}
		if got := string(ref.Value().Bytes); got != text(i) || ref.ExpireAt() != want {
			t.Fatalf("%s is %q until %d", key, got, ref.ExpireAt())
		}
	}
	got := fieldsOf(s.Find(1, 7, []byte("large")).Value())
	for i := range fields {
		if v, there := got[fmt.Sprint("f", i)]; there != kept(i) || there && v != text(i) {
			t.Fatalf("field %d is there: %v, %q", i, there, v)
		}
	}
}
