package zset

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// TestLoader loads sets of all sizes, in order, from the last member to the first and
// in any order, with members that come twice and without, one after the other with
// the same loader. What comes out is what adding the members one by one makes; only
// the set that becomes a large one keeps the sign of a zero.
func TestLoader(t *testing.T) {
	memory := valuetest.NewMemory(t)
	var l Loader
	rapid.Check(t, func(t *rapid.T) {
		base := memory.Heap(0).Used()
		limits := rapid.SampledFrom([]Limits{DefaultLimits, {Entries: 5, Value: 64}, {Entries: 1 << 30, Value: 1 << 30}, {}}).Draw(t, "limits")
		n := rapid.SampledFrom([]int{1, 10, 100, 128, 129, 4000}).Draw(t, "members")
		longest := rapid.SampledFrom([]int{1, 40, 70, 900}).Draw(t, "longest")
		const any, falling = 1, 2
		order := rapid.IntRange(0, falling).Draw(t, "order")
		twice := rapid.SampledFrom([]int{-1, -1, 0, n - 1}).Draw(t, "twice")
		member := func(i int) string { return fmt.Sprint(strings.Repeat("m", i*7%longest), i) }
		score := func(i int) float64 {
			if i%11 == 3 {
				return math.Copysign(0, -1)
			}
			return float64(i/3) / 4
		}
		places := make([]int, n)
		for i := range places {
			places[i] = i
		}
		switch order {
		case any:
			places = rapid.Permutation(places).Draw(t, "places")
		case falling:
			slices.Reverse(places)
		}
		d := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindZSet, value.EncListpack)
		defer func() {
			d.Discard()
			if used := memory.Heap(0).Used(); used != base {
				t.Fatalf("%d bytes were not freed", used-base)
			}
		}()
		l.Begin(&d.Cell, limits, uint64(n))
		model := map[string]float64{}
		most, ok := 0, true
		for _, i := range places {
			ok = ok && l.Add([]byte(member(i)), score(i))
			model[member(i)] = score(i)
			most = max(most, len(member(i)))
		}
		if twice >= 0 {
			ok = ok && l.Add([]byte(member(twice)), score(twice)+float64(twice%2))
		}
		if ok = ok && l.Close(); ok != (twice < 0) {
			t.Fatalf("loaded: %v", ok)
		}
		if !ok {
			return
		}
		want := value.EncListpack
		if n > limits.Entries || most > limits.Value {
			want = value.EncSkiplist
		}
		if d.Encoding() != want {
			t.Fatalf("encoding %v, want %v", d.Encoding(), want)
		}
		if want == value.EncListpack {
			for member := range model {
				model[member] += 0
			}
		}
		compareAll(t, Read(d.Value()), model)
	})
}
