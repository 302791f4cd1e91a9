package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// unit is what a task counts.
type unit string

const (
	keys      unit = "keys"
	fileBytes unit = "bytes"
)

// lineEvery is how often a task says how far it is when nobody sees a bar.
const lineEvery = 5 * time.Second

// progress tells the operator what is being done, on standard error: a bar on a
// terminal, a line now and then elsewhere.
type progress struct{ quiet bool }

// say prints a line.
func (p progress) say(format string, args ...any) {
	if !p.quiet {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// task is one step with a known size. It is safe for concurrent use.
type task struct {
	progress
	title string
	unit  unit
	total int64
	bar   *progressbar.ProgressBar // nil without a terminal

	mu   sync.Mutex // guards the rest
	done int64
	said time.Time
}

// begin announces a task of total units, which may be an estimate.
func (p progress) begin(title string, total int64, of unit) *task {
	t := &task{progress: p, title: title, unit: of, total: total, said: time.Now()}
	if p.quiet {
		return t
	}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		p.say("%s: %d %s", title, total, of)
		return t
	}
	t.bar = progressbar.NewOptions64(
		max(total, 1),
		progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetDescription(title),
		progressbar.OptionShowCount(),
		progressbar.OptionShowBytes(of == fileBytes),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(string(of)),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(),
	)
	return t
}

// add says that n more units are done.
func (t *task) add(n int64) {
	if t.quiet {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done += n
	if t.bar != nil {
		// The total was counted while clients write: the bar ends at it.
		_ = t.bar.Set64(min(t.done, t.bar.GetMax64()-1))
		return
	}
	if time.Since(t.said) >= lineEvery {
		t.said = time.Now()
		t.say("%s: %d of %d %s", t.title, t.done, t.total, t.unit)
	}
}

// note prints a line that matters, beside the bar.
func (t *task) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		_ = t.bar.Clear()
	}
	fmt.Fprintf(os.Stderr, "slotctl: "+format+"\n", args...)
}

// end takes the bar away.
func (t *task) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		_ = t.bar.Clear()
	}
}
