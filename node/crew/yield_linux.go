package crew

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Yield lets those go first who wait for a processor: goroutines in the runtime,
// and event loops whose threads the kernel has woken. The kernel by itself lets
// long work run to the end of its slice of some milliseconds, and a client waits
// for as long. Whoever works in the background for longer than that calls Yield
// every few kilobytes.
func Yield() {
	runtime.Gosched()
	_, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
}
