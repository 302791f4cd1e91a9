package store

import "sync/atomic"

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

// overwritten is the mark of a key that gets a new value: its frequency stays.
func (k *clock) overwritten(mark uint32, now int64) uint32 {
	if k.lfu.Load() {
		return mark
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
	k := &r.store.clock
	rec := r.record()
	if !k.lfu.Load() {
		rec.clock = seconds(now)
		return
	}
	counter := k.decayed(rec.clock, now)
	if counter < 255 {
		base := int64(max(counter, lfuInit) - lfuInit)
		// One in base*logFactor+1 accesses counts.
		if uint64(r.space.next())*uint64(base*k.logFactor.Load()+1) < 1<<32 {
			counter++
		}
	}
	rec.clock = minutes(now)<<8 | counter
}

// IdleSec is the time since the last access, -1 if frequencies are kept.
func (r Ref) IdleSec(now int64) int64 {
	idle, _ := r.store.clock.access(r.record().clock, now)
	return idle
}

// Freq is the access counter, 0 to 255, or -1 if idle times are kept.
func (r Ref) Freq(now int64) int {
	_, freq := r.store.clock.access(r.record().clock, now)
	return freq
}

// SetAccess sets whichever of the two the policy keeps; a negative one is left
// alone.
func (r Ref) SetAccess(idleSec int64, freq int, now int64) {
	rec := r.record()
	switch {
	case r.store.clock.lfu.Load() && freq >= 0:
		rec.clock = minutes(now)<<8 | uint32(min(freq, 255))
	case !r.store.clock.lfu.Load() && idleSec >= 0:
		rec.clock = (seconds(now) - uint32(min(idleSec, clockMask))) & clockMask
	}
}

// next is a random number (xorshift); the slot is locked.
func (sp *space) next() uint32 {
	x := sp.random
	x ^= x << 13
	x ^= x >> 17
	x ^= x << 5
	sp.random = x
	return x
}
