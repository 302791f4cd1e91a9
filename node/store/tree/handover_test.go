package tree

import (
	"testing"

	"slotmesh/node/store/arena"
)

// taker is a TreeRetirer.
type taker struct {
	parts []Tree
	count uint64
}

func (k *taker) Retire(arena.Ref) {}

func (k *taker) RetireTree(t Tree) {
	k.parts = append(k.parts, t)
	k.count += t.Root.Count
}

// TestDeleteRangeHandsOver cuts most of a large tree off. What is done at once does
// not depend on how much that is, and nothing is lost or freed twice.
func TestDeleteRangeHandsOver(t *testing.T) {
	const n = 200_000
	for _, size := range []int{24, 700} { // in the leaves, and in blocks of their own
		memory, err := arena.New(arena.Options{Reserve: 4 << 30})
		if err != nil {
			t.Fatal(err)
		}
		retirer := &taker{}
		tree := &Tree{View: View{Memory: memory}, Space: Space{Heap: memory.Heap(0), Retirer: retirer}}
		for i := range uint64(n) {
			item := tree.Append(i, size)
			item[0] = byte(i)
		}
		bytes, operations := tree.Root.Bytes, memory.Operations()
		const from, to = 1000, n - 1500
		tree.DeleteRange(from, to)
		// A few nodes at each edge.
		if did := memory.Operations() - operations; did > 40 {
			t.Errorf("items of %d bytes: %d blocks were taken and given back at once", size, did)
		}
		if tree.Len() != n-(to-from) || retirer.count < (to-from)*49/50 {
			t.Fatalf("items of %d bytes: %d are left, %d handed over", size, tree.Len(), retirer.count)
		}
		if got, want := float64(tree.Root.Bytes)/float64(bytes), float64(tree.Len())/n; got > want*1.3 || got < want*0.7 {
			t.Errorf("items of %d bytes: %.4f of the bytes are left of %.4f of the items", size, got, want)
		}
		i := uint64(0)
		for c := tree.At(0); c.Valid(); c.Next() {
			if i == from {
				i = to
			}
			if c.Prefix() != i || c.Item()[0] != byte(i) || len(c.Item()) != size {
				t.Fatalf("items of %d bytes: item %d has prefix %d", size, i, c.Prefix())
			}
			i++
		}
		operations = memory.Operations()
		if tree.DeleteRange(0, tree.Len()); memory.Operations() != operations || tree.Root != (Root{}) {
			t.Errorf("items of %d bytes: the rest is not handed over: %+v", size, tree.Root)
		}
		for _, part := range retirer.parts {
			part.Free()
		}
		if used := memory.Used(); used != 0 {
			t.Errorf("items of %d bytes: %d bytes are left", size, used)
		}
	}
}
