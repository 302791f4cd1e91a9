package server

import (
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
)

// PauseMode says which commands CLIENT PAUSE holds back.
type PauseMode int32

const (
	pauseNone PauseMode = iota
	// PauseWrites holds back commands that may change data or that replicas
	// would see.
	PauseWrites
	// PauseAll holds back every command, CLIENT UNPAUSE too as in the reference.
	PauseAll
)

// pause is CLIENT PAUSE: its mode, when it ends, and who waits for that.
type pause struct {
	mode atomic.Int32

	mu      sync.Mutex
	until   time.Time
	timer   *time.Timer
	waiting []func()
}

// PauseClients holds back the commands of mode for d. A pause under way is
// never shortened or weakened by another one.
func (srv *Server) PauseClients(mode PauseMode, d time.Duration) {
	p := &srv.pause
	p.mu.Lock()
	defer p.mu.Unlock()
	until := time.Now().Add(d)
	if until.After(p.until) {
		p.until = until
		if p.timer != nil {
			p.timer.Stop()
		}
		p.timer = time.AfterFunc(d, srv.pauseOver)
	}
	if int32(mode) > p.mode.Load() {
		p.mode.Store(int32(mode))
	}
}

// UnpauseClients ends the pause.
func (srv *Server) UnpauseClients() { srv.unpause() }

func (srv *Server) pauseOver() {
	p := &srv.pause
	p.mu.Lock()
	over := !time.Now().Before(p.until)
	p.mu.Unlock()
	if over {
		srv.unpause()
	}
}

func (srv *Server) unpause() {
	p := &srv.pause
	p.mu.Lock()
	p.mode.Store(int32(pauseNone))
	p.until = time.Time{}
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	waiting := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, wake := range waiting {
		wake()
	}
}

// paused parks the session if the pause holds its request back. EXEC is judged
// by what it would run.
func (s *session) paused(row *row) bool {
	p := &s.srv.pause
	mode := PauseMode(p.mode.Load())
	if mode == pauseNone || s.flags&flagReplica != 0 {
		return false
	}
	writes := row.spec.Flags&(command.Write|command.MayReplicate) != 0
	if row.needs&isExec != 0 && s.tx != nil {
		writes = s.tx.writes
	}
	if mode == PauseWrites && !writes {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode.Load() == int32(pauseNone) {
		return false
	}
	s.suspend(parkGate)
	park := s.park
	p.waiting = append(p.waiting, func() { s.wakeLater(park) })
	return true
}
