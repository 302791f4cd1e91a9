package store

import (
	"bytes"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// Compaction is one walk over the keyspace that moves blocks out of sparse pages
// (arena.Heap.Sparse), so that these get empty and go back to the system. What
// any block holds stays as it is. A walk is used by one goroutine.
//
// Pages belong to a heap that many slots share, so a page gets empty only when
// the walk has been everywhere; and as the fullest of the sparse pages take the
// blocks of the others, what is sparse shrinks by about half with each walk.
type Compaction struct {
	store *Store
	db    int
	slot  slots.Slot
	part  part
	// at is the hash of the next record, or the number of the next piece of a
	// heap of deadlines.
	at uint32
	// key, if not nil, has the tree that the walk stands in, before the item rank.
	key        []byte
	tree, rank int

	records [compactRecords]arena.Ref
	counts  CompactionCounts
}

// CompactionCounts are what a walk has done so far.
type CompactionCounts struct {
	// Hits are blocks that were moved, Misses records whose block stayed.
	Hits, Misses int64
	// KeyHits are keys of which something was moved, KeyMisses the others.
	KeyHits, KeyMisses int64
	// Bytes are about what the moved blocks of records and trees hold.
	Bytes int64
}

// part is what of a slot is looked at.
type part uint8

const (
	partTables part = iota
	partKeys
	partFields
	partRecords
)

// Limits of one step, during which a slot is locked: how many records are looked
// at, how many bytes of them are moved before it ends, and how many blocks of a
// tree.
const (
	compactRecords = 64
	compactBytes   = 64 << 10
	compactBlocks  = 16
	compactPieces  = 16
	// treeBytes is about what a block of a tree has, for compactBytes.
	treeBytes = 4 << 10
)

// Compaction begins a walk.
func (s *Store) Compaction() *Compaction {
	s.memory.Refile()
	return &Compaction{store: s}
}

// Next returns the slot that the next Step needs locked; ok is false at the end.
// It needs no lock.
func (p *Compaction) Next() (slot slots.Slot, ok bool) {
	for ; p.db < p.store.Databases(); p.db++ {
		if slot, ok := p.store.NextUsed(p.db, int(p.slot)); ok {
			if slot != p.slot {
				p.enter(slot)
			}
			return slot, true
		}
		p.enter(0)
	}
	return 0, false
}

// Counts is what was done so far.
func (p *Compaction) Counts() CompactionCounts { return p.counts }

// enter goes on at the beginning of a slot.
func (p *Compaction) enter(slot slots.Slot) {
	p.slot, p.part, p.at, p.key = slot, partTables, 0, nil
}

// leave ends what there is to do in the slot.
func (p *Compaction) leave() {
	p.enter(p.slot + 1)
}

// Step does a bounded piece of work in the slot that Next has returned, which is
// locked.
func (p *Compaction) Step() {
	sp := p.store.space(p.db, p.slot)
	if sp == nil {
		p.leave()
		return
	}
	if p.part == partTables {
		p.counts.Hits += int64(sp.index.compact())
		p.part = partKeys
	}
	if p.part == partKeys {
		p.pieces(&sp.keys)
	}
	if p.part == partFields {
		p.pieces(&sp.fields)
	}
	switch {
	case p.part != partRecords:
	case p.key != nil:
		p.inside(sp)
	default:
		p.some(sp)
	}
}

// pieces looks at some of a heap of deadlines, and goes on with the next part
// after the last.
func (p *Compaction) pieces(d *deadlines) {
	at, moved := d.compact(int(p.at), compactPieces)
	p.counts.Hits += int64(moved)
	if p.at = uint32(at); at >= len(d.pieces) {
		p.part, p.at = p.part+1, 0
	}
}

// some looks at some records. One whose trees take more than a step ends it;
// should there be others of its hash, they wait for the next walk.
func (p *Compaction) some(sp *space) {
	records := p.records[:0]
	next := sp.index.each(p.at, compactRecords, func(at arena.Ref) {
		if len(records) < cap(records) {
			records = append(records, at)
		}
	})
	moved := 0
	for _, at := range records {
		c := sp.cell(at)
		n := c.Compact()
		p.counts.Bytes += int64(n)
		if moved += n; n > 0 {
			p.counts.Hits++
		} else {
			p.counts.Misses++
		}
		whole, blocks := true, 0
		if c.Roots() > 0 {
			p.tree, p.rank = 0, 0
			blocks, whole = p.trees(&c)
			moved += treeBytes * (1 + blocks)
		}
		if n > 0 || blocks > 0 {
			p.counts.KeyHits++
		} else {
			p.counts.KeyMisses++
		}
		if !whole {
			p.key = bytes.Clone(c.Key())
		}
		if !whole || moved >= compactBytes {
			p.at = p.store.hash(c.Key()) + 1
			return
		}
	}
	if p.at = next; next >= hashEnd {
		p.leave()
	}
}

// inside goes on with the trees of p.key.
func (p *Compaction) inside(sp *space) {
	whole := true
	if at := sp.find(p.store.hash(p.key), p.key); at != 0 {
		c := sp.cell(at)
		_, whole = p.trees(&c)
	}
	if whole {
		p.key = nil
	}
}

// trees moves some blocks of the trees of a record, and reports how many, and
// whether the end was reached.
func (p *Compaction) trees(c *value.Cell) (moved int, whole bool) {
	for ; p.tree < c.Roots(); p.tree, p.rank = p.tree+1, 0 {
		t := c.Tree(p.tree)
		old := t.Root
		next, n, done := t.Compact(p.rank, compactBlocks-moved)
		if t.Root != old {
			c.SetRoot(p.tree, t.Root)
		}
		moved += n
		p.counts.Hits += int64(n)
		p.counts.Bytes += int64(n) * treeBytes
		if !done {
			p.rank = next
			return moved, false
		}
	}
	return moved, true
}
