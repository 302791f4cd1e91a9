package zset

import (
	"fmt"
	"testing"

	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// TestMatcher walks packed sets of all sizes beside a large one, of which every third
// member is not there: texts, and such that are packed as integers.
func TestMatcher(t *testing.T) {
	memory := valuetest.NewMemory(t)
	build := func(members []string, score func(i int) float64) *value.Draft {
		draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindZSet, value.EncListpack)
		b := NewBuilder(&draft.Cell, DefaultLimits)
		for i, member := range members {
			b.Append([]byte(member), score(i))
		}
		b.Close()
		return draft
	}
	var members []string
	for i := range 20_000 {
		members = append(members, fmt.Sprint("m", i), fmt.Sprint(i))
	}
	large := Read(build(members, func(i int) float64 { return float64(i) }).Value())
	m := new(Matcher)
	for _, prefix := range []string{"", "m"} {
		for n := range 40 {
			var some []string
			for i := range n {
				if i%3 == 1 {
					i += 100_000
				}
				some = append(some, fmt.Sprint(prefix, i))
			}
			draft := build(some, func(i int) float64 { return float64(i) + 0.5 })
			small := Read(draft.Value())
			if !small.Packed() || large.Packed() {
				t.Fatal("the sets have other forms")
			}
			at := 0
			for m.Begin(&small, &large); m.Next(); at++ {
				if got := string(m.Member()); at >= n || got != some[at] {
					t.Fatalf("member %d of %d: %q", at, n, got)
				}
				if got := m.Score(); got != float64(at)+0.5 {
					t.Errorf("%q: its score is %v, want %v", some[at], got, float64(at)+0.5)
				}
				got, ok := m.Other()
				if want, there := large.Score([]byte(some[at])); ok != there || got != want || there != (at%3 != 1) {
					t.Errorf("%q: the other score is %v, %v; want %v, %v", some[at], got, ok, want, there)
				}
			}
			if at != n {
				t.Errorf("%d members, want %d", at, n)
			}
			draft.Discard()
		}
	}
}
