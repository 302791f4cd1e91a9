package command

import "sync/atomic"

// counters are those of one lane.
type counters struct {
	hits, misses, dirty atomic.Int64
}

// counted is what a call has counted since it was booked in its lane.
type counted struct {
	hits, misses, dirty int64
}

// book adds what was counted, and forgets it.
func (c *counters) book(n *counted) {
	if n.hits != 0 {
		c.hits.Add(n.hits)
	}
	if n.misses != 0 {
		c.misses.Add(n.misses)
	}
	if n.dirty != 0 {
		c.dirty.Add(n.dirty)
	}
	*n = counted{}
}

// Stats are counters since the start.
type Stats struct {
	// Hits and Misses count the reads that found their key and that did not.
	Hits, Misses int64
	// Expired counts the keys deleted because their time was over.
	Expired int64
	// ExpiredFields counts the fields of hashes deleted because their time was over.
	ExpiredFields int64
	// Evicted counts the keys deleted because memory was short.
	Evicted int64
	// Dirty counts changes, as the save points do.
	Dirty int64
}

// Stats returns the counters. ResetStats sets all but Dirty to zero.
func (e *Engine) Stats() Stats {
	s := Stats{Expired: e.expired.Load(), ExpiredFields: e.expiredFields.Load(), Evicted: e.eviction.evicted.Load()}
	for i := range e.gate.lanes {
		c := &e.gate.lanes[i].counters
		s.Hits += c.hits.Load()
		s.Misses += c.misses.Load()
		s.Dirty += c.dirty.Load()
	}
	return s
}

// ResetStats is CONFIG RESETSTAT for what the engine counts.
func (e *Engine) ResetStats() {
	e.expired.Store(0)
	e.expiredFields.Store(0)
	e.eviction.evicted.Store(0)
	for i := range e.gate.lanes {
		e.gate.lanes[i].hits.Store(0)
		e.gate.lanes[i].misses.Store(0)
	}
}
