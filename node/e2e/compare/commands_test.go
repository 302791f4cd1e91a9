package compare

import (
	"slices"
	"testing"

	"slotmesh/node/e2e/harness"
)

// TestCommandsOfEveryType asks the reference for every command of its groups of
// data and compares COMMAND INFO: name, arity, flags, keys and categories.
func TestCommandsOfEveryType(t *testing.T) {
	ours := startOracle(t, harness.UnderTest(t), false, 2).process
	reference := startOracle(t, harness.Reference(t), false, 2).process
	groups := []string{"generic", "string", "bitmap", "hash", "list", "set", "sorted-set", "geo", "hyperloglog", "stream"}
	docs := reference.Do("COMMAND", "DOCS").Elems
	compared := 0
	for i := 0; i+1 < len(docs); i += 2 {
		fields := docs[i+1].Elems
		group := ""
		for j := 0; j+1 < len(fields); j += 2 {
			if fields[j].Text == "group" {
				group = fields[j+1].Text
			}
		}
		if !slices.Contains(groups, group) {
			continue
		}
		name := docs[i].Text
		want := reference.Do("COMMAND", "INFO", name).Elems[0].Elems
		got := ours.Do("COMMAND", "INFO", name).Elems
		if len(got) != 1 || len(got[0].Elems) < 7 {
			t.Errorf("there is no %s", name)
			continue
		}
		compared++
		for j, part := range []string{"name", "arity", "flags", "first key", "last key", "step", "categories"} {
			is, should := got[0].Elems[j], want[j]
			if part == "flags" || part == "categories" {
				if a, b := slices.Sorted(slices.Values(is.Strings())), slices.Sorted(slices.Values(should.Strings())); !slices.Equal(a, b) {
					t.Errorf("%s: %s are %v, not %v", name, part, a, b)
				}
			} else if is.String() != should.String() {
				t.Errorf("%s: %s is %v, not %v", name, part, is, should)
			}
		}
	}
	t.Logf("%d commands of the reference compared", compared)
	if compared < 170 {
		t.Errorf("only %d commands were compared", compared)
	}
}
