package server

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A doze reports what a plain wait would: events that were there before it began,
// events that come during it, and none at its end.
func TestDoze(t *testing.T) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(bell)
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: 7}); err != nil {
		t.Fatal(err)
	}
	ring := func() {
		if _, err := unix.Write(bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Error(err)
		}
	}
	hush := func() { _, _ = unix.Read(bell, make([]byte, 8)) }
	d := newDoze(epoll)
	defer d.end()
	events := make([]unix.EpollEvent, 4)
	for round := range 3 {
		ring()
		if n := d.wait(events, 10_000); n != 1 || events[0].Fd != 7 {
			t.Fatalf("round %d: %d events before the wait, %v", round, n, events[0])
		}
		hush()
		begun := time.Now()
		if n := d.wait(events, 20); n != 0 || time.Since(begun) < 20*time.Millisecond {
			t.Fatalf("round %d: %d events after %v, nothing happened", round, n, time.Since(begun))
		}
		for _, timeout := range []int{10_000, -1} {
			time.AfterFunc(5*time.Millisecond, ring)
			if n := d.wait(events, timeout); n != 1 || events[0].Fd != 7 {
				t.Fatalf("round %d: %d events during the wait, %v", round, n, events[0])
			}
			hush()
		}
		if d.broken || d.file == nil {
			t.Fatal("the runtime does not watch the epoll")
		}
		d.end()
	}
}
