package command

import (
	"slotmesh/node/store"
	"slotmesh/node/store/arena"
	"slotmesh/slots"
)

// This file is KEYS.

// loopKeys is how many keys KEYS may look at on a loop.
const loopKeys = 4 * loopScan

// longPattern is the Heavy of KEYS.
func longPattern(c *Call) bool { return len(c.Args) > 1 && len(c.Args[1]) > loopPattern }

func runKeys(c *Call) error {
	n := c.engine.store.Len(c.DB)
	if c.tooLong(n, loopKeys) {
		return ErrLong
	}
	if !c.OnLoop && !c.exclusive {
		// Off the loops one walk goes on at a time. Several would not be done sooner
		// than the loops let them, and each would keep the others from glancing.
		c.engine.walks.Lock()
		defer c.engine.walks.Unlock()
	}
	w := keysWalk{
		c: c, pattern: newGlob(c.Args[1]), all: string(c.Args[1]) == "*", found: c.openSetReply(),
		glances: glanceFrom <= n && n <= glanceUpTo && len(c.Args[1]) <= loopPattern,
	}
	if !w.run() {
		w.found.drop()
		return ErrLong
	}
	w.found.closeArray()
	return nil
}

// keysWalk is a walk over all keys of a database for those that match.
//
// Where a database has few keys in each slot, as one of some thousand keys has, to
// lock slot after slot takes longer than to look at their keys. So the walk closes the
// gate for short turns and glances at many slots in each, but only where nobody is
// inside, and for a while not again once somebody was: then, and where a glance is not
// enough, it takes the locks.
type keysWalk struct {
	c       *Call
	pattern glob
	all     bool
	found   setReply
	// glances says that it is worthwhile to glance, patience how often the walk takes locks
	// before it tries to.
	glances  bool
	patience int

	// first is the slot to go on at, next those to look at now, and records are theirs.
	first   int
	next    [store.WarmKeys]slots.Slot
	records [store.GlanceRecords]arena.Ref
	// need is how much room the reply needs before the next glance.
	need int
	// at is where the walk goes on in atSlot, which it has locked.
	at     store.Cursor
	atSlot slots.Slot
}

const (
	// glanceFrom is from how many keys on closing the gate is cheaper than locks, and
	// glanceUpTo how many are too many for glances, in all slots together.
	glanceFrom = 64
	glanceUpTo = 16 * slots.Count
	// glancePatience is for how many times that a few slots are locked one after the other
	// nobody is kept out once somebody was inside.
	glancePatience = 16
	// glanceTurn is how often a walk glances at a few slots while it keeps the gate
	// closed: for some microseconds.
	glanceTurn = 16
	// glanceRoom is what the key of a glance takes in a reply, at most.
	glanceRoom = store.GlanceKey + 16
)

// run visits every key, and returns false if it would have to wait.
func (w *keysWalk) run() bool {
	s := w.c.engine.store
	for {
		for w.glances && w.patience == 0 && w.glance() {
		}
		w.patience = max(w.patience-1, 0)
		next := s.AppendUsed(w.next[:0], w.c.DB, w.first)
		if len(next) == 0 {
			return true
		}
		s.WarmSlots(w.c.DB, next)
		if !w.c.walkSlots(next, w.visit) {
			return false
		}
		w.first = int(next[len(next)-1]) + 1
	}
}

// glance goes through slots from first on with the gate closed. It returns false where
// there are none left, or some that take more than a glance.
func (w *keysWalk) glance() (more bool) {
	w.found.room(w.need)
	w.need = 0
	alone := w.c.alone(func() {
		s := w.c.engine.store
		for range glanceTurn {
			next := s.AppendUsed(w.next[:0], w.c.DB, w.first)
			if len(next) == 0 {
				return
			}
			records, ok := s.Glance(w.c.DB, next, &w.records)
			if !ok {
				return
			}
			if need := len(records) * glanceRoom; !w.found.has(need) {
				w.need = need
				break
			}
			for _, record := range records {
				w.see(record)
			}
			w.first = int(next[len(next)-1]) + 1
		}
		more = true
	})
	if !alone {
		w.patience = glancePatience
	}
	return more
}

// visit looks at some keys of slot, which is locked, and returns whether that were all.
func (w *keysWalk) visit(slot slots.Slot) (done bool) {
	if slot != w.atSlot || w.at == 0 {
		w.at, w.atSlot = store.At(slot), slot
	}
	var records []arena.Ref
	records, w.at, done = w.c.engine.store.Records(w.c.DB, w.at, walkTurn, w.records[:0])
	for _, record := range records {
		w.see(record)
	}
	return done
}

// see answers with the key of a record of slot if it is wanted.
func (w *keysWalk) see(record arena.Ref) {
	s := w.c.engine.store
	key := s.RecordKey(record)
	switch {
	case !w.all && !w.pattern.match(key):
	case s.RecordExpires(record) && w.c.hidden(s.RecordRef(w.c.DB, slots.Of(key), record)):
	default:
		w.found.add(key)
	}
}
