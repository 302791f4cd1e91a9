package store

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// modelKey and modelValue are the naive keyspace that a Store is compared with.
type modelKey struct {
	db  int
	key string
}

type modelValue struct {
	text string
	at   int64
}

type model map[modelKey]modelValue

const (
	modelDBs  = 3
	modelNow  = int64(1_000_000)
	modelKeys = 40
)

// modelSlots are few, so that slots hold many keys.
func slotFor(key string) slots.Slot { return slots.Slot(len(key)%3) * 100 }

// machine drives a Store and its model side by side.
type machine struct {
	s     *Store
	m     model
	snaps []*openSnap
	// between are blocks that make pages sparse, walk moves records out of them.
	between *Thinner
	walk    *Compaction
	moved   *int64
}

// openSnap is a snapshot with what it must show.
type openSnap struct {
	sn    *Snapshot
	want  model
	got   model
	walk  func() bool // one more step; false when through
	twice []modelKey
}

func drawKey(t *rapid.T) string {
	n := rapid.IntRange(0, modelKeys).Draw(t, "key")
	return fmt.Sprintf("k%0*d", 1+n%3, n)
}

func drawText(t *rapid.T) string {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return fmt.Sprint(rapid.Int64().Draw(t, "n"))
	case 1:
		return string(bytes.Repeat([]byte("v"), rapid.IntRange(0, 100).Draw(t, "size")))
	case 2:
		return string(bytes.Repeat([]byte("L"), aliasBytes+rapid.IntRange(0, 3).Draw(t, "more")))
	}
	return rapid.StringN(0, 12, 40).Draw(t, "text")
}

// step makes one random change.
func (x *machine) step(t *rapid.T) {
	db := rapid.IntRange(0, modelDBs-1).Draw(t, "db")
	key := drawKey(t)
	slot, at := slotFor(key), modelKey{db, key}
	ref := x.s.Find(db, slot, []byte(key))
	old, there := x.m[at]
	if ref.OK() != there {
		t.Fatalf("%v: found %v, want %v", at, ref.OK(), there)
	}
	switch op := rapid.IntRange(-1, 14).Draw(t, "op"); op {
	case -1:
		text, until := drawText(t), int64(rapid.IntRange(1, 5).Draw(t, "until"))
		v := value.StringValue([]byte(text))
		x.s.SetUntilAt(db, x.s.PlaceIn(slot, []byte(key)), []byte(key), &v, until, modelNow)
		x.m[at] = modelValue{text, until}
	case 0, 1, 2, 3:
		text, keep := drawText(t), rapid.Bool().Draw(t, "keepTTL")
		x.s.Set(db, slot, []byte(key), value.StringValue([]byte(text)), keep, modelNow)
		if !keep {
			old.at = 0
		}
		x.m[at] = modelValue{text, old.at}
	case 4, 5:
		if x.s.Delete(db, slot, []byte(key)) != there {
			t.Fatalf("delete %v: want %v", at, there)
		}
		delete(x.m, at)
	case 6, 7:
		if !there {
			return
		}
		old.at = int64(rapid.IntRange(0, 5).Draw(t, "at"))
		ref.SetExpire(old.at)
		x.m[at] = old
	case 8:
		if !there {
			return
		}
		tail := rapid.StringN(0, 5, 20).Draw(t, "tail")
		old.text += tail
		if n := ref.Append([]byte(tail)); n != len(old.text) {
			t.Fatalf("append: length %d, want %d", n, len(old.text))
		}
		x.m[at] = old
	case 9:
		if !there {
			return
		}
		offset := rapid.IntRange(0, 60).Draw(t, "offset")
		content := ref.Extend(offset + 2)
		copy(content[offset:], "##")
		grown := []byte(old.text)
		for len(grown) < offset+2 {
			grown = append(grown, 0)
		}
		copy(grown[offset:], "##")
		old.text = string(grown)
		x.m[at] = old
	case 10:
		if !there {
			return
		}
		to := modelKey{rapid.IntRange(0, modelDBs-1).Draw(t, "to db"), drawKey(t)}
		if to == at {
			return
		}
		place := x.s.PlaceIn(slotFor(to.key), []byte(to.key))
		x.m[to] = old
		if rapid.Bool().Draw(t, "move") {
			x.s.Move(ref, x.s.PlaceIn(slot, []byte(key)), to.db, place, []byte(to.key), modelNow)
			delete(x.m, at)
			return
		}
		x.s.Copy(ref, to.db, place, []byte(to.key), modelNow)
	case 11:
		switch rapid.IntRange(0, 4).Draw(t, "whole") {
		case 0:
			x.s.Flush(db)
			maps.DeleteFunc(x.m, func(k modelKey, _ modelValue) bool { return k.db == db })
		case 1:
			other := rapid.IntRange(0, modelDBs-1).Draw(t, "other")
			x.s.Swap(db, other)
			swapped := model{}
			for k, v := range x.m {
				switch k.db {
				case db:
					k.db = other
				case other:
					k.db = db
				}
				swapped[k] = v
			}
			x.m = swapped
		}
	case 12:
		x.snapshotStep(t)
	case 13:
		if x.between.Fill(rapid.IntRange(0, 2000).Draw(t, "between")); rapid.Bool().Draw(t, "thin") {
			x.between.Thin(10)
		}
	case 14:
		x.compact(rapid.IntRange(1, 20).Draw(t, "steps"))
	}
}

// compact goes some steps on in a walk that moves records.
func (x *machine) compact(steps int) {
	for range steps {
		if x.walk == nil {
			x.walk = x.s.Compaction()
		}
		before := x.walk.Counts().Hits
		if _, more := x.walk.Next(); !more {
			x.walk = nil
			continue
		}
		x.walk.Step()
		*x.moved += x.walk.Counts().Hits - before
	}
}

// snapshotStep opens, advances or ends a snapshot.
func (x *machine) snapshotStep(t *rapid.T) {
	if len(x.snaps) < 3 && rapid.Bool().Draw(t, "cut") {
		x.cut(t)
		return
	}
	if len(x.snaps) == 0 {
		return
	}
	i := rapid.IntRange(0, len(x.snaps)-1).Draw(t, "which")
	for range rapid.IntRange(1, 10).Draw(t, "turns") {
		if !x.snaps[i].walk() {
			x.check(t, i)
			return
		}
	}
}

// cut opens a snapshot, of one slot or of all, whose walk goes on by hand: it
// stands still wherever it asks for a slot, which is where writers come in.
func (x *machine) cut(t *rapid.T) {
	o := &openSnap{got: model{}, want: maps.Clone(x.m)}
	var only *slots.Set
	if rapid.Bool().Draw(t, "only") {
		set := slots.SetOf(slots.Range{First: 100, Last: 200})
		only = &set
		maps.DeleteFunc(o.want, func(k modelKey, _ modelValue) bool { return !set.Has(slotFor(k.key)) })
	}
	o.sn = x.s.Cut(only)
	turn, done := make(chan struct{}), make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		<-turn
		_ = o.sn.Walk(
			func(slot slots.Slot, fn func()) {
				fn()
				if slot%100 != 0 || slot > 200 {
					return
				}
				stopped <- struct{}{}
				<-turn
			},
			func(entries []Entry) error {
				for _, e := range entries {
					at := modelKey{e.DB, string(e.Key)}
					if _, twice := o.got[at]; twice {
						o.twice = append(o.twice, at)
					}
					o.got[at] = modelValue{string(e.Value.AppendText(nil)), e.ExpireAtMs}
				}
				return nil
			})
		close(done)
	}()
	o.walk = func() bool {
		turn <- struct{}{}
		select {
		case <-stopped:
			return true
		case <-done:
			return false
		}
	}
	x.snaps = append(x.snaps, o)
}

func (x *machine) check(t *rapid.T, i int) {
	o := x.snaps[i]
	o.sn.Close()
	x.snaps = slices.Delete(x.snaps, i, i+1)
	if len(o.twice) > 0 {
		t.Fatalf("emitted twice: %v", o.twice)
	}
	if !maps.Equal(o.got, o.want) {
		t.Fatalf("snapshot differs:\n got  %v\n want %v", brief(o.got), brief(o.want))
	}
}

func brief(m model) map[modelKey]string {
	texts := make(map[modelKey]string)
	for k, v := range m {
		texts[k] = fmt.Sprintf("%.20q/%d@%d", v.text, len(v.text), v.at)
	}
	return texts
}

// verify compares everything that can be asked.
func (x *machine) verify(t *rapid.T) {
	counts, expires := [modelDBs]int{}, [modelDBs]int{}
	perSlot := map[slots.Slot][]string{}
	for at, v := range x.m {
		counts[at.db]++
		if v.at != 0 {
			expires[at.db]++
		}
		if at.db == 0 {
			perSlot[slotFor(at.key)] = append(perSlot[slotFor(at.key)], at.key)
		}
		ref := x.s.Find(at.db, slotFor(at.key), []byte(at.key))
		if !ref.OK() {
			t.Fatalf("%v is gone", at)
		}
		got := modelValue{string(ref.Value().AppendText(nil)), ref.ExpireAt()}
		if got != v || ref.Value().TextLen() != len(v.text) || string(ref.Key()) != at.key {
			t.Fatalf("%v is %v, want %v", at, got, v)
		}
	}
	for db := range modelDBs {
		if x.s.Len(db) != counts[db] || x.s.Expires(db) != expires[db] {
			t.Fatalf("db %d: %d keys, %d with expiry; want %d, %d", db, x.s.Len(db), x.s.Expires(db), counts[db], expires[db])
		}
	}
	for _, slot := range []slots.Slot{0, 100, 200} {
		want := perSlot[slot]
		slices.Sort(want)
		var got []string
		for _, key := range x.s.KeysInSlot(0, slot, 1000) {
			got = append(got, string(key))
		}
		slices.Sort(got)
		if x.s.CountInSlot(0, slot) != len(want) || !slices.Equal(got, want) {
			t.Fatalf("slot %d: %d %v, want %v", slot, x.s.CountInSlot(0, slot), got, want)
		}
		x.verifyDue(t, slot)
	}
}

// verifyDue checks that the first deadline of a slot is known.
func (x *machine) verifyDue(t *rapid.T, slot slots.Slot) {
	first := int64(1) << 62
	for at, v := range x.m {
		if v.at != 0 && slotFor(at.key) == slot {
			first = min(first, v.at)
		}
	}
	due := int64(1<<63 - 1)
	for db := range x.s.dbs {
		if d := x.s.dbs[db].Load(); d != nil {
			due = min(due, d.due[slot].Load())
		}
	}
	if (first < 1<<62) != (due < 1<<62) || first < 1<<62 && due != first {
		t.Fatalf("slot %d is due at %d, want %d", slot, due, first)
	}
	if first == 1<<62 {
		return
	}
	ref, found := x.s.FirstExpired(slot, first)
	if !found || ref.ExpireAt() != first {
		t.Fatalf("slot %d: the first expired key is not found", slot)
	}
	if _, found := x.s.FirstExpired(slot, first-1); found {
		t.Fatalf("slot %d: a key has expired before its time", slot)
	}
}

// TestModel makes random changes to a store and a map, with snapshots open, and
// compares them.
func TestModel(t *testing.T) {
	for _, version := range []uint32{0, 1<<32 - 3, 1<<31 - 3} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			moved := int64(0)
			rapid.Check(t, func(t *rapid.T) {
				x := &machine{s: New(Options{Databases: modelDBs}), m: model{}, moved: &moved}
				x.between = &Thinner{Memory: x.s.memory, Random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), Slots: []slots.Slot{0, 100, 200}, Most: 48}
				x.s.version, x.s.aged = version, version
				x.s.turn = rapid.IntRange(1, 30).Draw(t, "turn")
				for range rapid.IntRange(1, 300).Draw(t, "steps") {
					x.step(t)
				}
				x.verify(t)
				for len(x.snaps) > 0 {
					for x.snaps[0].walk() {
					}
					x.check(t, 0)
				}
				x.verify(t)
			})
			if moved == 0 {
				t.Error("nothing was ever moved out of a sparse page")
			}
			t.Logf("%d blocks were moved out of sparse pages", moved)
		})
	}
}
