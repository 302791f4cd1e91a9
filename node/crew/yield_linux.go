package crew

import "golang.org/x/sys/unix"

// Yield lets those go first whose threads the kernel has woken, event loops above
// all. The kernel by itself lets long work run to the end of its slice of some
// milliseconds, and a client waits for as long. Whoever works Aside calls Yield
// every few kilobytes. Goroutines that wait for the runtime have their turn when
// the caller goes through its scheduler, which costs a thread of its own far more
// and may be done less often.
func Yield() { _, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
