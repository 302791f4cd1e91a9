package sim

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// trace keeps what happened, for the reader of a failure. Runs are many and
// failures few: a run keeps its trace only when asked, and a failing seed is
// run again with it.
type trace struct {
	lines []string
}

func (w *world) tracef(format string, args ...any) {
	if w.tracing {
		w.trace.lines = append(w.trace.lines, fmt.Sprintf("%10.6f ", w.now.Seconds())+fmt.Sprintf(format, args...))
	}
}

// String joins the lines.
func (t *trace) String() string { return strings.Join(t.lines, "\n") }

// digest is equal for equal runs.
func (t *trace) digest() uint64 {
	h := fnv.New64a()
	for _, line := range t.lines {
		h.Write([]byte(line))
	}
	return h.Sum64()
}
