package zset

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// TestRemoveManyRanks removes few and many ranks of a large set, in which many
// members have one score, and compares both trees with what must be left.
func TestRemoveManyRanks(t *testing.T) {
	memory, err := arena.New(arena.Options{Reserve: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	scores := []float64{math.Inf(-1), -3.5, math.Copysign(0, -1), 0, 1, 2, 1e300, math.Inf(1)}
	for range 20 {
		type member struct {
			score float64
			text  string
		}
		d := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindZSet, value.EncSkiplist)
		z := Open(&d.Cell, DefaultLimits)
		var want []member
		for i := range 5000 {
			m := member{scores[r.IntN(len(scores))], fmt.Sprint("member:", i)}
			z.Add([]byte(m.text), m.score, 0)
			want = append(want, m)
		}
		slices.SortFunc(want, func(a, b member) int {
			return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.text, b.text))
		})
		for len(want) > 500 {
			from := r.IntN(len(want)/2) * r.IntN(2)
			to := len(want)
			if from == 0 || r.IntN(2) == 0 {
				to = from + r.IntN([]int{3, 60, len(want) - from}[r.IntN(3)])
			}
			z.RemoveRanks(from, to)
			want = slices.Delete(want, from, to)
			if z.Len() != len(want) {
				t.Fatalf("%d members are left, want %d", z.Len(), len(want))
			} else if byScore, byMember := z.trees(); byScore.Len() != byMember.Len() {
				t.Fatalf("%d members by score and %d by hash", byScore.Len(), byMember.Len())
			}
			c := z.At(0)
			for rank, m := range want {
				score, there := z.Score([]byte(m.text))
				if !there || score != m.score || math.Signbit(score) != math.Signbit(m.score) || !bytes.Equal(c.Member(), []byte(m.text)) {
					t.Fatalf("from %d to %d: %q is at rank %d, %q has %v, want %v", from, to, c.Member(), rank, m.text, score, m.score)
				}
				c.Next()
			}
		}
		d.Discard()
	}
	if used := memory.Heap(0).Used(); used != 0 {
		t.Errorf("%d bytes leaked", used)
	}
}
