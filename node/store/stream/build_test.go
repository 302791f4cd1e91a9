package stream

import (
	"strings"
	"testing"
)

// TestAppendBlockInOrder: blocks come in the order of their ids, and none behind the
// last one, which lies in the payload if it is not too long.
func TestAppendBlockInOrder(t *testing.T) {
	short := blockOfEntries(t, 3)
	d := newDraft(t)
	s := Open(&d.Cell)
	if err := s.Add(ID{1, 1}, Args{[]byte("f"), []byte(strings.Repeat("v", maxTail))}, DefaultLimits); err != nil {
		t.Fatal(err)
	}
	it := s.EachBlock()
	it.Next()
	long := strings.Clone(string(it.Listpack))
	s.Save()
	d.Discard()

	for _, tt := range []struct {
		last   []byte
		inTree int
	}{{short, 2}, {[]byte(long), 3}} {
		d := newDraft(t)
		s := Open(&d.Cell)
		for _, step := range []struct {
			id   ID
			last bool
			want error
		}{
			{ID{5, 5}, false, nil},
			{ID{5, 5}, false, ErrOrder},
			{ID{5, 4}, true, ErrOrder},
			{ID{4, 9}, true, ErrOrder},
			{ID{5, 6}, false, nil},
			{ID{6, 0}, true, nil},
			{ID{5, 7}, true, ErrOrder},
		} {
			lp := short
			if step.last && step.want == nil {
				lp = tt.last
			}
			if err := s.AppendBlock(step.id, lp, step.last); err != step.want {
				t.Errorf("block %v: %v, want %v", step.id, err, step.want)
			}
		}
		if tt.inTree == 2 && s.AppendBlock(ID{7, 0}, short, true) != ErrOrder {
			t.Error("there is a block behind the last one")
		}
		if have := s.view(treeBlocks).Len(); have != tt.inTree || s.Blocks() != 3 {
			t.Errorf("%d of %d blocks are in the tree, want %d of 3", have, s.Blocks(), tt.inTree)
		}
		s.Save()
		d.Discard()
	}
}
