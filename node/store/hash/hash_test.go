package hash

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

var reference = Limits{Entries: 512, Value: 64}

func newDraft(t testing.TB) *value.Draft {
	m := valuetest.NewMemory(t)
	return value.NewDraft(tree.Space{Heap: m.Heap(0)}, value.KindHash, value.EncListpack)
}

func pack(texts ...string) []byte {
	lp := listpack.Empty()
	for _, text := range texts {
		lp = listpack.Push(lp, []byte(text))
	}
	return lp
}

func TestPackedIsWhatAFileHolds(t *testing.T) {
	d := newDraft(t)
	h := Open(&d.Cell, reference)
	h.Set([]byte("a"), []byte("1"))
	h.Set([]byte("7"), []byte("text"))
	h.Set([]byte("a"), []byte("2"))
	r := h.Reader(0)
	want := pack("a", "2", "7", "text")
	if !bytes.Equal(r.Packed(), want) {
		t.Fatalf("%x, want %x", r.Packed(), want)
	}
	h.Expire([]byte("a"), 50)
	if r = h.Reader(0); r.Packed() != nil {
		t.Fatal("packed with a deadline")
	}
	h.Expire([]byte("a"), 0)
	if r = h.Reader(0); !bytes.Equal(r.Packed(), want) {
		t.Fatalf("%x, want %x", r.Packed(), want)
	}
}

func TestLoadPacked(t *testing.T) {
	big := listpack.Empty()
	for i := range 2000 {
		big = listpack.PushInt(listpack.Push(big, strconv.AppendInt([]byte("f"), int64(i), 10)), int64(i))
	}
	long := string(make([]byte, 65))
	for _, c := range []struct {
		name string
		lp   []byte
		err  error
		n    int
		enc  value.Encoding
	}{
		{"small", pack("a", "1", "b", "2"), nil, 2, value.EncListpack},
		{"long value", pack("a", long), nil, 1, value.EncHashtable},
		{"long field", pack(long, "1"), nil, 1, value.EncHashtable},
		{"big", big, nil, 2000, value.EncHashtable},
		{"empty", pack(), ErrEmpty, 0, 0},
		{"odd", pack("a", "1", "b"), ErrOdd, 0, 0},
		{"twice", pack("a", "1", "5", "2", "5", "3"), ErrDuplicate, 0, 0},
		{"twice in a big one", append([]byte(nil), listpack.PushInt(listpack.Push(append([]byte(nil), big...), []byte("f7")), 1)...), ErrDuplicate, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDraft(t)
			h := Open(&d.Cell, reference)
			if err := h.LoadPacked(c.lp); !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if c.err != nil {
				return
			}
			r := h.Reader(0)
			if r.Len() != c.n || d.Encoding() != c.enc {
				t.Fatalf("Len %d, encoding %v", r.Len(), d.Encoding())
			}
			pos := listpack.First(c.lp)
			for pos >= 0 {
				var item Item
				item, pos = packedItem(c.lp, 2, pos)
				if got, ok := r.Get(item.Field.Append(nil)); !ok || !bytes.Equal(got.Append(nil), item.Value.Append(nil)) {
					t.Fatalf("%s: %s", item.Field.Append(nil), got.Append(nil))
				}
			}
		})
	}
}

// TestScanWhileItChanges walks over a hash that grows and shrinks: what was there
// all the while is seen once.
func TestScanWhileItChanges(t *testing.T) {
	d := newDraft(t)
	h := Open(&d.Cell, reference)
	const stay = 3000
	for i := range stay {
		h.Set(fmt.Append(nil, "stay", i), []byte("v"))
		h.Set(fmt.Append(nil, "go", i), []byte("v"))
	}
	seen := map[string]int{}
	round := 0
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		r := h.Reader(0)
		n := 0
		cursor = r.Scan(cursor, 50, func(item Item) {
			n++
			seen[string(item.Field.Bytes)]++
		})
		if n < 50 && cursor != 0 || n > 60 {
			t.Fatalf("%d items for a count of 50", n)
		}
		if cursor >= 1<<53 {
			t.Fatalf("cursor %d has more than 53 bits", cursor)
		}
		for range 30 {
			h.Delete(fmt.Append(nil, "go", round))
			h.Set(fmt.Append(nil, "new", round), []byte("v"))
			round++
		}
	}
	for i := range stay {
		if n := seen[fmt.Sprint("stay", i)]; n != 1 {
			t.Fatalf("stay%d was shown %d times", i, n)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, n := range []int{10, 5000} {
		d := newDraft(t)
		h := Open(&d.Cell, reference)
		h.Reserve(20 * min(n, 20))
		for i := range n {
			h.Set(fmt.Append(nil, "field", i), fmt.Append(nil, i))
		}
		field, fresh, val := []byte("field7"), []byte("fresh"), []byte("value")
		sum := 0
		if got := testing.AllocsPerRun(200, func() {
			h := Open(&d.Cell, reference)
			h.Set(field, val)
			h.Set(fresh, val)
			r := h.Reader(5)
			text, _ := r.Get(field)
			sum += text.Len() + r.Len()
			for it := r.All(); it.Next(); {
				sum += it.Value.Len()
			}
			h.Delete(fresh)
		}); got > 0 {
			t.Errorf("%d fields: %v allocations", n, got)
		}
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{10, 1000, 1000000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := newDraft(b)
			h := Open(&d.Cell, reference)
			fields := make([][]byte, n)
			for i := range fields {
				fields[i] = fmt.Append(nil, "field:", i)
				h.Set(fields[i], []byte("some value 1234"))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				h.Set(fields[i*7919%n], []byte("some value 5678"))
				i++
			}
			b.ReportMetric(float64(d.Memory().Used())/float64(n), "bytes/field")
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{10, 40, 1000, 1000000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := newDraft(b)
			h := Open(&d.Cell, reference)
			fields := make([][]byte, n)
			for i := range fields {
				fields[i] = fmt.Append(nil, "field:", i)
				h.Set(fields[i], []byte("some value 1234"))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				r := Read(d.Cell.Value(), 0)
				r.Get(fields[i*7919%n])
				i++
			}
		})
	}
}

func FuzzLoadPacked(f *testing.F) {
	f.Add(pack("a", "1", "b", "2"))
	f.Add(pack("a", "1", "a", "2"))
	f.Add(pack())
	m := valuetest.NewMemory(f)
	f.Fuzz(func(t *testing.T, lp []byte) {
		if listpack.Validate(lp) != nil {
			return
		}
		d := value.NewDraft(tree.Space{Heap: m.Heap(0)}, value.KindHash, value.EncListpack)
		h := Open(&d.Cell, reference)
		if h.LoadPacked(lp) != nil {
			d.Discard()
			return
		}
		model := map[string]entry{}
		for pos := listpack.First(lp); pos >= 0; {
			var item Item
			item, pos = packedItem(lp, 2, pos)
			model[string(item.Field.Append(nil))] = entry{value: string(item.Value.Append(nil))}
		}
		compare(t, d.Cell.Value(), model, 0)
		d.Discard()
	})
}

// TestPack compares what Pack makes with what setting the fields one by one does.
func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := rapid.SampledFrom([]Limits{reference, {Entries: 2, Value: 64}, {Entries: 512, Value: 3}, {}}).Draw(t, "limits")
		var pairs [][]byte
		for range rapid.IntRange(1, 40).Draw(t, "fields") {
			pairs = append(pairs, fmt.Append(nil, rapid.IntRange(0, 300).Draw(t, "field")), make([]byte, rapid.IntRange(0, 100).Draw(t, "value")))
		}
		buf, enc, ok := Pack([]byte("before"), pairs, limits)
		lp := bytes.TrimPrefix(buf, []byte("before"))
		m, err := arena.New(arena.Options{Reserve: 1 << 24})
		if err != nil {
			t.Fatal(err)
		}
		d := value.NewDraft(tree.Space{Heap: m.Heap(0)}, value.KindHash, value.EncListpack)
		h := Open(&d.Cell, limits)
		twice := false
		for i := 0; i < len(pairs); i += 2 {
			twice = !h.Set(pairs[i], pairs[i+1]) || twice
		}
		r := h.Reader(0)
		switch {
		case !ok && !twice && len(r.Packed()) > 0 && len(r.Packed()) < packedMax-200:
			t.Fatal("refused")
		case ok && (twice || enc != d.Encoding() || !bytes.Equal(lp, r.Packed())):
			t.Fatalf("%x %v, want %x %v", lp, enc, r.Packed(), d.Encoding())
		}
	})
}
