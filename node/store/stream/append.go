package stream

import (
	"encoding/binary"
	"math"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// NextID returns the id for an entry that is added now and may choose its own,
// behind the last one.
func NextID(last ID, nowMs int64) ID {
	if now := uint64(nowMs); nowMs > 0 && now > last.Ms {
		return ID{Ms: now}
	}
	next, _ := last.Next()
	return next
}

// NextIDIn returns the id for an entry with these milliseconds; ok is false if
// there is none left.
func NextIDIn(last ID, ms uint64) (id ID, ok bool) {
	if ms != last.Ms {
		return ID{Ms: ms}, true
	}
	return ID{ms, last.Seq + 1}, last.Seq != math.MaxUint64
}

// Appender adds an entry to a stream in the most frequent case, when its last
// block lies in the record and has room: then only the end of the payload and a
// few numbers change. It is good until the stream changes by another way.
type Appender struct {
	cell    *value.Cell
	payload []byte
	// meta is where the numbers stand in the payload; the tail follows.
	meta int
}

// OpenAppender returns the appender of a stream; ok is false if it has none.
func OpenAppender(c *value.Cell) (a Appender, ok bool) {
	v := c.Value()
	a = Appender{cell: c, payload: v.Bytes, meta: int(v.Roots) * tree.RootSize}
	return a, len(v.Bytes) > a.meta+metaSize
}

// The words of meta that Add changes, see meta.put.
const (
	metaLength = 0
	metaAdded  = 1
	metaFirst  = 2
	metaLast   = 4
)

func (a *Appender) word(i int) uint64 { return binary.LittleEndian.Uint64(a.payload[a.meta+i*8:]) }

func (a *Appender) set(i int, n uint64) {
	binary.LittleEndian.PutUint64(a.payload[a.meta+i*8:], n)
}

// Len and LastID are those of the stream.
func (a *Appender) Len() uint64 { return a.word(metaLength) }

func (a *Appender) LastID() ID { return ID{a.word(metaLast), a.word(metaLast + 1)} }

// Add does what Stream.Add and Save do, or reports false and has changed
// nothing: then they know why.
func (a *Appender) Add(id ID, args Args, limits Limits) bool {
	if !a.LastID().Less(id) {
		return false
	}
	tail := a.payload[a.meta+metaSize:]
	lp := tail[tailIDSize:]
	count, deleted, at := counts(lp)
	most := limits.MaxBytes
	if most <= 0 {
		most = maxBlock
	}
	switch {
	case int64(len(lp)+args.size()) >= min(most, maxTail),
		limits.MaxEntries > 0 && count+deleted >= limits.MaxEntries,
		listpack.IntSize(count) != listpack.IntSize(count+1):
		return false
	}
	b := block{id: ID{binary.LittleEndian.Uint64(tail), binary.LittleEndian.Uint64(tail[8:])}, lp: lp}
	n, at := integer(lp, at)
	b.fields, b.master = int(n), at
	e := newEntry{int64(id.Ms - b.id.Ms), int64(id.Seq - b.id.Seq), b.sameFields(args), args}
	size, pieces := e.size()
	if len(lp)+size > maxTail {
		return false
	}
	have := len(a.payload)
	a.payload = a.cell.SpliceRoom(have, 0, size, tailRoom(a.meta+metaSize, have, have+size))
	lp = a.payload[a.meta+metaSize+tailIDSize:]
	listpack.PutInt(lp[listpack.HeaderSize:], count+1)
	e.put(lp[len(lp)-1-size:], pieces)
	listpack.Fix(lp, pieces+1)
	length := a.Len() + 1
	a.set(metaLength, length)
	a.set(metaAdded, a.word(metaAdded)+1)
	a.set(metaLast, id.Ms)
	a.set(metaLast+1, id.Seq)
	if length == 1 {
		a.set(metaFirst, id.Ms)
		a.set(metaFirst+1, id.Seq)
	}
	return true
}

// tailRoom is how much room a payload that grows to want bytes gets besides; base
// is where the tail begins. A block grows by small steps, up to about its usual
// size: the record doubles. What is over is less than what the reference allots a
// new block.
func tailRoom(base, have, want int) int {
	if want <= have {
		return 0
	}
	full := base + tailIDSize + int(DefaultLimits.MaxBytes)
	return min(want, max(full-want, want/8))
}
