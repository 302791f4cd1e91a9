package server

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A loop that blocks in epoll_wait keeps a processor of the runtime until the
// runtime's monitor thread takes it away, and until then, 10 ms when nobody else
// wants it, that thread looks every 20 µs. A busy loop never gets there; a calm
// one would spend most of its time on this. So a loop whose waits are long has the
// runtime wait for its epoll instead, which costs one more system call when
// something happens, and nothing while nothing does.
const (
	dozeFrom  = 10e6 // a wait so long, in nanoseconds, is followed by a doze
	dozeUntil = 2e6  // and one so short by a plain wait
)

// doze is how a loop waits while little happens.
type doze struct {
	epoll int
	// file is a duplicate of the epoll that the runtime watches; nil while the
	// loop is busy: it would be told of each event then.
	file   *os.File
	raw    syscall.RawConn
	look   func(fd uintptr) bool
	events []unix.EpollEvent
	n      int
	broken bool // the runtime does not watch an epoll here
}

func newDoze(epoll int) *doze {
	d := &doze{epoll: epoll}
	d.look = func(uintptr) bool {
		d.n = epollWait(d.epoll, d.events, 0)
		return d.n > 0
	}
	return d
}

// wait is epollWait with a timeout that is not 0.
func (d *doze) wait(events []unix.EpollEvent, timeoutMs int) int {
	if d.file == nil && !d.begin() {
		return epollWait(d.epoll, events, timeoutMs)
	}
	deadline := time.Time{}
	if timeoutMs > 0 {
		deadline = time.Now().Add(time.Duration(timeoutMs) * time.Millisecond)
	}
	if err := d.file.SetReadDeadline(deadline); err != nil {
		d.broken = true
		d.end()
		return epollWait(d.epoll, events, timeoutMs)
	}
	d.events, d.n = events, 0
	_ = d.raw.Read(d.look) // os.ErrDeadlineExceeded is a wait without events
	d.events = nil
	return d.n
}

// begin gives the runtime something to watch.
func (d *doze) begin() bool {
	if d.broken {
		return false
	}
	fd, err := unix.FcntlInt(uintptr(d.epoll), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false // no descriptor is left
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		d.broken = true
		return false
	}
	d.file = os.NewFile(uintptr(fd), "epoll")
	if d.raw, err = d.file.SyscallConn(); err != nil {
		d.broken = true
		d.end()
		return false
	}
	return true
}

// end has the runtime watch no more.
func (d *doze) end() {
	if d.file != nil {
		_ = d.file.Close()
		d.file, d.raw = nil, nil
	}
}
