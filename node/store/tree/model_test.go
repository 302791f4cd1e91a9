package tree

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/arena"
)

// entry is an item of the model. Its bytes begin with a number of four bytes
// that orders items of one prefix; they are never changed, only replaced, so
// that a copy of the list is a snapshot.
type entry struct {
	prefix uint64
	data   []byte
}

func (e entry) id() uint32 { return binary.BigEndian.Uint32(e.data) }

// world is a tree beside its model, with the snapshots that are open.
type world struct {
	draw      func(n int) int
	tree      Tree
	model     []entry
	snapshots []snapshot
	retired   []arena.Ref
	// The shape of what is drawn: how many prefixes and ids there are, and of
	// which sizes an ordinary item is. Large items in the leaves make high trees.
	prefixes, ids, least, size int
	fill                       byte
	// base is what the heap held before.
	base int64
	// What a test does when a snapshot was opened, and before all are closed.
	opened  func(snapshot)
	closing func()
}

type snapshot struct {
	root  Root
	model []entry
}

func (w *world) Retire(r arena.Ref) { w.retired = append(w.retired, r) }

func newMemory(t testing.TB) *arena.Memory {
	m, err := arena.New(arena.Options{Reserve: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newWorld(m *arena.Memory, draw func(n int) int) *world {
	w := &world{draw: draw, base: m.Heap(0).Used()}
	w.tree = Tree{View: View{Memory: m}, Space: Space{Heap: m.Heap(0), Retirer: w}}
	w.tree.Root.Plain = draw(3) == 0
	w.tree.Space.Version = []uint32{0, 1<<31 - 2, 1<<32 - 3}[draw(3)]
	w.prefixes = []int{1, 3, 50, 1 << 40}[draw(4)]
	w.ids = []int{100, 10000, 1 << 31}[draw(3)]
	w.size = []int{4, 24, 100, 700, 6000}[draw(5)]
	if draw(3) == 0 {
		w.least, w.size = 400, 150
	}
	return w
}

func (w *world) drawSize() int {
	switch w.draw(40) {
	case 0:
		return 4
	case 1:
		return 4 + w.draw(20000)
	case 2:
		return 4 + w.draw(600)
	}
	return max(w.least, 4) + w.draw(w.size)
}

// write fills b behind its first keep bytes and returns a copy.
func (w *world) write(b []byte, keep int) []byte {
	for i := keep; i < len(b); i++ {
		w.fill++
		b[i] = w.fill
	}
	return bytes.Clone(b)
}

func (w *world) compareTo(id uint32) func([]byte) int {
	return func(item []byte) int { return cmp.Compare(binary.BigEndian.Uint32(item), id) }
}

// place finds prefix and id in the model.
func (w *world) place(prefix uint64, id uint32) (int, bool) {
	return sort.Find(len(w.model), func(i int) int {
		e := w.model[i]
		return cmp.Or(cmp.Compare(prefix, e.prefix), cmp.Compare(id, e.id()))
	})
}

func (w *world) at(c *Cursor, rank int, what string) {
	if c.Rank() != rank || c.Valid() != (rank >= 0 && rank < len(w.model)) {
		panic(fmt.Sprintf("%s: rank %d valid %v, want %d of %d", what, c.Rank(), c.Valid(), rank, len(w.model)))
	}
	if c.Valid() {
		if e := w.model[rank]; c.Prefix() != e.prefix || !bytes.Equal(c.Item(), e.data) {
			panic(fmt.Sprintf("%s: item %d is %d %x, want %d %x", what, rank, c.Prefix(), c.Item(), e.prefix, e.data))
		}
	}
}

func (w *world) insert(c *Cursor, rank int, prefix uint64, id uint32) {
	b := w.tree.Insert(c, prefix, w.drawSize())
	binary.BigEndian.PutUint32(b, id)
	w.model = slices.Insert(w.model, rank, entry{prefix, w.write(b, 4)})
	w.at(c, rank, "insert")
}

func (w *world) resize(c *Cursor, rank, size int) {
	old := w.model[rank]
	b := w.tree.Resize(c, size)
	keep := min(size, len(old.data))
	if len(b) != size || !bytes.Equal(b[:keep], old.data[:keep]) {
		panic("resize: bytes were not kept")
	}
	w.model[rank] = entry{old.prefix, w.write(b, 4)}
	w.at(c, rank, "resize")
}

func (w *world) delete(c *Cursor, rank int) {
	w.tree.Delete(c)
	w.model = slices.Delete(w.model, rank, rank+1)
	w.at(c, rank, "delete")
}

// deleteRun deletes n items from the cursor on.
func (w *world) deleteRun(c *Cursor, rank, n int) {
	w.tree.DeleteRun(c, n)
	w.model = slices.Delete(w.model, rank, rank+n)
	w.at(c, rank, "delete run")
}

// deleteSome deletes so many of a thousand items, scattered.
func (w *world) deleteSome(of1000 int) {
	rank, salt := 0, w.draw(1<<20)
	var left []entry
	w.tree.DeleteIf(func(prefix uint64, item []byte) bool {
		e := w.model[rank]
		if prefix != e.prefix || !bytes.Equal(item, e.data) {
			panic(fmt.Sprintf("delete if: asked of %d %x, want %d %x", prefix, item, e.prefix, e.data))
		}
		rank++
		if mix(uint64(rank+salt))%1000 < uint64(of1000) {
			return true
		}
		left = append(left, e)
		return false
	})
	if rank != len(w.model) {
		panic(fmt.Sprintf("delete if: asked %d times of %d items", rank, len(w.model)))
	}
	w.model = left
}

// put inserts, changes or deletes what is drawn.
func (w *world) put(grow int) {
	if w.tree.Root.Plain {
		rank := w.draw(len(w.model) + 1)
		c := w.tree.At(rank)
		w.at(&c, rank, "at")
		switch {
		case w.draw(10) < grow || rank == len(w.model):
			w.insert(&c, rank, 0, uint32(w.draw(w.ids)))
		case w.draw(2) == 0:
			w.resize(&c, rank, w.drawSize())
		default:
			w.delete(&c, rank)
		}
		return
	}
	prefix, id := uint64(w.draw(w.prefixes)), uint32(w.draw(w.ids))
	rank, found := w.place(prefix, id)
	c, ok := w.tree.Find(prefix, w.compareTo(id))
	if ok != found {
		panic(fmt.Sprintf("find %d %d: %v, want %v", prefix, id, ok, found))
	}
	w.at(&c, rank, "find")
	switch {
	case !found && w.draw(10) < grow:
		w.insert(&c, rank, prefix, id)
	case rank == len(w.model):
	case w.draw(2) == 0:
		w.resize(&c, rank, w.drawSize())
	default:
		w.delete(&c, rank)
	}
}

// reprefix moves an item's prefix to somewhere between those of its neighbours.
func (w *world) reprefix() {
	rank := w.draw(len(w.model))
	e := w.model[rank]
	from, to := e.prefix, e.prefix
	if rank > 0 {
		from = min(from, w.model[rank-1].prefix+1)
	} else {
		from = 0
	}
	if rank+1 < len(w.model) {
		to = max(to, w.model[rank+1].prefix-1)
	} else {
		to += 1000
	}
	if w.tree.Root.Plain || to < from || to > 1<<50 {
		return
	}
	e.prefix = from + uint64(w.draw(int(to-from+1)))
	c := w.tree.At(rank)
	w.tree.SetPrefix(&c, e.prefix)
	w.model[rank] = e
	w.at(&c, rank, "set prefix")
}

func (w *world) push() {
	var prefix uint64
	var id uint32
	if w.tree.Root.Plain {
		id = uint32(w.draw(w.ids))
	} else if n := len(w.model); n > 0 {
		prefix, id = w.model[n-1].prefix, w.model[n-1].id()+1
		if id == 0 {
			return
		}
	}
	b := w.tree.Append(prefix, w.drawSize())
	binary.BigEndian.PutUint32(b, id)
	w.model = append(w.model, entry{prefix, w.write(b, 4)})
}

// unshift inserts before the first item.
func (w *world) unshift() {
	var prefix uint64
	var id uint32
	if !w.tree.Root.Plain && len(w.model) > 0 {
		if prefix, id = w.model[0].prefix, w.model[0].id()-1; id > 1<<31 {
			return
		}
	}
	c := w.tree.At(0)
	w.insert(&c, 0, prefix, id)
}

func (w *world) cut() {
	w.snapshots = append(w.snapshots, snapshot{w.tree.Root, slices.Clone(w.model)})
	w.tree.Space.Floor = w.tree.Space.Version
	w.tree.Space.Version++
	w.tree.Space.Frozen = true
	if w.opened != nil {
		w.opened(w.snapshots[len(w.snapshots)-1])
	}
}

func (w *world) closeSnapshots() {
	if w.closing != nil {
		w.closing()
	}
	for i, s := range w.snapshots {
		same(View{w.tree.Memory, s.root}, s.model, fmt.Sprintf("snapshot %d", i))
	}
	w.snapshots = nil
	w.tree.Space.Frozen = false
	for _, r := range w.retired {
		w.tree.Space.Heap.Free(r)
	}
	w.retired = nil
}

// same compares a tree with a list, forwards and backwards.
func same(v View, model []entry, what string) {
	if v.Len() != len(model) {
		panic(fmt.Sprintf("%s: %d items, want %d", what, v.Len(), len(model)))
	}
	w := world{model: model, tree: Tree{View: v}}
	c := v.At(0)
	for i := range model {
		w.at(&c, i, what)
		c.Next()
	}
	w.at(&c, len(model), what)
	for i := range model {
		c.Prev()
		w.at(&c, len(model)-1-i, what)
	}
	if c.Prev() || c.Valid() || c.Rank() != -1 {
		panic(what + ": something before the first item")
	}
	items := v.Items()
	for i := range model {
		if item, ok := items.Next(); !ok || !bytes.Equal(item, model[i].data) {
			panic(fmt.Sprintf("%s: item %d is %x for Items, want %x", what, i, item, model[i].data))
		}
	}
	if _, ok := items.Next(); ok {
		panic(what + ": something behind the last item")
	}
}

func (w *world) step() {
	switch kind := w.draw(100); {
	case kind < 20:
		w.put(9)
	case kind < 30 && len(w.model) > 0:
		w.reprefix()
	case kind < 45:
		for range w.draw(300) {
			w.put(9)
		}
	case kind < 52:
		for range w.draw(400) {
			w.put(2)
		}
	case kind < 58:
		for range 1 + w.draw(200) {
			w.push()
		}
	case kind < 61:
		for range 1 + w.draw(200) {
			w.unshift()
		}
	case kind < 70 && len(w.model) > 0:
		rank := w.draw(len(w.model))
		c := w.tree.At(rank)
		for range 1 + w.draw(50) {
			if !c.Valid() {
				break
			}
			if w.draw(8) == 0 {
				w.deleteRun(&c, rank, min(w.draw(40), len(w.model)-rank))
				continue
			}
			w.delete(&c, rank)
		}
	case kind < 74:
		from := w.draw(len(w.model) + 1)
		to := min(from+w.draw([]int{5, 300, 1 << 20}[w.draw(3)]), len(w.model))
		w.tree.DeleteRange(from, to)
		w.model = slices.Delete(w.model, from, to)
	case kind < 76:
		w.deleteSome([]int{1, 10, 500, 990, 1000}[w.draw(5)])
	case kind < 82:
		rank := w.draw(len(w.model) + 1)
		c := w.tree.At(rank)
		for range w.draw(100) {
			w.at(&c, rank, "walk")
			if w.draw(2) == 0 {
				if c.Next() != (rank+1 < len(w.model)) {
					panic("next")
				}
				rank = min(rank+1, len(w.model))
			} else {
				if c.Prev() != (rank > 0) {
					panic("prev")
				}
				rank = max(rank-1, -1)
			}
		}
	case kind < 88:
		w.cut()
	case kind < 92:
		w.closeSnapshots()
	case kind < 95:
		for from, done := 0, false; !done; {
			if from, _, done = w.tree.Compact(from, 1+w.draw(20)); done != (from >= len(w.model)) {
				panic("compact: where is the end?")
			}
		}
	case kind < 97 && !w.tree.Root.Plain:
		prefix := uint64(w.draw(w.prefixes))
		rank := sort.Search(len(w.model), func(i int) bool { return w.model[i].prefix >= prefix })
		c, found := w.tree.Find(prefix, nil)
		w.at(&c, rank, "find prefix")
		if found != (rank < len(w.model) && w.model[rank].prefix == prefix) {
			panic("find prefix: found")
		}
	case kind < 98:
		if w.draw(2) == 0 {
			w.tree.Free()
		} else {
			for !w.tree.FreeSome(1 + w.draw(20)) {
				w.tree.Root = ParseRoot(encode(w.tree.Root))
			}
		}
		w.model = nil
	default:
		w.tree.Root = ParseRoot(encode(w.tree.Root))
		w.check()
	}
}

func encode(r Root) []byte {
	b := make([]byte, RootSize)
	r.Put(b)
	return b
}

func (w *world) check() {
	wellFormed(&w.tree)
	same(w.tree.View, w.model, "tree")
}

// wellFormed checks what must hold of every node, and that Root.Bytes is exact.
func wellFormed(t *Tree) shape {
	var s shape
	if t.Root.Node != 0 {
		if sum := s.visit(t, t.Root.Node, int(t.Root.Height)); sum.count != t.Root.Count {
			panic(fmt.Sprintf("root counts %d, children %d", t.Root.Count, sum.count))
		}
	}
	if s.bytes != int(t.Root.Bytes) || t.Root.Node == 0 && t.Root != (Root{Plain: t.Root.Plain}) {
		panic(fmt.Sprintf("blocks of %d bytes, root says %+v", s.bytes, t.Root))
	}
	return s
}

// shape is what a tree is made of.
type shape struct{ bytes, leaves, leafBytes, liveBytes, inner, externals int }

func (s *shape) visit(t *Tree, r arena.Ref, height int) child {
	n := t.node(r)
	if int(n.size) != t.Space.Heap.Size(r) || int(n.height) != height || n.plain != t.Root.Plain || n.count == 0 {
		panic(fmt.Sprintf("node %+v", *n))
	}
	s.bytes += int(n.size)
	if height > 0 {
		s.inner++
		for _, kid := range n.children() {
			if sum := s.visit(t, kid.node, height-1); sum != kid {
				panic(fmt.Sprintf("child %+v, is %+v", kid, sum))
			}
		}
		return t.sum(r)
	}
	s.leaves++
	s.leafBytes += int(n.size)
	s.liveBytes += n.live()
	externals, cells := 0, 0
	for i, offset := range n.offsets() {
		cells += n.cellAt(offset)
		if i > 0 && n.prefix(i-1) > n.prefix(i) || offset < n.low {
			panic("leaf: order")
		}
		if block := n.externalAt(offset); block != 0 {
			externals++
			s.bytes += t.Space.Heap.Size(block)
		}
	}
	s.externals += externals
	if externals != int(n.externals) || cells+int(n.dead)+int(n.low) != int(n.size) || n.gap() < 0 {
		panic(fmt.Sprintf("leaf %+v: %d bytes in cells, %d externals", *n, cells, externals))
	}
	return t.sum(r)
}

func (w *world) end() {
	w.check()
	w.closeSnapshots()
	w.tree.Free()
	if r := w.tree.Root; r != (Root{Plain: r.Plain}) {
		panic(fmt.Sprintf("free left %+v", r))
	}
	if used := w.tree.Space.Heap.Used() - w.base; used != 0 {
		panic(fmt.Sprintf("%d bytes leaked", used))
	}
}

func TestAgainstModel(t *testing.T) {
	memory := newMemory(t)
	rapid.Check(t, func(t *rapid.T) { live(t, memory) })
}

func FuzzAgainstModel(f *testing.F) {
	memory := newMemory(f)
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { live(t, memory) }))
}

func live(t *rapid.T, memory *arena.Memory) {
	w := newWorld(memory, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
	for range w.draw(60) {
		w.step()
	}
	w.end()
}

// TestReadersOfSnapshots reads old roots while the tree changes, without a lock.
func TestReadersOfSnapshots(t *testing.T) {
	memory := newMemory(t)
	for seed := range uint64(4) {
		w := newWorld(memory, rand.New(rand.NewPCG(seed, 2)).IntN)
		var readers sync.WaitGroup
		w.opened = func(s snapshot) {
			readers.Go(func() {
				for range 3 {
					same(View{memory, s.root}, s.model, "read aside")
				}
			})
		}
		w.closing = readers.Wait
		for range 300 {
			w.step()
		}
		w.end()
	}
}

// high makes a tree of several levels.
func high(t *testing.T, r *rand.Rand) *world {
	w := newWorld(newMemory(t), r.IntN)
	w.tree.Root.Plain = false
	w.prefixes, w.ids = 1<<40, 1<<31
	for i := range 60_000 {
		prefix := mix(uint64(i))
		c, _ := w.tree.Find(prefix, nil)
		b := w.tree.Insert(&c, prefix, 430+i%80)
		binary.BigEndian.PutUint32(b, uint32(i))
		w.model = append(w.model, entry{prefix, w.write(b, 4)})
	}
	slices.SortFunc(w.model, func(a, b entry) int { return cmp.Compare(a.prefix, b.prefix) })
	w.check()
	if w.tree.Root.Height < 3 {
		t.Fatalf("height %d", w.tree.Root.Height)
	}
	return w
}

// TestHighDeleteIf thins such a tree, and a snapshot of it is not touched.
func TestHighDeleteIf(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 4))
	w := high(t, r)
	for _, of1000 := range []int{0, 1, 300, 600, 950} {
		w.cut()
		before := w.tree.Root
		w.deleteSome(of1000)
		w.check()
		if of1000 == 0 && (w.tree.Root != before || len(w.retired) > 0) {
			t.Error("the tree was changed, and nothing was to go")
		}
		if s := wellFormed(&w.tree); s.leaves > 3*s.liveBytes/minLeaf+1 || s.inner > s.leaves/(minInner/2)+3 {
			t.Errorf("%d items in %+v", len(w.model), s)
		}
	}
	w.end()
}

// TestHigh cuts and thins a tree of several levels that a snapshot reads.
func TestHigh(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 3))
	w := high(t, r)
	cut := func(from, to int) {
		w.tree.DeleteRange(from, to)
		w.model = slices.Delete(w.model, from, to)
	}
	w.cut()
	for range 50 {
		from := r.IntN(len(w.model))
		cut(from, min(from+r.IntN(2000), len(w.model)))
		w.put(9)
	}
	w.check()
	// Resize leaves small nodes as they are. Whoever comes by merges them, and may
	// meet nodes that only the snapshot has read.
	for rank := range w.model {
		c := w.tree.At(rank)
		w.resize(&c, rank, 10)
	}
	for range 20 {
		w.cut()
		from := r.IntN(len(w.model) * 9 / 10)
		c := w.tree.At(from)
		for h := w.tree.Root.Height; c.Next() && (c.path[h].at() > 0 || c.path[h-1].at() > 0); {
		}
		if rank := c.Rank() - 1; c.Prev() {
			w.delete(&c, rank)
		}
		cut(from, from+r.IntN(len(w.model)/20))
	}
	w.check()
	w.cut()
	// What is left of each stretch is a few items: their nodes must merge.
	for from := 0; from < len(w.model); from += 1 + r.IntN(4) {
		cut(from, min(from+r.IntN(60), len(w.model)))
	}
	w.check()
	s := wellFormed(&w.tree)
	if s.leaves > 3*s.liveBytes/minLeaf || s.inner > s.leaves/(minInner/2)+3 {
		t.Errorf("%d items in %+v", len(w.model), s)
	}
	for len(w.model) > 20 {
		rank := r.IntN(len(w.model))
		c := w.tree.At(rank)
		w.delete(&c, rank)
	}
	if s := wellFormed(&w.tree); w.tree.Root.Height > 1 {
		t.Errorf("%d items in %+v", len(w.model), s)
	}
	w.end()
}

func TestAgainstModelSeeds(t *testing.T) {
	seeds, steps := 20, 300
	if os.Getenv("SLOTMESH_LONG") != "" {
		seeds, steps = 100, 1000
	}
	m := newMemory(t)
	for seed := range seeds {
		func() {
			defer func() {
				if e := recover(); e != nil {
					t.Logf("seed %d", seed)
					panic(e)
				}
			}()
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			w := newWorld(m, r.IntN)
			for range steps {
				w.step()
			}
			w.end()
		}()
	}
}
