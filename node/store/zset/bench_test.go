package zset

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// BenchmarkRemove measures what a member costs that is removed together with others
// from a large set, until none is left.
func BenchmarkRemove(b *testing.B) {
	memory := valuetest.NewMemory(b)
	for _, size := range []int{2000, 100_000, 1_000_000} {
		members := make([][]byte, size)
		for i := range members {
			members[i] = fmt.Appendf(nil, "member:%d", i)
		}
		for _, n := range []int{1, 5, 20} {
			ways := map[string]func(z *ZSet, i int){
				"members": func(z *ZSet, i int) { z.RemoveAll(members[i : i+n]) },
				"ranks":   func(z *ZSet, _ int) { z.RemoveRanks(0, n) },
				"scores": func(z *ZSet, i int) {
					s := ScoreRange{Min: float64(i), Max: float64(i + n - 1)}
					if _, ok := z.RemoveScores(s); !ok {
						z.RemoveRanks(z.RanksByScore(s))
					}
				},
			}
			for way, remove := range ways {
				b.Run(fmt.Sprint(way, "/", n, "/", size), func(b *testing.B) {
					for done := 0; done < b.N; done += size {
						b.StopTimer()
						draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindZSet, value.EncListpack)
						z := Open(&draft.Cell, DefaultLimits)
						for _, i := range rand.Perm(size) {
							z.Add(members[i], float64(i), 0)
						}
						b.StartTimer()
						for i := 0; i < size && done+i < b.N; i += n {
							remove(&z, i)
						}
						b.StopTimer()
						draft.Discard()
						b.StartTimer()
					}
				})
			}
		}
	}
}
