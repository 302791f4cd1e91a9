package stream

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"slotmesh/node/store/value/valuetest"
)

// blockOfEntries returns the bytes of a block with so many entries, and one behind
// them that is marked as deleted. Files may have such blocks anywhere, even without
// any entry.
func blockOfEntries(t *testing.T, n int) []byte {
	d := newDraft(t)
	s := Open(&d.Cell)
	for i := range n + 2 {
		if err := s.Add(ID{1, uint64(i)}, benchArgs, DefaultLimits); err != nil {
			t.Fatal(err)
		}
	}
	last := ID{1, uint64(n + 1)}
	s.Delete(last)
	s.Trim(Trim{ByID: true, MinID: ID{1, 1}})
	if n == 0 {
		s.Trim(Trim{ByID: true, MinID: last})
	}
	it := s.EachBlock()
	it.Next()
	return bytes.Clone(it.Listpack)
}

// TestCutsAgree looks for cuts from both ends: they must be the same.
func TestCutsAgree(t *testing.T) {
	var blocks [4][]byte
	for n := range blocks {
		blocks[n] = blockOfEntries(t, n)
		if count, deleted, _ := counts(blocks[n]); int(count) != n || deleted == 0 {
			t.Fatalf("%d entries and %d deleted, want %d", count, deleted, n)
		}
	}
	memory := valuetest.NewMemory(t)
	r := rand.New(rand.NewPCG(3, 1))
	for range 2000 {
		d := newDraftIn(memory)
		s := Open(&d.Cell)
		id := ID{5, 0}
		for left := 1 + r.IntN(12); left > 0; left-- {
			if err := s.AppendBlock(id, blocks[r.IntN(4)*r.IntN(2)], left == 1); err != nil {
				t.Fatal(err)
			}
			id.Seq += 10
			id.Ms += r.Uint64N(2) << r.IntN(40)
		}
		for length := range s.Len() {
			trim := Trim{MaxLen: length, Whole: r.IntN(2) == 0}
			if front, back := s.cutFromFront(trim), s.cutFromBack(trim); front != back {
				t.Fatalf("%+v: %+v from the front, %+v from the back", trim, front, back)
			}
		}
		for range 5 {
			rank := r.IntN(s.Blocks())
			p := s.blockAt(rank)
			trim := Trim{ByID: true, MinID: p.id(), Whole: true}
			trim.MinID.Seq += r.Uint64N(12)
			if front, other := s.cutFromFront(trim), s.cutByID(trim); front != other {
				t.Fatalf("%+v: %+v from the front, else %+v", trim, front, other)
			}
		}
		s.Save()
		d.Discard()
	}
}
