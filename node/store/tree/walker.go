package tree

// Walker is a place in a tree with prefixes that is asked for one prefix after
// the other, in ascending order: it goes along with a walk over another tree of
// the same order.
type Walker struct {
	// c leads to the leaf, whose prefixes are these; at is the place in it.
	c        Cursor
	prefixes []uint64
	at       int
}

// walkSteps is how many items a walker passes before it searches.
const walkSteps = 12

// Walk returns a walker over a tree, which must not change meanwhile.
func (v View) Walk() (w Walker) {
	w.c.view = v
	w.find(0)
	return w
}

// Reach goes on to the first item whose prefix is not below prefix, and reports
// whether it has just that one.
func (w *Walker) Reach(prefix uint64) bool {
	for range walkSteps {
		if w.at == len(w.prefixes) {
			return false
		}
		if found := w.prefixes[w.at]; found >= prefix {
			return found == prefix
		}
		if w.at++; w.at == len(w.prefixes) && w.c.forward() {
			w.enter()
		}
	}
	if w.at < len(w.prefixes) && w.prefixes[w.at] < prefix {
		w.find(prefix)
	}
	return w.at < len(w.prefixes) && w.prefixes[w.at] == prefix
}

func (w *Walker) find(prefix uint64) {
	w.c, _ = w.c.view.Find(prefix, nil)
	w.enter()
}

// enter reads where the cursor is.
func (w *Walker) enter() {
	if w.c.view.Root.Node != 0 {
		w.prefixes, w.at = w.c.leaf().prefixes(), w.c.path[w.c.view.Root.Height].at()
	}
}

// Item returns the item that it has reached.
func (w *Walker) Item() []byte { return w.c.view.item(w.c.leaf(), w.at) }
