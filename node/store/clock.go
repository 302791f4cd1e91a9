package store

import (
	"sync/atomic"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/value"
)

// clock keeps the time of access, or its frequency, in 24 bits of a record: the
// second of the last access, or the minute of the last decay and a logarithmic
// counter of accesses. Source: the reference's LRU and LFU clocks.
type clock struct {
	lfu                  atomic.Bool
	logFactor, decayTime atomic.Int64
}

const (
	clockBits = 24
	clockMask = 1<<clockBits - 1
	// lfuInit is the counter of a new key, so that it is not the first to go.
	lfuInit = 5
)

func (k *clock) init() {
	k.logFactor.Store(10)
	k.decayTime.Store(1)
}

// follow takes over what another clock keeps.
func (k *clock) follow(other *clock) {
	k.lfu.Store(other.lfu.Load())
	k.logFactor.Store(other.logFactor.Load())
	k.decayTime.Store(other.decayTime.Load())
}

// SetAccessPolicy chooses what is kept of accesses: frequency if lfu, else the
// time of the last one. logFactor and decayMin are lfu-log-factor and
// lfu-decay-time. It may be called at any time; old marks are read anew.
func (s *Store) SetAccessPolicy(lfu bool, logFactor, decayMin int) {
	s.clock.lfu.Store(lfu)
	s.clock.logFactor.Store(int64(logFactor))
	s.clock.decayTime.Store(int64(decayMin))
}

// LFU reports whether frequencies are kept rather than idle times.
func (s *Store) LFU() bool { return s.clock.lfu.Load() }

// fresh is the mark of a new key.
func (k *clock) fresh(now int64) uint32 {
	if k.lfu.Load() {
		return minutes(now)<<8 | lfuInit
	}
	return seconds(now)
}

func seconds(now int64) uint32 { return uint32(now/1000) & clockMask }
func minutes(now int64) uint32 { return uint32(now/60000) & 0xffff }

// decayed is the counter of mark as of now.
func (k *clock) decayed(mark uint32, now int64) uint32 {
	counter := mark & 0xff
	decay := k.decayTime.Load()
	if decay == 0 {
		return counter
	}
	elapsed := int64((minutes(now) - mark>>8) & 0xffff)
	return counter - min(counter, uint32(elapsed/decay))
}

// access returns what mark says: seconds of idleness or the counter, and -1 for
// the other.
func (k *clock) access(mark uint32, now int64) (idleSec int64, freq int) {
	if k.lfu.Load() {
		return -1, int(k.decayed(mark, now))
	}
	return int64((seconds(now) - mark) & clockMask), -1
}

// Touch marks an access.
func (r Ref) Touch(now int64) {
	sp := r.space()
	value.SetClock(sp.store.memory, r.At(), sp.touched(r.At(), now))
}

// touched is the mark of the record at at after one more access.
func (sp *space) touched(at arena.Ref, now int64) uint32 {
	k := &sp.store.clock
	if !k.lfu.Load() {
		return seconds(now)
	}
	counter := k.decayed(value.Clock(sp.store.memory, at), now)
	if counter < 255 {
		base := int64(max(counter, lfuInit) - lfuInit)
		// One in base*logFactor+1 accesses counts.
		if uint64(sp.next())*uint64(base*k.logFactor.Load()+1) < 1<<32 {
			counter++
		}
	}
	return minutes(now)<<8 | counter
}

func (r Ref) mark() uint32 { return value.Clock(r.space().store.memory, r.At()) }

// IdleSec is the time since the last access, -1 if frequencies are kept.
func (r Ref) IdleSec(now int64) int64 {
	idle, _ := r.space().store.clock.access(r.mark(), now)
	return idle
}

// Freq is the access counter, 0 to 255, or -1 if idle times are kept.
func (r Ref) Freq(now int64) int {
	_, freq := r.space().store.clock.access(r.mark(), now)
	return freq
}

// SetAccess sets whichever of the two the policy keeps; a negative one is left
// alone.
func (r Ref) SetAccess(idleSec int64, freq int, now int64) {
	s := r.space().store
	switch {
	case s.clock.lfu.Load() && freq >= 0:
		value.SetClock(s.memory, r.At(), minutes(now)<<8|uint32(min(freq, 255)))
	case !s.clock.lfu.Load() && idleSec >= 0:
		value.SetClock(s.memory, r.At(), (seconds(now)-uint32(min(idleSec, clockMask)))&clockMask)
	}
}
