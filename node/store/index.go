package store

import (
	"bytes"
	"unsafe"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// index finds the record of a key by the hash of the key. All entries are in
// the order of their hashes, so that a walk over the keys is a walk over
// hashes: it means the same whatever the size of the table is meanwhile.
//
// It is resized step by step. While old is there, the entries of hashes below
// moved are in current and the others in old, and every change moves a few
// more.
//
// What is looked up reads moved, growing and current; a change reads what comes before
// old too. See space for what lies beside it.
type index struct {
	moved uint32
	// slot of home is where the records are of; Warm is told there where current is.
	slot slots.Slot
	// growing says that there is an old table.
	growing bool
	current table

	n    int
	home *database
	heap *arena.Heap
	// oldAt is where the first entry of old that was not moved is, or a place
	// before it.
	oldAt uint32
	// least is how many homes the first table gets: see Expect.
	least int32
	old   table
}

// hashBits is how many bits of a key's hash an entry keeps.
const (
	hashBits = 64 - arena.RefBits
	hashEnd  = 1 << hashBits
	refMask  = 1<<arena.RefBits - 1
)

// table is an open-addressing hash table without a wrap: an entry lies at its
// home or in the run of entries that begins there or before, all of them
// ascending. An entry is the hash in the upper bits and the record in the
// lower; 0 is empty.
type table struct {
	block   arena.Ref
	entries []uint64
	// size is the number of homes; entries has some places more, for the last.
	size uint64
}

const (
	smallestTable = 4
	// stepLen is how many entries a change moves out of an old table. It is done
	// long before the table is full.
	stepLen = 24
	// A table grows when more than fullNum of fullDen homes would be taken, by a
	// quarter, and shrinks when less than one in sparseDen is.
	fullNum, fullDen = 27, 32
	sparseDen        = 6
)

func entryOf(hash uint32, at arena.Ref) uint64 { return uint64(hash)<<arena.RefBits | uint64(at) }

func hashOf(entry uint64) uint32   { return uint32(entry >> arena.RefBits) }
func refOf(entry uint64) arena.Ref { return arena.Ref(entry & refMask) }

func (t *table) home(hash uint32) int { return int(uint64(hash) * t.size >> hashBits) }

// smallSlack is the slack of a table of few homes.
const smallSlack = 4

// slack is how many places a table has beyond its homes.
func slack(size int) int {
	if size < 64 {
		return smallSlack
	}
	return 24
}

// hint is where the table is and how many homes it has, in one word: the size in
// the upper bits and the block in the lower.
func (t *table) hint() uint64 { return t.size<<arena.RefBits | uint64(t.block) }

func newTable(heap *arena.Heap, size int) table {
	length := size + slack(size)
	// What the block has beyond is used too.
	block := heap.Alloc(length * 8)
	length = heap.Size(block) / 8
	b := heap.Memory().Bytes(block, length*8)
	clear(b)
	return table{block: block, size: uint64(length - slack(size)), entries: entriesAt(heap.Memory(), block, length)}
}

// entriesAt returns a view of the entries of the table in block.
func entriesAt(m *arena.Memory, block arena.Ref, length int) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(m.Bytes(block, length*8)))), length)
}

// find returns the record of key, or 0. It is given the memory, which x.heap
// knows too but would have to be waited for.
func (x *index) find(m *arena.Memory, hash uint32, key []byte) arena.Ref {
	t := x.in(hash)
	for i := t.home(hash); i < len(t.entries); i++ {
		entry := t.entries[i]
		if entry == 0 {
			return 0
		}
		if h := hashOf(entry); h != hash {
			if h > hash {
				return 0
			}
			continue
		}
		if at := refOf(entry); bytes.Equal(value.Key(m, at), key) {
			return at
		}
	}
	return 0
}

// in returns the table that has entries of hash.
func (x *index) in(hash uint32) *table {
	if x.growing && hash >= x.moved {
		return &x.old
	}
	return &x.current
}

// insert adds an entry.
func (x *index) insert(hash uint32, at arena.Ref) {
	x.n++
	if !x.growing && x.n*fullDen > int(x.current.size)*fullNum {
		x.resize(max(grown(x.n), int(x.least)))
		x.least = 0
	}
	x.put(entryOf(hash, at))
	x.step()
}

// grown is the size of a table for n entries that were too many for the last
// one: a small one doubles, a large one gets a quarter more.
func grown(n int) int {
	if n < 32 {
		return max(2*n, smallestTable)
	}
	full := n * fullDen / fullNum
	return full + full/4
}

// put adds an entry to the table that it belongs to, making room if a run has
// reached that table's end.
func (x *index) put(entry uint64) {
	for !x.in(hashOf(entry)).insert(entry) {
		x.finish()
		if x.current.insert(entry) {
			return
		}
		x.resize(int(x.current.size) + int(x.current.size)/4 + 1)
		x.finish()
	}
}

// insert adds an entry and reports whether there was room.
func (t *table) insert(entry uint64) bool {
	i := t.home(hashOf(entry))
	for i < len(t.entries) && t.entries[i] != 0 && t.entries[i] < entry {
		i++
	}
	end := i
	for end < len(t.entries) && t.entries[end] != 0 {
		end++
	}
	if end >= len(t.entries) {
		return false
	}
	copy(t.entries[i+1:end+1], t.entries[i:end])
	t.entries[i] = entry
	return true
}

// place returns where entry is, or -1.
func (t *table) place(entry uint64) int {
	for i := t.home(hashOf(entry)); i < len(t.entries) && t.entries[i] != 0; i++ {
		if t.entries[i] == entry {
			return i
		}
	}
	return -1
}

// replace enters the new place of a record.
func (x *index) replace(hash uint32, from, to arena.Ref) {
	t := x.in(hash)
	i := t.place(entryOf(hash, from))
	entry := entryOf(hash, to)
	// Entries of one hash are in the order of their records.
	for ; i+1 < len(t.entries) && t.entries[i+1] != 0 && hashOf(t.entries[i+1]) == hash && t.entries[i+1] < entry; i++ {
		t.entries[i] = t.entries[i+1]
	}
	low := t.home(hash)
	if t == &x.old {
		low = max(low, int(x.oldAt))
	}
	for ; i > low && t.entries[i-1] != 0 && hashOf(t.entries[i-1]) == hash && t.entries[i-1] > entry; i-- {
		t.entries[i] = t.entries[i-1]
	}
	t.entries[i] = entry
}

// remove deletes the entry of a record.
func (x *index) remove(hash uint32, at arena.Ref) {
	t := x.in(hash)
	t.removeAt(t.place(entryOf(hash, at)))
	x.n--
	if !x.growing && x.n*sparseDen < int(x.current.size) && x.current.size > 2*smallestTable {
		x.resize(max(smallestTable, x.n+x.n/2))
	}
	x.step()
}

// removeAt deletes the entry at i and moves those that lie behind their homes
// one place forward.
func (t *table) removeAt(i int) {
	end := i + 1
	for end < len(t.entries) && t.entries[end] != 0 && t.home(hashOf(t.entries[end])) < end {
		end++
	}
	copy(t.entries[i:], t.entries[i+1:end])
	t.entries[end-1] = 0
}

func (x *index) resize(size int) {
	x.finish()
	x.old, x.current = x.current, newTable(x.heap, size)
	x.tell(&x.current)
	x.moved, x.oldAt, x.growing = 0, 0, x.old.block != 0
}

// tell has Warm know where the current table is.
func (x *index) tell(current *table) { x.home.hints[x.slot].table.Store(current.hint()) }

// finish moves all that is left in old.
func (x *index) finish() {
	for x.growing {
		x.step()
	}
}

// step moves a few entries from old to current.
func (x *index) step() {
	if !x.growing {
		return
	}
	moved := 0
	var last uint32
	for ; int(x.oldAt) < len(x.old.entries); x.oldAt++ {
		entry := x.old.entries[x.oldAt]
		if entry == 0 {
			continue
		}
		hash := hashOf(entry)
		// Entries of one hash are never apart.
		if moved >= stepLen && hash != last {
			x.moved = hash
			return
		}
		if hash < x.moved {
			// It was moved already: deletions have shifted it.
			continue
		}
		x.current.mustInsert(x, entry)
		last = hash
		moved++
	}
	x.drop()
}

// mustInsert inserts into current, which step fills in ascending order. A run
// at its end that finds no room gets a table with more.
func (t *table) mustInsert(x *index, entry uint64) {
	for !t.insert(entry) {
		bigger := newTable(x.heap, int(t.size)+int(t.size)/8+8)
		for _, e := range t.entries {
			if e != 0 {
				bigger.insert(e)
			}
		}
		x.heap.Free(t.block)
		*t = bigger
		x.tell(t)
	}
}

// drop gives old back, which is empty.
func (x *index) drop() {
	if x.old.block != 0 {
		x.heap.Free(x.old.block)
	}
	x.old, x.moved, x.oldAt, x.growing = table{}, 0, 0, false
}

// free gives all tables back.
func (x *index) free() {
	x.drop()
	if x.current.block != 0 {
		x.heap.Free(x.current.block)
	}
	x.current, x.n = table{}, 0
}

// each calls visit for the records of hashes from on, ascending, until it was
// called limit times or more: all records of one hash are visited together. It
// returns the hash to go on with; hashEnd is the end. visit may change records
// in place, but neither add, remove nor move one.
func (x *index) each(from uint32, limit int, visit func(arena.Ref)) (next uint32) {
	w := walk{limit: limit, visit: visit}
	split := uint32(hashEnd)
	if x.growing {
		split = x.moved
	}
	if next, more := w.over(&x.current, from, split); more {
		return next
	}
	if next, more := w.over(&x.old, max(from, split), hashEnd); more {
		return next
	}
	return hashEnd
}

// appendRecords is each that appends the records to list.
func (x *index) appendRecords(from uint32, limit int, list []arena.Ref) (all []arena.Ref, next uint32) {
	if from == 0 && !x.growing && x.n <= limit {
		left := x.n
		for _, entry := range x.current.entries {
			if left == 0 {
				break
			}
			if entry != 0 {
				list = append(list, refOf(entry))
				left--
			}
		}
		return list, hashEnd
	}
	next = x.each(from, limit, func(at arena.Ref) { list = append(list, at) })
	return list, next
}

// walk is one call of each.
type walk struct {
	limit, visited int
	last           uint32
	visit          func(arena.Ref)
}

// over visits the records of t with hashes from low on and below high. If there are
// too many, more is true and next the first that is left.
func (w *walk) over(t *table, low, high uint32) (next uint32, more bool) {
	if low >= high || t.block == 0 {
		return 0, false
	}
	for _, entry := range t.entries[t.home(low):] {
		hash := hashOf(entry)
		if entry == 0 || hash < low {
			continue
		}
		if hash >= high {
			return 0, false
		}
		if w.visited >= w.limit && hash != w.last {
			return hash, true
		}
		w.visit(refOf(entry))
		w.visited++
		w.last = hash
	}
	return 0, false
}

// fewPlaces is in how many places a record is looked for that has a number of others
// before it.
const fewPlaces = 32

// random returns a record, each equally likely if the numbers are uniform.
func (x *index) random(number func() uint32) arena.Ref {
	if entries := x.current.entries; !x.growing && len(entries) <= fewPlaces {
		left := int(number() % uint32(x.n))
		for _, entry := range entries {
			if entry == 0 {
				continue
			}
			if left--; left < 0 {
				return refOf(entry)
			}
		}
	}
	places := uint32(len(x.current.entries) + len(x.old.entries))
	for {
		i := int(number() % places)
		if i < len(x.current.entries) {
			if entry := x.current.entries[i]; entry != 0 {
				return refOf(entry)
			}
			continue
		}
		if entry := x.old.entries[i-len(x.current.entries)]; entry != 0 && hashOf(entry) >= x.moved {
			return refOf(entry)
		}
	}
}

// compact moves the tables out of sparse pages.
func (x *index) compact() (moved int) {
	for _, t := range []*table{&x.current, &x.old} {
		if t.block == 0 || !x.heap.Sparse(t.block) {
			continue
		}
		size := len(t.entries) * 8
		block := x.heap.Alloc(size)
		entries := entriesAt(x.heap.Memory(), block, len(t.entries))
		copy(entries, t.entries)
		x.heap.Free(t.block)
		t.block, t.entries = block, entries
		moved++
	}
	if moved > 0 {
		x.tell(&x.current)
	}
	return moved
}

// bytes is the memory of the tables.
func (x *index) bytes() int { return 8 * (len(x.current.entries) + len(x.old.entries)) }
