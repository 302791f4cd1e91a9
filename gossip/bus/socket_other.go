//go:build !linux

package bus

import (
	"errors"
	"syscall"
)

// limitSilence has no portable form: a cut link is found by keep-alive.
func limitSilence(string, string, syscall.RawConn) error { return nil }

// writesNow says that tryWrite can not be used: every message takes the queue.
const writesNow = false

func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
