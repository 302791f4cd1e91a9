//go:build unix && !linux

package harness

import (
	"errors"
	"syscall"
	"time"
)

// childAttributes has no parent-death signal to ask for here: a Rig whose
// process is killed leaves its children behind.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// cpuTime knows no clock of another process here.
func cpuTime(int) (time.Duration, error) {
	return 0, errors.New("harness: only Linux tells another process's processor time")
}

// takeTurn does not wait: run these tests with -p 1.
func takeTurn() (release func(), err error) { return func() {}, nil }
