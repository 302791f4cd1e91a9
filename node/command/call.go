package command

import (
	"slotmesh/node/journal"
	"slotmesh/node/resp"
	"slotmesh/node/store/set"
	"slotmesh/node/store/zset"
	"slotmesh/slots"
)

// Call is one command on its way through the Engine. A connection owns one and
// uses it again and again; nothing in it may be kept by a handler.
//
// The owner sets the fields from Spec to Applied and hands it to
// Engine.Execute. While Execute has it parked, no field may be touched.
type Call struct {
	Spec *Spec
	// Args is the whole command, Args[0] the name as sent. It aliases the
	// connection's input: copy what is kept.
	Args [][]byte
	DB   int
	// Now is the frozen time of the command, Unix milliseconds. The engine sets
	// it when the locks are held; EXEC freezes one time for all its commands.
	Now int64
	// Clock, unless 0, is what Now is frozen at: Unix milliseconds, read by the
	// owner when its turn began. 0 lets the engine read its own clock.
	Clock int64
	// Place is where the only key of the call lies, if the owner has found that
	// out already by Engine.Place; Execute takes it.
	Place Place
	// Few is the same for a call of several keys: their memory has been touched too, if
	// these are all of them.
	Few FewPlaces
	// walked is how many slots walkSlot has visited.
	walked int
	// Stay lets a call stay inside the gate when it is over, so that a run of
	// calls passes it once: see Engine.Execute.
	Stay bool
	// Reply takes the answer.
	Reply *resp.Writer
	// Conn is where it came from; nil for a call applied from a journal.
	Conn Conn
	// Lane is the gate lane of the goroutine that runs it: one per event loop,
	// see Engine.Background for the others.
	Lane int
	// OnLoop is true where nothing may take long. What would is then not run: Err
	// is ErrLong.
	OnLoop bool
	// InExec is true inside EXEC and scripts: the call may not park.
	InExec bool
	// Applied is true for a call that comes from the primary, a file or an
	// import: no routing, no gates, expired keys are still there.
	Applied bool

	// Err is what the call failed with, after Execute returned true; its text
	// has been written to Reply. Rejected is true when it was not run at all:
	// the error is of routing.
	Err      error
	Rejected bool

	engine *Engine
	phase  phase
	// inside is true while the call keeps the gate of its lane open.
	inside bool
	// counted is not yet booked in the lane.
	counted counted
	// lapsed counts the keys that were found to have expired, and so were deleted: what
	// was found before may have moved.
	lapsed int

	// asking and readOnlyConn are the connection's flags as of the beginning.
	asking, readOnlyConn bool
	// again is true when the call runs after it was too long for a loop: what it
	// looks up was counted then.
	again bool
	// onReplica is true when the call runs on a replica, whose journal is the primary's.
	onReplica bool
	// exclusive is true while every lane is held for this call.
	exclusive bool

	// place is where the only key lies; of a call with more keys it is not known.
	place Place
	keySet
	// warmth is what warmKeys read: it means nothing.
	warmth uint64
	// held is how many of slots are locked for this call: the first ones. reached is
	// what it has locked besides, nil for nothing.
	held    int
	reached *reached
	waiter

	// dirty counts changes as the reference does; effects are what the journal
	// gets, the command itself excepted unless replaced is set.
	dirty      int64
	effects    []journal.Effect
	effectArgs [][]byte
	arena      []byte
	replaced   bool
	// sets is room for what commands on several sets read.
	sets []set.Reader
	// bundle is room for what they store.
	bundle set.Bundle
	// looked is room for what they look up together.
	looked set.LookedAhead
	// scored is that room for sorted sets.
	scored zset.Bundle
	// sorted is room for SORT, places for what a search on the map finds.
	sorted sortRoom
	places geoMatches
	// zsets is room for what commands on several sorted sets find.
	zsets zsetRoom
	// ahead is the value that Spec.Ahead unpacked, until the handler takes it.
	ahead *unpacked
	// readied are the keys that somebody waits for and that the call made worth a
	// look, in that order.
	readied []*blockedKey

	keyBuf   [4][]byte
	placeBuf [4]Place
	slotBuf  [4]slots.Slot
	keyPos   []int
	// room is where the keys of a call lie that may have several. It grows with
	// them, up to roomyKeys, and stays.
	room keySet
}

// phase is where a call stands between two calls of Execute.
type phase uint8

const (
	phaseNew     phase = iota // not prepared
	phaseReady                // keys and slots are known, some locks held
	phaseLock                 // in the queue of slots[held], or granted it
	phaseTransit              // waits for a key in transit; holds nothing
)

// Engine returns the engine that runs the call.
func (c *Call) Engine() *Engine { return c.engine }

// WithSlot runs fn with slot locked. Commands that walk the keyspace (Spec.Walks)
// use it rather than Engine.WithSlot: inside an exclusive transaction it does
// not lock again.
func (c *Call) WithSlot(slot slots.Slot, fn func()) {
	if c.exclusive || c.Applied {
		fn()
		return
	}
	c.engine.withSlot(c.Lane, slot, fn)
}

// gateTurn is how many slots a walk visits before it leaves the gate for a moment:
// who closes it waits no longer.
const gateTurn = 16

// walkSlot is WithSlot for a walk over many slots, which stays inside the gate from
// one to the next. A loop does not wait for a slot, which may have been handed to
// a call that waits for this very loop: if slot is taken it returns false.
func (c *Call) walkSlot(slot slots.Slot, fn func()) bool {
	if c.exclusive || c.Applied {
		fn()
		return true
	}
	if c.walked++; c.walked%gateTurn == 0 {
		c.engine.Leave(c)
	}
	if !c.takeSlot(slot) {
		return false
	}
	defer c.engine.locks.unlock(slot)
	fn()
	return true
}

// TrySlot is WithSlot for a handler that may run on a loop, where it returns false
// rather than wait: the handler then returns ErrLong.
func (c *Call) TrySlot(slot slots.Slot, fn func()) bool { return c.walkSlot(slot, fn) }

// takeSlot is the beginning of walkSlot: it locks slot, inside the gate.
func (c *Call) takeSlot(slot slots.Slot) bool {
	e := c.engine
	e.enter(c)
	if e.locks.tryLock(slot) {
		return true
	}
	e.Leave(c)
	if c.OnLoop {
		return false
	}
	e.locks.lock(slot)
	e.enter(c)
	return true
}

// walkSlots is walkSlot for some slots, no more than gateTurn, one after the other:
// each is let go after every call of visit, and visited again until that is done
// with it.
func (c *Call) walkSlots(some []slots.Slot, visit func(slots.Slot) (done bool)) bool {
	if c.exclusive || c.Applied {
		for _, slot := range some {
			for !visit(slot) {
			}
		}
		return true
	}
	locks := &c.engine.locks
	held, slot := false, slots.Slot(0)
	defer func() {
		if held {
			locks.unlock(slot)
		}
	}()
	c.engine.Leave(c)
	for _, slot = range some {
		for done := false; !done; {
			if (!c.inside || !locks.states[slot].take()) && !c.takeSlot(slot) {
				return false
			}
			held = true
			done = visit(slot)
			held = false
			locks.unlock(slot)
		}
	}
	return true
}

// alone runs fn with the gate closed if nobody is inside just now, and returns false
// otherwise. fn must be short.
func (c *Call) alone(fn func()) bool {
	if c.exclusive || c.Applied {
		fn()
		return true
	}
	c.engine.Leave(c)
	if !c.engine.gate.tryClose() {
		return false
	}
	defer c.engine.gate.open()
	fn()
	return true
}

// forget drops what the last command left, before the next one runs.
func (c *Call) forget() {
	c.Err, c.Rejected = nil, false
	c.dirty, c.replaced = 0, false
	c.Place, c.place = Place{}, Place{}
	if len(c.effects)+len(c.effectArgs)+len(c.arena) == 0 {
		return
	}
	clear(c.effects)
	clear(c.effectArgs)
	c.effects, c.effectArgs, c.arena = c.effects[:0], c.effectArgs[:0], c.arena[:0]
	const keep = 64 << 10
	if cap(c.arena) > keep {
		c.arena = nil
	}
}
