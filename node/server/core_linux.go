package server

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// core tells how long a loop had to wait for a processor that somebody else's
// process had: what is long in a turn for that reason says something of the machine
// and nothing of the node. It never says too much: what other threads of this
// process used meanwhile counts as if it had been taken from the loop, on whichever
// processor that was, and time that a hypervisor took is not known to it.
//
// The kernel's account has no time in it, so that what happened in a turn is only
// known to whoever has looked before. To look costs a microsecond, which is too much
// for each turn and nothing for one in a millisecond. What the thread may have waited
// between the look and the turn's begin is then not put down to the turn.
type core struct {
	// thread is the one that the loop ran on at the last look, and file the kernel's
	// account of it, negative if there is none.
	thread, file int
	at           int64
	usage        coreUsage
	known        bool
}

// coreUsage are nanoseconds since the thread or the process began.
type coreUsage struct {
	// waited is how long the thread could have run and did not.
	waited int64
	// thread and process are what they used of processors.
	thread, process int64
}

// lookEvery is how old a look may be when a turn begins.
const lookEvery = 1e6

// begin is called when a turn begins.
func (c *core) begin(now int64) {
	if now-c.at >= lookEvery {
		c.at = now
		c.follow(unix.Gettid())
		c.usage, c.known = c.look()
	}
}

// taken returns for how many nanoseconds of the turn that began at begun, at least,
// other processes had the processor. It is called when the turn ends.
func (c *core) taken(begun int64) int64 {
	if !c.known || unix.Gettid() != c.thread {
		return 0
	}
	now, ok := c.look()
	if !ok {
		return 0
	}
	return now.taken(c.usage, begun-c.at)
}

// taken returns how long, at least, the thread waited for other processes between
// the look at before and the one at u, less the first so many nanoseconds.
func (u coreUsage) taken(before coreUsage, first int64) int64 {
	others := (u.process - before.process) - (u.thread - before.thread)
	return max(u.waited-before.waited-max(others, 0)-first, 0)
}

// follow opens the account of the thread that the loop runs on now.
func (c *core) follow(thread int) {
	if thread == c.thread {
		return
	}
	c.close()
	c.thread = thread
	file, err := unix.Open("/proc/self/task/"+strconv.Itoa(thread)+"/schedstat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		c.file = file
	}
}

// look reads the accounts of the thread that it runs on.
func (c *core) look() (u coreUsage, ok bool) {
	if c.file < 0 {
		return u, false
	}
	var text [64]byte
	n, err := unix.Pread(c.file, text[:], 0)
	if err != nil {
		// It was the account of a thread of the same number that has ended.
		c.close()
		c.thread = 0
		return u, false
	}
	if u.waited, ok = secondNumber(text[:n]); !ok {
		return u, false
	}
	u.thread, u.process = cpuClock(unix.CLOCK_THREAD_CPUTIME_ID), cpuClock(unix.CLOCK_PROCESS_CPUTIME_ID)
	return u, true
}

func (c *core) close() {
	if c.file >= 0 {
		unix.Close(c.file)
		c.file = -1
	}
}

// secondNumber reads the second of the decimal numbers in text, which is as the
// kernel writes it.
func secondNumber(text []byte) (n int64, ok bool) {
	words := 0
	for i, b := range text {
		switch {
		case b < '0' || b > '9':
			if words == 2 {
				return n, true
			}
			continue
		case i == 0 || text[i-1] < '0' || text[i-1] > '9':
			words++
		}
		if words == 2 {
			n = 10*n + int64(b-'0')
		}
	}
	return 0, false
}

func cpuClock(clock int32) int64 {
	var t unix.Timespec
	if unix.ClockGettime(clock, &t) != nil {
		return 0
	}
	return t.Nano()
}
