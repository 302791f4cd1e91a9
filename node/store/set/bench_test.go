package set

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// BenchmarkSet measures one operation on sets of all forms and sizes.
func BenchmarkSet(b *testing.B) {
	memory := valuetest.NewMemory(b)
	limits := DefaultLimits()
	for _, size := range []int{10, 60, 500, 5000, 1000000} {
		for _, text := range []string{"", "member:"} {
			if text == "" && size > 500 {
				continue
			}
			draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, Encoding([]byte(text+"1")))
			s := Open(&draft.Cell)
			members := make([][]byte, size)
			for i := range size {
				members[i] = fmt.Append(nil, text, i)
				s.Add(members[i], &limits)
			}
			name := fmt.Sprint(size, text)
			r := rand.New(rand.NewPCG(1, 1))
			b.Run("has/"+name, func(b *testing.B) {
				for b.Loop() {
					s.Reader().Has(members[r.IntN(size)])
				}
			})
			other := fmt.Append(nil, text, size+1)
			b.Run("add+remove/"+name, func(b *testing.B) {
				for b.Loop() {
					s.Add(other, &limits)
					s.Remove(other)
				}
			})
			b.ReportMetric(float64(memory.Heap(0).Used())/float64(size), "B/member")
			draft.Discard()
		}
	}
}
