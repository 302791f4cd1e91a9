package hash

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// home is a hash beside its model.
type home = valuetest.Home[map[string]entry]

type entry struct {
	value    string
	deadline int64
}

func newHome(heap *arena.Heap) *home {
	return valuetest.NewHome[map[string]entry](heap, value.Value{Kind: value.KindHash, Enc: value.EncListpack})
}

type failer interface{ Fatalf(string, ...any) }

// compare looks at v in every way that there is.
func compare(t failer, v value.Value, model map[string]entry, now int64) {
	r := Read(v, now)
	seen := map[string]entry{}
	for it := r.All(); it.Next(); {
		name := string(it.Field.Append(nil))
		if _, twice := seen[name]; twice {
			t.Fatalf("%q twice", name)
		}
		seen[name] = entry{string(it.Value.Append(nil)), it.Deadline}
	}
	next := int64(0)
	want := map[string]entry{}
	for name, e := range model {
		if e.deadline != 0 && (next == 0 || e.deadline < next) {
			next = e.deadline
		}
		at, ok := r.Deadline([]byte(name))
		val, found := r.Get([]byte(name))
		if visible := live(e.deadline, now); ok != visible || found != visible || ok && (at != e.deadline || string(val.Append(nil)) != e.value || val.Len() != len(e.value)) {
			t.Fatalf("%q: %q %v, deadline %d %v; want %v", name, val.Append(nil), found, at, ok, e)
		}
		if live(e.deadline, now) {
			want[name] = e
		}
	}
	if !maps.Equal(seen, want) {
		t.Fatalf("All: %v\nwant %v", seen, want)
	}
	if r.Len() != len(want) || r.Size() != len(model) || r.NextDeadline() != next {
		t.Fatalf("Len %d, want %d; Size %d, want %d; next %d, want %d", r.Len(), len(want), r.Size(), len(model), r.NextDeadline(), next)
	}
	i, visible := 0, 0
	for it := Read(v, 0).iter(); it.Next(); i++ {
		item, ok := r.At(i)
		if !bytes.Equal(item.Field.Append(nil), it.Field.Append(nil)) {
			t.Fatalf("At(%d) is %q", i, item.Field.Append(nil))
		}
		if ok {
			visible++
		}
	}
	if visible != len(want) {
		t.Fatalf("At shows %d", visible)
	}
	scanned := map[string]bool{}
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		cursor = r.Scan(cursor, 3, func(item Item) {
			name := string(item.Field.Append(nil))
			if scanned[name] {
				t.Fatalf("scan: %q twice", name)
			}
			scanned[name] = true
		})
	}
	if len(scanned) != len(want) {
		t.Fatalf("scan: %d, want %d", len(scanned), len(want))
	}
}

func (r Reader) iter() Iter { return r.All() }

// world is a hash beside its model.
type world struct {
	home   *home
	hash   Hash
	model  map[string]entry
	limits Limits
	// hashtable is what the encoding must be.
	hashtable bool
	now       int64
}

func (w *world) set(field, val string, deadline int64, keep bool) bool {
	e, there := w.model[field]
	if keep {
		deadline = e.deadline
	}
	w.model[field] = entry{val, deadline}
	if max(len(field), len(val)) > w.limits.Value || len(w.model) > w.limits.Entries {
		w.hashtable = true
	}
	return !there
}

func (w *world) check(t failer) {
	compare(t, w.home.Cell.Value(), w.model, w.now)
	next := int64(0)
	for _, e := range w.model {
		if e.deadline != 0 && (next == 0 || e.deadline < next) {
			next = e.deadline
		}
	}
	if w.home.ExpireAt != next {
		t.Fatalf("the keyspace was told %d, want %d", w.home.ExpireAt, next)
	}
	if w.hashtable != (w.home.Cell.Encoding() == value.EncHashtable) {
		t.Fatalf("encoding %v, want hashtable: %v", w.home.Cell.Encoding(), w.hashtable)
	}
}

func TestHashIsAMap(t *testing.T) {
	memory := valuetest.NewMemory(t)
	rapid.Check(t, func(t *rapid.T) {
		base := memory.Heap(0).Used()
		limits := rapid.SampledFrom([]Limits{{512, 64}, {5, 64}, {1 << 30, 1 << 30}, {0, 0}, {512, 8}}).Draw(t, "limits")
		names := rapid.SampledFrom([]int{5, 40, 400}).Draw(t, "names")
		longest := rapid.SampledFrom([]int{10, 70, 3000}).Draw(t, "longest")
		w := &world{home: newHome(memory.Heap(0)), model: map[string]entry{}, limits: limits}
		w.hash = Open(&w.home.Cell, limits)
		field := func(t *rapid.T) string {
			n := rapid.IntRange(0, names).Draw(t, "field")
			switch n % 3 {
			case 0:
				return fmt.Sprint(n)
			case 1:
				return fmt.Sprint("field", n)
			}
			return fmt.Sprint(strings.Repeat("f", n%150), n)
		}
		val := func(t *rapid.T) string {
			switch rapid.IntRange(0, 5).Draw(t, "form") {
			case 0:
				return fmt.Sprint(rapid.Int64().Draw(t, "number"))
			case 1:
				return fmt.Sprint(rapid.IntRange(-200, 200).Draw(t, "number"))
			}
			return strings.Repeat("v", rapid.IntRange(0, longest).Draw(t, "length"))
		}
		deadline := func(t *rapid.T) int64 {
			return w.now + rapid.Int64Range(-3, 40).Filter(func(d int64) bool { return w.now+d > 0 }).Draw(t, "deadline")
		}
		closeAll := func(t *rapid.T) {
			w.home.Close(func(v value.Value, model map[string]entry) { compare(t, v, model, 0) })
		}
		w.now = 100
		if rapid.Bool().Draw(t, "taken over") {
			lp := listpack.Empty()
			for i := range rapid.IntRange(1, names).Draw(t, "taken") {
				f, v := fmt.Sprint("field", i), strings.Repeat("v", i*7%longest)
				lp = listpack.Push(listpack.Push(lp, []byte(f)), []byte(v))
				w.set(f, v, 0, false)
			}
			if err := w.hash.LoadPacked(lp); err != nil {
				t.Fatal(err)
			}
		}
		fill := func(t *rapid.T) {
			for range rapid.IntRange(1, 30).Draw(t, "count") {
				f, v := field(t), val(t)
				if got, want := w.hash.Set([]byte(f), []byte(v)), w.set(f, v, 0, false); got != want {
					t.Fatalf("Set %q: %v", f, got)
				}
			}
		}
		set := func(t *rapid.T) {
			f, v := field(t), val(t)
			if got, want := w.hash.Set([]byte(f), []byte(v)), w.set(f, v, 0, false); got != want {
				t.Fatalf("Set %q: %v", f, got)
			}
		}
		actions := map[string]func(*rapid.T){
			"fill": fill, "set": set, "set2": set, "set3": set,
			"update": func(t *rapid.T) {
				f, v := field(t), val(t)
				if got, want := w.hash.Update([]byte(f), []byte(v)), w.set(f, v, 0, true); got != want {
					t.Fatalf("Update %q: %v", f, got)
				}
			},
			"set until": func(t *rapid.T) {
				f, v, at := field(t), val(t), deadline(t)
				if got, want := w.hash.SetUntil([]byte(f), []byte(v), at), w.set(f, v, at, false); got != want {
					t.Fatalf("SetUntil %q: %v", f, got)
				}
			},
			"expire": func(t *rapid.T) {
				f, at := field(t), deadline(t)
				if rapid.IntRange(0, 3).Draw(t, "persist") == 0 {
					at = 0
				}
				e, there := w.model[f]
				if got := w.hash.Expire([]byte(f), at); got != there {
					t.Fatalf("Expire %q: %v", f, got)
				}
				if there {
					w.model[f] = entry{e.value, at}
				}
			},
			"persist all": func(t *rapid.T) {
				if rapid.IntRange(0, 2).Draw(t, "really") > 0 {
					return
				}
				for f, e := range w.model {
					w.hash.Expire([]byte(f), 0)
					w.model[f] = entry{e.value, 0}
				}
			},
			"delete": func(t *rapid.T) {
				f := field(t)
				_, there := w.model[f]
				if got := w.hash.Delete([]byte(f)); got != there {
					t.Fatalf("Delete %q: %v", f, got)
				}
				delete(w.model, f)
			},
			"delete all": func(t *rapid.T) {
				var fields [][]byte
				there := 0
				for range rapid.IntRange(1, 20).Draw(t, "fields") {
					f := field(t)
					if _, ok := w.model[f]; ok {
						there++
					}
					delete(w.model, f)
					fields = append(fields, []byte(f))
				}
				if got := w.hash.DeleteAll(fields); got != there {
					t.Fatalf("DeleteAll %q: %d, want %d", fields, got, there)
				}
			},
			"purge": func(t *rapid.T) {
				f := field(t)
				e, there := w.model[f]
				want := there && !live(e.deadline, w.now)
				if got := w.hash.Purge([]byte(f), w.now); got != want {
					t.Fatalf("Purge %q: %v", f, got)
				}
				if want {
					delete(w.model, f)
				}
			},
			"time": func(t *rapid.T) { w.now += rapid.Int64Range(0, 20).Draw(t, "later") },
			"expire fields": func(t *rapid.T) {
				limit := rapid.IntRange(0, 10).Draw(t, "limit")
				var over []int64
				for _, e := range w.model {
					if !live(e.deadline, w.now) {
						over = append(over, e.deadline)
					}
				}
				slices.Sort(over)
				n := 0
				more := w.hash.ExpireFields(w.now, limit, func(field []byte) {
					e, there := w.model[string(field)]
					if !there || e.deadline != over[n] {
						t.Fatalf("expired %q %v, want deadline %d", field, e, over[n])
					}
					n++
					delete(w.model, string(field))
				})
				if n != min(limit, len(over)) || more != (len(over) > limit) {
					t.Fatalf("%d expired of %d with limit %d, more %v", n, len(over), limit, more)
				}
			},
			"cut": func(t *rapid.T) {
				if w.home.Cuts() < 3 {
					w.home.Cut(maps.Clone(w.model))
				}
			},
			"close": closeAll,
			"":      func(t *rapid.T) { w.check(t) },
		}
		t.Repeat(actions)
		closeAll(t)
		w.home.Free()
		if used := memory.Heap(0).Used(); used != base {
			t.Fatalf("%d bytes were not freed", used-base)
		}
	})
}
