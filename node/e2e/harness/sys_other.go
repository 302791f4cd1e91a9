//go:build unix && !linux

package harness

import "syscall"

// childAttributes has no parent-death signal to ask for here: a Rig whose
// process is killed leaves its children behind.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// takeTurn does not wait: run these tests with -p 1.
func takeTurn() (release func(), err error) { return func() {}, nil }
