package command

import (
	"slices"
	"sync"
	"sync/atomic"

	"slotmesh/node/store"
	"slotmesh/slots"
)

// watches is the registry of WATCH: which connections look at which keys. It
// has locks of its own, so that a connection can leave it without the locks of
// its slots.
type watches struct {
	// keys counts the watched keys, so that a write looks further only when
	// there are any.
	keys   atomic.Int64
	shards [64]watchShard
}

type watchShard struct {
	sync.Mutex
	watchers map[watchedKey][]*Watcher
}

type watchedKey struct {
	db  int
	key string
}

// Watcher is what one connection watches. The zero Watcher watches nothing. Its
// methods are called by the connection's own goroutine; Touched may be called
// by any.
type Watcher struct {
	touched atomic.Bool
	keys    []watched
}

// watched is a key with what WATCH saw of it.
type watched struct {
	watchedKey
	slot slots.Slot
	// expired is true if the key was there but expired already: that it is
	// gone at EXEC is then no change.
	expired bool
}

// Touched reports whether a watched key has changed since it was watched.
func (w *Watcher) Touched() bool { return w.touched.Load() }

// Empty reports whether nothing is watched.
func (w *Watcher) Empty() bool { return len(w.keys) == 0 }

// Watch adds the keys of c to w: what the WATCH command does, under the locks
// of its keys.
func (c *Call) Watch(w *Watcher) {
	for _, key := range c.keys {
		slot := c.slotOf(key)
		at := watchedKey{c.DB, string(key)}
		shard := c.engine.watches.shard(slot)
		shard.Lock()
		watchers := shard.watchers[at]
		// Few watch a key, and one may watch a great many.
		if slices.Contains(watchers, w) {
			shard.Unlock()
			continue
		}
		if shard.watchers == nil {
			shard.watchers = make(map[watchedKey][]*Watcher)
		}
		shard.watchers[at] = append(watchers, w)
		shard.Unlock()
		ref := c.engine.store.Find(c.DB, slot, key)
		w.keys = append(w.keys, watched{
			watchedKey: at,
			slot:       slot,
			expired:    ref.OK() && ref.Expires() && ref.ExpireAt() <= c.Now,
		})
		c.engine.watches.keys.Add(1)
	}
}

// Unwatch ends what w watches: UNWATCH, DISCARD, EXEC, and a connection that
// leaves.
func (e *Engine) Unwatch(w *Watcher) {
	for _, key := range w.keys {
		shard := e.watches.shard(key.slot)
		shard.Lock()
		rest := slices.DeleteFunc(shard.watchers[key.watchedKey], func(other *Watcher) bool { return other == w })
		if len(rest) == 0 {
			delete(shard.watchers, key.watchedKey)
		} else {
			shard.watchers[key.watchedKey] = rest
		}
		shard.Unlock()
		e.watches.keys.Add(-1)
	}
	w.keys = w.keys[:0]
	w.touched.Store(false)
}

func (ws *watches) shard(slot slots.Slot) *watchShard {
	return &ws.shards[int(slot)%len(ws.shards)]
}

// touch marks everybody who watches key. The caller holds the key's slot.
func (ws *watches) touch(db int, key []byte) {
	if ws.keys.Load() == 0 {
		return
	}
	shard := ws.shard(slots.Of(key))
	shard.Lock()
	for _, w := range shard.watchers[watchedKey{db, string(key)}] {
		w.touched.Store(true)
	}
	shard.Unlock()
}

// touchAll marks everybody who watches a key that changed says of.
func (ws *watches) touchAll(changed func(watchedKey, slots.Slot) bool) {
	if ws.keys.Load() == 0 {
		return
	}
	for i := range ws.shards {
		shard := &ws.shards[i]
		shard.Lock()
		for key, watchers := range shard.watchers {
			if changed(key, slots.Of([]byte(key.key))) {
				for _, w := range watchers {
					w.touched.Store(true)
				}
			}
		}
		shard.Unlock()
	}
}

// stale reports whether EXEC must fail: a watched key changed, or expired since
// it was watched. The caller holds the slots.
func (w *Watcher) stale(s *store.Store, now int64) bool {
	if w.touched.Load() {
		return true
	}
	for i := range w.keys {
		key := &w.keys[i]
		if key.expired {
			continue
		}
		ref := s.Find(key.db, key.slot, []byte(key.key))
		if ref.OK() && ref.Expires() && ref.ExpireAt() <= now {
			return true
		}
	}
	return false
}
