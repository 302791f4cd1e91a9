package zset

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// home is a sorted set beside its model.
type home = valuetest.Home[map[string]float64]

func newHome(m *arena.Memory) *home {
	return valuetest.NewHome[map[string]float64](m.Heap(0), value.Value{Kind: value.KindZSet, Enc: value.EncListpack})
}

type fatal interface {
	Helper()
	Fatalf(string, ...any)
}

type element struct {
	member string
	score  float64
}

func sorted(model map[string]float64) []element {
	list := make([]element, 0, len(model))
	for member, score := range model {
		list = append(list, element{member, score})
	}
	slices.SortFunc(list, func(a, b element) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.member, b.member))
	})
	return list
}

func same(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// compareAll compares what r shows with the model, forwards and backwards.
func compareAll(t fatal, r Reader, model map[string]float64) {
	t.Helper()
	list := sorted(model)
	if r.Len() != len(list) {
		t.Fatalf("Len %d, want %d", r.Len(), len(list))
	}
	c := r.At(0)
	for i, e := range list {
		if !c.Valid() || string(c.Member()) != e.member || !same(c.Score(), e.score) {
			t.Fatalf("rank %d of %d: want %q %v", i, len(list), e.member, e.score)
		}
		c.Next()
	}
	if c.Valid() {
		t.Fatalf("more than %d", len(list))
	}
	c = r.At(len(list) - 1)
	for i := range slices.Backward(list) {
		if !c.Valid() || string(c.Member()) != list[i].member {
			t.Fatalf("backwards, rank %d", i)
		}
		c.Prev()
	}
	if c.Valid() {
		t.Fatalf("more than %d backwards", len(list))
	}
	if !r.Packed() {
		for rank := 0; rank < len(list); {
			part := r.Part(rank, 1+rank%100)
			if part.Len() == 0 {
				t.Fatalf("by parts, no rank %d", rank)
			}
			for i := range part.Len() {
				if e := list[rank]; string(part.Member(i)) != e.member || !same(part.Score(i), e.score) {
					t.Fatalf("by parts, rank %d of %d: want %q %v", rank, len(list), e.member, e.score)
				}
				rank++
			}
		}
		n := 0
		last := uint64(0)
		for c := r.FromHash(0); c.Valid(); c.Next() {
			if score, ok := model[string(c.Member())]; !ok || !same(score, c.Score()) || c.Hash() < last {
				t.Fatalf("by hash: %q %v", c.Member(), c.Score())
			}
			last = c.Hash()
			n++
		}
		if n != len(list) {
			t.Fatalf("by hash: %d of %d", n, len(list))
		}
	}
}

var scores = []float64{
	0, math.Copysign(0, -1), 1, -1, 1.5, -1.5, 127, 128, -4097, 1 << 20, 1 << 40, 1 << 62, 1e17, 4e18, 5e18, 1e21, 1.1, 3e-7,
	math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64,
}

func drawScore(t *rapid.T) float64 {
	if rapid.Bool().Draw(t, "odd") {
		return rapid.SampledFrom(scores).Draw(t, "score")
	}
	return float64(rapid.IntRange(-5, 5).Draw(t, "score"))
}

func drawMember(t *rapid.T, many int) []byte {
	switch n := rapid.IntRange(0, many).Draw(t, "member"); n % 5 {
	case 0:
		return []byte(strconv.Itoa(n*n*n - 100))
	case 1:
		return bytes.Repeat([]byte{byte(n)}, n%90)
	default:
		return []byte(fmt.Sprint("member:", n))
	}
}

func TestSetIsLikeTheModel(t *testing.T) {
	m := valuetest.NewMemory(t)
	for _, many := range []int{10, 200, 3000} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { run(t, m, many) })
			if m.Used() != 0 {
				t.Errorf("%d bytes are left", m.Used())
			}
		})
	}
}

func run(t *rapid.T, m *arena.Memory, many int) {
	h := newHome(m)
	defer h.Free()
	closeCut := func(t *rapid.T) {
		h.Close(func(v value.Value, model map[string]float64) { compareAll(t, Read(v), model) })
	}
	defer closeCut(t)
	limits := rapid.SampledFrom([]Limits{DefaultLimits, {Entries: 5, Value: 10}, {Entries: 1000, Value: 1000}, {}}).Draw(t, "limits")
	model := map[string]float64{}
	enc := value.EncListpack
	stored := func(score float64) float64 {
		if enc == value.EncListpack {
			return score + 0
		}
		return score
	}
	put := func(member []byte, score float64) {
		if _, there := model[string(member)]; !there && (len(model) >= limits.Entries || len(member) > limits.Value) {
			enc = value.EncSkiplist
		}
		model[string(member)] = stored(score)
	}
	open := func() ZSet { return Open(&h.Cell, limits) }
	for range rapid.IntRange(0, many/2).Draw(t, "before") {
		member, score := drawMember(t, many), drawScore(t)
		z := open()
		if _, outcome := z.Add(member, score, 0); outcome >= Added {
			put(member, score)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			z := open()
			for range rapid.IntRange(1, 20).Draw(t, "n") {
				member, score := drawMember(t, many), drawScore(t)
				mode := Mode(rapid.SampledFrom([]Mode{0, 0, OnlyNew, OnlyOld, Greater, Less, Increment, Increment | Less}).Draw(t, "mode"))
				old, there := model[string(member)]
				want, outcome := score, Added
				switch {
				case there && mode&OnlyNew != 0, !there && mode&OnlyOld != 0:
					outcome = Left
				case there:
					if mode&Increment != 0 {
						want += old
					}
					switch {
					case math.IsNaN(want):
						outcome = NotANumber
					case mode&Greater != 0 && want <= old, mode&Less != 0 && want >= old:
						outcome = Left
					case want == old:
						outcome = Same
					default:
						outcome = Updated
					}
				}
				got, o := z.Add(member, score, mode)
				if o != outcome || o != Left && o != NotANumber && !same(got, want) {
					t.Fatalf("Add %q %v mode %d to %v: %v %d, want %v %d", member, score, mode, old, got, o, want, outcome)
				}
				if o >= Added && o != NotANumber {
					put(member, want)
				}
			}
		},
		"remove": func(t *rapid.T) {
			z := open()
			member := drawMember(t, many)
			_, there := model[string(member)]
			if z.Remove(member) != there {
				t.Fatalf("Remove %q", member)
			}
			delete(model, string(member))
		},
		"remove all": func(t *rapid.T) {
			z := open()
			var members [][]byte
			there := 0
			for range rapid.IntRange(0, 12).Draw(t, "n") {
				member := drawMember(t, many)
				members = append(members, member)
				if _, ok := model[string(member)]; ok {
					there++
				}
				delete(model, string(member))
			}
			if removed := z.RemoveAll(members); removed != there {
				t.Fatalf("%d of %q removed, want %d", removed, members, there)
			}
		},
		"remove ranks": func(t *rapid.T) {
			z := open()
			from := rapid.IntRange(0, len(model)).Draw(t, "from")
			to := min(len(model), from+rapid.IntRange(0, 10).Draw(t, "n"))
			z.RemoveRanks(from, to)
			for _, e := range sorted(model)[from:to] {
				delete(model, e.member)
			}
		},
		"find": func(t *rapid.T) {
			r := Read(h.Cell.Value())
			member := drawMember(t, many)
			want, there := model[string(member)]
			if score, ok := r.Score(member); ok != there || ok && !same(score, want) {
				t.Fatalf("Score %q: %v %v", member, score, ok)
			}
			list := sorted(model)
			at := slices.IndexFunc(list, func(e element) bool { return e.member == string(member) })
			if rank, _, ok := r.Rank(member); ok != there || ok && rank != at {
				t.Fatalf("Rank %q: %d, want %d", member, rank, at)
			}
		},
		"by score": func(t *rapid.T) {
			s := ScoreRange{drawScore(t), drawScore(t), rapid.Bool().Draw(t, "("), rapid.Bool().Draw(t, ")")}
			r := Read(h.Cell.Value())
			list := sorted(model)
			from, to := r.RanksByScore(s)
			n := 0
			for i, e := range list {
				in := s.afterMin(e.score) && s.beforeMax(e.score)
				if in {
					n++
				}
				if in && (i < from || i >= to) {
					t.Fatalf("%+v: %d to %d without %d", s, from, to, i)
				}
			}
			if n != max(0, to-from) {
				t.Fatalf("%+v: %d to %d, want %d", s, from, to, n)
			}
		},
		"cut": func(t *rapid.T) {
			closeCut(t)
			h.Cut(maps.Clone(model))
		},
		"close": closeCut,
		"": func(t *rapid.T) {
			if got := h.Cell.Encoding(); got != enc {
				t.Fatalf("encoding %v, want %v", got, enc)
			}
			compareAll(t, Read(h.Cell.Value()), model)
		},
	})
	// What was built anew from it is the same set.
	d := value.NewDraft(h.Space(), value.KindZSet, value.EncListpack)
	b := NewBuilder(&d.Cell, limits)
	wantEnc := value.EncListpack
	for _, e := range sorted(model) {
		b.Append([]byte(e.member), e.score)
		if len(model) > limits.Entries || len(e.member) > limits.Value {
			wantEnc = value.EncSkiplist
		}
	}
	b.Close()
	if d.Encoding() != wantEnc {
		t.Fatalf("built: %v", d.Encoding())
	}
	plain := maps.Clone(model)
	for member, score := range plain {
		if wantEnc == value.EncListpack || score == 0 {
			plain[member] = score + 0
		}
	}
	r := Read(d.Value())
	if wantEnc == value.EncListpack {
		compareAll(t, r, plain)
	}
	lp := r.AppendListpack(nil)
	if err := listpack.Validate(lp); err != nil {
		t.Fatal(err)
	}
	other := value.NewDraft(h.Space(), value.KindZSet, value.EncListpack)
	z := Open(&other.Cell, limits)
	if err := z.SetListpack(lp); err != nil {
		t.Fatal(err)
	}
	compareAll(t, Read(other.Value()), plain)
	d.Discard()
	other.Discard()
}

// TestTakenOver: a set that the reference keeps packed is taken over as it is, and
// becomes a tree with the next member. The dump of a tree is such a form.
func TestTakenOver(t *testing.T) {
	m := valuetest.NewMemory(t)
	draft := func() *value.Draft {
		return value.NewDraft(tree.Space{Heap: m.Heap(0)}, value.KindZSet, value.EncListpack)
	}
	built, taken := draft(), draft()
	z := Open(&built.Cell, DefaultLimits)
	model := map[string]float64{}
	for i := range 120 {
		member := fmt.Sprintf("member%d%s", i, strings.Repeat("m", 50))
		z.Add([]byte(member), float64(i%7)/4, 0)
		model[member] = float64(i%7) / 4
	}
	if z.Listpack() != nil || !z.Packs() {
		t.Fatal("120 long members are not a tree that can be packed")
	}
	lp := z.AppendListpack([]byte("before"))[len("before"):]
	other := Open(&taken.Cell, DefaultLimits)
	if err := listpack.Validate(lp); err != nil {
		t.Fatal(err)
	}
	if err := other.SetListpack(lp); err != nil || string(other.Listpack()) != string(lp) {
		t.Fatalf("%d bytes of %d, %v", len(other.Listpack()), len(lp), err)
	}
	compareAll(t, other.Reader, model)
	member := fmt.Sprintf("member3%s", strings.Repeat("m", 50))
	other.Add([]byte(member), 77, 0)
	model[member] = 77
	other.Add([]byte("another"), 1, 0)
	model["another"] = 1
	if other.Listpack() != nil || other.Encoding() != value.EncListpack {
		t.Fatalf("%d bytes with a member more, %v", len(other.Listpack()), other.Encoding())
	}
	compareAll(t, other.Reader, model)
	built.Discard()
	taken.Discard()
}

func TestLexRanges(t *testing.T) {
	m := valuetest.NewMemory(t)
	rapid.Check(t, func(t *rapid.T) {
		h := newHome(m)
		defer h.Free()
		limits := rapid.SampledFrom([]Limits{DefaultLimits, {}}).Draw(t, "limits")
		z := Open(&h.Cell, limits)
		score := drawScore(t)
		var list []string
		for range rapid.IntRange(0, 300).Draw(t, "n") {
			member := strconv.Itoa(rapid.IntRange(0, 2000).Draw(t, "member"))
			if _, outcome := z.Add([]byte(member), score, 0); outcome == Added {
				list = append(list, member)
			}
		}
		slices.Sort(list)
		bound := func() LexBound {
			return LexBound{
				Member:  []byte(strconv.Itoa(rapid.IntRange(0, 2000).Draw(t, "bound"))),
				Without: rapid.Bool().Draw(t, "without"),
				End:     rapid.SampledFrom([]int8{0, 0, 0, 0, -1, 1}).Draw(t, "end"),
			}
		}
		for range 10 {
			l := LexRange{bound(), bound()}
			var want []string
			for _, member := range list {
				if l.afterMin([]byte(member)) && l.beforeMax([]byte(member)) {
					want = append(want, member)
				}
			}
			for _, backward := range []bool{false, true} {
				from, to := z.RanksByLex(l, backward)
				var got []string
				for c, rank := z.At(from), from; rank < to; rank++ {
					got = append(got, string(c.Member()))
					c.Next()
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%+v backward %v: %v, want %v", l, backward, got, want)
				}
			}
		}
	})
}

func TestScoreText(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "-0", "1.1": "1.1000000000000001", "1e21": "1e+21", "3e-7": "2.9999999999999999e-07",
		"12345678901234567": "12345678901234568", "1e17": "1e+17", "99999999999999999": "1e+17", "0x10": "16", "0x.8": "0.5", "0x1.8p1": "3",
		"inf": "inf", "-INF": "-inf", "+Infinity": "inf", ".5": "0.5", "5.": "5", "1e-320": "9.9998886718268301e-321", "00012": "12",
		"-12": "-12", "+7": "7", "0.0001": "0.0001", "0.00001": "1.0000000000000001e-05", "5e-324": "4.9406564584124654e-324",
	} {
		f, ok := ParseScore([]byte(text))
		if got := string(AppendScore(nil, f)); !ok || got != want {
			t.Errorf("%q: %v %q, want %q", text, ok, got, want)
		}
	}
	for _, text := range []string{
		"", " 1", "1 ", "nan", "-nan", "1e400", "-1e400", "1e-400", "1_0", "0x", "0x1_0", "1e", "e1", ".", "--1", "1\x00", "infi", "abc", "0x1p", "-",
		"0b1", "0o7", "1p3", "nan(1)",
	} {
		if f, ok := ParseScore([]byte(text)); ok {
			t.Errorf("%q was taken as %v", text, f)
		}
	}
	for text, want := range map[string]float64{"": 0, " 1": 1, "\t\n2": 2, "1\x00x": 1, "\x00": 0, "1e400": math.Inf(1), "-1e400": math.Inf(-1), "1e-400": 0} {
		if f, ok := ParseBound([]byte(text)); !ok || f != want {
			t.Errorf("bound %q: %v %v", text, f, ok)
		}
	}
	for _, text := range []string{" ", "1 ", "x", "nan", " \x00"} {
		if _, ok := ParseBound([]byte(text)); ok {
			t.Errorf("bound %q was taken", text)
		}
	}
}

// TestSmallNumbers compares the short way to read a number with the long one.
func TestSmallNumbers(t *testing.T) {
	short := 0
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{0,10}\.?[0-9]{0,18}`).Draw(t, "number")
		f, ok := smallNumber([]byte(text))
		if !ok {
			return
		}
		short++
		if want, err := strconv.ParseFloat(text, 64); err != nil || math.Float64bits(f) != math.Float64bits(want) {
			t.Fatalf("%q is %v, want %v, %v", text, f, want, err)
		}
	})
	if short == 0 {
		t.Error("no number was read the short way")
	}
}

func TestOrder(t *testing.T) {
	for _, a := range scores {
		for _, b := range scores {
			if cmp.Compare(order(a), order(b)) != cmp.Compare(a, b) {
				t.Errorf("%v, %v", a, b)
			}
		}
		if got := scoreOf(order(a)); got != a {
			t.Errorf("%v became %v", a, got)
		}
	}
}

// TestPackedDamaged: whatever bit of a set is flipped, and wherever it is cut off, what
// is taken for a set is a listpack of different members in their order.
func TestPackedDamaged(t *testing.T) {
	whole := listpack.Empty()
	for _, text := range []string{"-3", "1", "b", "1.5", strings.Repeat("long", 20), "7", "c", "700", "d", "1e+300"} {
		whole = listpack.Push(whole, []byte(text))
	}
	if ok, err := Packed(whole, DefaultLimits); !ok || err != nil {
		t.Fatal(ok, err)
	}
	taken := 0
	try := func(lp []byte) {
		ok, err := Packed(lp, DefaultLimits)
		if err != nil {
			return
		}
		if err := listpack.Validate(lp); err != nil {
			t.Fatalf("%x: %v", lp, err)
		}
		if !ok {
			return
		}
		taken++
		r := Read(value.Value{Kind: value.KindZSet, Enc: value.EncListpack, Bytes: lp})
		seen := map[string]bool{}
		last := math.Inf(-1)
		for c := r.At(0); c.Valid(); c.Next() {
			if c.Score() < last || seen[string(c.Member())] {
				t.Fatalf("%x: %q is not in its place, or not alone", lp, c.Member())
			}
			seen[string(c.Member())], last = true, c.Score()
		}
	}
	for i := range whole {
		for bit := range 8 {
			lp := slices.Clone(whole)
			lp[i] ^= 1 << bit
			try(lp)
		}
		lp := append(slices.Clone(whole[:i]), 0xff)
		if len(lp) > 6 {
			binary.LittleEndian.PutUint32(lp, uint32(len(lp)))
		}
		try(lp)
	}
	if taken == 0 {
		t.Error("no other letter makes another set")
	}
}

func FuzzSetListpack(f *testing.F) {
	lp := listpack.Empty()
	f.Add(slices.Clone(lp))
	for _, text := range []string{"a", "1", "b", "1.5", "7", "1e+300"} {
		lp = listpack.Push(lp, []byte(text))
		f.Add(slices.Clone(lp))
	}
	m := valuetest.NewMemory(f)
	f.Fuzz(func(t *testing.T, lp []byte) {
		d := value.NewDraft(tree.Space{Heap: m.Heap(0)}, value.KindZSet, value.EncListpack)
		defer d.Discard()
		z := Open(&d.Cell, DefaultLimits)
		bad := listpack.Validate(lp)
		if z.SetListpack(lp) != nil {
			return
		}
		if bad != nil {
			t.Fatal(bad)
		}
		model := map[string]float64{}
		for c := z.At(0); c.Valid(); c.Next() {
			model[string(c.Member())] = c.Score()
		}
		compareAll(t, z.Reader, model)
	})
}

func TestNothingIsAllocated(t *testing.T) {
	m := valuetest.NewMemory(t)
	for _, n := range []int{20, 5000} {
		h := newHome(m)
		z := Open(&h.Cell, DefaultLimits)
		for i := range n {
			z.Add(fmt.Appendf(nil, "member:%d", i), float64(i)/3, 0)
		}
		member := []byte("member:12")
		extra := []byte("another")
		allocs := testing.AllocsPerRun(100, func() {
			z := Open(&h.Cell, DefaultLimits)
			z.Add(member, 5, Increment)
			z.Add(extra, 2, 0)
			z.Rank(member)
			z.RanksByScore(ScoreRange{Min: 1, Max: 3})
			z.RanksByLex(LexRange{LexBound{Member: member}, LexBound{End: 1}}, false)
			c := z.At(3)
			c.Next()
			_, _ = c.Member(), c.Score()
			z.Remove(extra)
		})
		if allocs != 0 {
			t.Errorf("%d members: %v allocations", n, allocs)
		}
	}
}
