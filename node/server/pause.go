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

// PauseReason says who holds commands back. What one has begun, no other one ends.
type PauseReason int

const (
	// PauseByClient is CLIENT PAUSE.
	PauseByClient PauseReason = iota
	PauseForShutdown
	PauseForFailover
	PauseForReload
	pauseReasons
)

// pause is which commands are held back, why and until when, and who waits for that.
type pause struct {
	// mode is the strictest of those in force.
	mode atomic.Int32

	mu      sync.Mutex
	inForce [pauseReasons]struct {
		mode  PauseMode
		until time.Time
	}
	timer   *time.Timer
	waiting []func()
}

// PauseClients holds back the commands of mode for d. What is held back for the same
// reason is never shortened or weakened by another call. Source: the reference's
// pauseClients.
func (srv *Server) PauseClients(why PauseReason, mode PauseMode, d time.Duration) {
	srv.changePause(func(p *pause, now time.Time) {
		one := &p.inForce[why]
		one.mode = max(one.mode, mode)
		if until := now.Add(d); until.After(one.until) {
			one.until = until
		}
	})
}

// UnpauseClients ends what was begun for that reason.
func (srv *Server) UnpauseClients(why PauseReason) {
	srv.changePause(func(p *pause, now time.Time) { p.inForce[why].until = now })
}

// pauseOver is called when one of the pauses may be over.
func (srv *Server) pauseOver() { srv.changePause(func(*pause, time.Time) {}) }

// changePause changes what is in force, ends what is over, and lets those go on who
// may.
func (srv *Server) changePause(change func(p *pause, now time.Time)) {
	p := &srv.pause
	p.mu.Lock()
	now := time.Now()
	change(p, now)
	mode, next := pauseNone, time.Time{}
	for i := range p.inForce {
		one := &p.inForce[i]
		if !now.Before(one.until) {
			one.mode = pauseNone
			continue
		}
		mode = max(mode, one.mode)
		if next.IsZero() || one.until.Before(next) {
			next = one.until
		}
	}
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if !next.IsZero() {
		p.timer = time.AfterFunc(next.Sub(now), srv.pauseOver)
	}
	var waiting []func()
	if PauseMode(p.mode.Swap(int32(mode))) > mode {
		// Some of them may be held back anew.
		waiting, p.waiting = p.waiting, nil
	}
	p.mu.Unlock()
	for _, wake := range waiting {
		wake()
	}
}

// paused parks the session if the pause holds its request back. EXEC is judged
// by what it would run.
func (s *session) paused(row *row) bool {
	p := &s.srv.pause
	if p.mode.Load() == int32(pauseNone) || s.flags&flagReplica != 0 {
		return false
	}
	writes := row.spec.Flags&(command.Write|command.MayReplicate) != 0
	if row.needs&isExec != 0 && s.tx != nil {
		writes = s.tx.writes
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if mode := PauseMode(p.mode.Load()); mode == pauseNone || mode == PauseWrites && !writes {
		return false
	}
	s.suspend(parkGate)
	park := s.park
	p.waiting = append(p.waiting, func() { s.wakeLater(park) })
	return true
}
