package stream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/value"
	"slotmesh/node/store/value/valuetest"
)

// consumers makes n consumers of a new group, named by name, and returns the group.
func consumers(t *testing.T, s *Stream, n int, name func(i int) string) Group {
	t.Helper()
	g, ok := s.CreateGroup([]byte("group"), ID{}, 0)
	if !ok {
		t.Fatal("there is a group")
	}
	addConsumers(t, s, &g, n, name)
	return g
}

func addConsumers(t *testing.T, s *Stream, g *Group, n int, name func(i int) string) {
	t.Helper()
	for i := range n {
		if _, ok := s.CreateConsumer(g, []byte(name(i)), 0); !ok {
			t.Fatalf("there is a consumer %q", name(i))
		}
	}
}

// most counts the names of the prefix that most of a group's consumers have.
func most(s *Stream, g *Group) int {
	names := map[uint64]int{}
	for it := s.Consumers(g.Number); it.Next(); {
		names[it.cursor.Prefix()]++
	}
	return slices.Max(slices.Collect(maps.Values(names)))
}

func TestNamesThatBeginAlikeHavePrefixes(t *testing.T) {
	const n = 10_000
	for _, begin := range []string{"", "c", "consumer:0000", "a\x00", strings.Repeat("host.example.", 3)} {
		d := newDraft(t)
		s := Open(&d.Cell)
		name := func(i int) string { return fmt.Sprintf("%s%08x", begin, uint32(i+1)*0x9e3779b1) }
		g := consumers(t, &s, n, name)
		if most := most(&s, &g); most > crowd {
			t.Errorf("of names that begin with %q %d have one prefix, shared is %q", begin, most, g.begin.bytes())
		}
		// Who reads the group anew knows it, too.
		if read, _ := s.Group([]byte("group")); read != g {
			t.Errorf("the group is %+v, want %+v", read, g)
		}
		// A few others change nothing.
		before := g.begin
		addConsumers(t, &s, &g, n/8, func(i int) string { return fmt.Sprintf("Zother%d", i) })
		if g.begin != before {
			t.Errorf("shared became %q from %q", g.begin.bytes(), before.bytes())
		}
		// More others than that do.
		addConsumers(t, &s, &g, 2*n, func(i int) string { return fmt.Sprintf("other%d", i) })
		if before.size > 0 && g.begin == before {
			t.Errorf("shared is still %q", before.bytes())
		}
		s.Save()
		d.Discard()
	}
}

// TestPrefixesSeldomChange tries to make a group's prefixes change often.
func TestPrefixesSeldomChange(t *testing.T) {
	count := func(what string, most int, act func(s *Stream, changed func(g *Group))) {
		d := newDraft(t)
		s := Open(&d.Cell)
		changes := 0
		var last beginning
		act(&s, func(g *Group) {
			if g.begin != last {
				changes++
				last = g.begin
			}
		})
		if changes == 0 || changes > most {
			t.Errorf("%s: %d changes, expected some and at most %d", what, changes, most)
		}
		s.Save()
		d.Discard()
	}
	count("names that share one byte less each time", 10, func(s *Stream, changed func(*Group)) {
		g := consumers(t, s, 1000, func(i int) string { return strings.Repeat("a", 40) + fmt.Sprint(i) })
		for i := range 40 {
			addConsumers(t, s, &g, 100, func(j int) string { return strings.Repeat("a", 40-i) + "b" + fmt.Sprint(j) })
			changed(&g)
		}
	})
	count("names that come and go at a power of two", 3, func(s *Stream, changed func(*Group)) {
		const n = 1024
		// What follows makes, in turns, one more than a sixteenth begin with a.
		g := consumers(t, s, n-1-n/16-20, func(i int) string { return fmt.Sprintf("consumer:%06d", i*100) })
		addConsumers(t, s, &g, n/16, func(i int) string { return fmt.Sprintf("a%06d", i) })
		addConsumers(t, s, &g, 20, func(i int) string { return fmt.Sprintf("z%06d", i) })
		for i := range 1000 {
			name := fmt.Appendf(nil, "%c00000:%d", "az"[i%2], i)
			s.CreateConsumer(&g, name, 0)
			same("consumers", s.ConsumerCount(g.Number), n)
			changed(&g)
			s.DeleteConsumer(&g, name)
		}
	})
}

func TestLargeGroupsKeepTheirPrefixes(t *testing.T) {
	d := newDraft(t)
	s := Open(&d.Cell)
	g := consumers(t, &s, maxRefit+100, func(i int) string { return fmt.Sprintf("first:%06d", i) })
	before := g.begin
	addConsumers(t, &s, &g, maxRefit+100, func(i int) string { return fmt.Sprintf("second:%06d", i) })
	if g.begin != before || before.size == 0 {
		t.Errorf("shared is %q, was %q", g.begin.bytes(), before.bytes())
	}
	for _, name := range []string{"first:000000", "first:012345", "second:000000", "second:065000"} {
		if _, ok := s.Consumer(&g, []byte(name)); !ok {
			t.Errorf("%s is missing", name)
		}
	}
	s.Save()
	d.Discard()
}

// TestNamesAgainstModel makes and removes consumers of a few groups, with snapshots.
func TestNamesAgainstModel(t *testing.T) {
	m := valuetest.NewMemory(t)
	type names map[string]map[string]int64
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		h := valuetest.NewHome[names](m.Heap(0), value.Value{Kind: value.KindStream, Enc: value.EncStream})
		model := names{}
		check := func(v value.Value, model names) {
			r := Read(v)
			same("groups", r.GroupCount(), len(model))
			for group, want := range model {
				g, ok := r.Group([]byte(group))
				if !ok {
					t.Fatalf("group %q is missing", group)
				}
				var have []string
				for it := r.Consumers(g.Number); it.Next(); {
					have = append(have, string(it.Name))
					same("prefix", it.cursor.Prefix(), g.consumerPrefix(it.Name))
				}
				same("names", have, slices.Sorted(maps.Keys(want)))
				for name, seen := range want {
					if c, ok := r.Consumer(&g, []byte(name)); !ok || c.SeenMs != seen {
						t.Fatalf("consumer %q: %v %v, want %v", name, c, ok, seen)
					}
				}
				if name := drawName(draw); want[name] == 0 {
					if _, ok := r.Consumer(&g, []byte(name)); ok {
						t.Fatalf("consumer %q is there", name)
					}
				}
			}
		}
		for range draw(30) {
			group := []string{"a", "b", "consumer"}[draw(3)]
			s := Open(&h.Cell)
			g, ok := s.Group([]byte(group))
			switch kind := draw(20); {
			case !ok:
				s.CreateGroup([]byte(group), ID{1, 2}, 3)
				model[group] = map[string]int64{}
			case kind == 0:
				s.DestroyGroup([]byte(group))
				delete(model, group)
			case kind == 1:
				clone := names{}
				for name, c := range model {
					clone[name] = maps.Clone(c)
				}
				h.Cut(clone)
			case kind == 2:
				h.Close(check)
			case kind == 3:
				g.LastID = ID{5, 6}
				s.SetGroup([]byte(group), &g)
			case kind < 7:
				// All with one beginning, or none with it.
				begin, gone := drawName(draw), draw(2) == 0
				for name := range model[group] {
					if strings.HasPrefix(name, begin) == gone {
						s.DeleteConsumer(&g, []byte(name))
						delete(model[group], name)
					}
				}
			default:
				begin := drawName(draw)
				for range draw(200) {
					name := drawName(draw)
					if draw(2) == 0 {
						name = begin + fmt.Sprint(draw(100_000))
					}
					if _, ok := s.CreateConsumer(&g, []byte(name), 1); ok != (model[group][name] == 0) {
						t.Fatalf("made %q: %v", name, ok)
					}
					s.SetSeen(&g, []byte(name), int64(1+draw(5)))
					c, _ := s.Consumer(&g, []byte(name))
					model[group][name] = c.SeenMs
				}
			}
			s.Save()
			check(h.Cell.Value(), model)
		}
		h.Close(check)
		h.Free()
	})
}

func TestNamesOfOwnersWithoutPrefixes(t *testing.T) {
	d := newDraft(t)
	s := Open(&d.Cell)
	const each = crowd - 1
	for _, number := range []uint32{exactOwners + 5, exactOwners - 1, exactOwners} {
		g := Group{Number: number}
		addConsumers(t, &s, &g, each, func(i int) string { return fmt.Sprint(number, "consumer", 10+i) })
	}
	for _, number := range []uint32{exactOwners - 1, exactOwners, exactOwners + 5} {
		g := Group{Number: number}
		same("count", s.ConsumerCount(number), each)
		same("count of none", s.ConsumerCount(number+1)%each, 0)
		i := 0
		for it := s.Consumers(number); it.Next(); i++ {
			same("name", string(it.Name), fmt.Sprint(number, "consumer", 10+i))
			if c, ok := s.Consumer(&g, it.Name); !ok || c != it.Consumer {
				t.Errorf("consumer %s of %d: %v %v", it.Name, number, c, ok)
			}
		}
		same("walked", i, each)
	}
	s.Save()
	d.Discard()
}

func BenchmarkRefit(b *testing.B) {
	d := newDraft(b)
	s := Open(&d.Cell)
	g, _ := s.CreateGroup([]byte("group"), ID{}, 0)
	for i := range maxRefit {
		s.CreateConsumer(&g, fmt.Appendf(nil, "consumer:%012d", uint32(i)*0x9e3779b1), 0)
	}
	for b.Loop() {
		g.begin = beginning{}
		s.refit(&g)
		if g.begin.size == 0 {
			b.Fatal("nothing is shared")
		}
	}
	s.Save()
}
