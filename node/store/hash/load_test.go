package hash

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// TestLoader loads hashes of all sizes, with and without deadlines, with fields that
// come twice and without, one after the other with the same loader. What comes out is
// what setting the fields one by one makes, but for the order of a tree.
func TestLoader(t *testing.T) {
	memory := valuetest.NewMemory(t)
	var l Loader
	rapid.Check(t, func(t *rapid.T) {
		base := memory.Heap(0).Used()
		limits := rapid.SampledFrom([]Limits{reference, {Entries: 5, Value: 64}, {Entries: 1 << 30, Value: 1 << 30}, {}}).Draw(t, "limits")
		n := rapid.SampledFrom([]int{1, 10, 100, 700, 9000}).Draw(t, "fields")
		longest := rapid.SampledFrom([]int{5, 40, 200}).Draw(t, "longest")
		often := rapid.SampledFrom([]int{0, 0, 3, 300}).Draw(t, "deadlines, one in")
		again := rapid.SampledFrom([]int{-1, -1, 0, n / 2, n - 1}).Draw(t, "again")
		whole := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindHash, value.EncListpack)
		single := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindHash, value.EncListpack)
		defer func() {
			whole.Discard()
			single.Discard()
			if used := memory.Heap(0).Used(); used != base {
				t.Fatalf("%d bytes were not freed", used-base)
			}
		}()
		h := Open(&single.Cell, limits)
		model := map[string]entry{}
		l.Begin(&whole.Cell, limits, uint64(rapid.IntRange(0, 2*n).Draw(t, "expected")))
		ok := true
		add := func(i int) {
			field, e := fmt.Sprint("field", i), entry{value: fmt.Sprint(i)}
			if i%3 > 0 {
				e.value = strings.Repeat("v", i*7%longest)
			}
			if i%5 == 0 {
				field = fmt.Sprint(i)
			}
			if often > 0 && i%often == often-1 {
				e.deadline = int64(1000 + i)
			}
			model[field] = e
			h.SetUntil([]byte(field), []byte(e.value), e.deadline)
			ok = ok && l.Add([]byte(field), []byte(e.value), e.deadline)
		}
		for i := range n {
			add(i)
		}
		if again >= 0 {
			add(again)
		}
		if ok = ok && l.Close(); ok != (again < 0) {
			t.Fatalf("loaded: %v", ok)
		}
		if !ok {
			return
		}
		compare(t, whole.Value(), model, 0)
		if whole.Encoding() != single.Encoding() {
			t.Fatalf("encoding %v, want %v", whole.Encoding(), single.Encoding())
		}
		r, want := Read(whole.Value(), 0), Read(single.Value(), 0)
		if a, b := r.Packed(), want.Packed(); string(a) != string(b) {
			t.Fatalf("packed: %x\nwant %x", a, b)
		}
	})
}

// TestTakenOver: what the reference keeps packed is taken over as it is, however it
// came, and becomes a tree with the first field that is set. The dump of a tree is
// such a form.
func TestTakenOver(t *testing.T) {
	d := newDraft(t)
	h := Open(&d.Cell, reference)
	model := map[string]entry{}
	for i := range 400 {
		field, val := fmt.Sprint("field", i), strings.Repeat("v", i%60)
		h.Set([]byte(field), []byte(val))
		model[field] = entry{value: val}
	}
	r := h.Reader(0)
	if r.Packed() != nil || !r.Packs() {
		t.Fatal("400 fields are not a tree that can be packed")
	}
	lp := r.AppendPacked([]byte("before"))[len("before"):]
	if err := listpack.Validate(lp); err != nil || len(lp) <= packedMax {
		t.Fatalf("%d bytes, %v", len(lp), err)
	}
	for _, change := range []func(h *Hash){
		func(h *Hash) { h.Set([]byte("field7"), []byte("other")); model["field7"] = entry{value: "other"} },
		func(h *Hash) { h.Set([]byte("another"), []byte("1")); model["another"] = entry{value: "1"} },
		func(h *Hash) { h.Expire([]byte("field8"), 77); model["field8"] = entry{model["field8"].value, 77} },
	} {
		taken := newDraft(t)
		h := Open(&taken.Cell, reference)
		if err := h.LoadPacked(lp); err != nil {
			t.Fatal(err)
		}
		r := h.Reader(0)
		if string(r.Packed()) != string(lp) || taken.Encoding() != value.EncListpack {
			t.Fatalf("%d bytes, %v", len(r.Packed()), taken.Encoding())
		}
		h.Delete([]byte("field100"))
		change(&h)
		if taken.Roots() == 0 || taken.Encoding() != value.EncListpack {
			t.Fatalf("after a change: %d trees, %v", taken.Roots(), taken.Encoding())
		}
		delete(model, "field100")
		compare(t, taken.Value(), model, 0)
		taken.Discard()
		for field := range model {
			model[field] = entry{value: model[field].value}
		}
		delete(model, "another")
		model["field7"] = entry{value: strings.Repeat("v", 7)}
		model["field100"] = entry{value: strings.Repeat("v", 40)}
	}
}
