package store

import "bytes"

// index finds a record's position by the hash of its key. It is resized step by
// step: while old is there, some records are known to it only, and every
// change of the space moves a few more into current.
//
// Invariants: current refers to each record at most once, and every reference
// in it is right. References in old may be stale, for nothing is ever removed
// from it: one is believed only if the key at its position is the key that is
// looked for. Records at positions below moved are all in current.
type index struct {
	current, old table
	moved        uint32
	// small is the table of a small space. It lies here, so that looking up a
	// key waits for memory once less; current or old aliases it.
	small [smallestTable]uint64
}

// table is an open-addressing hash table, linear probing. An entry is the hash
// in the upper half and the position plus one in the lower; 0 is empty. Its
// length is a power of two.
type table []uint64

const (
	smallestTable = 8
	// stepLen is how many records a change moves out of an old table. Two would
	// be enough to be done before the next resize.
	stepLen = 8
)

func entryOf(hash, pos uint32) uint64 { return uint64(hash)<<32 | uint64(pos+1) }

// find returns the position of key.
func (x *index) find(sp *space, hash uint32, key []byte) (uint32, bool) {
	if pos, found := x.current.find(sp, hash, key); found || x.old == nil {
		return pos, found
	}
	return x.old.find(sp, hash, key)
}

func (t table) find(sp *space, hash uint32, key []byte) (uint32, bool) {
	if len(t) == 0 {
		return 0, false
	}
	mask := uint32(len(t) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		entry := t[i]
		if entry == 0 {
			return 0, false
		}
		if uint32(entry>>32) != hash {
			continue
		}
		pos := uint32(entry) - 1
		if int(pos) < sp.n && bytes.Equal(sp.at(pos).key(), key) {
			return pos, true
		}
	}
}

// insert adds an entry. There is room.
func (t table) insert(hash, pos uint32) {
	mask := uint32(len(t) - 1)
	i := hash & mask
	for t[i] != 0 {
		i = (i + 1) & mask
	}
	t[i] = entryOf(hash, pos)
}

// place returns where the entry of (hash, pos) is, or -1.
func (t table) place(hash, pos uint32) int {
	if len(t) == 0 {
		return -1
	}
	mask := uint32(len(t) - 1)
	want := entryOf(hash, pos)
	for i := hash & mask; t[i] != 0; i = (i + 1) & mask {
		if t[i] == want {
			return int(i)
		}
	}
	return -1
}

// replace makes the entry of (hash, from) one of (hash, to) and reports whether
// there was one.
func (t table) replace(hash, from, to uint32) bool {
	i := t.place(hash, from)
	if i < 0 {
		return false
	}
	t[i] = entryOf(hash, to)
	return true
}

// remove deletes the entry of (hash, pos), if there is one, and closes the gap
// by moving back those that probed past it.
func (t table) remove(hash, pos uint32) {
	at := t.place(hash, pos)
	if at < 0 {
		return
	}
	mask := uint32(len(t) - 1)
	gap := uint32(at)
	for i := (gap + 1) & mask; t[i] != 0; i = (i + 1) & mask {
		home := uint32(t[i]>>32) & mask
		// The entry may fill the gap if the gap is not before its home.
		if (i-home)&mask >= (i-gap)&mask {
			t[gap] = t[i]
			gap = i
		}
	}
	t[gap] = 0
}

// grow makes room in current for the record that was just appended to sp.
func (x *index) grow(sp *space) {
	if sp.n <= len(x.current)/4*3 {
		return
	}
	x.resize(sp, max(2*len(x.current), smallestTable))
}

// shrink gives memory back when sp has become much smaller.
func (x *index) shrink(sp *space) {
	if len(x.current) > smallestTable && sp.n < len(x.current)/8 && x.old == nil {
		x.resize(sp, len(x.current)/4)
	}
}

func (x *index) resize(sp *space, size int) {
	for x.old != nil {
		x.step(sp)
	}
	x.old, x.current, x.moved = x.current, x.table(size), 0
	if len(x.old) == 0 {
		x.old = nil
	}
}

// table returns an empty table that neither current nor old is: old is gone, and
// a current one of the smallest size is never replaced by another.
func (x *index) table(size int) table {
	if size != smallestTable {
		return make(table, size)
	}
	clear(x.small[:])
	return x.small[:]
}

// step moves a few records from old to current.
func (x *index) step(sp *space) {
	if x.old == nil {
		return
	}
	for range stepLen {
		if int(x.moved) >= sp.n {
			x.old = nil
			return
		}
		rec := sp.at(x.moved)
		if x.current.place(rec.hash, x.moved) < 0 {
			x.current.insert(rec.hash, x.moved)
		}
		x.moved++
	}
}
