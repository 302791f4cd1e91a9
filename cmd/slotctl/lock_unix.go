//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// taken locks d for as long as it is open, and reports whether somebody else has
// done so. A file system that knows no locks holds nobody up.
func taken(d *os.File) bool {
	return errors.Is(unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}
