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
			} else if both := z.trees(); both.Root.Count != both.other.Count {
				t.Fatalf("%d members by hash and %d by score", both.Root.Count, both.other.Count)
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

// TestRemoveFew removes ranges of scores, and of members of one score, from large
// sets: few members go at once, more or all of them stay.
func TestRemoveFew(t *testing.T) {
	memory, err := arena.New(arena.Options{Reserve: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 6 {
		d := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindZSet, value.EncSkiplist)
		z := Open(&d.Cell, DefaultLimits)
		byLex := round%2 == 0
		want := map[string]float64{}
		for i := range 3000 {
			text, score := fmt.Sprintf("m%04d", i), float64(r.IntN(2000))
			if byLex {
				score = 5
			}
			z.Add([]byte(text), score, 0)
			want[text] = score
		}
		for len(want) > 100 {
			var n, in int
			var ok bool
			var gone func(string, float64) bool
			if byLex {
				from, width := r.IntN(3000), r.IntN(12)
				l := LexRange{
					LexBound{Member: fmt.Appendf(nil, "m%04d", from), Without: r.IntN(2) == 0},
					LexBound{Member: fmt.Appendf(nil, "m%04d", from+width), Without: r.IntN(2) == 0},
				}
				gone = func(text string, _ float64) bool { return l.afterMin([]byte(text)) && l.beforeMax([]byte(text)) }
				n, ok = z.RemoveLex(l)
				in = countIn(want, gone)
				if l.empty() && !ok {
					in = few + 1
				}
			} else {
				low := float64(r.IntN(2000) * r.IntN(2))
				s := ScoreRange{low, low + float64(r.IntN(5)), r.IntN(2) == 0, r.IntN(2) == 0}
				gone = func(_ string, score float64) bool { return s.afterMin(score) && s.beforeMax(score) }
				n, ok = z.RemoveScores(s)
				in = countIn(want, gone)
				if s.empty() && !ok {
					in = few + 1
				}
			}
			if ok != (in <= few) || ok && n != in {
				t.Fatalf("%d of %d removed, %v", n, in, ok)
			}
			if ok {
				for text, score := range want {
					if gone(text, score) {
						delete(want, text)
					}
				}
			} else if in > few && r.IntN(4) == 0 {
				from := r.IntN(z.Len() - 20)
				c := z.At(from)
				for range 20 {
					delete(want, string(c.Member()))
					c.Next()
				}
				z.RemoveRanks(from, from+20)
			}
			if z.Len() != len(want) {
				t.Fatalf("%d members are left, want %d", z.Len(), len(want))
			}
			if r.IntN(100) == 0 {
				compareAll(t, z.Reader, want)
			}
		}
		compareAll(t, z.Reader, want)
		d.Discard()
	}
	if used := memory.Heap(0).Used(); used != 0 {
		t.Errorf("%d bytes leaked", used)
	}
}

func countIn(model map[string]float64, in func(string, float64) bool) (n int) {
	for text, score := range model {
		if in(text, score) {
			n++
		}
	}
	return n
}

// TestRemoveNeighbours removes members by their names that stand side by side, in order,
// backwards, in disorder and with others between them.
func TestRemoveNeighbours(t *testing.T) {
	memory, err := arena.New(arena.Options{Reserve: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	d := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindZSet, value.EncSkiplist)
	z := Open(&d.Cell, DefaultLimits)
	var left [][]byte // in the order of the set
	for i := range 6000 {
		left = append(left, fmt.Appendf(nil, "member:%05d", i))
		z.Add(left[i], float64(i/3), 0)
	}
	for len(left) > 0 {
		n := min(len(left), 1+r.IntN(30))
		from := r.IntN(len(left) - n + 1)
		gone := slices.Clone(left[from : from+n])
		left = slices.Delete(left, from, from+n)
		switch r.IntN(5) {
		case 0:
			slices.Reverse(gone)
		case 3:
			r.Shuffle(n, func(i, j int) { gone[i], gone[j] = gone[j], gone[i] })
		case 1:
			gone = slices.Insert(gone, r.IntN(n+1), []byte("nobody"))
		case 2:
			gone = append(gone, gone[0])
		}
		if removed := z.RemoveAll(gone); removed != n {
			t.Fatalf("%d of %q removed, want %d", removed, gone, n)
		}
		if from >= len(left) {
			continue
		}
		c := z.At(from)
		if rank, _, ok := z.Rank(left[from]); !ok || rank != from || !bytes.Equal(c.Member(), left[from]) {
			t.Fatalf("%q is at rank %d, %q at %d", left[from], rank, c.Member(), from)
		}
	}
	if both := z.trees(); both.Root.Count != 0 || both.other.Count != 0 {
		t.Fatalf("%d members are left by hash and %d by score", both.Root.Count, both.other.Count)
	}
}
