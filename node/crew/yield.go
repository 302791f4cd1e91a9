package crew

import "time"

// Turns has one piece of long work give way to others, and event loops above all.
// The kernel by itself lets long work run to the end of its slice of some
// milliseconds, and a client waits for as long. Whoever works Aside calls Yield
// every few kilobytes. The zero Turns is ready; it is for one goroutine.
type Turns struct {
	// until is when it is to give way again.
	until time.Time
	// now and yield are the clock and the kernel, unless a test says otherwise.
	now   func() time.Time
	yield func()
}

const (
	// crowded is how long a turn of the others takes at least that is not an event
	// loop's: whole slices of processes with work without end.
	crowded = 2 * time.Millisecond
	// ownTurn is how long the work goes on after such a turn. A yield hands the
	// processor to everybody who wants it: with eight such processes that is 24 ms, and
	// the work would come to 50 microseconds in between.
	ownTurn = 2 * time.Millisecond
)

// Yield lets those go first whose threads the kernel has woken, unless others have
// just had their turn and took long. Goroutines that wait for the runtime have
// theirs when the caller goes through its scheduler, which costs a thread of its own
// far more and may be done less often.
func (t *Turns) Yield() {
	if t.now == nil {
		t.now, t.yield = time.Now, yield
	}
	begun := t.now()
	if begun.Before(t.until) {
		return
	}
	t.yield()
	if end := t.now(); end.Sub(begun) >= crowded {
		t.until = end.Add(ownTurn)
	}
}
