package list

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// home is a list beside its model.
type home = valuetest.Home[[]string]

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func newHome(heap *arena.Heap) *home {
	return valuetest.NewHome[[]string](heap, value.Value{Kind: value.KindList, Enc: value.EncQuicklist})
}

// check compares a list with the model, read in every way, and looks at how it
// is laid out.
func check(t failer, v value.Value, want []string) {
	t.Helper()
	r := Read(v)
	if r.Len() != len(want) {
		t.Fatalf("%d elements, want %d", r.Len(), len(want))
	}
	i := 0
	for it := r.At(0); it.Valid(); i++ {
		if got := string(it.Take().Append(nil)); got != want[i] {
			t.Fatalf("element %d is %.50q, want %.50q", i, got, want[i])
		}
	}
	if i != len(want) {
		t.Fatalf("walked over %d of %d", i, len(want))
	}
	for it := r.Back(); it.Valid(); it.Prev() {
		i--
		if !it.Equal([]byte(want[i])) {
			t.Fatalf("backwards: element %d is %.50q", i, it.Text().Append(nil))
		}
	}
	if i != 0 {
		t.Fatalf("backwards: %d left", i)
	}
	for i := 0; i < len(want); i += 1 + len(want)/37 {
		it := r.At(i)
		if got := string(it.Text().Append(nil)); got != want[i] {
			t.Fatalf("At(%d) is %.50q, want %.50q", i, got, want[i])
		}
	}
	packs := 0
	for lp := range r.Packs {
		if err := listpack.Validate(lp); err != nil {
			t.Fatalf("pack %d: %v", packs, err)
		}
		packs++
	}
	if packs != r.PackCount() {
		t.Fatalf("%d packs, %d counted", packs, r.PackCount())
	}
	if v.Roots == 0 {
		return
	}
	position, rank := r.first, 0
	for c := r.view.At(0); c.Valid(); c.Next() {
		lp := packOf(c.Item())
		switch prefix := c.Prefix(); {
		case rank > 0 && prefix != position:
			t.Fatalf("block %d says %d, want %d", rank, int64(prefix-origin), int64(position-origin))
		case rank == 0 && r.view.Len() > 1 && prefix >= position+uint64(listpack.Len(lp)):
			t.Fatalf("the first block says %d, and the second begins at %d", int64(prefix-origin), int64(position-origin)+int64(listpack.Len(lp)))
		}
		if len(c.Item()) > blockMax && listpack.Len(lp) > 1 && len(c.Item()) > 2*blockMax+startSize {
			t.Fatalf("block %d has %d bytes for %d elements", rank, len(c.Item()), listpack.Len(lp))
		}
		position += uint64(listpack.Len(lp))
		rank++
	}
}

var texts = rapid.OneOf(
	rapid.Map(rapid.IntRange(-3, 300), strconv.Itoa),
	rapid.SampledFrom([]string{"", "a", "bb", "-9223372036854775808", "1e5", "007", strings.Repeat("x", 63), strings.Repeat("y", 64), strings.Repeat("z", 300)}),
	rapid.Map(rapid.IntRange(0, 40), func(n int) string { return fmt.Sprint("text number ", n) }),
	rapid.Map(rapid.IntRange(1, 30), func(n int) string { return strings.Repeat("long", n*n*30) }),
)

func TestModel(t *testing.T) {
	memory := valuetest.NewMemory(t)
	rapid.Check(t, func(t *rapid.T) {
		used := memory.Heap(0).Used()
		h := newHome(memory.Heap(0))
		var model []string
		closeAll := func(t *rapid.T) {
			h.Close(func(v value.Value, model []string) { check(t, v, model) })
		}
		l := Open(&h.Cell)
		few := rapid.SampledFrom([]string{"", "x", "5"})
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 13).Draw(t, "step") {
			case 0, 1: // many pushes
				front := rapid.Bool().Draw(t, "front")
				text := texts.Draw(t, "text")
				for i := range rapid.IntRange(1, 1200).Draw(t, "n") {
					text := text
					if i%3 == 1 {
						text = strconv.Itoa(i * 7)
					}
					l.Push([]byte(text), front)
					if front {
						model = slices.Insert(model, 0, text)
					} else {
						model = append(model, text)
					}
				}
			case 2, 3:
				front, text := rapid.Bool().Draw(t, "front"), texts.Draw(t, "text")
				if n := l.Push([]byte(text), front); n != len(model)+1 {
					t.Fatalf("Push: %d", n)
				}
				if front {
					model = slices.Insert(model, 0, text)
				} else {
					model = append(model, text)
				}
			case 4:
				front := rapid.Bool().Draw(t, "front")
				for range min(len(model), rapid.IntRange(0, 700).Draw(t, "n")) {
					text, left := l.Pop(front, []byte("and "))
					want := model[len(model)-1]
					if front {
						want = model[0]
					}
					if string(text) != "and "+want || left != len(model)-1 {
						t.Fatalf("Pop: %.50q and %d left, want %.50q", text, left, want)
					}
					if front {
						model = model[1:]
					} else {
						model = model[:len(model)-1]
					}
				}
			case 5, 6:
				i, text := rapid.IntRange(0, len(model)).Draw(t, "i"), texts.Draw(t, "text")
				l.Insert(i, []byte(text))
				model = slices.Insert(model, i, text)
			case 7, 8:
				if len(model) > 0 {
					i, text := rapid.IntRange(0, len(model)-1).Draw(t, "i"), texts.Draw(t, "text")
					l.Set(i, []byte(text))
					model[i] = text
				}
			case 9:
				from := rapid.IntRange(0, len(model)).Draw(t, "from")
				to := rapid.IntRange(from, len(model)).Draw(t, "to")
				if rapid.Bool().Draw(t, "some") {
					to = min(to, from+5)
				}
				l.DeleteRange(from, to)
				model = slices.Delete(model, from, to)
			case 10:
				text := texts.Draw(t, "text")
				if len(model) > 0 && rapid.Bool().Draw(t, "there") {
					text = model[rapid.IntRange(0, len(model)-1).Draw(t, "which")]
				}
				limit := rapid.SampledFrom([]int{1, 2, 10, 1 << 30}).Draw(t, "limit")
				back := rapid.Bool().Draw(t, "back")
				want := 0
				if back {
					slices.Reverse(model)
				}
				model = slices.DeleteFunc(model, func(s string) bool {
					gone := s == text && want < limit
					if gone {
						want++
					}
					return gone
				})
				if back {
					slices.Reverse(model)
				}
				if got := l.Remove([]byte(text), limit, back); got != want {
					t.Fatalf("Remove: %d, want %d", got, want)
				}
			case 11:
				lp := listpack.Empty()
				for range rapid.IntRange(0, 900).Draw(t, "n") {
					text := few.Draw(t, "few")
					lp = listpack.Push(lp, []byte(text))
					model = append(model, text)
				}
				l.PushPack(lp)
				var few [][]byte
				front := rapid.Bool().Draw(t, "front")
				for range rapid.IntRange(1, 50).Draw(t, "n") {
					text := texts.Draw(t, "text")
					few = append(few, []byte(text))
					if front {
						model = slices.Insert(model, 0, text)
					} else {
						model = append(model, text)
					}
				}
				l.PushAll(few, front)
			case 12:
				if h.Cuts() < 2 {
					h.Cut(slices.Clone(model))
				}
			case 13:
				closeAll(t)
			}
			check(t, h.Cell.Value(), model)
		}
		closeAll(t)
		check(t, h.Cell.Value(), model)
		h.Free()
		if now := memory.Heap(0).Used(); now != used {
			t.Fatalf("%d bytes are left over", now-used)
		}
	})
}

func TestIndex(t *testing.T) {
	memory := valuetest.NewMemory(t)
	for _, n := range []int{10, 5000} {
		h := newHome(memory.Heap(0))
		l := Open(&h.Cell)
		for i := range n {
			l.Push([]byte(strconv.Itoa(i%10)), false)
		}
		r := l.Read()
		for _, c := range []struct {
			text        string
			from, limit int
			back        bool
			want        int
		}{
			{"3", 0, n, false, 3},
			{"3", 4, 5, false, -1},
			{"9", n - 1, n, true, n - 1},
			{"8", n - 3, n, true, n - 12},
			{"x", 0, n, false, -1},
			{"0", n, 5, false, -1},
		} {
			if c.text == "8" && n == 10 {
				c.want = -1
			}
			if got := r.Index([]byte(c.text), c.from, c.limit, c.back); got != c.want {
				t.Errorf("n %d: Index(%q, %d, %d, %v) = %d, want %d", n, c.text, c.from, c.limit, c.back, got, c.want)
			}
		}
	}
}
