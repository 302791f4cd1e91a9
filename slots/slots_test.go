package slots

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOf has the slots that the reference says.
func TestOf(t *testing.T) {
	for key, want := range map[string]Slot{
		"": 0, "123456789": 12739, "foo": 12182, "{user1000}.following": 3443, "{}x": 10595,
		"foo{}{bar}": 8363, "foo{{bar}}zap": 4015, "foo{bar}{zap}": 5061, "a{b": 13340, "}{a}": 15495,
	} {
		if got := Of([]byte(key)); got != want {
			t.Errorf("Of(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestSetAgainstAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var s Set
	model := map[Slot]bool{}
	for range 5000 {
		slot := Slot(rng.IntN(Count))
		if rng.IntN(3) == 0 {
			s.Remove(slot)
			delete(model, slot)
			continue
		}
		s.Add(slot)
		model[slot] = true
	}
	if s.Len() != len(model) {
		t.Fatalf("Len = %d, want %d", s.Len(), len(model))
	}
	last := -1
	for slot := range s.All() {
		if !model[slot] || int(slot) <= last {
			t.Fatalf("All yields %d after %d", slot, last)
		}
		last = int(slot)
	}
	ranges := s.Ranges()
	if SetOf(ranges...) != s {
		t.Error("ranges do not make the set again")
	}
	for i := 1; i < len(ranges); i++ {
		if ranges[i].First <= ranges[i-1].Last+1 {
			t.Errorf("ranges %v and %v touch", ranges[i-1], ranges[i])
		}
	}
	other := SetOf(Range{100, 9000})
	both, either, rest := s.Intersect(other), s.Union(other), s.Minus(other)
	if both.Len()+rest.Len() != s.Len() || either.Len() != other.Len()+rest.Len() || s.Empty() {
		t.Error("set algebra")
	}
}

// TestRangesFromSetToSet draws sets of few long ranges, which begin and end anywhere in
// a word.
func TestRangesFromSetToSet(t *testing.T) {
	for _, set := range []Set{{}, SetOf(Range{0, Count - 1}), SetOf(Range{Count - 1, Count - 1}), SetOf(Range{64, 127}), SetOf(Range{63, 128})} {
		if got := SetOf(set.Ranges()...); got != set || len(set.Ranges()) > 1 {
			t.Errorf("%v comes back as %v", set, got)
		}
	}
	rng := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		var want []Range
		for slot := rng.IntN(200); slot < Count; slot += 2 + rng.IntN(400) {
			last := min(slot+rng.IntN(400), Count-1)
			want = append(want, Range{Slot(slot), Slot(last)})
			slot = last
		}
		if set := SetOf(want...); !slices.Equal(set.Ranges(), want) {
			t.Fatalf("%v, not %v", set.Ranges(), want)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{"5": "5", "5-9": "5-9", "0-16383": "0-16383", "7-7": "7"} {
		if r, err := ParseRange(text); err != nil || r.String() != want {
			t.Errorf("ParseRange(%q) = %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "-", "5-", "-5", "9-5", "16384", "0-16384", "x", "1-2-3", "+1", "65541"} {
		if r, err := ParseRange(text); err == nil {
			t.Errorf("ParseRange(%q) = %v", text, r)
		}
	}
	if got := SetOf(Range{0, 5460}, Range{5462, 5462}).String(); got != "0-5460 5462" {
		t.Errorf("String = %q", got)
	}
	for _, text := range []string{"", "zz", "0102030405060708090a0b0c0d0e0f101112131", "0102030405060708090a0b0c0d0e0f10111213zz"} {
		if _, err := ParseNodeID(text); err == nil {
			t.Errorf("ParseNodeID(%q) is accepted", text)
		}
	}
	id, err := ParseNodeID("0102030405060708090a0b0c0d0e0f1011121314")
	if err != nil || id.String() != "0102030405060708090a0b0c0d0e0f1011121314" || id.IsZero() || !(ShardID{}).IsZero() {
		t.Errorf("got %v, %v", id, err)
	}
}

func TestRoute(t *testing.T) {
	const self, other, third = 0, 1, 2
	base := func() *Table {
		table := &Table{Up: true, Self: self, Primary: None, Nodes: make([]Endpoint, 3)}
		for i := range table.Owner {
			table.Owner[i] = None
		}
		table.Owner[1], table.Owner[2], table.Owner[3], table.Owner[4] = self, other, self, other
		return table
	}
	open := func(table *Table) {
		table.Migrating = map[Slot]uint16{3: third}
		table.Importing = map[Slot]uint16{4: other}
	}
	missing := func(n int) func() int { return func() int { return n } }
	cases := []struct {
		name  string
		setup func(*Table)
		req   Request
		want  Verdict
		node  uint16
	}{
		{"own", nil, Request{Slot: 1, Keys: 1}, Serve, self},
		{"another's", nil, Request{Slot: 2, Keys: 1}, Moved, other},
		{"nobody's", nil, Request{Slot: 9, Keys: 1}, Unassigned, None},
		{"down", func(t *Table) { t.Up = false }, Request{Slot: 1, Keys: 1}, Down, None},
		{"down, reads allowed, write", func(t *Table) { t.Up, t.ReadsWhenDown = false, true }, Request{Slot: 1, Keys: 1}, DownReads, None},
		{"down, reads allowed, read", func(t *Table) { t.Up, t.ReadsWhenDown = false, true }, Request{Slot: 1, Keys: 1, ReadOnly: true}, Serve, self},
		{"replica, READONLY", func(t *Table) { t.Replica, t.Primary = true, other }, Request{Slot: 2, Keys: 1, ReadOnly: true, ReadOnlyConn: true}, Serve, other},
		{"replica, write", func(t *Table) { t.Replica, t.Primary = true, other }, Request{Slot: 2, Keys: 1, ReadOnlyConn: true}, Moved, other},
		{"replica of another", func(t *Table) { t.Replica, t.Primary = true, third }, Request{Slot: 2, Keys: 1, ReadOnly: true, ReadOnlyConn: true}, Moved, other},
		{"migrating, here", open, Request{Slot: 3, Keys: 2, Missing: missing(0)}, Serve, self},
		{"migrating, half here", open, Request{Slot: 3, Keys: 2, Missing: missing(1)}, TryAgain, None},
		{"migrating, gone", open, Request{Slot: 3, Keys: 2, Missing: missing(2)}, Ask, third},
		{"migrating, MIGRATE", open, Request{Slot: 3, Keys: 2, Missing: missing(2), Migrate: true}, Serve, self},
		{"importing, no ASKING", open, Request{Slot: 4, Keys: 1, Missing: missing(0)}, Moved, other},
		{"importing, ASKING", open, Request{Slot: 4, Keys: 1, Asking: true, Missing: missing(1)}, Serve, other},
		{"importing, ASKING, several, one missing", open, Request{Slot: 4, Keys: 2, Asking: true, Missing: missing(1)}, TryAgain, None},
		{"importing, ASKING, several, all here", open, Request{Slot: 4, Keys: 2, Asking: true, Missing: missing(0)}, Serve, other},
		{"own, while others are open", open, Request{Slot: 1, Keys: 1, Missing: missing(1)}, Serve, self},
	}
	for _, c := range cases {
		table := base()
		if c.setup != nil {
			c.setup(table)
		}
		if got, node := table.Route(c.req); got != c.want || node != c.node {
			t.Errorf("%s: %d %d, want %d %d", c.name, got, node, c.want, c.node)
		}
	}
}
