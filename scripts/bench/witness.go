package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"slotmesh/node/e2e/harness"
)

// witnessPeriod is how often a witness wakes, and leastAbsence how late it has to be
// to say so, in nanoseconds.
const (
	witnessPeriod = 250_000
	leastAbsence  = 500_000
)

// absence is a time during which a core ran nobody who wanted to: nanoseconds of
// the monotonic clock, which all processes share.
type absence struct{ begun, ended int64 }

// witness is a process of real-time priority on one core: whoever else runs there makes
// room whenever it wakes. When it wakes late all the same then the core was not there,
// for anyone: the hypervisor ran others, or fetched memory that the host had taken back.
type witness struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	// absences are in order of time. gone is true once the process has ended: nobody knows
	// of absences then.
	absences []absence
	gone     bool
}

// witnessArgument makes this program the witness of the core that follows it.
const witnessArgument = "witness-of-core"

// watch starts the witness of a core.
func (b bench) watch(core int) *witness {
	self, err := os.Executable()
	if err != nil {
		b.console.Fatalf("path of this program: %v", err)
	}
	w := &witness{cmd: exec.Command(self, witnessArgument, strconv.Itoa(core))}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		b.console.Fatalf("output of the witness: %v", err)
	}
	if err := w.cmd.Start(); err != nil {
		b.console.Fatalf("start the witness: %v", err)
	}
	b.console.Cleanup(w.end)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var a absence
			if n, _ := fmt.Sscan(lines.Text(), &a.begun, &a.ended); n == 2 {
				w.mu.Lock()
				w.absences = append(w.absences, a)
				w.mu.Unlock()
			}
		}
		w.mu.Lock()
		w.gone = true
		w.mu.Unlock()
	}()
	return w
}

func (w *witness) end() {
	w.cmd.Process.Kill()
	w.cmd.Wait()
}

// longest returns the longest absence, in µs, of which a part lay in that time, and no
// number if there is no witness, who needs the right to real-time priority.
func (w *witness) longest(begun, ended int64) (µs float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return math.NaN()
	}
	for _, a := range w.absences {
		if a.begun < ended && a.ended > begun {
			µs = max(µs, microseconds(time.Duration(a.ended-a.begun)))
		}
	}
	return µs
}

// bearWitness is the witness: it prints the absences of the core as they end, until
// it is killed.
func bearWitness(core string) error {
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	cpu, err := strconv.Atoi(core)
	if err != nil {
		return fmt.Errorf("core %q: %w", core, err)
	}
	var only unix.CPUSet
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("run on core %d: %w", cpu, err)
	}
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0); err != nil {
		return fmt.Errorf("real-time priority: %w", err)
	}
	for last := monotonic(); ; {
		due := unix.NsecToTimespec(last + witnessPeriod)
		if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &due, nil); err != nil && err != unix.EINTR {
			return fmt.Errorf("sleep: %w", err)
		}
		now := monotonic()
		if now-last-witnessPeriod >= leastAbsence {
			fmt.Println(last+witnessPeriod, now)
			now = monotonic()
		}
		last = now
	}
}

// monotonic is the clock that all processes of a machine share, in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}

// turnWindow is how often the longest turn is asked for: the longest absence within it
// is put down to the turn.
const turnWindow = 20 * time.Millisecond

// turns are the longest turns of a server's event loops in µs: as the clock says,
// without what other processes had of the core, and without that and the longest
// absence of the core near it.
type turns struct{ whole, own, present float64 }

// turnsUntil watches the turns of p, with a witness on its core, until over.
func (w *witness) turnsUntil(p *harness.Process, over func() bool) (longest turns) {
	type window struct {
		begun, ended int64
		own          float64
	}
	var windows []window
	p.Do("CONFIG", "RESETSTAT")
	for begun := monotonic(); !over(); {
		time.Sleep(turnWindow)
		tells := p.Info("debug")
		whole, own := microsOf(tells, "eventloop_duration_max"), microsOf(tells, "eventloop_own_duration_max")
		p.Do("CONFIG", "RESETSTAT")
		ended := monotonic()
		if len(whole) > 0 && len(own) > 0 {
			longest.whole, longest.own = max(longest.whole, whole[0]), max(longest.own, own[0])
			windows = append(windows, window{begun, ended, own[0]})
		}
		begun = ended
	}
	for _, look := range windows {
		longest.present = max(longest.present, look.own-w.longest(look.begun, look.ended))
	}
	return longest
}
