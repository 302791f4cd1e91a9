package server

// Barrier is the promise about the disk under which replies leave: a reply goes
// when everything that the execution of its command could have observed is as
// lasting as the node promises.
type Barrier interface {
	// Position is how far the journal is: what a reply that is to leave now has
	// to wait for.
	Position() int64
	// Passed reports whether the promise is kept up to pos, after doing for it
	// what can be done at once. wrote says that a reply of a write is to leave.
	Passed(pos int64, wrote bool) bool
	// Notify calls fn once, from any goroutine, when Passed may have another
	// answer for pos.
	Notify(pos int64, fn func())
}

// passesBarrier asks the barrier about the output at hand, and holds it if the
// promise is not kept yet. Output that was held waits for what it waited for
// before, however far the journal has gone meanwhile, unless the reply of a request
// that was under way has come to it.
func (s *session) passesBarrier() bool {
	b := s.srv.barrier
	if waiting := len(s.out.Buf) - s.sent; !s.barred || waiting > s.barredBytes {
		s.barredAt, s.barredBytes = b.Position(), waiting
	}
	if b.Passed(s.barredAt, s.outWrote) {
		s.barred = false
		return true
	}
	s.barred, s.held = true, true
	s.keepOutput(s.out.Buf[s.sent:])
	s.bound()
	b.Notify(s.barredAt, func() { s.tr.post(s.letGo) })
	return false
}
