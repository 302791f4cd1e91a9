package command

import (
	"bytes"
	"runtime"

	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/slots"
)

// expiryTurn is how many keys, or fields, the active cycle deletes while it holds a slot.
const expiryTurn = 16

// ExpireCycle deletes up to budget expired keys and fields of hashes and journals
// each deletion. It
// returns how many it deleted; less than budget means that none is left. The
// caller runs it often, from a goroutine, on a primary; on a replica it does
// nothing. Live keys are not looked at.
func (e *Engine) ExpireCycle(budget int) int {
	deleted := 0
	now := e.now()
	for slot, more := e.store.NextDue(0, now); more && deleted < budget; slot, more = e.store.NextDue(slot, now) {
		n := 0
		e.WithSlot(slot, func() { n = e.expireSlot(slot, now, min(expiryTurn, budget-deleted)) })
		deleted += n
		if n == 0 {
			slot++ // somebody else was quicker, or the role has changed
			if slot == slots.Count {
				break
			}
		}
		runtime.Gosched()
	}
	return deleted
}

// Compact does one step of a walk that moves blocks out of sparse pages, and
// reports whether there is more of it. It is for a goroutine, as Engine.WithSlot.
func (e *Engine) Compact(walk *store.Compaction) (more bool) {
	slot, more := walk.Next()
	if more {
		e.WithSlot(slot, walk.Step)
	}
	return more
}

// expireSlot deletes up to limit expired keys of slot, which is locked.
func (e *Engine) expireSlot(slot slots.Slot, now int64, limit int) int {
	if e.replica.Load() {
		return 0
	}
	n := 0
	for ; n < limit; n++ {
		ref, found := e.store.FirstExpired(slot, now)
		if !found {
			break
		}
		db := ref.DB()
		key := append([]byte(nil), ref.Key()...)
		e.expire(db, slot, key, func(word []byte) {
			e.journal.Append(db, slot, [][]byte{word, key})
		})
		e.changedOutside(db, slot, key)
	}
	for n < limit {
		expired := e.expireFields(slot, now, limit-n)
		if expired == 0 {
			break
		}
		n += expired
	}
	return n
}

// expireFields deletes up to limit expired fields of one hash of slot, which is
// locked.
func (e *Engine) expireFields(slot slots.Slot, now int64, limit int) int {
	ref, found := e.store.FirstWithExpiredFields(slot, now)
	if !found {
		return 0
	}
	db, key := ref.DB(), append([]byte(nil), ref.Key()...)
	effect := [][]byte{wordHDel, key}
	h := hash.Open(&ref.Cell, e.limits.Load().Hash)
	h.ExpireFields(now, limit, func(field []byte) { effect = append(effect, bytes.Clone(field)) })
	left := h.Reader(now)
	if left.Size() == 0 {
		e.store.Delete(db, slot, key)
	}
	e.expiredFields.Add(int64(len(effect) - 2))
	if e.journal.Active() {
		e.journal.Append(db, slot, effect)
	}
	e.changedOutside(db, slot, key)
	return len(effect) - 2
}

var wordHDel = []byte("HDEL")

// HasKeys reports whether any database holds a key.
func (e *Engine) HasKeys() bool { return !e.store.Empty() }

// CountInSlot is the number of keys of database 0 in slot. It takes no lock.
func (e *Engine) CountInSlot(slot slots.Slot) int { return e.store.CountInSlot(0, slot) }

// KeysInSlot returns up to limit keys of database 0 in slot. It is for
// goroutines; a handler calls Call.WithSlot and Store.KeysInSlot.
func (e *Engine) KeysInSlot(slot slots.Slot, limit int) (keys [][]byte) {
	e.WithSlot(slot, func() { keys = e.store.KeysInSlot(0, slot, limit) })
	return keys
}

// FlushAll deletes every key of every database, without a trace in the journal:
// what a node does whose data is somebody else's copy.
func (e *Engine) FlushAll() {
	e.Exclusive(func() {
		e.touchDB(-1)
		e.store.Flush(-1)
	})
}

// touchDB marks the watchers of keys that exist in db, or in any database if
// db is negative. The gate is closed.
func (e *Engine) touchDB(db int) {
	e.watches.touchAll(func(key watchedKey, slot slots.Slot) bool {
		return (db < 0 || key.db == db) && e.store.Find(key.db, slot, []byte(key.key)).OK()
	})
}

// touchSwapped marks the watchers of keys that exist in one of two databases
// that are about to be swapped. The gate is closed.
func (e *Engine) touchSwapped(a, b int) {
	e.watches.touchAll(func(key watchedKey, slot slots.Slot) bool {
		if key.db != a && key.db != b {
			return false
		}
		here := e.store.Find(a, slot, []byte(key.key))
		there := e.store.Find(b, slot, []byte(key.key))
		return here.OK() || there.OK()
	})
}

// Random returns a number for choices that need not be secret.
func (e *Engine) Random() uint64 {
	// splitmix64: the state is a counter, so that loops do not wait for each
	// other.
	x := e.random.Add(0x9e3779b97f4a7c15)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
