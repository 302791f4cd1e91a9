package list

import (
	"encoding/binary"

	"slotmesh/node/store/listpack"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// List is a list open for change. It holds nothing of its own: any number may be
// open of one cell, one after the other.
type List struct{ c *value.Cell }

// Open returns the list of a cell, which is of KindList: a key's, or a draft's.
func Open(c *value.Cell) List { return List{c} }

// Read returns a reader, good until the list changes.
func (l List) Read() Reader { return Read(l.c.Value()) }

// Len is the number of elements.
func (l List) Len() int {
	r := l.Read()
	return r.n
}

// The middle of all positions: where a list begins.
const origin = 1 << 63

// big is a large list open for change. save keeps what became of it. It does not
// refer to the cell, which would move that to Go's heap.
type big struct {
	t     tree.Tree
	first uint64
	n     int
}

// open fills b, which is in the place where it will be used: it is too large to
// be handed around.
func (l List) open(b *big, payload []byte) {
	b.t.Memory = l.c.Memory()
	b.t.Root.Parse(payload)
	l.c.SpaceOf(&b.t)
	b.first, b.n = parseState(payload[tree.RootSize:])
}

func (b *big) save(c *value.Cell) {
	p := c.Edit()
	b.t.Root.Put(p)
	putState(p[tree.RootSize:], b.first, b.n)
}

// Push adds an element in front of the first or behind the last one, and returns
// how many there are.
func (l List) Push(text []byte, front bool) int {
	texts := [1][]byte{text}
	return l.PushAll(texts[:], front)
}

// PushAll is Push for several elements, one after the other: those that come to
// the front have the opposite order then.
func (l List) PushAll(texts [][]byte, front bool) int {
	if l.c.Roots() == 0 {
		lp := l.c.Payload()
		size := max(len(lp), listpack.EmptySize)
		for i := 0; i < len(texts) && size <= packedMax; i++ {
			size += listpack.EntrySize(texts[i])
		}
		if size <= packedMax {
			return l.pushPacked(lp, texts, size, front)
		}
		l.unpack(lp)
	}
	n, done := l.pushInPlace(texts, front)
	if done == len(texts) {
		return n
	}
	return l.pushLarge(texts[done:], front)
}

// pushInPlace adds those elements, from the first on, that the block at an end of a large
// list has room for, and returns how many there are and how many it has added. Where no
// snapshot reads that is what most pushes come to: of the tree nothing changes, and of the
// payload the two numbers.
func (l List) pushInPlace(texts [][]byte, front bool) (n, done int) {
	if l.c.Frozen() {
		return 0, 0
	}
	p := l.c.Edit()
	v := tree.View{Memory: l.c.Memory()}
	v.Root.Parse(p)
	state := p[tree.RootSize:]
	first, n := parseState(state)
	if n == 0 {
		return 0, 0
	}
	block := v.End(!front)
	for _, text := range texts {
		lp, need := packOf(block), listpack.EntrySize(text)
		if roomIn(block, lp, front) < need {
			break
		}
		put(block, lp, text, need, front)
		done++
	}
	if n += done; front {
		first -= uint64(done)
	}
	putState(state, first, n)
	return n, done
}

// pushLarge adds elements to a large list.
func (l List) pushLarge(texts [][]byte, front bool) int {
	var b big
	l.open(&b, l.c.Payload())
	for _, text := range texts {
		b.push(text, listpack.EntrySize(text), front)
	}
	b.save(l.c)
	return b.n
}

// pushPacked adds elements to a packed list, which has size bytes then.
func (l List) pushPacked(lp []byte, texts [][]byte, size int, front bool) int {
	pos := listpack.HeaderSize
	if len(lp) == 0 {
		lp = l.c.Splice(0, 0, size)
		listpack.PutEmpty(lp[:listpack.EmptySize])
	} else {
		if !front {
			pos = listpack.End(lp)
		}
		room := 0
		if len(lp) > 128 {
			room = len(lp) / 8
		}
		lp = l.c.SpliceRoom(pos, 0, size-len(lp), room)
	}
	for i := range texts {
		text := texts[i]
		if front {
			text = texts[len(texts)-1-i]
		}
		pos += listpack.Put(lp[pos:], text)
	}
	listpack.Fix(lp, len(texts))
	return listpack.Len(lp)
}

// unpack makes a packed list a large one, which may be empty.
func (l List) unpack(lp []byte) {
	b := big{first: origin, t: tree.Tree{View: tree.View{Memory: l.c.Memory()}, Space: l.c.Space()}}
	if len(lp) > 0 {
		b.n = listpack.Len(lp)
	}
	if b.n > 0 {
		fillBlock(b.t.Append(origin, usedBy(lp)), lp)
	}
	l.c.Splice(0, len(lp), tree.RootSize+stateSize)
	l.c.SetRoots(1)
	b.save(l.c)
}

// repack makes a large list that consists of lp a packed one.
func (b *big) repack(c *value.Cell, lp []byte) {
	p := c.Splice(0, tree.RootSize+stateSize, len(lp))
	copy(p, lp)
	c.SetRoots(0)
	b.t.Free()
}

// push adds an element at an end.
func (b *big) push(text []byte, need int, front bool) {
	if b.n > 0 {
		var c tree.Cursor
		b.end(&c, front)
		block := c.Item()
		fits := roomIn(block, packOf(block), front) >= need
		if !fits && b.widen(&c, need, front) {
			block, fits = c.Item(), true
		}
		if fits {
			block = b.t.Resize(&c, len(block))
			put(block, packOf(block), text, need, front)
			b.grown(front)
			return
		}
		b.tighten(&c)
		b.fixHead()
	}
	b.addBlock(text, need, front)
	b.grown(front)
}

// end puts c at the block at an end.
func (b *big) end(c *tree.Cursor, front bool) {
	rank := 0
	if !front {
		rank = b.t.Len() - 1
	}
	b.t.SeekAt(c, rank)
}

// grown counts an element that came at an end.
func (b *big) grown(front bool) {
	b.n++
	if front {
		b.first--
	}
}

// widen makes room for need bytes at an end of the block at c, or reports that
// it is full.
func (b *big) widen(c *tree.Cursor, need int, front bool) bool {
	block := c.Item()
	used := usedBy(packOf(block))
	switch {
	case used+need > blockMax:
		return false
	case len(block)-used >= max(need, len(block)/4):
		block = b.t.Resize(c, len(block))
	case len(block) >= blockMax:
		return false
	default:
		block = b.t.Resize(c, blockSize(used+need, len(block)))
	}
	slide(block, used-startSize, front)
	return true
}

// blockSize is the size that a block of size have grows to, to hold need.
func blockSize(need, have int) int {
	return min(max(blockMin, have+have/4, need+need/8), blockMax)
}

// tighten gives back the room of a block that comes to lie inside the list, if it
// is worth it.
func (b *big) tighten(c *tree.Cursor) {
	block := c.Item()
	lp := packOf(block)
	if used := usedBy(lp); len(block)-used > len(block)/8 {
		slide(b.t.Resize(c, len(block)), len(lp), false)
		b.t.Resize(c, used)
	}
}

// fixHead makes the prefix of the first block the position of its first element.
func (b *big) fixHead() {
	if b.t.Len() == 0 {
		return
	}
	if c := b.t.At(0); c.Prefix() != b.first {
		b.t.SetPrefix(&c, b.first)
	}
}

// addBlock puts a new block with one element at an end. The caller counts the
// element.
func (b *big) addBlock(text []byte, need int, front bool) {
	at, position := b.t.Len(), b.first+uint64(b.n)
	if front {
		at, position = 0, b.first-1
	}
	c := b.t.At(at)
	b.insertBlock(&c, position, text, need, front)
}

// insertBlock puts a new block with one element before c, which is then there.
func (b *big) insertBlock(c *tree.Cursor, position uint64, text []byte, need int, front bool) {
	size := startSize + listpack.EmptySize + need
	switch {
	case need > loneMax:
	case b.t.Len() < manyBlocks:
		size = blockSize(size, 0)
	default:
		size = blockMax
	}
	block := b.t.Insert(c, position, size)
	newPack(block, front && need <= loneMax)
	if need > loneMax {
		lp := block[startSize:]
		listpack.Put(lp[listpack.HeaderSize:], text)
		header(lp, 1)
		return
	}
	put(block, packOf(block), text, need, front)
}

// Pop removes the first or the last element, appends it to dst, and returns how
// many are left. The list must not be empty; an empty one is to be deleted.
func (l List) Pop(front bool, dst []byte) (_ []byte, left int) {
	v := l.c.Value()
	if v.Roots == 0 {
		lp := v.Bytes
		pos, size := endEntry(lp, front)
		dst = listpack.AppendText(dst, lp, pos)
		lp = l.c.Splice(pos, size, 0)
		listpack.Fix(lp, -1)
		return dst, listpack.Len(lp)
	}
	var b big
	l.open(&b, v.Bytes)
	dst = b.pop(front, dst)
	if !b.settle(l.c) {
		b.save(l.c)
	}
	return dst, b.n
}

// endEntry returns the place and the size of the first or the last entry.
func endEntry(lp []byte, front bool) (pos, size int) {
	if front {
		return listpack.HeaderSize, listpack.Skip(lp, listpack.HeaderSize, 1) - listpack.HeaderSize
	}
	pos = listpack.Last(lp)
	return pos, listpack.End(lp) - pos
}

func (b *big) pop(front bool, dst []byte) []byte {
	var c tree.Cursor
	b.end(&c, front)
	block := c.Item()
	lp := packOf(block)
	pos, size := endEntry(lp, front)
	dst = listpack.AppendText(dst, lp, pos)
	b.n--
	if front {
		b.first++
	}
	left := len(lp) - size
	if left == listpack.EmptySize {
		b.t.Delete(&c)
		return dst
	}
	block = b.t.Resize(&c, len(block))
	drop(block, packOf(block), 1, size, front)
	if len(block) > blockMin && 8*left < len(block) {
		slide(block, left, false)
		b.t.Resize(&c, max(blockMin, 2*(startSize+left)))
	}
	return dst
}

// settle packs what is left of a list if that is very little, and reports so:
// then there is nothing to save.
func (b *big) settle(cell *value.Cell) bool {
	if b.t.Len() != 1 {
		return false
	}
	c := b.t.At(0)
	lp := packOf(c.Item())
	if len(lp) > repackMax {
		return false
	}
	b.repack(cell, lp)
	return true
}

// Packed reports whether lp, a valid listpack, is a list as it lies in the record of
// its key.
func Packed(lp []byte) bool { return len(lp) > listpack.EmptySize && len(lp) <= packedMax }

// PushPack adds the elements of a listpack behind the last one, as it is where
// that fits. It aliases nothing. lp has been validated.
func (l List) PushPack(lp []byte) {
	n := listpack.Len(lp)
	if n == 0 {
		return
	}
	v := l.c.Value()
	if v.Roots == 0 && len(v.Bytes) == 0 && Packed(lp) {
		copy(l.c.Splice(0, 0, len(lp)), lp)
		return
	}
	if len(lp) > 2*blockMax || binary.LittleEndian.Uint16(lp[4:]) == listpack.UnknownLen {
		var scratch [20]byte
		for pos := listpack.First(lp); pos >= 0; {
			text, number, isInt, next := listpack.Entry(lp, pos)
			if isInt {
				text = Text{Int: number, IsInt: true}.Append(scratch[:0])
			}
			l.Push(text, false)
			pos = next
		}
		return
	}
	entries := lp[listpack.HeaderSize:listpack.End(lp)]
	if v.Roots == 0 {
		if have := len(v.Bytes); have > 0 && have+len(entries) <= packedMax {
			end := listpack.End(v.Bytes)
			p := l.c.SpliceRoom(end, 0, len(entries), have/8)
			copy(p[end:], entries)
			listpack.Fix(p, n)
			return
		}
		l.unpack(v.Bytes)
		v = l.c.Value()
	}
	var b big
	l.open(&b, v.Bytes)
	if b.n == 0 || !b.join(entries, n) {
		if b.n > 0 {
			var c tree.Cursor
			b.end(&c, false)
			b.tighten(&c)
			b.fixHead()
		}
		fillBlock(b.t.Append(b.first+uint64(b.n), usedBy(lp)), lp)
	}
	b.n += n
	b.save(l.c)
}

// join adds n entries to the last block, if they are few for a block of their own and it
// has room. The caller counts them.
func (b *big) join(entries []byte, n int) bool {
	if len(entries) >= blockMax/4 {
		return false
	}
	var c tree.Cursor
	b.end(&c, false)
	block := c.Item()
	lp := packOf(block)
	if usedBy(lp)+len(entries) > blockMax || roomIn(block, lp, false) < len(entries) && !b.widen(&c, len(entries), false) {
		return false
	}
	block = b.t.Resize(&c, len(c.Item()))
	lp = packOf(block)
	at := int(binary.LittleEndian.Uint16(block))
	copy(block[at+listpack.End(lp):], entries)
	header(block[at:at+len(lp)+len(entries)], binary.LittleEndian.Uint16(lp[4:])+uint16(n))
	return true
}
