package store

import (
	"sync"
	"sync/atomic"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// garbage is memory that nothing in the keyspace leads to any more, and that
// is too much to be given back at once.
type garbage struct {
	// spaces, nil among them, are what was flushed; nil for a tree.
	spaces []*space
	// at is the hash of the next record of the first of spaces.
	at uint32
	// tree is one of a value that was deleted.
	tree tree.Tree
}

// bytes is how much memory g takes, as far as that is known.
func (g *garbage) bytes() int64 { return int64(g.tree.Root.Bytes) }

// reaper keeps garbage, and blocks that snapshots may still read.
type reaper struct {
	mu   sync.Mutex
	heap []garbage
	// retired and waiting are in the order of their versions: none may be given
	// back while a snapshot is open whose cut is before it.
	retired []retired
	waiting []waiting
	// wake has a token when there is garbage.
	wake chan struct{}
	// pending is about how many bytes of trees are to be given back.
	pending atomic.Int64
}

type retired struct {
	block   arena.Ref
	heap    *arena.Heap
	version uint32
}

type waiting struct {
	garbage
	version uint32
}

// smallTree is the number of items up to which a tree is freed at once. One of a
// few thousand items is, too, by whoever has its slot, if it is of a few blocks:
// waking the reaper takes longer than that.
const (
	smallTree  = 64
	mediumTree = 4096
	fewBytes   = 64 << 10
)

// freedAtOnce reports whether a tree is given back while its slot is held.
func freedAtOnce(t *tree.Tree) bool {
	return t.Len() <= smallTree || t.Len() <= mediumTree && t.Root.Bytes <= fewBytes
}

// retire frees a block when no open snapshot can read it any more.
func (s *Store) retire(heap *arena.Heap, block arena.Ref) {
	if s.open.Load() == nil {
		heap.Free(block)
		return
	}
	s.reaper.mu.Lock()
	s.reaper.retired = append(s.reaper.retired, retired{block, heap, s.version})
	s.reaper.mu.Unlock()
}

// discard puts g on the heap, at once or when no open snapshot can read it.
func (s *Store) discard(g garbage) {
	r := &s.reaper
	r.pending.Add(g.bytes())
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.open.Load() != nil {
		r.waiting = append(r.waiting, waiting{g, s.version})
		return
	}
	r.add(g)
}

// add puts g on the heap. The caller has mu.
func (r *reaper) add(g garbage) {
	r.heap = append(r.heap, g)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// discardTrees gives the trees of a value back that was deleted.
func (sp *space) discardTrees(c *value.Cell) {
	var t tree.Tree
	sp.spaceOf(&t.Space)
	t.Memory = sp.store.memory
	payload := c.Payload()
	for i := range c.Roots() {
		t.Root = tree.ParseRoot(payload[i*tree.RootSize:])
		if t.Root.Node == 0 {
			continue
		}
		if freedAtOnce(&t) {
			t.Free()
			continue
		}
		sp.store.discard(garbage{tree: t})
	}
}

// settle gives back what only closed snapshots could read.
func (s *Store) settle() {
	r := &s.reaper
	r.mu.Lock()
	readable := func(version uint32) bool {
		open := s.open.Load()
		return open != nil && after(version, (*open)[0].cut)
	}
	var free []retired
	n := 0
	for n < len(r.retired) && !readable(r.retired[n].version) {
		n++
	}
	free, r.retired = r.retired[:n:n], append([]retired(nil), r.retired[n:]...)
	n = 0
	for n < len(r.waiting) && !readable(r.waiting[n].version) {
		r.add(r.waiting[n].garbage)
		n++
	}
	r.waiting = append([]waiting(nil), r.waiting[n:]...)
	r.mu.Unlock()
	for _, b := range free {
		b.heap.Free(b.block)
	}
}

// Garbage has a token when there is something for Reap to do.
func (s *Store) Garbage() <-chan struct{} { return s.reaper.wake }

// Reap gives about limit blocks of what was deleted or flushed back and reports
// whether there is more. It needs no lock; one goroutine calls it.
func (s *Store) Reap(limit int) (more bool) {
	r := &s.reaper
	r.mu.Lock()
	if len(r.heap) == 0 {
		r.heap = nil
		r.mu.Unlock()
		return false
	}
	last := len(r.heap) - 1
	g := r.heap[last]
	r.heap[last] = garbage{}
	r.heap = r.heap[:last]
	r.mu.Unlock()

	done := false
	size := g.bytes()
	if g.spaces == nil {
		// Its blocks are nobody else's: a snapshot that could read them is closed.
		g.tree.Space.Frozen = false
		done = g.tree.FreeSome(limit)
	} else {
		done = g.freeSpaces(limit)
	}
	if done {
		r.pending.Add(-size)
	} else {
		r.pending.Add(g.bytes() - size)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !done {
		r.heap = append(r.heap, g)
	}
	return len(r.heap) > 0
}

// freeTrees is discardTrees for the reaper: no snapshot can read the trees, and the
// store's version, which a cut may be raising, is none of its business.
func (sp *space) freeTrees(c *value.Cell) {
	for i := range c.Roots() {
		t := tree.Tree{View: c.Value().Tree(i), Space: tree.Space{Heap: sp.heap}}
		switch {
		case t.Root.Node == 0:
		case t.Len() <= smallTree:
			t.Free()
		default:
			r := &sp.store.reaper
			g := garbage{tree: t}
			r.pending.Add(g.bytes())
			r.mu.Lock()
			r.add(g)
			r.mu.Unlock()
		}
	}
}

// freeSpaces frees about limit records of spaces.
func (g *garbage) freeSpaces(limit int) (done bool) {
	for ; len(g.spaces) > 0; g.spaces, g.at = g.spaces[1:], 0 {
		sp := g.spaces[0]
		if sp == nil {
			continue
		}
		if limit <= 0 {
			return false
		}
		g.at = sp.index.each(g.at, limit, func(record arena.Ref) {
			c := sp.cell(record)
			sp.freeTrees(&c)
			sp.heap.Free(record)
			limit--
		})
		if g.at != hashEnd {
			return false
		}
		sp.index.free()
		sp.keys.free()
		sp.fields.free()
	}
	return true
}
