package list

import "slotmesh/node/store/listpack"

// Bundle gathers elements in Go's memory, for a list that a command makes: most
// are short, and then are written to where they stay in one piece. Its zero value
// is empty, and its memory is used again after Reset and Take.
type Bundle struct{ lp []byte }

// bundleFull is from which length on a bundle makes a block.
const bundleFull = blockMax * 3 / 4

// Reset empties the bundle.
func (b *Bundle) Reset() { b.lp = b.lp[:0] }

// Add adds an element behind the last one.
func (b *Bundle) Add(text []byte) { b.lp = listpack.Push(b.Listpack(), text) }

// AddInt is Add of an integer's text.
func (b *Bundle) AddInt(n int64) { b.lp = listpack.PushInt(b.Listpack(), n) }

// Full reports whether it is time to Take what was gathered.
func (b *Bundle) Full() bool { return len(b.lp) >= bundleFull }

// Listpack is what was gathered, good until the bundle changes. See Packed for
// whether it is a list as it is.
func (b *Bundle) Listpack() []byte {
	if len(b.lp) == 0 {
		b.lp = listpack.AppendEmpty(b.lp)
	}
	return b.lp
}

// Take returns what was gathered, for PushPack, and empties the bundle.
func (b *Bundle) Take() []byte {
	lp := b.Listpack()
	b.Reset()
	return lp
}
