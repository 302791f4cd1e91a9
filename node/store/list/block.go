package list

import (
	"encoding/binary"

	"slotmesh/node/store/listpack"
)

const (
	// packedMax is the longest payload of the packed form, repackMax how little
	// must be left of a large list to be packed again.
	packedMax = 2 << 10
	repackMax = packedMax / 8
	// blockMax is the greatest block that is not one element's. With what the tree
	// adds it fills a block of the arena.
	blockMax = 8<<10 - 8
	// blockMin is how large a block begins, in a list of fewer than manyBlocks.
	// From there on one that is half empty does not count.
	blockMin   = 1<<10 - 8
	manyBlocks = 8
	// startSize is what a block says before its listpack: where that begins.
	startSize = 2
	// loneMax is the longest entry that shares a block.
	loneMax = blockMax - startSize - listpack.EmptySize
	// mergedMax is how long the block may be that two neighbours are merged to: not
	// so long that it is soon divided again.
	mergedMax = blockMax * 3 / 4
)

// packOf returns the listpack in a block.
func packOf(block []byte) []byte {
	at := int(binary.LittleEndian.Uint16(block))
	n := int(binary.LittleEndian.Uint32(block[at:]))
	return block[at : at+n : at+n]
}

// usedBy is how large a block with this listpack must be.
func usedBy(lp []byte) int { return startSize + len(lp) }

// newPack makes block one with an empty listpack, which leaves the room to the
// front, or to the back.
func newPack(block []byte, front bool) {
	at := startSize
	if front {
		at = len(block) - listpack.EmptySize
	}
	binary.LittleEndian.PutUint16(block, uint16(at))
	listpack.PutEmpty(block[at : at+listpack.EmptySize])
}

// fillBlock makes block one with lp, at its beginning.
func fillBlock(block, lp []byte) {
	binary.LittleEndian.PutUint16(block, startSize)
	copy(block[startSize:], lp)
}

// slide moves the listpack of block to the one end, so that all room is at the
// other, front or back. size is its length.
func slide(block []byte, size int, front bool) {
	at := int(binary.LittleEndian.Uint16(block))
	to := startSize
	if front {
		to = len(block) - size
	}
	copy(block[to:to+size], block[at:at+size])
	binary.LittleEndian.PutUint16(block, uint16(to))
}

// roomIn returns the room at one end of block, whose listpack is lp.
func roomIn(block, lp []byte, front bool) int {
	at := int(binary.LittleEndian.Uint16(block))
	if front {
		return at - startSize
	}
	return len(block) - at - len(lp)
}

// put adds an entry of need bytes at one end of the listpack, where there is
// room.
func put(block, lp, text []byte, need int, front bool) {
	at := int(binary.LittleEndian.Uint16(block))
	count := binary.LittleEndian.Uint16(lp[4:])
	size := len(lp) + need
	if front {
		at -= need
		binary.LittleEndian.PutUint16(block, uint16(at))
		listpack.Put(block[at+listpack.HeaderSize:], text)
	} else {
		listpack.Put(block[at+len(lp)-1:], text)
	}
	header(block[at:at+size], count+1)
}

// header writes what is around the entries of lp.
func header(lp []byte, count uint16) {
	binary.LittleEndian.PutUint32(lp, uint32(len(lp)))
	binary.LittleEndian.PutUint16(lp[4:], count)
	lp[len(lp)-1] = 0xff
}

// drop removes n entries, size bytes long, from one end of the listpack.
func drop(block, lp []byte, n, size int, front bool) {
	at := int(binary.LittleEndian.Uint16(block))
	count := binary.LittleEndian.Uint16(lp[4:])
	if front {
		at += size
		binary.LittleEndian.PutUint16(block, uint16(at))
	}
	header(block[at:at+len(lp)-size], count-uint16(n))
}

// splice replaces remove bytes at pos of the listpack by insert bytes, which are
// to be filled, and returns the listpack, which is to be fixed. The block has
// room for that somewhere.
func splice(block []byte, pos, remove, insert int) []byte {
	at := int(binary.LittleEndian.Uint16(block))
	size := len(packOf(block))
	more := insert - remove
	to := at
	switch {
	case more <= 0 && pos < size-pos-remove:
		to = at - more // the entries before are fewer
	case len(block)-at-size >= more:
	case at-startSize >= more:
		to = at - more
	default:
		to = startSize
	}
	tail := block[at+pos+remove : at+size]
	if to <= at {
		copy(block[to:], block[at:at+pos])
		copy(block[to+pos+insert:], tail)
	} else {
		copy(block[to:to+pos], block[at:at+pos])
	}
	binary.LittleEndian.PutUint16(block, uint16(to))
	return block[to : to+size+more]
}

// placeOf returns where entry k of lp begins: the end if there are no more than k. It walks
// from the nearer end.
func placeOf(lp []byte, k int) int {
	if k >= listpack.Len(lp) {
		return listpack.End(lp)
	}
	return listpack.Seek(lp, k)
}

// firstOf returns where the first of those entries equal to text lies that go if up to
// limit, which is not 0, are taken out from the front on or, with back, from the back on.
// It is -1 if there are none.
func firstOf(lp, text []byte, limit int, back bool) int {
	if !back {
		return listpack.Find(lp, listpack.First(lp), 0, text)
	}
	first := -1
	for pos := listpack.Last(lp); limit > 0; limit-- {
		if pos = listpack.FindBack(lp, pos, text); pos < 0 {
			break
		}
		first = pos
		pos = listpack.Prev(lp, pos)
	}
	return first
}

// sift takes entries equal to text out of lp, from the one at first on and limit at most,
// and returns how long lp is then and how many there were. Its header is right
// afterwards.
func sift(lp, text []byte, first, limit int) (size, removed int) {
	count := listpack.Len(lp)
	to, next := first, first
	for removed < limit && next >= 0 {
		from := listpack.Skip(lp, next, 1)
		removed++
		next = -1
		if removed < limit && from < listpack.End(lp) {
			next = listpack.Find(lp, from, 0, text)
		}
		end := listpack.End(lp)
		if next >= 0 {
			end = next
		}
		to += copy(lp[to:], lp[from:end])
	}
	size = to + 1
	header(lp[:size], uint16(min(count-removed, listpack.UnknownLen)))
	return size, removed
}

// countFrom returns how many entries of lp equal text, from the one at first, which does,
// on, up to limit.
func countFrom(lp, text []byte, first, limit int) (n int) {
	for pos := first; pos >= 0; {
		if n++; n == limit {
			break
		}
		if pos = listpack.Next(lp, pos); pos >= 0 {
			pos = listpack.Find(lp, pos, 0, text)
		}
	}
	return n
}
