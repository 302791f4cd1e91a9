package bus

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// LevelVerbose is where the membership's own log goes: below notice, above
// debug. What an operator must know the bus says itself.
const LevelVerbose = slog.Level(-2)

// quietFor is how long a class of lines is silent after one was written.
const quietFor = 5 * time.Second

// quietLines is how many lines of all classes are written in quietFor.
// Strangers can invent classes, because some name the node that is complained
// about.
const quietLines = 50

// quietLog writes at most one line of a class every quietFor: what strangers
// send to the bus port must not fill the disk.
type quietLog struct {
	log *slog.Logger

	mu      sync.Mutex
	classes map[string]*quietClass
	began   time.Time // of the span that lines counts in
	lines   int
}

type quietClass struct {
	last       time.Time
	suppressed int
}

// maxClasses bounds quietLog.classes; classes that name a node could be many.
const maxClasses = 512

func newQuietLog(log *slog.Logger) *quietLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &quietLog{log: log, classes: make(map[string]*quietClass)}
}

// line writes text unless a line of class was written lately.
func (q *quietLog) line(level slog.Level, class, text string, args ...any) {
	if !q.log.Enabled(context.Background(), level) {
		return
	}
	now := time.Now()
	q.mu.Lock()
	if now.Sub(q.began) >= quietFor {
		q.began, q.lines = now, 0
	}
	c := q.classes[class]
	if c == nil {
		if len(q.classes) >= maxClasses {
			clear(q.classes)
		}
		c = &quietClass{}
		q.classes[class] = c
	}
	if !c.last.IsZero() && now.Sub(c.last) < quietFor || q.lines >= quietLines {
		c.suppressed++
		q.mu.Unlock()
		return
	}
	suppressed := c.suppressed
	q.lines++
	c.last, c.suppressed = now, 0
	q.mu.Unlock()
	if suppressed > 0 {
		args = append(args, "suppressed", suppressed)
	}
	q.log.Log(context.Background(), level, text, args...)
}

// Write takes a line of memberlist's log, which is [LEVEL] memberlist: text.
// The class is its first three words, which name what happened and not to whom.
func (q *quietLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level := slog.LevelDebug
	if strings.HasPrefix(text, "[ERR") || strings.HasPrefix(text, "[WARN") {
		level = LevelVerbose
	}
	if _, rest, found := strings.Cut(text, "memberlist: "); found {
		text = rest
	}
	class := text
	for i, words := 0, 0; i < len(text); i++ {
		if text[i] == ' ' {
			if words++; words == 3 {
				class = text[:i]
				break
			}
		}
	}
	// What peers sent may be quoted in it.
	q.line(level, "memberlist "+class, "cluster membership: "+strings.ToValidUTF8(text, "?"))
	return len(line), nil
}
