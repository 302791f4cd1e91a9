package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childAttributes make the kernel kill a process when the thread that started
// it ends. The group of its own keeps a terminal's Ctrl-C away from it: its Rig
// stops it in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// cpuTime reads the processor-time clock of a process: /proc/pid/stat counts in
// hundredths of a second, and the sum over its tasks' schedstat forgets threads
// that have ended. Source: clock_getcpuclockid(3); the number of such a clock is
// the complement of the process id above three bits, of which 2 is the
// scheduler's count.
func cpuTime(pid int) (time.Duration, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &used); err != nil {
		return 0, fmt.Errorf("harness: processor-time clock of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()), nil
}

// takeTurn waits until no other test process of this user holds the lock and
// returns what gives it back. The kernel gives it back when the process dies.
func takeTurn() (release func(), err error) {
	path := filepath.Join(os.TempDir(), "slotmesh-e2e-"+strconv.Itoa(os.Getuid())+".lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("harness: lock file: %w", err)
	}
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("harness: lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}
