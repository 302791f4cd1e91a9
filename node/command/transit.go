package command

import (
	"slices"
	"sync"
	"sync/atomic"

	"slotmesh/slots"
)

// transits are the keys that MIGRATE is sending. No lock is held while they are
// on the wire; clients of these keys wait outside until it is over.
type transits struct {
	// open counts the calls of Transit that are not released, so that commands
	// look further only then.
	open atomic.Int32
	mu   sync.Mutex
	list []*transit
}

// transit is one batch of keys on its way.
type transit struct {
	slot slots.Slot
	db   int
	keys map[string]struct{}
	// waiting are the calls to resume, in order.
	waiting []*Call
}

// Transit marks keys as on their way to another node: from now until release
// every command on one of them is parked, except calls that are Applied. The
// caller holds slot's lock, or calls before anybody can know the keys.
func (e *Engine) Transit(slot slots.Slot, db int, keys [][]byte) (release func()) {
	t := &transit{slot: slot, db: db, keys: make(map[string]struct{}, len(keys))}
	for _, key := range keys {
		t.keys[string(key)] = struct{}{}
	}
	e.transit.mu.Lock()
	e.transit.list = append(e.transit.list, t)
	e.transit.open.Add(1)
	e.transit.mu.Unlock()
	return sync.OnceFunc(func() {
		e.transit.mu.Lock()
		e.transit.list = slices.DeleteFunc(e.transit.list, func(other *transit) bool { return other == t })
		e.transit.open.Add(-1)
		waiting := t.waiting
		e.transit.mu.Unlock()
		for _, c := range waiting {
			c.granted()
		}
	})
}

// any reports whether a key may be in transit.
func (ts *transits) any() bool { return ts.open.Load() != 0 }

// find returns the transit that holds one of keys. The caller holds mu.
func (ts *transits) find(db int, keys [][]byte) *transit {
	for _, t := range ts.list {
		if t.db != db {
			continue
		}
		for _, key := range keys {
			if _, found := t.keys[string(key)]; found {
				return t
			}
		}
	}
	return nil
}

// holds reports whether key is in transit.
func (ts *transits) holds(db int, key []byte) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.find(db, [][]byte{key}) != nil
}

// park makes c wait, without its locks, if one of its keys is in transit.
func (ts *transits) park(e *Engine, c *Call, resume func()) bool {
	if c.Applied {
		return false
	}
	ts.mu.Lock()
	t := ts.find(c.DB, c.keys)
	if t == nil {
		ts.mu.Unlock()
		return false
	}
	t.waiting = append(t.waiting, c)
	c.granted = resume
	// The locks go before mu does: release cannot resume c while it has them.
	e.Leave(c)
	e.release(c)
	c.phase = phaseTransit
	ts.mu.Unlock()
	return true
}

// leave takes c out of whatever list it waits in.
func (ts *transits) leave(c *Call) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.list {
		t.waiting = slices.DeleteFunc(t.waiting, func(other *Call) bool { return other == c })
	}
}
