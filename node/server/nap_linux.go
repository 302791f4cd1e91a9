package server

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A loop that answers faster than it is asked finds one or two sockets ready each time
// it looks, and much of what it costs is to look, and to fall asleep in between. A nap
// before it looks lets requests gather, as a network card lets packets gather before it
// interrupts: the loop looks less often, and its peers are woken less often. Where ten
// connections ask as fast as they can, all of them would wait for the nap, and have a
// quarter fewer replies a second; of fifty a few do, and together they have more replies
// a second, a quarter more where loops and peers share the cores, for less of the
// processor. So a loop naps only while a nap gathers some requests and is short beside
// what a connection takes from one request to its next, and only after a round shorter
// than itself: behind a longer one they have gathered without it.
const (
	// napAsked is what is asked for, in nanoseconds; the kernel's timers add a slack
	// of 50 µs.
	napAsked   = 10e3
	napTypical = 60e3
	// napGathers is how many requests must come while it lasts, and napShare how many
	// naps must fit into the time from a connection's request to its next.
	napGathers = 2
	napShare   = 6
	// napWindow is how long is counted before it is decided.
	napWindow = 5e6
)

// nap knows how many sockets of a loop were ready lately, and how often.
type nap struct {
	// worth is true while naps are taken, which last took nanoseconds.
	worth bool
	took  int64
	// window is the number of the present window, which began at begun.
	window, begun int64
	// ready is how often a socket was ready in it, sockets how many there were.
	ready, sockets int64
}

// count is told of each socket that is ready.
func (p *nap) count(sk *socket) {
	p.ready++
	if sk.window != p.window {
		sk.window = p.window
		p.sockets++
	}
}

// decide ends the window if it is over.
func (p *nap) decide(now int64) {
	elapsed := now - p.begun
	if elapsed < napWindow {
		return
	}
	p.worth = p.worthwhile(elapsed)
	if !p.worth {
		p.average(napTypical)
	}
	p.begun, p.ready, p.sockets = now, 0, 0
	p.window++
}

func (p *nap) worthwhile(elapsed int64) bool {
	return p.ready*p.took >= napGathers*elapsed && p.sockets*elapsed >= napShare*p.took*p.ready
}

// due reports whether to nap after a round that took so long.
func (p *nap) due(round int64) bool { return p.worth && round < p.took }

// average takes in how long a nap took. What is longer than before is more often
// somebody else who had the processor than another kernel.
func (p *nap) average(took int64) {
	weight := int64(4)
	if took > p.took {
		weight = 32
	}
	p.took += (min(took, 4*napTypical) - p.took) / weight
}

// take naps.
func (p *nap) take(clock func() int64) {
	begun := clock()
	request := unix.Timespec{Nsec: napAsked}
	_, _, _ = syscall.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&request)), 0, 0)
	p.average(clock() - begun)
}
