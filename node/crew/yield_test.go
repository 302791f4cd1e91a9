package crew

import (
	"testing"
	"time"
)

// TestTurns: work that gives way to others with work without end gets turns of its
// own in between, and gives way at every call while nobody takes long.
func TestTurns(t *testing.T) {
	const piece = 50 * time.Microsecond
	for _, row := range []struct {
		name        string
		others      time.Duration
		least, most int // yields in a thousand pieces
	}{
		{"nobody", time.Microsecond, 1000, 1000},
		{"event loops", time.Millisecond, 1000, 1000},
		{"eight processes", 24 * time.Millisecond, 20, 30},
	} {
		var now time.Time
		yields := 0
		turns := Turns{now: func() time.Time { return now }, yield: func() { yields++; now = now.Add(row.others) }}
		for range 1000 {
			now = now.Add(piece)
			turns.Yield()
		}
		if yields < row.least || yields > row.most {
			t.Errorf("%s: %d yields in a thousand pieces", row.name, yields)
		}
	}
}
