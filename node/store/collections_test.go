package store_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

var limits = hash.Limits{Entries: 16, Value: 64}

// contents are hashes by key, as a naive keyspace.
type contents map[string]map[string]string

func (c contents) clone() contents {
	deep := contents{}
	for key, fields := range c {
		deep[key] = maps.Clone(fields)
	}
	return deep
}

func fieldsOf(v value.Value) map[string]string {
	fields := map[string]string{}
	r := hash.Read(v, 0)
	for it := r.All(); it.Next(); {
		fields[string(it.Field.Append(nil))] = string(it.Value.Append(nil))
	}
	return fields
}

func slotOf(key string) slots.Slot { return slots.Slot(key[1]-'0') * 7 }

// TestSnapshotsOfCollections changes hashes, small and large, while snapshots
// are open, and reads what the walks emitted only after all the changes: it must
// be the state of the cut. Meanwhile pages get sparse, and blocks are moved out of
// them. At the end nothing is left of the memory.
func TestSnapshotsOfCollections(t *testing.T) {
	moved, seeds := int64(0), uint64(30)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 1))
		s := store.New(store.Options{})
		model := contents{}
		between := store.Thinner{Memory: s.Memory(), Random: random, Slots: []slots.Slot{0, 7, 14, 21, 28, 35}, Most: 4000}
		walk := s.Compaction()
		compact := func() {
			for range random.IntN(8) {
				before := walk.Counts().Hits
				if _, more := walk.Next(); !more {
					walk = s.Compaction()
					continue
				}
				walk.Step()
				moved += walk.Counts().Hits - before
			}
		}
		type open struct {
			sn   *store.Snapshot
			want contents
		}
		var snapshots []open
		change := func() {
			key := fmt.Sprint("k", random.IntN(6))
			slot := slotOf(key)
			ref := s.Find(0, slot, []byte(key))
			if ref.OK() != (model[key] != nil) {
				t.Fatalf("seed %d: %s is there: %v", seed, key, ref.OK())
			}
			switch op := random.IntN(100); {
			case op < 70:
				if !ref.OK() {
					ref = s.Set(0, slot, []byte(key), value.Value{Kind: value.KindHash, Enc: value.EncListpack}, false, 0)
					model[key] = map[string]string{}
				}
				h := hash.Open(&ref.Cell, limits)
				for range 1 + random.IntN(200) {
					field, val := fmt.Sprint("f", random.IntN(3000)), fmt.Sprint(random.Uint64())
					h.Set([]byte(field), []byte(val))
					model[key][field] = val
				}
			case op < 85 && ref.OK():
				h := hash.Open(&ref.Cell, limits)
				for field := range maps.Clone(model[key]) {
					if len(model[key]) > 1 && random.IntN(3) == 0 {
						h.Delete([]byte(field))
						delete(model[key], field)
					}
				}
			case op < 89:
				s.Delete(0, slot, []byte(key))
				delete(model, key)
			case op < 95 && ref.OK():
				to := fmt.Sprint("k", random.IntN(6))
				if to == key {
					return
				}
				if op < 92 {
					s.Copy(ref, 0, s.PlaceIn(slotOf(to), []byte(to)), []byte(to), 0)
					model[to] = maps.Clone(model[key])
				} else {
					s.Move(ref, s.PlaceIn(ref.Slot(), ref.Key()), 0, s.PlaceIn(slotOf(to), []byte(to)), []byte(to), 0)
					model[to] = model[key]
					delete(model, key)
				}
			case op == 95:
				s.Flush(0)
				clear(model)
			case op > 95 && len(snapshots) < 3:
				snapshots = append(snapshots, open{s.Cut(nil), model.clone()})
			}
			s.Reap(5)
			if between.Fill(random.IntN(100)); random.IntN(5) == 0 {
				between.Thin(10)
			}
			compact()
		}
		finish := func() {
			o := snapshots[0]
			snapshots = snapshots[1:]
			var entries []store.Entry
			err := o.sn.Walk(func(_ slots.Slot, fn func()) {
				fn()
				if random.IntN(2000) == 0 {
					change()
				}
			}, func(es []store.Entry) error {
				for _, e := range es {
					e.Key, e.Value = append([]byte(nil), e.Key...), e.Value.Detach()
					entries = append(entries, e)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				change()
			}
			got := contents{}
			for _, e := range entries {
				if got[string(e.Key)] != nil {
					t.Fatalf("seed %d: %s was emitted twice", seed, e.Key)
				}
				got[string(e.Key)] = fieldsOf(e.Value)
			}
			if !maps.EqualFunc(got, o.want, maps.Equal[map[string]string, map[string]string]) {
				t.Fatalf("seed %d: the snapshot has %d keys, want %d, or their fields differ", seed, len(got), len(o.want))
			}
			o.sn.Close()
		}
		for range 150 {
			change()
			if len(snapshots) > 0 && random.IntN(30) == 0 {
				finish()
			}
		}
		for len(snapshots) > 0 {
			finish()
		}
		for key, want := range model {
			ref := s.Find(0, slotOf(key), []byte(key))
			if got := fieldsOf(ref.Value()); !maps.Equal(got, want) {
				t.Fatalf("seed %d: %s has %d fields, want %d", seed, key, len(got), len(want))
			}
		}
		between.Thin(0)
		s.Flush(-1)
		for s.Reap(1000) {
		}
		if used := s.Used(); used != 0 || s.Memory().Used() != 0 {
			t.Fatalf("seed %d: %d bytes are left, %d as the store says", seed, s.Memory().Used(), used)
		}
	}
	if moved == 0 {
		t.Error("nothing was ever moved out of a sparse page")
	}
	t.Logf("%d blocks were moved out of sparse pages", moved)
}

// TestMoveKeepsTheRecord moves a key to other names, databases and slots: its deadlines
// and its mark of access go with it, and the record stays where it is if the name is as
// long.
func TestMoveKeepsTheRecord(t *testing.T) {
	s := store.New(store.Options{})
	ref := s.Set(0, 1, []byte("first"), value.Value{Kind: value.KindHash, Enc: value.EncListpack, Bytes: []byte("some payload")}, false, 0)
	ref.SetExpire(5000)
	ref.FieldsExpire(3000)
	ref = s.Find(0, 1, []byte("first"))
	ref.SetAccess(77, -1, 1_000_000)
	other := s.Set(0, 1, []byte("other"), value.IntValue(1), false, 0)
	other.SetExpire(4000)

	was, at := s.PlaceIn(1, []byte("first")), s.Find(0, 1, []byte("first")).At()
	for _, to := range []struct {
		db   int
		slot slots.Slot
		key  string
	}{{3, 1, "first"}, {3, 1, "again"}, {3, 2, "third"}, {0, 2, "third"}, {0, 1, "a much longer name that no small block has room for"}} {
		from := ref
		ref = s.Move(from, was, to.db, s.PlaceIn(to.slot, []byte(to.key)), []byte(to.key), 1_000_000)
		if len(to.key) == len("first") && ref.At() != at {
			t.Errorf("%v: the record was at %d and is at %d", to, at, ref.At())
		}
		found := s.Find(to.db, to.slot, []byte(to.key))
		if !found.OK() || found.ExpireAt() != 5000 || found.FieldsExpireAt() != 3000 || string(found.Key()) != to.key || string(found.Payload()) != "some payload" || found.DB() != to.db || found.Slot() != to.slot {
			t.Errorf("%v: %d %d %q %q", to, found.ExpireAt(), found.FieldsExpireAt(), found.Key(), found.Payload())
		}
		if idle := found.Entry(1_000_000).IdleSec; idle != 77 {
			t.Errorf("%v: idle for %d seconds", to, idle)
		}
		if db := to.db; s.Expires(0) != 1+b2i(db == 0) || s.Expires(3) != b2i(db == 3) || s.FieldsExpire(0) != (db == 0) || s.FieldsExpire(3) != (db == 3) || s.Len(0) != 1+b2i(db == 0) || s.Len(3) != b2i(db == 3) {
			t.Errorf("%v: %d and %d keys, %d and %d expire, fields %v %v", to, s.Len(0), s.Len(3), s.Expires(0), s.Expires(3), s.FieldsExpire(0), s.FieldsExpire(3))
		}
		if slot, ok := s.NextDue(0, 3000); !ok || slot != to.slot {
			t.Errorf("%v: slot %d is due, %v", to, slot, ok)
		}
		was, ref = s.PlaceIn(to.slot, []byte(to.key)), found
	}
	if found := s.Find(0, 1, []byte("other")); found.ExpireAt() != 4000 {
		t.Errorf("the other key expires at %d", found.ExpireAt())
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
