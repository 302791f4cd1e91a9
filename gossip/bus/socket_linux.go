package bus

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// limitSilence sets TCP_USER_TIMEOUT; without it the kernel waits for minutes.
func limitSilence(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silentFor.Milliseconds()))
	})
	return errors.Join(err, failed)
}

// writesNow says that tryWrite can be used.
const writesNow = true

// tryWrite writes what the socket takes of text without waiting for more room.
func tryWrite(raw syscall.RawConn, text []byte) (sent int, err error) {
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		sent, failed = unix.Write(int(fd), text)
		return true
	})
	if failed == unix.EAGAIN || failed == unix.EINTR {
		sent, failed = 0, nil
	}
	return max(sent, 0), errors.Join(err, failed)
}
