package store

import (
	"encoding/binary"
	"slices"

	"slotmesh/slots"
)

// space is one database's part of one slot: records side by side without gaps.
// The position of a record changes only when another one is deleted: the last
// takes the place of the deleted one. So a walk from the highest position down
// meets every record that is there all the while, whatever is added and
// deleted meanwhile: a record can move down only from a place that was walked,
// or from above the end to below it, where the walk is still to come.
type space struct {
	home *database
	slot slots.Slot

	// chunks hold the records; all but the last are full. The first grows by
	// doubling, so that a small slot is small.
	chunks [][]record
	// first is where chunks begins, in place of an array of its own.
	first [1][]record
	n     int
	index index
	heap  []deadline
	// deadlines is the sum of what is in heap.
	deadlines int64
	random    uint32
}

const (
	chunkBits = 8
	chunkLen  = 1 << chunkBits
)

// record is one key. What the collector has to follow is one pointer, to a
// block of bytes without pointers: the key, then the value.
type record struct {
	blob    []byte
	hash    uint32
	keyLen  uint32
	version uint32
	clock   uint32
	// ttl is the place in the space's heap plus one, 0 for no expiry.
	ttl  uint32
	kind Kind
	enc  Encoding
	// shared is set while a snapshot may still read blob: it is then replaced,
	// not changed.
	shared bool
}

func (rec *record) key() []byte { return rec.blob[:rec.keyLen:rec.keyLen] }

func (rec *record) value() Value {
	content := rec.blob[rec.keyLen:]
	if rec.kind == KindString && rec.enc == EncInt {
		return Value{Enc: EncInt, Int: int64(binary.LittleEndian.Uint64(content))}
	}
	return Value{Kind: rec.kind, Enc: rec.enc, Bytes: content[:len(content):len(content)]}
}

// write makes v the value. key is the record's own or that of a new record.
func (rec *record) write(key []byte, v Value) {
	isInt := v.Kind == KindString && v.Enc == EncInt
	size := len(v.Bytes)
	if isInt {
		size = 8
	}
	need := len(key) + size
	if rec.shared || need > cap(rec.blob) || cap(rec.blob) > 2*need+64 {
		// append rounds up to what the allocator gives anyway.
		grown := slices.Grow([]byte(nil), need)[:need]
		copy(grown, key)
		if !isInt {
			copy(grown[len(key):], v.Bytes)
		}
		rec.blob, rec.shared = grown, false
	} else {
		rec.blob = rec.blob[:need]
		copy(rec.blob[len(key):], v.Bytes)
	}
	if isInt {
		binary.LittleEndian.PutUint64(rec.blob[len(key):], uint64(v.Int))
	}
	rec.kind, rec.enc = v.Kind, v.Enc
}

// greedyBytes bounds what a growing string gets beyond its need.
const greedyBytes = 1 << 20

// edit makes the string value raw and at least size long and returns it.
func (rec *record) edit(size int) []byte {
	keyLen := int(rec.keyLen)
	v := rec.value()
	old := v.TextLen()
	size = max(size, old)
	need := keyLen + size
	switch {
	case v.Enc == EncInt || rec.shared || need > cap(rec.blob):
		room := need
		if size > old && v.Enc == EncRaw {
			room += min(need, greedyBytes)
		}
		grown := slices.Grow([]byte(nil), room)[:keyLen]
		copy(grown, rec.key())
		grown = v.AppendText(grown)
		clear(grown[len(grown):need])
		rec.blob, rec.shared = grown[:need], false
	default:
		clear(rec.blob[keyLen+old : need])
		rec.blob = rec.blob[:need]
	}
	rec.enc = EncRaw
	return rec.blob[keyLen:need:need]
}

// at returns the record at pos.
func (sp *space) at(pos uint32) *record {
	return &sp.chunks[pos>>chunkBits][pos&(chunkLen-1)]
}

// find returns the position of key, whose hash is given.
func (sp *space) find(hash uint32, key []byte) (uint32, bool) {
	return sp.index.find(sp, hash, key)
}

// insert appends rec and returns its position. Its blob is not yet there.
func (sp *space) insert(rec record) uint32 {
	pos := uint32(sp.n)
	chunk := pos >> chunkBits
	if sp.chunks == nil {
		sp.chunks = sp.first[:0]
	}
	if int(chunk) == len(sp.chunks) {
		var fresh []record
		if chunk > 0 {
			fresh = make([]record, 0, chunkLen)
		}
		sp.chunks = append(sp.chunks, fresh)
	}
	sp.chunks[chunk] = append(sp.chunks[chunk], rec)
	sp.n++
	sp.index.grow(sp)
	sp.index.current.insert(rec.hash, pos)
	sp.index.step(sp)
	return pos
}

// remove deletes the record at pos, which has no expiry any more, and moves the
// last one there.
func (sp *space) remove(pos uint32) {
	last := uint32(sp.n - 1)
	sp.index.current.remove(sp.at(pos).hash, pos)
	if pos != last {
		moved := sp.at(last)
		*sp.at(pos) = *moved
		if moved.ttl != 0 {
			sp.heap[moved.ttl-1].pos = pos
		}
		if !sp.index.current.replace(moved.hash, last, pos) {
			sp.index.current.insert(moved.hash, pos)
		}
	}
	*sp.at(last) = record{}
	sp.n--
	chunk := last >> chunkBits
	sp.chunks[chunk] = sp.chunks[chunk][:last&(chunkLen-1)]
	if len(sp.chunks[chunk]) == 0 {
		sp.chunks[chunk] = nil
		sp.chunks = sp.chunks[:chunk]
	}
	sp.index.shrink(sp)
	sp.index.step(sp)
}
