package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leastAbsence is what a thread that does nothing but look at the clock may miss
// between two looks, in nanoseconds, before it asks why.
const leastAbsence = 20_000

// absence has a thread look at the clock on a core and nothing else, and returns the
// longest time between two looks, in µs: that long nothing ran there that wanted to.
// stall is the longest without what the kernel says other processes had of the core
// meanwhile; what remains is the kernel's own work, or the hypervisor's.
func (b bench) absence(cpu int, d time.Duration) (away, stall float64) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and not unlocked: the thread ends here
		var core unix.CPUSet
		core.Set(cpu)
		if err := unix.SchedSetaffinity(0, &core); err != nil {
			b.console.Fatalf("run on core %d: %v", cpu, err)
		}
		waited := threadWaited()
		begun := time.Now()
		for last := time.Duration(0); last < d; {
			now := time.Since(begun)
			if gap := now - last; gap >= leastAbsence {
				before := waited
				waited = threadWaited()
				own := gap - min(waited-before, gap)
				away, stall = max(away, microseconds(gap)), max(stall, microseconds(own))
				now = time.Since(begun)
			}
			last = now
		}
	}()
	<-done
	return away, stall
}

// threadWaited is how long the calling thread could have run and did not: the second
// number of its schedstat. It is 0 where the kernel keeps no such account.
func threadWaited() time.Duration {
	text, err := os.ReadFile("/proc/thread-self/schedstat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	waited, _ := strconv.ParseInt(fields[1], 10, 64)
	return time.Duration(waited)
}
