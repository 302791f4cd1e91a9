package arena

import "testing"

func TestBlocksKeepTheirBytes(t *testing.T) {
	m, err := New(Options{Heaps: 4})
	if err != nil {
		t.Fatal(err)
	}
	var refs []Ref
	for i := range 20000 {
		n := 1 + i*7%5000
		r := m.Heap(i).Alloc(n)
		b := m.Bytes(r, n)
		for j := range b {
			b[j] = byte(i)
		}
		refs = append(refs, r)
	}
	for i, r := range refs {
		for _, c := range m.Bytes(r, 1+i*7%5000) {
			if c != byte(i) {
				t.Fatalf("block %d: %d", i, c)
			}
		}
		m.Heap(i).Free(r)
	}
	if m.Used() != 0 {
		t.Fatalf("used %d", m.Used())
	}
}
