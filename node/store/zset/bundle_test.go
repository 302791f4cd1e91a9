package zset

import (
	"bytes"
	"fmt"
	"math"
	"testing"

	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// TestBundleIsWhatIsBuilt compares bundles with the sets that a Builder makes of the same
// members, up to the first that a bundle does not take.
func TestBundleIsWhatIsBuilt(t *testing.T) {
	memory := valuetest.NewMemory(t)
	var b Bundle
	for _, limits := range []Limits{{Entries: 128, Value: 64}, {Entries: 3, Value: 5}, {Entries: 1000, Value: 1000}, {}} {
		for n := 1; n < 200; n += 7 {
			for _, width := range []int{1, 6, 90} {
				draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindZSet, value.EncListpack)
				built := NewBuilder(&draft.Cell, limits)
				b.Reset()
				taken := true
				for i := range n {
					member, score := fmt.Appendf(nil, "%0*d", width, i), float64(i)/2
					if i == 0 {
						score = math.Copysign(0, -1)
					}
					built.Append(member, score)
					taken = taken && b.Add(member, score, &limits)
				}
				built.Close()
				v := draft.Value()
				if want := v.Enc == value.EncListpack && v.Roots == 0; taken != want {
					t.Errorf("%+v: %d members of %d bytes are taken: %v, want %v", limits, n, width, taken, want)
				} else if taken && (!bytes.Equal(b.Value().Bytes, v.Bytes) || b.Len() != n) {
					t.Errorf("%+v: %d members of %d bytes are %q, want %q", limits, n, width, b.Value().Bytes, v.Bytes)
				}
				draft.Discard()
			}
		}
	}
}
