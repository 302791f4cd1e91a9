package command

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"slotmesh/node/store"
	"slotmesh/slots"
)

// EvictionPolicy says which keys go when memory is short. The names are those
// of maxmemory-policy.
type EvictionPolicy uint8

const (
	NoEviction EvictionPolicy = iota
	VolatileLRU
	VolatileLFU
	VolatileRandom
	VolatileTTL
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
)

var policyNames = [...]string{
	"noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
	"allkeys-lru", "allkeys-lfu", "allkeys-random",
}

// ParseEvictionPolicy returns the policy of a name, NoEviction for a name that
// there is not.
func ParseEvictionPolicy(name string) EvictionPolicy {
	return EvictionPolicy(max(slices.Index(policyNames[:], name), 0))
}

func (p EvictionPolicy) volatile() bool { return VolatileLRU <= p && p <= VolatileTTL }
func (p EvictionPolicy) random() bool   { return p == VolatileRandom || p == AllKeysRandom }

// MemoryLimit is how much memory may be used.
type MemoryLimit struct {
	// Max is in bytes, 0 for no limit.
	Max     int64
	Policy  EvictionPolicy
	Samples int
	// Lazy journals evictions as UNLINK instead of DEL: lazyfree-lazy-eviction.
	Lazy bool
	// Used is how much is used now, in bytes.
	Used func() int64
}

// eviction is what MakeRoom keeps from one call to the next.
type eviction struct {
	limit   atomic.Pointer[MemoryLimit]
	evicted atomic.Int64

	mu sync.Mutex
	// pool are the best keys to evict that were seen, the best last.
	pool []candidate
}

// candidate is a key that could go; the greater the score, the sooner.
type candidate struct {
	db    int
	slot  slots.Slot
	key   []byte
	score uint64
}

const (
	poolLen = 16
	// evictionTurn is how many keys one call evicts at most: a limit that was
	// lowered is reached in many turns, and clients are served between them.
	evictionTurn = 256
	// evictionTries is how many slots are looked at for one victim.
	evictionTries = 32
)

// SetMemoryLimit replaces the limit.
func (e *Engine) SetMemoryLimit(l MemoryLimit) { e.eviction.limit.Store(&l) }

// MakeRoom evicts keys until no more memory is used than the limit allows, or
// for one turn. It reports whether a command that needs memory may run: false if
// there is nothing left that may be evicted. A replica evicts nothing: its
// primary does. It never waits for a slot.
func (e *Engine) MakeRoom() bool {
	l := e.eviction.limit.Load()
	if l == nil || l.Max == 0 || l.Used() <= l.Max {
		return true
	}
	if e.replica.Load() {
		return true
	}
	if l.Policy == NoEviction {
		return false
	}
	e.eviction.mu.Lock()
	defer e.eviction.mu.Unlock()
	for range evictionTurn {
		if l.Used() <= l.Max {
			return true
		}
		if !e.evictOne(l) {
			return false
		}
	}
	return true
}

// evictOne deletes one key and reports whether there was one. The caller has
// eviction.mu.
func (e *Engine) evictOne(l *MemoryLimit) bool {
	for range evictionTries {
		if l.Policy.random() {
			if victim, ok := e.sample(l, 1); ok && e.evict(l, victim) {
				return true
			}
			continue
		}
		e.sample(l, l.Samples)
		for len(e.eviction.pool) > 0 {
			last := len(e.eviction.pool) - 1
			victim := e.eviction.pool[last]
			e.eviction.pool = e.eviction.pool[:last]
			if e.evict(l, victim) {
				return true
			}
		}
	}
	return false
}

// sample looks at up to n keys of random slots and takes them into the pool, as
// far as they are better than what is there. It returns the last one.
func (e *Engine) sample(l *MemoryLimit, n int) (last candidate, found bool) {
	s := e.store
	for tries := 0; n > 0 && tries < evictionTries; tries++ {
		db, slot, ok := e.randomSlot(l.Policy.volatile())
		if !ok {
			return last, found
		}
		if !e.locks.tryLock(slot) {
			continue
		}
		lane := &e.gate.lanes[e.Background()]
		lane.RLock()
		now := e.now()
		for range n {
			var ref store.Ref
			switch {
			case l.Policy == VolatileTTL:
				ref = s.FirstExpiring(db, slot)
			case l.Policy.volatile():
				ref = s.RandomExpiring(db, slot, uint32(e.Random()))
			default:
				ref = s.RandomInSlot(db, slot, func() uint32 { return uint32(e.Random()) })
			}
			if !ref.OK() {
				break
			}
			n--
			last, found = candidate{db, slot, nil, l.score(ref, now)}, true
			if e.enters(last, ref.Key()) || l.Policy.random() {
				last.key = bytes.Clone(ref.Key())
			}
			if !l.Policy.random() {
				e.pool(last)
			}
			if l.Policy == VolatileTTL || s.CountInSlot(db, slot) <= 1 {
				break
			}
		}
		lane.RUnlock()
		e.locks.unlock(slot)
	}
	return last, found
}

// score says how much a key should go.
func (l *MemoryLimit) score(ref store.Ref, now int64) uint64 {
	switch l.Policy {
	case VolatileRandom, AllKeysRandom:
		return 0
	case VolatileTTL:
		return math.MaxUint64 - uint64(ref.ExpireAt())
	case VolatileLFU, AllKeysLFU:
		return 255 - uint64(max(ref.Freq(now), 0))
	}
	return uint64(max(ref.IdleSec(now), 0))
}

// enters reports whether a candidate is good enough for the pool, and not there
// yet.
func (e *Engine) enters(c candidate, key []byte) bool {
	pool := e.eviction.pool
	if len(pool) == poolLen && c.score <= pool[0].score {
		return false
	}
	return !slices.ContainsFunc(pool, func(old candidate) bool { return old.db == c.db && bytes.Equal(old.key, key) })
}

// pool takes a candidate with a key into the pool.
func (e *Engine) pool(c candidate) {
	if c.key == nil {
		return
	}
	pool := e.eviction.pool
	if len(pool) == poolLen {
		pool = slices.Delete(pool, 0, 1)
	}
	at, _ := slices.BinarySearchFunc(pool, c.score, func(old candidate, score uint64) int { return cmp.Compare(old.score, score) })
	e.eviction.pool = slices.Insert(pool, at, c)
}

// randomSlot returns a slot with keys, or with keys that expire.
func (e *Engine) randomSlot(volatile bool) (db int, slot slots.Slot, ok bool) {
	s := e.store
	first := int(e.Random() % uint64(s.Databases()))
	for i := range s.Databases() {
		db = (first + i) % s.Databases()
		if s.Len(db) == 0 {
			continue
		}
		from := slots.Slot(e.Random() % slots.Count)
		if volatile {
			slot, ok = s.NextExpiring(db, from)
		} else if slot, ok = s.NextUsed(db, int(from)); !ok {
			slot, ok = s.NextUsed(db, 0)
		}
		if ok {
			return db, slot, true
		}
	}
	return 0, 0, false
}

// evict deletes a key, if it is still there, still should go as much as when it was
// sampled and its slot is free.
func (e *Engine) evict(l *MemoryLimit, victim candidate) bool {
	if !e.locks.tryLock(victim.slot) {
		return false
	}
	lane := &e.gate.lanes[e.Background()]
	lane.RLock()
	ref := e.store.Find(victim.db, victim.slot, victim.key)
	gone := ref.OK() && (!l.Policy.volatile() || ref.Expires()) && l.score(ref, e.now()) >= victim.score && !e.replica.Load() &&
		!(e.transit.any() && e.transit.holds(victim.db, victim.key))
	if gone {
		word := wordDel
		if l.Lazy {
			word = wordUnlink
		}
		e.store.Delete(victim.db, victim.slot, victim.key)
		e.eviction.evicted.Add(1)
		if e.journal.Active() {
			e.journal.Append(victim.db, victim.slot, [][]byte{word, victim.key})
		}
	}
	if gone {
		e.changedOutside(victim.db, victim.slot, victim.key)
	}
	lane.RUnlock()
	e.locks.unlock(victim.slot)
	return gone
}
