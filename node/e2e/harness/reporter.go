package harness

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// Reporter is what a Rig needs of the test that it serves. *testing.T is one;
// Console is one for programs that are not tests.
type Reporter interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	// Fatalf reports and does not return.
	Fatalf(format string, args ...any)
	Failed() bool
	// Cleanup registers fn to run at the end, last registered first.
	Cleanup(fn func())
}

// Console reports to a terminal. Its owner calls Close at the end; Fatalf does
// so by itself and ends the program with status 1.
type Console struct {
	out io.Writer

	mu      sync.Mutex // guards the rest
	failed  bool
	cleanup []func()
}

// NewConsole returns a Reporter that writes lines to out.
func NewConsole(out io.Writer) *Console { return &Console{out: out} }

// Helper does nothing: a console has no call sites to hide.
func (c *Console) Helper() {}

// Logf prints a line.
func (c *Console) Logf(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

// Errorf prints a line and remembers that something failed.
func (c *Console) Errorf(format string, args ...any) {
	c.mu.Lock()
	c.failed = true
	c.mu.Unlock()
	c.Logf("error: "+format, args...)
}

// Fatalf prints a line, cleans up and ends the program.
func (c *Console) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	c.Close()
	os.Exit(1)
}

// Failed reports whether Errorf was called.
func (c *Console) Failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// Cleanup registers fn for Close.
func (c *Console) Cleanup(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cleanup = append(c.cleanup, fn)
}

// Close runs what Cleanup registered, last first. It may be called again.
func (c *Console) Close() {
	for {
		c.mu.Lock()
		if len(c.cleanup) == 0 {
			c.mu.Unlock()
			return
		}
		last := len(c.cleanup) - 1
		fn := c.cleanup[last]
		c.cleanup = c.cleanup[:last]
		c.mu.Unlock()
		fn()
	}
}
