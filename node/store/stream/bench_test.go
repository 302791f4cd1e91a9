package stream

import (
	"testing"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// newDraft returns an empty stream of a memory of its own.
func newDraft(t testing.TB) *value.Draft {
	return newDraftIn(valuetest.NewMemory(t))
}

func newDraftIn(m *arena.Memory) *value.Draft {
	return value.NewDraft(newSpace(m), value.KindStream, value.EncStream)
}

func newSpace(m *arena.Memory) tree.Space { return tree.Space{Heap: m.Heap(0), Version: 1} }

var benchArgs = Args{[]byte("field"), []byte("a value of some length"), []byte("n"), []byte("12345")}

func BenchmarkAdd(b *testing.B) {
	d := newDraft(b)
	b.ReportAllocs()
	id := ID{Ms: 1700000000000}
	for range b.N {
		id.Seq++
		if a, ok := OpenAppender(&d.Cell); ok && a.Len() < 100_000 && a.Add(id, benchArgs, DefaultLimits) {
			continue
		}
		s := Open(&d.Cell)
		if err := s.Add(id, benchArgs, DefaultLimits); err != nil {
			b.Fatal(err)
		}
		if s.Len() > 100_000 {
			s.Trim(Trim{MaxLen: 50_000, Whole: true})
		}
		s.Save()
	}
}

func BenchmarkGet(b *testing.B) {
	d := newDraft(b)
	s := Open(&d.Cell)
	const n = 100_000
	for i := range n {
		if err := s.Add(ID{1700000000000, uint64(i) + 1}, benchArgs, DefaultLimits); err != nil {
			b.Fatal(err)
		}
	}
	s.Save()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		r := Read(d.Cell.Value())
		if !r.Exists(ID{1700000000000, uint64(i)%n + 1}) {
			b.Fatal("missing")
		}
	}
}

func BenchmarkDeliverAcknowledge(b *testing.B) {
	d := newDraft(b)
	s := Open(&d.Cell)
	g, _ := s.CreateGroup([]byte("group"), ID{}, 0)
	c, _ := s.CreateConsumer(&g, []byte("consumer"), 0)
	s.Save()
	const behind = 10_000
	b.ReportAllocs()
	for i := range b.N {
		s := Open(&d.Cell)
		s.Deliver(g.Number, Delivery{ID{1700000000000, uint64(i)}, c.Number, 1700000000000, 1})
		if i >= behind {
			s.Acknowledge(g.Number, ID{1700000000000, uint64(i - behind)})
		}
		s.Save()
	}
}

// TestAllocations shows that no operation on one entry allocates.
func TestAllocations(t *testing.T) {
	d := newDraft(t)
	s := Open(&d.Cell)
	g, _ := s.CreateGroup([]byte("group"), ID{}, 0)
	c, _ := s.CreateConsumer(&g, []byte("consumer"), 0)
	s.Save()
	id := ID{Ms: 1}
	n := testing.AllocsPerRun(2000, func() {
		s := Open(&d.Cell)
		id.Seq++
		if s.Add(id, benchArgs, DefaultLimits) != nil {
			t.Fatal("not added")
		}
		if _, ok := s.Get(id); !ok {
			t.Fatal("missing")
		}
		g, _ := s.Group([]byte("group"))
		s.Deliver(g.Number, Delivery{id, c.Number, 1, 1})
		if id.Seq > 10 {
			old := ID{1, id.Seq - 10}
			s.Acknowledge(g.Number, old)
			s.Delete(old)
		}
		it := s.Range(ID{}, MaxID, true)
		it.Next()
		s.Save()
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkValidateBlock looks through blocks as RESTORE gets them.
func BenchmarkValidateBlock(b *testing.B) {
	for _, kind := range blockKinds() {
		lp := kind.block(b)
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ValidateBlock(lp); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
