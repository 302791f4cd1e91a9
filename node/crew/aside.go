package crew

import "runtime"

// Aside runs work, which takes long, with a thread for itself. Threads that the
// runtime hands from goroutine to goroutine are all the same to the kernel: to one
// that has long worked at a snapshot and then runs an event loop it owes nothing,
// and lets it wait. Kept apart, the loops' threads are those that mostly sleep, and
// run at once when they are woken.
func Aside(work func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	work()
}
