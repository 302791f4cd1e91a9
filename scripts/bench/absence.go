package main

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// leastAbsence is how far apart two looks at the clock may be, in nanoseconds, before
// the thread asks why.
const leastAbsence = 200_000

// readsPerLook is how many bytes it reads between two looks: what a turn of a server
// does at the least that has been sent a hundred commands.
const readsPerLook = 100

// absenceMemory is how much memory the thread looks at, in bytes: about what the
// servers have. The host of a virtual machine may take back what the machine believes to be
// resident, and whoever looks there waits for it, with processor time and no page fault.
const absenceMemory = 640 << 20

// touchedMemory is memory for absence, all of it resident.
func touchedMemory() []byte {
	memory := make([]byte, absenceMemory)
	for i := 0; i < len(memory); i += os.Getpagesize() {
		memory[i] = 1
	}
	return memory
}

// absence has a thread read bytes of memory on a core, here and there, and the clock,
// and returns the longest time between two looks at it, in µs: that long
// nothing ran there that wanted to. stall is the longest without what the kernel says
// other processes had of the core meanwhile; what remains is the kernel's own work, or
// the hypervisor's.
func (b bench) absence(cpu int, memory []byte, d time.Duration) (away, stall float64) {
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
		for last, sum := time.Duration(0), 0; last < d; {
			for range readsPerLook {
				// The next place depends on what was read here.
				sum += int(memory[(rand.IntN(len(memory))+sum)%len(memory)])
			}
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
