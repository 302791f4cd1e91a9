package command

import (
	"strconv"

	"slotmesh/node/journal"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// This file is what a handler says about what it did: which keys changed, and
// what the journal shall hold instead of the command as it was sent.

// Changed says that the value, expiry or existence of key changed. It is the
// reference's signalModifiedKey and dirty++ in one.
func (c *Call) Changed(key []byte) {
	c.dirty++
	c.touch(c.DB, key)
}

// ChangedIn is Changed for a key of another database.
func (c *Call) ChangedIn(db int, key []byte) {
	c.dirty++
	c.touch(db, key)
}

// touch tells those who watch key and those who wait for it that it changed.
func (c *Call) touch(db int, key []byte) {
	c.engine.watches.touch(db, key)
	if c.engine.blocking.clients.Load() > 0 {
		c.noteReady(db, c.slotOf(key), key)
	}
}

// touchIn is touch for a key that need not be one of the call's.
func (c *Call) touchIn(db int, slot slots.Slot, key []byte) {
	c.engine.watches.touch(db, key)
	if c.engine.blocking.clients.Load() > 0 {
		c.noteReady(db, slot, key)
	}
}

// Effect makes args the journal's entry in place of the command as it was
// sent; called again, it adds another. args may alias Args, the store or
// Number's result, for they are copied before the locks are given up.
func (c *Call) Effect(args ...[]byte) { c.EffectIn(c.DB, args...) }

// EffectIn is Effect in another database.
func (c *Call) EffectIn(db int, args ...[]byte) {
	c.replaced = true
	if !c.Applied && c.engine.journal.Active() {
		c.note(db, args...)
	}
}

// NoEffect keeps the command out of the journal although it changed something.
func (c *Call) NoEffect() { c.replaced = true }

// note adds an effect without replacing the command itself.
func (c *Call) note(db int, args ...[]byte) {
	from := len(c.effectArgs)
	c.effectArgs = append(c.effectArgs, args...)
	c.effects = append(c.effects, journal.Effect{DB: db, Slot: c.effectSlot(), Args: c.effectArgs[from:len(c.effectArgs):len(c.effectArgs)]})
}

// effectSlot is what the journal tags the call's effects with.
func (c *Call) effectSlot() slots.Slot {
	if len(c.slots) == 1 {
		return c.slots[0]
	}
	return journal.SlotAll
}

// Number returns n in decimal, in memory that lasts until the effects are
// written.
func (c *Call) Number(n int64) []byte {
	from := len(c.arena)
	c.arena = strconv.AppendInt(c.arena, n, 10)
	return c.arena[from:len(c.arena):len(c.arena)]
}

// keep copies b into memory that lasts until the effects are written.
func (c *Call) keep(b []byte) []byte {
	from := len(c.arena)
	c.arena = append(c.arena, b...)
	return c.arena[from:len(c.arena):len(c.arena)]
}

// text returns the content of a string value. A number is written into memory
// that lasts until the effects are written; else it is a view of the store.
func (c *Call) text(v value.Value) []byte {
	if v.Kind == value.KindString && v.Enc == value.EncInt {
		return c.Number(v.Int)
	}
	return v.Bytes
}

var (
	wordDel    = []byte("DEL")
	wordUnlink = []byte("UNLINK")
)

// Read looks key up for a command that reads it: it counts a hit or a miss and
// marks the access. An expired key is not found.
func (c *Call) Read(key []byte) store.Ref {
	if c.again {
		return c.Peek(key)
	}
	ref := c.visit(key)
	if ref.OK() {
		c.counted.hits++
	} else {
		c.counted.misses++
	}
	return ref
}

// visit is Peek with the mark of access.
func (c *Call) visit(key []byte) store.Ref {
	ref, expires := c.engine.store.VisitAt(c.DB, c.placeOf(key), key, c.Now)
	if !expires {
		return ref
	}
	if ref = c.unexpired(ref, c.DB, ref.Slot(), key); ref.OK() {
		ref.Touch(c.Now)
	}
	return ref
}

// Write looks key up for a command that is going to change it.
func (c *Call) Write(key []byte) store.Ref {
	if c.again {
		return c.Peek(key)
	}
	return c.visit(key)
}

// Peek looks key up and leaves no mark.
func (c *Call) Peek(key []byte) store.Ref { return c.PeekIn(c.DB, key) }

// PeekIn is Peek in another database.
func (c *Call) PeekIn(db int, key []byte) store.Ref {
	ref := c.engine.store.FindAt(db, c.placeOf(key), key)
	if ref.OK() && ref.Expires() {
		ref = c.unexpired(ref, db, ref.Slot(), key)
	}
	return ref
}

// unexpired returns ref unless it has expired; then a primary deletes it. The
// slot is locked.
func (c *Call) unexpired(ref store.Ref, db int, slot slots.Slot, key []byte) store.Ref {
	if c.hidden(ref) {
		c.lapsed++
		if !c.engine.replica.Load() {
			c.engine.expire(db, slot, key, func(word []byte) { c.note(db, word, c.keep(key)) })
			c.touchIn(db, slot, key)
		}
		return store.Ref{}
	}
	return ref
}

// Put makes v the value of key, without expiry unless keepTTL.
func (c *Call) Put(key []byte, v value.Value, keepTTL bool) store.Ref {
	return c.engine.store.SetAt(c.DB, c.placeOf(key), key, &v, keepTTL, c.Now)
}

// PutUntil is Put for a key that expires at deadline, Unix milliseconds.
func (c *Call) PutUntil(key []byte, v value.Value, deadline int64) store.Ref {
	return c.engine.store.SetUntilAt(c.DB, c.placeOf(key), key, &v, deadline, c.Now)
}

// Delete removes key, if it is there.
func (c *Call) Delete(key []byte) bool {
	return c.engine.store.DeleteAt(c.DB, c.placeOf(key), key)
}

// Store returns the keyspace. The slots of the call's keys are locked.
func (c *Call) Store() *store.Store { return c.engine.store }

// expire deletes an expired key on a primary and tells note the command that
// says so to replicas. The caller holds the slot, and tells those who watch the
// key or wait for it.
func (e *Engine) expire(db int, slot slots.Slot, key []byte, note func(word []byte)) {
	e.store.Delete(db, slot, key)
	e.expired.Add(1)
	if e.journal.Active() {
		note(e.expiryWord())
	}
}

// expiryWord is the command that says that a key's time was over.
func (e *Engine) expiryWord() []byte {
	if e.lazyExpire.Load() {
		return wordUnlink
	}
	return wordDel
}

func (c *Call) expiryWord() []byte { return c.engine.expiryWord() }

// alreadyExpired reports whether a key that is given the deadline at is to be
// deleted rather than kept: not on a replica and not while a stream is applied,
// where the primary's own deletion follows.
func (c *Call) alreadyExpired(at int64) bool {
	return at <= c.Now && !c.Applied && !c.engine.replica.Load()
}
