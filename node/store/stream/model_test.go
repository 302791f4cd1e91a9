package stream

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// world is a stream beside a naive model of it, with snapshots of both.
type world struct {
	draw  func(n int) int
	heap  *arena.Heap
	base  int64
	space tree.Space
	at    arena.Ref
	// retired are blocks and nodes that snapshots may read.
	retired   []arena.Ref
	snapshots []snapshot

	model  model
	limits Limits
}

// The world is the Home of its record.
func (w *world) Preserve(arena.Ref)    {}
func (w *world) Moved(_, to arena.Ref) { w.at = to }
func (w *world) Retire(r arena.Ref)    { w.retired = append(w.retired, r) }

func (w *world) Space() tree.Space                               { s := w.space; s.Retirer = w; return s }
func (w *world) FieldsExpire(at arena.Ref, atMs int64) arena.Ref { return at }
func (w *world) cell() value.Cell                                { return value.Open(w, w.heap, w.at) }

func (w *world) change(fn func(s *Stream)) {
	c := w.cell()
	s := Open(&c)
	fn(&s)
	s.Save()
}

type snapshot struct {
	v     value.Value
	model model
}

type modelEntry struct {
	id      ID
	args    []string
	deleted bool
}

type modelGroup struct {
	last      ID
	read      int64
	consumers map[string]int64
	pending   map[ID]modelDelivery
}

type modelDelivery struct {
	consumer string
	at       int64
	count    uint64
}

type model struct {
	blocks                  [][]modelEntry
	last, first, maxDeleted ID
	added                   uint64
	groups                  map[string]*modelGroup
}

func (m *model) clone() model {
	c := *m
	c.blocks = nil
	for _, b := range m.blocks {
		c.blocks = append(c.blocks, slices.Clone(b))
	}
	c.groups = map[string]*modelGroup{}
	for name, g := range m.groups {
		copied := *g
		copied.consumers, copied.pending = maps.Clone(g.consumers), maps.Clone(g.pending)
		c.groups[name] = &copied
	}
	return c
}

func (m *model) live() (list []modelEntry) {
	for _, b := range m.blocks {
		for _, e := range b {
			if !e.deleted {
				list = append(list, e)
			}
		}
	}
	return list
}

func newWorld(m *arena.Memory, draw func(int) int) *world {
	w := &world{draw: draw, heap: m.Heap(0)}
	w.base = w.heap.Used()
	w.space = tree.Space{Heap: w.heap, Version: 1}
	w.at = value.NewRecord(w.heap, []byte("key"), &value.Value{Kind: value.KindStream, Enc: value.EncStream}, 1, 0)
	w.model.groups = map[string]*modelGroup{}
	w.limits = []Limits{DefaultLimits, {MaxBytes: 200, MaxEntries: 10}, {MaxEntries: 3}, {MaxBytes: 100}}[draw(4)]
	return w
}

func (w *world) drawID() ID {
	switch w.draw(40) {
	case 0:
		return ID{}
	case 1:
		return MaxID
	case 2:
		return ID{pendingMaxMs + uint64(w.draw(3)), uint64(w.draw(3))}
	}
	if live := w.model.live(); len(live) > 0 && w.draw(2) == 0 {
		return live[w.draw(len(live))].id
	}
	return ID{uint64(w.draw(300)), uint64(w.draw(3))}
}

func (w *world) drawArgs() (args Args, text []string) {
	n := 1 + w.draw(3)
	for i := range n {
		field := fmt.Sprint("f", i)
		if w.draw(10) == 0 {
			field = fmt.Sprint(w.draw(20000) - 10000)
		}
		v := []string{"", "x", "123", "-5000", strings.Repeat("v", w.draw(100)), "9223372036854775807"}[w.draw(6)]
		text = append(text, field, v)
		args = append(args, []byte(field), []byte(v))
	}
	return args, text
}

func (w *world) add() {
	id := w.model.last
	switch w.draw(12) {
	case 0:
		id = w.drawID()
	case 1:
		id.Ms += uint64(w.draw(1 << 20))
	default:
		id.Ms += uint64(w.draw(3))
		id.Seq++
	}
	args, text := w.drawArgs()
	quick := false
	if c := w.cell(); w.draw(4) > 0 {
		if a, ok := OpenAppender(&c); ok {
			same("last id", a.LastID(), w.model.last)
			quick = a.Add(id, args, w.limits)
		}
	}
	w.change(func(s *Stream) {
		before := s.Blocks()
		var err error
		if !quick {
			err = s.Add(id, args, w.limits)
		}
		if (err == nil) != w.model.last.Less(id) {
			panic(fmt.Sprintf("add %v after %v: %v", id, w.model.last, err))
		}
		if err != nil {
			return
		}
		m := &w.model
		if s.Blocks() > before {
			m.blocks = append(m.blocks, nil)
		}
		last := len(m.blocks) - 1
		m.blocks[last] = append(m.blocks[last], modelEntry{id: id, args: text})
		m.last = id
		m.added++
		if len(m.live()) == 1 {
			m.first = id
		}
	})
}

func (w *world) delete() {
	ids := make([]ID, 1+w.draw(4))
	want := 0
	m := &w.model
	for i := range ids {
		ids[i] = w.drawID()
		for b, block := range m.blocks {
			j := slices.IndexFunc(block, func(e modelEntry) bool { return e.id == ids[i] && !e.deleted })
			if j < 0 {
				continue
			}
			block[j].deleted = true
			want++
			if m.maxDeleted.Less(ids[i]) {
				m.maxDeleted = ids[i]
			}
			// A block goes with its last entry that was there.
			if !slices.ContainsFunc(block, func(e modelEntry) bool { return !e.deleted }) {
				m.blocks = slices.Delete(m.blocks, b, b+1)
			}
			break
		}
	}
	m.fixFirst()
	w.change(func(s *Stream) {
		if n := s.DeleteAll(ids); n != want {
			panic(fmt.Sprintf("deleted %d, want %d", n, want))
		}
	})
}

func (m *model) fixFirst() {
	m.first = ID{}
	if live := m.live(); len(live) > 0 {
		m.first = live[0].id
	}
}

func (w *world) trim() {
	trim := Trim{ByID: w.draw(2) == 0, Whole: w.draw(2) == 0}
	m := &w.model
	length := len(m.live())
	trim.MinID = w.drawID()
	trim.MaxLen = uint64(w.draw(length + 5))
	if trim.Whole && w.draw(2) == 0 {
		trim.Limit = int64(w.draw(20))
	}
	want := int64(0)
	for len(m.blocks) > 0 && (trim.ByID || length > int(trim.MaxLen)) {
		block := m.blocks[0]
		n := 0
		for _, e := range block {
			if !e.deleted {
				n++
			}
		}
		if trim.Limit > 0 && want+int64(n) > trim.Limit {
			break
		}
		if trim.ByID && block[len(block)-1].id.Less(trim.MinID) || !trim.ByID && length-n >= int(trim.MaxLen) {
			m.blocks = m.blocks[1:]
			length -= n
			want += int64(n)
			continue
		}
		if trim.Whole {
			break
		}
		for i, e := range block {
			if trim.ByID && !e.id.Less(trim.MinID) || !trim.ByID && length <= int(trim.MaxLen) {
				break
			}
			if !e.deleted {
				block[i].deleted = true
				length--
				want++
			}
		}
		break
	}
	m.fixFirst()
	w.change(func(s *Stream) {
		if done := s.Trim(trim); done.Entries != want {
			panic(fmt.Sprintf("trim %+v: %d, want %d", trim, done.Entries, want))
		}
	})
}

func (w *world) drawGroup() string {
	return []string{"g", "h", "", "g\x00", "longer than five", "longer than"}[w.draw(6)]
}

func (w *world) drawConsumer() string {
	if w.draw(2) == 0 {
		return []string{"a", "b", "", "a\x00", "consumer 1", "consumer 2"}[w.draw(6)]
	}
	return drawName(w.draw)
}

// drawName draws a consumer's name from many of which most begin alike, some for long,
// and some are what others begin with.
func drawName(draw func(int) int) string {
	begin := []string{"consumer:0000", "consumer:0001", strings.Repeat("long", 12), "c\xff\xff\xff\xff\xff", "c\x00\x00\x00\x00\x00"}[draw(5)]
	name := begin + []string{"", "\x00", "\xff", fmt.Sprint(draw(1000)), fmt.Sprint(draw(1000)), fmt.Sprint(draw(1000))}[draw(6)]
	if draw(10) == 0 {
		name = name[:draw(len(name)+1)]
	}
	return name
}

func (w *world) groups() {
	name := w.drawGroup()
	g, there := w.model.groups[name]
	w.change(func(s *Stream) {
		found, ok := s.Group([]byte(name))
		if ok != there {
			panic("group is there?")
		}
		if !there {
			last := w.drawID()
			if _, ok := s.CreateGroup([]byte(name), last, 5); !ok {
				panic("group not made")
			}
			w.model.groups[name] = &modelGroup{last, 5, map[string]int64{}, map[ID]modelDelivery{}}
			return
		}
		w.inGroup(s, name, g, found)
	})
}

func (w *world) inGroup(s *Stream, name string, g *modelGroup, found Group) {
	consumer := w.drawConsumer()
	switch w.draw(12) {
	case 0:
		if w.draw(4) == 0 {
			if !s.DestroyGroup([]byte(name)) {
				panic("not destroyed")
			}
			delete(w.model.groups, name)
		}
	case 1:
		want := 0
		for id, d := range g.pending {
			if d.consumer == consumer {
				delete(g.pending, id)
				want++
			}
		}
		_, there := g.consumers[consumer]
		delete(g.consumers, consumer)
		if n, ok := s.DeleteConsumer(&found, []byte(consumer)); n != want || ok != there {
			panic(fmt.Sprintf("consumer had %d %v, want %d %v", n, ok, want, there))
		}
	case 2:
		g.last, g.read = w.drawID(), int64(w.draw(100))-1
		found.LastID, found.EntriesRead = g.last, g.read
		s.SetGroup([]byte(name), &found)
	case 3:
		if _, there := g.consumers[consumer]; there {
			g.consumers[consumer] = int64(w.draw(1000))
			s.SetSeen(&found, []byte(consumer), g.consumers[consumer])
		}
	case 4:
		for range w.draw(100) {
			consumer = w.drawConsumer()
			_, there := g.consumers[consumer]
			if _, ok := s.CreateConsumer(&found, []byte(consumer), 8); ok == there {
				panic("consumer made?")
			} else if ok {
				g.consumers[consumer] = 8
			}
		}
	case 5:
		id := w.drawID()
		for known := range g.pending {
			id = known
			break
		}
		_, there := g.pending[id]
		delete(g.pending, id)
		if s.Acknowledge(found.Number, id) != there {
			panic("acknowledged?")
		}
	default:
		c, ok := s.Consumer(&found, []byte(consumer))
		if _, there := g.consumers[consumer]; ok != there {
			panic("consumer is there?")
		} else if !there {
			c, _ = s.CreateConsumer(&found, []byte(consumer), 7)
			g.consumers[consumer] = 7
		}
		for range 1 + w.draw(10) {
			id := w.drawID()
			d := modelDelivery{consumer, int64(w.draw(1 << 40)), uint64(w.draw(300))}
			s.Deliver(found.Number, Delivery{id, c.Number, d.at, d.count})
			g.pending[id] = d
		}
	}
}

func (w *world) cut() {
	c := w.cell()
	w.snapshots = append(w.snapshots, snapshot{c.Value().Detach(), w.model.clone()})
	w.space.Floor = w.space.Version
	w.space.Version++
	w.space.Frozen = true
}

func (w *world) closeSnapshots() {
	for i, s := range w.snapshots {
		s.model.check(Read(s.v), w.draw, fmt.Sprint("snapshot ", i))
	}
	w.snapshots = nil
	w.space.Frozen = false
	for _, r := range w.retired {
		w.heap.Free(r)
	}
	w.retired = nil
}

func (w *world) check() {
	c := w.cell()
	w.model.check(Read(c.Value()), w.draw, "stream")
}

func same(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		panic(fmt.Sprintf("%s: %v, want %v", what, got, want))
	}
}

func (m *model) check(r Reader, draw func(int) int, what string) {
	live := m.live()
	same(what+" facts", r.Facts(), Facts{uint64(len(live)), m.added, m.last, m.first, m.maxDeleted})
	if len(m.blocks) != r.Blocks() {
		panic(what + ": blocks")
	}
	var ids []ID
	for it := r.EachBlock(); it.Next(); {
		if _, err := ValidateBlock(it.Listpack); err != nil {
			panic(what + ": " + err.Error())
		}
		ids = append(ids, it.ID)
	}
	same(what+" radix nodes", r.RadixNodes(), radixCount(ids))
	from, to := ID{}, MaxID
	if len(live) > 0 && draw(2) == 0 {
		from, to = live[draw(len(live))].id, live[draw(len(live))].id
		if draw(2) == 0 {
			from.Seq++
		}
	}
	var want []string
	for _, e := range live {
		if !e.id.Less(from) && !to.Less(e.id) {
			want = append(want, fmt.Sprint(e.id, e.args))
		}
	}
	same(what+" range", entries(r.Range(from, to, false)), want)
	slices.Reverse(want)
	same(what+" reverse", entries(r.Range(from, to, true)), want)
	for _, e := range live {
		if !r.Exists(e.id) {
			panic(what + ": entry is missing")
		}
	}
	names := slices.Sorted(maps.Keys(m.groups))
	var groups []string
	for it := r.Groups(); it.Next(); {
		name := string(it.Name)
		groups = append(groups, name)
		m.groups[name].check(&r, it.Group, what+" "+name)
	}
	same(what+" groups", groups, names)
	same(what+" groups", r.GroupCount(), len(names))
}

func entries(it Range) (list []string) {
	for it.Next() {
		var args []string
		pairs := it.Entry.Pairs()
		for {
			field, value, ok := pairs.Next()
			if !ok {
				break
			}
			args = append(args, string(field), string(value))
		}
		list = append(list, fmt.Sprint(it.Entry.ID, args))
	}
	return list
}

func (g *modelGroup) check(r *Reader, found Group, what string) {
	same(what, [2]any{found.LastID, found.EntriesRead}, [2]any{g.last, g.read})
	var consumers []string
	owned := map[string]int{}
	for it := r.Consumers(found.Number); it.Next(); {
		name := string(it.Name)
		consumers = append(consumers, name)
		same(what+" seen", it.Consumer.SeenMs, g.consumers[name])
		same(what+" prefix", it.cursor.Prefix(), found.consumerPrefix(it.Name))
		if c, ok := r.Consumer(&found, it.Name); !ok || c != it.Consumer {
			panic(what + ": consumer is not found")
		}
		if string(r.ConsumerName(it.Consumer.Number)) != name {
			panic(what + ": name of number")
		}
		before := ID{}
		for own := r.Owned(it.Consumer.Number, ID{}); own.Next(); {
			if owned[name] > 0 && !before.Less(own.ID) || g.pending[own.ID].consumer != name {
				panic(what + ": owned")
			}
			before = own.ID
			owned[name]++
		}
		same(what+" count", r.PendingCount(it.Consumer.Number), owned[name])
	}
	same(what+" consumers", consumers, slices.Sorted(maps.Keys(g.consumers)))
	same(what+" consumers", r.ConsumerCount(found.Number), len(consumers))
	ids := slices.SortedFunc(maps.Keys(g.pending), ID.Compare)
	var pending []ID
	for it := r.Pending(found.Number, ID{}); it.Next(); {
		pending = append(pending, it.Delivery.ID)
		d := g.pending[it.Delivery.ID]
		same(what+" delivery", [3]any{string(r.ConsumerName(it.Consumer)), it.TimeMs, it.Count}, [3]any{d.consumer, d.at, d.count})
		owned[d.consumer]--
	}
	same(what+" pending", pending, ids)
	for name, n := range owned {
		if n != 0 {
			panic(what + ": " + name + " owns what is not pending")
		}
	}
	if last, ok := r.LastPending(found.Number); ok != (len(ids) > 0) || ok && last != ids[len(ids)-1] {
		panic(what + ": last pending")
	}
}

// radixCount counts the nodes of the reference's tree of these keys, built
// whole.
func radixCount(ids []ID) int {
	if len(ids) == 0 {
		return 1
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		b := fmt.Sprintf("%016x%016x", id.Ms, id.Seq)
		keys[i] = b
	}
	return radixNodes(keys, 0)
}

// radixNodes counts the nodes of keys, in hexadecimal, from a byte on.
func radixNodes(keys []string, at int) int {
	const depth = radixDepth * 2
	end := at
	for end < depth && !slices.ContainsFunc(keys, func(k string) bool { return k[end:end+2] != keys[0][end:end+2] }) {
		end += 2
	}
	n := 1
	if end > at {
		n++
	}
	if end == depth {
		return n
	}
	for len(keys) > 0 {
		i := 1
		for i < len(keys) && keys[i][end:end+2] == keys[0][end:end+2] {
			i++
		}
		n += radixNodes(keys[:i], end+2)
		keys = keys[i:]
	}
	return n
}

func (w *world) step() {
	switch kind := w.draw(100); {
	case kind < 30:
		w.add()
	case kind < 40:
		for range w.draw(150) {
			w.add()
		}
	case kind < 55:
		w.delete()
	case kind < 62:
		w.trim()
	case kind < 90:
		w.groups()
	case kind < 94:
		w.cut()
	case kind < 96:
		w.closeSnapshots()
	case kind < 97:
		w.rebuild()
	default:
		w.check()
	}
}

// rebuild makes the stream anew from its blocks and facts, as a file does.
func (w *world) rebuild() {
	c := w.cell()
	old := Read(c.Value())
	d := value.NewDraft(tree.Space{Heap: w.heap, Version: w.space.Version}, value.KindStream, value.EncStream)
	s := Open(&d.Cell)
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	left := old.Blocks()
	for it := old.EachBlock(); it.Next(); left-- {
		must(s.AppendBlock(it.ID, it.Listpack, left == 1))
	}
	must(s.SetFacts(old.Facts()))
	for it := old.Groups(); it.Next(); {
		g, err := s.AddGroup(it.Name, it.Group.LastID, it.Group.EntriesRead)
		must(err)
		for p := old.Pending(it.Group.Number, ID{}); p.Next(); {
			must(s.AddPending(g.Number, p.Delivery))
		}
		if old.PendingCount(it.Group.Number) > 0 && s.CheckGroup(g.Number) == nil {
			panic("nobody owns what is pending")
		}
		for names := old.Consumers(it.Group.Number); names.Next(); {
			consumer, err := s.AddConsumer(&g, names.Name, names.Consumer.SeenMs)
			must(err)
			for o := old.Owned(names.Consumer.Number, ID{}); o.Next(); {
				must(s.Assign(g.Number, consumer.Number, o.ID))
			}
		}
		must(s.CheckGroup(g.Number))
	}
	s.Save()
	w.model.check(Read(d.Value()), w.draw, "rebuilt")
	d.Discard()
}

func (w *world) end() {
	w.check()
	w.closeSnapshots()
	c := w.cell()
	for i := range c.Roots() {
		t := c.Tree(i)
		t.Free()
	}
	w.heap.Free(w.at)
	if used := w.heap.Used() - w.base; used != 0 {
		panic(fmt.Sprintf("%d bytes leaked", used))
	}
}

func TestAgainstModel(t *testing.T) {
	m := valuetest.NewMemory(t)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(m, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
		for range w.draw(40) {
			w.step()
		}
		w.end()
	})
}

func TestAgainstModelSeeds(t *testing.T) {
	seeds, steps := 20, 300
	if os.Getenv("SLOTMESH_LONG") != "" {
		seeds, steps = 500, 1000
	}
	m := valuetest.NewMemory(t)
	for seed := range seeds {
		func() {
			defer func() {
				if e := recover(); e != nil {
					t.Logf("seed %d", seed)
					panic(e)
				}
			}()
			w := newWorld(m, rand.New(rand.NewPCG(uint64(seed), 2)).IntN)
			for range steps {
				w.step()
			}
			w.end()
		}()
	}
}
