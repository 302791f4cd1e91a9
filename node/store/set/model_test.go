package set

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// home is what the cell of a test belongs to.
type home struct {
	space   tree.Space
	at      arena.Ref
	retired []arena.Ref
}

func (h *home) Preserve(arena.Ref)                           {}
func (h *home) Moved(_, to arena.Ref)                        { h.at = to }
func (h *home) Retire(block arena.Ref)                       { h.retired = append(h.retired, block) }
func (h *home) Space() tree.Space                            { return h.space }
func (h *home) FieldsExpire(at arena.Ref, _ int64) arena.Ref { return at }

// world is a set beside its model, with the snapshots that are open.
type world struct {
	draw      func(n int) int
	heap      *arena.Heap
	home      *home
	cell      value.Cell
	model     map[string]bool
	hashed    bool // it has or had to be a hashtable
	limits    Limits
	snapshots []snapshot
	// How members are drawn.
	texts, spread, size int
	base                int64
}

type snapshot struct {
	v     value.Value
	model map[string]bool
}

func newWorld(m *arena.Memory, draw func(n int) int) *world {
	w := &world{draw: draw, heap: m.Heap(0), model: map[string]bool{}, base: m.Heap(0).Used()}
	w.home = &home{space: tree.Space{Heap: w.heap, Version: 7}}
	w.home.space.Retirer = w.home
	w.limits.IntsetEntries = []int{512, 0, 1, 20, 3000}[draw(5)]
	w.texts = []int{0, 1, 30, 100}[draw(4)]
	w.spread = []int{50, 700, 5000}[draw(3)]
	w.size = []int{4, 20, 900}[draw(3)]
	enc := value.EncIntset
	if draw(3) == 0 {
		enc, w.hashed = value.EncHashtable, true
	}
	w.home.at = value.NewRecord(w.heap, []byte("key"), &value.Value{Kind: value.KindSet, Enc: enc}, 7, 0)
	w.cell = value.Open(w.home, w.heap, w.home.at)
	return w
}

func (w *world) member() string {
	n := w.draw(w.spread)
	if w.draw(100) < w.texts {
		return fmt.Sprint("m", n) + string(bytes.Repeat([]byte{'x'}, n*n%w.size))
	}
	switch n % 7 {
	case 0:
		return strconv.Itoa(n * 30000 * (1 - n%2*2))
	case 1:
		return strconv.Itoa(n * 4e15 * (1 - n%4))
	case 2:
		return []string{"9223372036854775807", "-9223372036854775808", "32767", "-32768", "32768", "-32769", "2147483647", "2147483648", "-2147483649"}[n%9]
	}
	return strconv.Itoa(n - w.spread/2)
}

func (w *world) step() {
	s := Open(&w.cell)
	switch kind := w.draw(100); {
	case kind < 40:
		w.add(s, w.member())
	case kind < 45:
		for range w.draw(150) {
			w.add(s, w.member())
		}
	case kind < 50:
		w.addAll(s)
	case kind < 65:
		w.remove(s, w.member())
	case kind < 67:
		for range w.draw(100) {
			w.remove(s, w.member())
		}
	case kind < 70:
		w.removeAll(s)
	case kind < 75 && len(w.model) > 0:
		i := w.draw(len(w.model))
		var scratch Scratch
		member := string(s.Reader().Member(i, &scratch))
		if !w.model[member] {
			panic("member that is none: " + member)
		}
		s.RemoveAt(i)
		delete(w.model, member)
	case kind < 80:
		w.scan(s.Reader())
	case kind < 85:
		member := w.member()
		if s.Reader().Has([]byte(member)) != w.model[member] {
			panic("has " + member)
		}
	case kind < 90:
		w.snapshots = append(w.snapshots, snapshot{w.cell.Value().Detach(), maps.Clone(w.model)})
		space := &w.home.space
		space.Floor, space.Frozen = space.Version, true
		space.Version++
	case kind < 93:
		w.close()
	case kind < 96:
		w.build(s)
	default:
		w.check()
	}
}

func (w *world) add(s Set, member string) {
	if s.Add([]byte(member), &w.limits) == w.model[member] {
		panic("add " + member)
	}
	w.model[member] = true
	w.noteEncoding(member)
}

func (w *world) addAll(s Set) {
	var members [][]byte
	missing := 0
	for range w.draw(150) {
		member := w.member()
		members = append(members, []byte(member))
		if !w.model[member] {
			missing++
		}
		w.model[member] = true
		w.noteEncoding(member)
	}
	if added := s.AddAll(members, &w.limits); added != missing {
		panic(fmt.Sprint("added ", added, " of ", missing))
	}
}

func (w *world) removeAll(s Set) {
	var members [][]byte
	there := 0
	for range w.draw(100) {
		member := w.member()
		members = append(members, []byte(member))
		if w.model[member] {
			there++
		}
		delete(w.model, member)
	}
	if removed := s.RemoveAll(members); removed != there {
		panic(fmt.Sprint("removed ", removed, " of ", there))
	}
}

func (w *world) noteEncoding(member string) {
	if _, err := strconv.ParseInt(member, 10, 64); err != nil || len(w.model) > w.limits.IntsetEntries {
		w.hashed = true
	}
}

func (w *world) remove(s Set, member string) {
	if s.Remove([]byte(member)) != w.model[member] {
		panic("remove " + member)
	}
	delete(w.model, member)
}

func (w *world) build(s Set) {
	b := Build(&w.cell, &w.limits)
	for range w.draw(300) {
		member := w.member()
		if b.Add([]byte(member)) == w.model[member] {
			panic("build " + member)
		}
		w.model[member] = true
		w.noteEncoding(member)
	}
	b.Close()
}

// scan walks in steps while members that the model need not know come and go.
func (w *world) scan(r Reader) {
	seen := map[string]bool{}
	count := 1 + w.draw(30)
	place := Place(0)
	for {
		place = r.Scan(place, count, func(member []byte) { seen[string(member)] = true })
		if place == 0 {
			break
		}
	}
	if !maps.Equal(seen, w.model) {
		panic("scan")
	}
}

func (w *world) close() {
	for _, sn := range w.snapshots {
		same(Read(sn.v), sn.model)
	}
	w.snapshots = nil
	w.home.space.Frozen = false
	for _, block := range w.home.retired {
		w.heap.Free(block)
	}
	w.home.retired = nil
}

func same(r Reader, model map[string]bool) {
	if r.Len() != len(model) {
		panic(fmt.Sprintf("%d members, want %d", r.Len(), len(model)))
	}
	i := 0
	var scratch Scratch
	for it := r.All(); it.Next(); i++ {
		member := string(it.Member())
		if !model[member] || string(r.Member(i, &scratch)) != member || it.Hash() != r.Hash([]byte(member)) {
			panic("member " + member)
		}
	}
	if i != len(model) {
		panic("iteration ended early")
	}
	if b, ok := r.Ints(); ok && len(b) > 0 && len(model) > 0 && !ValidIntset(b) {
		panic(fmt.Sprintf("intset %x", b))
	}
}

func (w *world) check() {
	same(Open(&w.cell).Reader(), w.model)
	if hashed := w.cell.Encoding() == value.EncHashtable; hashed != w.hashed {
		panic(fmt.Sprintf("hashtable is %v, want %v", hashed, w.hashed))
	}
}

func (w *world) end() {
	w.check()
	w.close()
	w.free()
	if used := w.heap.Used(); used != w.base {
		panic(fmt.Sprintf("%d bytes leaked", used-w.base))
	}
}

func (w *world) free() {
	for i := range w.cell.Roots() {
		t := w.cell.Tree(i)
		t.Free()
	}
	w.heap.Free(w.cell.At())
}

func TestAgainstModel(t *testing.T) {
	memory := valuetest.NewMemory(t)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(memory, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
		for range w.draw(80) {
			w.step()
		}
		w.end()
	})
}

func TestAgainstModelSeeds(t *testing.T) {
	memory := valuetest.NewMemory(t)
	for seed := range 150 {
		func() {
			defer func() {
				if e := recover(); e != nil {
					t.Logf("seed %d", seed)
					panic(e)
				}
			}()
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			w := newWorld(memory, r.IntN)
			for range 400 {
				w.step()
			}
			w.end()
		}()
	}
}

// TestAlgebra compares unions, intersections and differences with a model's.
func TestAlgebra(t *testing.T) {
	memory := valuetest.NewMemory(t)
	for seed := range 300 {
		r := rand.New(rand.NewPCG(uint64(seed), 2))
		var worlds []*world
		var sets []Reader
		union, common := map[string]bool{}, map[string]bool{}
		difference := map[string]bool{}
		for i := range 1 + r.IntN(5) {
			w := newWorld(memory, r.IntN)
			w.spread = []int{100, 3000}[r.IntN(2)]
			s := Open(&w.cell)
			for range []int{1, 30, 100, 3000}[r.IntN(4)] {
				w.add(s, w.member())
			}
			worlds = append(worlds, w)
			sets = append(sets, s.Reader())
			maps.Copy(union, w.model)
			if i == 0 {
				common, difference = maps.Clone(w.model), maps.Clone(w.model)
				continue
			}
			maps.DeleteFunc(common, func(m string, _ bool) bool { return !w.model[m] })
			maps.DeleteFunc(difference, func(m string, _ bool) bool { return w.model[m] })
		}
		collect := func(what string, want map[string]bool, run func(emit func(it *Iterator))) {
			got := map[string]bool{}
			draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, value.EncIntset)
			limits := DefaultLimits()
			b := Build(&draft.Cell, &limits)
			run(func(it *Iterator) {
				if member := string(it.Member()); got[member] || !b.AddFrom(it) {
					t.Fatalf("seed %d: %s: %s twice", seed, what, member)
				} else {
					got[member] = true
				}
			})
			b.Close()
			if !maps.Equal(got, want) {
				t.Fatalf("seed %d: %s: %d members, want %d", seed, what, len(got), len(want))
			}
			same(Read(draft.Value()), want)
			draft.Discard()
		}
		collect("union", union, func(emit func(it *Iterator)) {
			var u Union
			for u.Unite(slices.Clone(sets)); u.Next(); {
				emit(u.At())
			}
		})
		collect("intersection", common, func(emit func(it *Iterator)) {
			var f Filter
			for f.Intersect(slices.Clone(sets)); f.Next(); {
				emit(&f.Iterator)
			}
		})
		collect("difference", difference, func(emit func(it *Iterator)) {
			var f Filter
			for f.Subtract(&sets[0], slices.Clone(sets[1:])); f.Next(); {
				emit(&f.Iterator)
			}
		})
		draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, value.EncIntset)
		limits := DefaultLimits()
		b := Build(&draft.Cell, &limits)
		SubtractByRemoval(sets[0], sets[1:], &b)
		b.Close()
		same(Read(draft.Value()), difference)
		draft.Discard()
		for _, w := range worlds {
			w.close()
			w.free()
		}
	}
	if used := memory.Heap(0).Used(); used != 0 {
		t.Fatalf("%d bytes leaked", used)
	}
}

func TestScanKeepsWhatStays(t *testing.T) {
	memory := valuetest.NewMemory(t)
	r := rand.New(rand.NewPCG(3, 3))
	draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, value.EncHashtable)
	limits := DefaultLimits()
	s := Open(&draft.Cell)
	for i := range 2000 {
		s.Add(fmt.Appendf(nil, "stays%d", i), &limits)
	}
	seen := map[string]bool{}
	place := Place(0)
	for steps := 0; ; steps++ {
		place = s.Reader().Scan(place, 10, func(member []byte) { seen[string(member)] = true })
		if place == 0 {
			break
		}
		if place >= 1<<53 || steps > 1000 {
			t.Fatalf("place %d, step %d", place, steps)
		}
		for range 20 {
			member := fmt.Appendf(nil, "moves%d", r.IntN(2000))
			if !s.Remove(member) {
				s.Add(member, &limits)
			}
		}
	}
	for i := range 2000 {
		if !seen[fmt.Sprint("stays", i)] {
			t.Fatal("not seen: ", i)
		}
	}
	if s.Reader().Scan(1<<53, 10, func([]byte) { t.Error("visited") }) != 0 || s.Reader().Scan(math.MaxUint64, 10, nil) != 0 {
		t.Error("a place that is none")
	}
}

func TestValidIntset(t *testing.T) {
	good := []byte{2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0}
	if !ValidIntset(good) {
		t.Error("refused")
	}
	for i := range good {
		if ValidIntset(good[:i]) {
			t.Errorf("%d bytes accepted", i)
		}
	}
	for _, bad := range [][]byte{
		{2, 0, 0, 0, 0, 0, 0, 0},
		{3, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3},
		{2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0},
		{2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0},
		{2, 0, 0, 0, 255, 255, 255, 255, 1, 0, 2, 0},
		{2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0, 3, 0},
	} {
		if ValidIntset(bad) {
			t.Errorf("%x accepted", bad)
		}
	}
}

func TestFromFiles(t *testing.T) {
	memory := valuetest.NewMemory(t)
	for _, limit := range []int{512, 1} {
		limits := Limits{IntsetEntries: limit}
		want := map[string]bool{"1": true, "2": true, "-300": true}
		draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, value.EncIntset)
		SetInts(&draft.Cell, []byte{2, 0, 0, 0, 3, 0, 0, 0, 0xd4, 0xfe, 1, 0, 2, 0}, &limits)
		same(Read(draft.Value()), want)
		if hashed := draft.Encoding() == value.EncHashtable; hashed != (limit == 1) {
			t.Errorf("limit %d: %v", limit, draft.Encoding())
		}
		draft.Discard()

		lp := listpack.Empty()
		for member := range want {
			lp = listpack.Push(lp, []byte(member))
		}
		draft = value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, value.EncIntset)
		if !SetPacked(&draft.Cell, lp, &limits) {
			t.Error("refused")
		}
		same(Read(draft.Value()), want)
		draft.Discard()
		draft = value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, value.EncIntset)
		if SetPacked(&draft.Cell, listpack.Push(lp, []byte("2")), &limits) {
			t.Error("a member twice")
		}
		draft.Discard()
	}
}

// TestRemovalIsBetter has the reference's choices.
func TestRemovalIsBetter(t *testing.T) {
	memory := valuetest.NewMemory(t)
	limits := DefaultLimits()
	sized := func(n int) Reader {
		draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, value.EncIntset)
		s := Open(&draft.Cell)
		for i := range n {
			s.Add(fmt.Append(nil, i), &limits)
		}
		return s.Reader()
	}
	for _, test := range []struct {
		sizes []int
		want  bool
	}{{[]int{5}, false}, {[]int{5, 5}, false}, {[]int{10, 1}, false}, {[]int{10, 1, 1, 1}, true}, {[]int{10, 5, 5, 1}, false}} {
		var sets []Reader
		for _, n := range test.sizes {
			sets = append(sets, sized(n))
		}
		if got := RemovalIsBetter(sets); got != test.want {
			t.Errorf("%v: %v", test.sizes, got)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	memory := valuetest.NewMemory(t)
	limits := DefaultLimits()
	for _, size := range []int{5, 60, 400, 10000} {
		for _, text := range []string{"", "member"} {
			draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, Encoding([]byte(text+"1")))
			s := Open(&draft.Cell)
			for i := range size {
				s.Add(fmt.Append(nil, text, i), &limits)
			}
			one, other := fmt.Append(nil, text, "7"), fmt.Append(nil, text, "123456")
			var scratch Scratch
			check := func(what string, run func()) {
				if n := testing.AllocsPerRun(100, run); n != 0 {
					t.Errorf("%s of %d %q: %v allocations", what, size, text, n)
				}
			}
			check("add", func() { s.Add(one, &limits); s.Add(other, &limits); s.Remove(other) })
			check("has", func() { s.Reader().Has(one) })
			check("member", func() { s.Reader().Member(size/2, &scratch) })
			check("all", func() {
				n := 0
				for it := s.Reader().All(); it.Next(); {
					n += len(it.Member())
				}
			})
			draft.Discard()
		}
	}
}

// TestAddAllPlants adds many members at once to a set that has none, some of them
// twice, and takes them away again.
func TestAddAllPlants(t *testing.T) {
	memory := valuetest.NewMemory(t)
	for _, size := range []int{2, 64, 65, 66, 200, 3000} {
		w := newWorld(memory, rand.New(rand.NewPCG(uint64(size), 9)).IntN)
		s := Open(&w.cell)
		w.add(s, "text")
		w.remove(s, "text")
		var members [][]byte
		for i := range size {
			members = append(members, fmt.Append(nil, "member:", i*2/3))
		}
		added := s.AddAll(members, &w.limits)
		for _, member := range members {
			w.model[string(member)] = true
		}
		w.hashed = true
		if added != len(w.model) {
			t.Fatalf("%d members: %d added, want %d", size, added, len(w.model))
		}
		same(s.Reader(), w.model)
		if removed := s.RemoveAll(members); removed != added || s.Reader().Len() != 0 {
			t.Fatalf("%d members: %d of %d removed", size, removed, added)
		}
		clear(w.model)
		w.end()
	}
}

// TestReach goes through an intset as a walk over another one does.
func TestReach(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	for _, spread := range []int{3, 40, 100_000, 1 << 40} {
		var b Bundle
		for range 1 + r.IntN(400) {
			b.ints = append(b.ints, int64(r.IntN(spread)-spread/2))
		}
		slices.Sort(b.ints)
		b.ints = slices.Compact(b.ints)
		b.n = len(b.ints)
		ints, at := intset(b.Value().Bytes), 0
		for n := int64(-spread); n < int64(spread); n += 1 + int64(r.IntN(spread/30+1)) {
			want, wanted := ints.search(n)
			var found bool
			if at, found = ints.reach(at, n); at != want || found != wanted {
				t.Fatalf("%d is at %d (%v), want %d (%v)", n, at, found, want, wanted)
			}
		}
	}
}

// TestSmallWithLarge combines small sets of all forms with one whose tree is high, so
// that members are looked up together: with every number of them that is in it.
func TestSmallWithLarge(t *testing.T) {
	memory, limits := valuetest.NewMemory(t), DefaultLimits()
	build := func(members [][]byte) *value.Draft {
		draft := value.NewDraft(tree.Space{Heap: memory.Heap(0)}, value.KindSet, Encoding(members[0]))
		s := Open(&draft.Cell)
		for _, member := range members {
			s.Add(member, &limits)
		}
		return draft
	}
	var members [][]byte
	for i := range 20_000 {
		members = append(members, fmt.Append(nil, "m", i), fmt.Append(nil, i))
	}
	large, other := Read(build(members).Value()), Read(build(members[:30]).Value())
	if large.tree.Root.Height < 2 {
		t.Fatalf("the tree has a height of %d", large.tree.Root.Height)
	}
	var ahead LookedAhead
	for _, prefix := range []string{"", "m"} {
		for n := 1; n < 40; n++ {
			var some [][]byte
			want := 0
			for i := range n {
				at := i
				if i%3 == 1 {
					at += 100_000
				} else {
					want++
				}
				some = append(some, fmt.Append(nil, prefix, at))
			}
			draft := build(some)
			small := Read(draft.Value())
			count := func(f *Filter, start func()) (n int) {
				for start(); f.Next(); n++ {
					if !small.Has(f.Member()) || f.Hash() != small.Hash(f.Member()) {
						t.Fatalf("%d: %q is none of its members", n, f.Member())
					}
				}
				return n
			}
			f := Filter{Ahead: &ahead}
			if got := count(&f, func() { f.Intersect([]Reader{large, small}) }); got != want {
				t.Errorf("%d members %q: %d in common, want %d", n, prefix, got, want)
			}
			f = Filter{Ahead: &ahead}
			if got := count(&f, func() { f.Subtract(&small, []Reader{large}) }); got != n-want {
				t.Errorf("%d members %q: %d are left, want %d", n, prefix, got, n-want)
			}
			f = Filter{Ahead: &ahead}
			if got := count(&f, func() { f.Subtract(&small, []Reader{other, large}) }); got != n-want {
				t.Errorf("%d members %q: %d are left of two, want %d", n, prefix, got, n-want)
			}
			f = Filter{Ahead: &ahead}
			sets := []Reader{large, small, large}
			if got := count(&f, func() { f.Intersect(sets) }); got != want {
				t.Errorf("%d members %q: %d in common of three, want %d", n, prefix, got, want)
			}
			draft.Discard()
		}
	}
}
