package command

import (
	"strconv"
	"sync"
	"sync/atomic"

	"slotmesh/node/journal"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// Journal takes the effects of commands. *journal.Journal is one.
type Journal interface {
	Active() bool
	Append(db int, slot slots.Slot, args [][]byte) int64
	AppendGroup(effects []journal.Effect) int64
}

// EngineOptions are what an Engine is made of.
type EngineOptions struct {
	Table   *Table
	Store   *store.Store
	Journal Journal
	// Databases is the number of those that a client may name, the store's if it is 0.
	// In cluster mode there are fewer.
	Databases int
	// Lanes is the number of event loops; the engine adds a few lanes for other
	// goroutines.
	Lanes int
	// Now is the clock: Unix milliseconds.
	Now func() int64
	// Seed starts the random choices (RANDOMKEY).
	Seed uint64
}

// backgroundLanes are the lanes beside those of the event loops.
const backgroundLanes = 4

// Engine runs commands. All methods may be called from any goroutine.
type Engine struct {
	table   *Table
	store   *store.Store
	journal Journal
	now     func() int64

	databases int

	routing    atomic.Pointer[slots.Table]
	replica    atomic.Bool
	readOnly   atomic.Bool
	ending     atomic.Bool
	lazyExpire atomic.Bool

	gate       gate
	loops      int
	background atomic.Uint32

	locks   slotLocks
	transit transits
	watches watches
	// blocking is who waits for keys.
	blocking blocking
	eviction eviction
	limits   atomic.Pointer[Limits]
	// parsers are of *rdb.Parser, for RESTORE, dumpers of *rdb.Dumper, for DUMP.
	parsers, dumpers sync.Pool

	// maxBulk is proto-max-bulk-len.
	maxBulk                atomic.Int64
	expired, expiredFields atomic.Int64
	random                 atomic.Uint64

	// walks is held by a KEYS that takes its time.
	walks sync.Mutex
	// reach are of *reached, for SORT.
	reach sync.Pool
}

// NewEngine returns an engine that is not in cluster mode and is a primary.
func NewEngine(o EngineOptions) *Engine {
	e := &Engine{table: o.Table, store: o.Store, journal: o.Journal, now: o.Now, loops: o.Lanes, databases: o.Databases}
	if e.databases == 0 {
		e.databases = o.Store.Databases()
	}
	e.parsers.New = func() any { return new(rdb.Parser) }
	e.dumpers.New = func() any { return new(rdb.Dumper) }
	e.gate.lanes = make([]lane, o.Lanes+backgroundLanes)
	e.reach.New = func() any { return new(reached) }
	e.random.Store(o.Seed)
	e.maxBulk.Store(512 << 20)
	e.SetLimits(DefaultLimits())
	return e
}

// Background returns a lane for a goroutine that is not an event loop.
func (e *Engine) Background() int {
	return e.loops + int(e.background.Add(1)%backgroundLanes)
}

// Table returns the rows.
func (e *Engine) Table() *Table { return e.table }

// SetTable gives the engine its rows when some of them are made by what needs
// the engine first. It is called before anything runs.
func (e *Engine) SetTable(t *Table) { e.table = t }

// Store returns the keyspace; see there for the locks that it needs.
func (e *Engine) Store() *store.Store { return e.store }

// Place returns where key lies, for Call.Place and Warm.
func (e *Engine) Place(key []byte) Place { return e.store.Place(key) }

// Warm touches what looking up keys of db will need, see Store.Warm, and the locks
// of their slots. A database that there is not has nothing to touch.
func (e *Engine) Warm(db int, places []Place) (used uint64) {
	if db < 0 || db >= e.databases {
		return 0
	}
	for len(places) > 0 {
		some := places[:min(len(places), store.WarmKeys)]
		places = places[len(some):]
		for _, p := range some {
			used += uint64(e.locks.states[p.Slot].Load())
		}
		used += e.store.Warm(db, some)
	}
	return used
}

// WarmChange touches what the coming and going of keys of db will need beside what Warm
// did, see Store.WarmChange.
func (e *Engine) WarmChange(db int, places []Place) (used uint64) {
	if db < 0 || db >= e.databases {
		return 0
	}
	return e.store.WarmChange(db, places)
}

// SetRouting swaps the slot table; nil, as at first, means not in cluster mode.
// A command that holds its slot when this returns may still be running under
// the old table: Exclusive waits for all of those.
// Clients that wait for keys of slots which t gives to others are sent there.
func (e *Engine) SetRouting(t *slots.Table) {
	e.routing.Store(t)
	e.redirectBlocked(t)
}

// Routing returns the slot table, or nil.
func (e *Engine) Routing() *slots.Table { return e.routing.Load() }

// SetReplica sets the role. A replica hides expired keys and never deletes
// them itself. Clients that wait for keys are sent away by a primary that becomes
// one.
func (e *Engine) SetReplica(replica bool) {
	if was := e.replica.Swap(replica); replica && !was {
		e.unblockAll()
	}
}

// SetReadOnly is replica-read-only: what changes data is refused on a replica. Whoever
// asks before a call may be let in, and the role change before it runs.
func (e *Engine) SetReadOnly(readOnly bool) { e.readOnly.Store(readOnly) }

// SetEnding says whether the data are being saved for the last time: what changes them
// is refused. Set inside Exclusive, it is known to whatever runs after that.
func (e *Engine) SetEnding(ending bool) { e.ending.Store(ending) }

// refusal says why a write may not run now, "" if it may. The caller has passed the gate.
func (e *Engine) refusal(onReplica bool) resp.Error {
	switch {
	case onReplica && e.readOnly.Load():
		return resp.ErrReadOnly
	case e.ending.Load():
		return resp.ErrShuttingDown
	}
	return ""
}

// SetLazyExpire is lazyfree-lazy-expire: expired keys are journaled as UNLINK
// instead of DEL.
func (e *Engine) SetLazyExpire(lazy bool) { e.lazyExpire.Store(lazy) }

// SetMaxBulk is proto-max-bulk-len: no string grows beyond it.
func (e *Engine) SetMaxBulk(limit int64) { e.maxBulk.Store(limit) }

// Execute runs c and returns true, or parks it and returns false: a slot is
// busy, or a key in transit. Then resume is called once, from any goroutine
// and without any lock of the caller's, and the owner calls Execute again with
// the same c and resume on its own goroutine. resume must not block. After
// Abandon a resume that was under way may still arrive.
//
// The reply, or the text of the error, has been written to c.Reply when
// Execute returns true; c.Err and c.Rejected tell which.
//
// With c.Stay the call may still be inside the gate when Execute returns true,
// and the owner calls Leave before it does anything else that may wait. After a
// panic in Execute the owner calls Recover.
func (e *Engine) Execute(c *Call, resume func()) bool {
	if c.phase == phaseNew {
		place := c.Place
		c.engine = e
		c.forget()
		if !c.Spec.keyed {
			e.runKeyless(c)
			return true
		}
		if err := e.prepare(c, place); err != nil {
			c.Rejected = true
			c.fail(err)
			return true
		}
		if !c.OnLoop && e.reaches(c.Spec, c.Args) {
			e.Leave(c)
			e.exclusively(c, func() {
				e.freeze(c)
				e.runAs(c)
				e.serveReadied(c, nil)
			})
			return true
		}
		c.granted = resume
	} else if c.phase == phaseLock {
		if !e.locks.claim(c.slots[c.held], &c.waiter) {
			return false
		}
		c.held++
	}
	if !e.acquireWide(c) {
		return false
	}
	return e.runLocked(c, resume)
}

// reaches reports whether a command looks at keys that it does not name. In
// cluster mode it must not, and says so itself.
func (e *Engine) reaches(spec *Spec, args [][]byte) bool {
	return spec.Reaches != nil && e.routing.Load() == nil && spec.Reaches(args)
}

// acquireWide locks the slots of c, and those that clients who wait for its
// keys need.
func (e *Engine) acquireWide(c *Call) bool {
	if c.held > 0 || !e.takeAll(c) {
		// What may wait does so outside.
		e.Leave(c)
		if !e.acquire(c) {
			return false
		}
	}
	for e.blocking.moving.Load() != 0 && e.widen(c) {
		if !e.acquire(c) {
			return false
		}
	}
	return true
}

// takeAll locks the slots of c if all of them are free, and waits for nothing.
func (e *Engine) takeAll(c *Call) bool {
	for _, slot := range c.slots {
		if !e.locks.states[slot].take() {
			e.release(c)
			return false
		}
		c.held++
	}
	c.phase = phaseReady
	return true
}

// acquire locks the slots of c that it does not hold yet, ascending. It returns
// false when c has entered the queue of slots[held]: from then on another
// goroutine may resume it, and it is no longer ours.
func (e *Engine) acquire(c *Call) bool {
	c.phase = phaseReady
	for c.held < len(c.slots) {
		c.phase = phaseLock
		if !e.locks.lockOrQueue(c.slots[c.held], &c.waiter) {
			return false
		}
		c.phase = phaseReady
		c.held++
	}
	return true
}

// enter takes c into the gate, and keeps it from closing until Leave.
func (e *Engine) enter(c *Call) {
	if !c.inside {
		e.gate.lanes[c.Lane].RLock()
		c.inside = true
	}
}

// Leave takes c, whose last call stayed, out of the gate, and books what its
// calls counted. It does nothing for a call that is not inside.
func (e *Engine) Leave(c *Call) {
	lane := &e.gate.lanes[c.Lane]
	if c.counted != (counted{}) {
		lane.book(&c.counted)
	}
	if c.inside {
		c.inside = false
		lane.RUnlock()
	}
}

// Recover gives up what c holds after its handler panicked.
func (e *Engine) Recover(c *Call) {
	e.Leave(c)
	if c.phase == phaseReady {
		e.release(c)
	}
}

// ExecuteWait is Execute for a goroutine that may block and take its time:
// OnLoop is not set.
func (e *Engine) ExecuteWait(c *Call) {
	c.Stay = false
	if c.Spec.Ahead != nil {
		c.engine = e
		c.Spec.Ahead(c)
		defer c.dropAhead()
	}
	c.again = c.Err == ErrLong
	defer func() { c.again = false }()
	granted := make(chan struct{}, 1)
	for !e.Execute(c, func() { granted <- struct{}{} }) {
		<-granted
	}
}

// Abandon gives up a parked call whose client has gone.
func (e *Engine) Abandon(c *Call) {
	switch c.phase {
	case phaseLock:
		e.locks.leave(c.slots[c.held], &c.waiter)
	case phaseTransit:
		e.transit.leave(c)
	}
	e.release(c)
}

// release gives up the locks of c.
func (e *Engine) release(c *Call) {
	if c.reached != nil {
		e.letGo(c)
	}
	for c.held > 0 {
		c.held--
		e.locks.unlock(c.slots[c.held])
	}
	c.phase = phaseNew
}

// prepare finds the keys and slots of c. place is where its only key lies, if
// the owner has looked that up.
func (e *Engine) prepare(c *Call, place Place) error {
	c.held = 0
	if at := c.Spec.OnlyKey(len(c.Args)); at > 0 {
		c.keyBuf[0] = c.Args[at]
		c.keys = c.keyBuf[:1]
		if !place.Known() {
			place = e.store.Place(c.Args[at])
		}
		c.place = place
		c.slotBuf[0] = place.Slot
		c.slots, c.keyPlaces = c.slotBuf[:1], nil
	} else {
		c.noKeys()
		c.addKeys(c.Spec, c.Args, &c.Few)
		if c.Few.n < len(c.keys) {
			e.warmKeys(c)
		}
		c.Few.None()
	}
	c.asking, c.readOnlyConn = false, false
	if e.routing.Load() == nil {
		return nil
	}
	c.takeFlags()
	if len(c.slots) > 1 && !c.Applied {
		return resp.ErrCrossSlot
	}
	return nil
}

// takeFlags notes what the connection said before this command.
func (c *Call) takeFlags() {
	c.asking, c.readOnlyConn = false, false
	if c.Conn != nil {
		c.asking = c.Conn.Asking()
		c.readOnlyConn = c.Conn.ReadOnlyConn()
	}
	if c.Spec.Flags&Asking != 0 {
		c.asking = true
	}
}

// runLocked runs c, whose slots are locked, and gives the locks up. It returns
// false if a key is in transit: c then waits without locks.
func (e *Engine) runLocked(c *Call, resume func()) bool {
	e.enter(c)
	if e.transit.any() && e.transit.park(e, c, resume) {
		return false
	}
	e.freeze(c)
	if err := e.route(c); err != nil {
		c.Rejected = true
		c.fail(err)
	} else {
		e.runAs(c)
		if len(c.readied) > 0 {
			e.serveReadied(c, c.slots)
		}
	}
	if !c.Stay {
		e.Leave(c)
	}
	e.release(c)
	return true
}

// freeze sets the time of c, and the role that it runs in.
func (e *Engine) freeze(c *Call) {
	if c.Now = c.Clock; c.Now == 0 {
		c.Now = e.now()
	}
	c.onReplica = e.replica.Load()
}

// runAs is run and commit in the role that was frozen, unless that refuses it.
func (e *Engine) runAs(c *Call) {
	if c.Spec.Flags&Write != 0 {
		if why := e.refusal(c.onReplica); why != "" {
			c.Rejected = true
			c.fail(why)
			return
		}
	}
	c.run()
	e.commit(c)
}

// runKeyless runs a command that names no keys: no lock, no gate unless it
// asks for all. One that walks passes the gate as it needs to.
func (e *Engine) runKeyless(c *Call) {
	c.keySet, c.held = keySet{}, 0
	e.freeze(c)
	if c.Spec.Walks && c.Stay {
		c.run()
		e.commit(c)
		return
	}
	e.Leave(c)
	if !c.Spec.Exclusive {
		c.run()
		e.commit(c)
		e.Leave(c)
		return
	}
	e.exclusively(c, func() {
		e.freeze(c)
		e.runAs(c)
		e.serveReadied(c, nil)
	})
}

// exclusively runs fn on behalf of c with the gate closed.
func (e *Engine) exclusively(c *Call, fn func()) {
	e.gate.close()
	c.exclusive = true
	defer func() {
		c.exclusive = false
		e.gate.lanes[c.Lane].book(&c.counted)
		e.gate.open()
	}()
	fn()
}

// run calls the handler and writes its error.
func (c *Call) run() {
	if err := c.Spec.Run(c); err != nil {
		c.fail(err)
	}
}

func (c *Call) fail(err error) {
	c.Err = err
	if err == ErrLong {
		return
	}
	c.Reply.Error(err.Error())
}

// commit appends what c did to the journal, which on a replica holds what its primary
// sends and nothing else. The caller holds the locks.
func (e *Engine) commit(c *Call) {
	if c.dirty == 0 && len(c.effects) == 0 {
		return
	}
	c.counted.dirty += c.dirty
	if c.Applied || c.onReplica || !e.journal.Active() {
		return
	}
	verbatim := c.dirty > 0 && !c.replaced
	if verbatim && len(c.effects) == 0 {
		e.journal.Append(c.DB, c.effectSlot(), c.Args)
		return
	}
	if verbatim {
		c.note(c.DB, c.Args...)
	}
	e.append(c.effects)
}

// append journals effects as one entry.
func (e *Engine) append(effects []journal.Effect) {
	switch len(effects) {
	case 0:
	case 1:
		e.journal.Append(effects[0].DB, effects[0].Slot, effects[0].Args)
	default:
		e.journal.AppendGroup(effects)
	}
}

// route asks the slot table for its verdict on c. The caller holds the slots.
func (e *Engine) route(c *Call) error {
	t := e.routing.Load()
	if t == nil || c.Applied || len(c.slots) == 0 {
		return nil
	}
	return e.verdict(t, c, slots.Request{
		Slot:         c.slots[0],
		ReadOnly:     c.Spec.Flags&Write == 0,
		Asking:       c.asking,
		ReadOnlyConn: c.readOnlyConn,
		Keys:         len(c.keys),
		Migrate:      c.Spec.migrate,
	})
}

// verdict turns the table's verdict on req, a request of c, into an error.
func (e *Engine) verdict(t *slots.Table, c *Call, req slots.Request) error {
	if t.Migrating != nil || t.Importing != nil {
		req.Missing = func() int {
			missing := 0
			for _, key := range c.keys {
				ref := e.store.Find(c.DB, req.Slot, key)
				if !ref.OK() || ref.Expires() && ref.ExpireAt() <= c.Now {
					missing++
				}
			}
			return missing
		}
	}
	return Route(t, req)
}

// Route returns what a client is told about req: a redirection, a refusal, or
// nil when t says that it is served here.
func Route(t *slots.Table, req slots.Request) error {
	switch verdict, node := t.Route(req); verdict {
	case slots.Serve:
		return nil
	case slots.Moved:
		return redirection("MOVED ", req.Slot, &t.Nodes[node])
	case slots.Ask:
		return redirection("ASK ", req.Slot, &t.Nodes[node])
	case slots.TryAgain:
		return resp.ErrTryAgain
	case slots.Down:
		return resp.ErrClusterDown
	case slots.DownReads:
		return resp.ErrDownReads
	default:
		return resp.ErrSlotUnserved
	}
}

func redirection(word string, slot slots.Slot, to *slots.Endpoint) error {
	text := make([]byte, 0, len(word)+len(to.Host)+16)
	text = append(text, word...)
	text = strconv.AppendInt(text, int64(slot), 10)
	text = append(text, ' ')
	text = append(text, to.Host...)
	text = append(text, ':')
	text = strconv.AppendInt(text, int64(to.Port), 10)
	return resp.Error(text)
}

// Exclusive runs fn while no command runs anywhere. fn must be short. It must
// not be called from inside a command that has keys.
func (e *Engine) Exclusive(fn func()) {
	e.gate.close()
	defer e.gate.open()
	fn()
}

// WithSlot runs fn with slot locked, waiting for it if need be. It is for
// goroutines, not for handlers: those have Call.WithSlot.
func (e *Engine) WithSlot(slot slots.Slot, fn func()) {
	e.withSlot(e.Background(), slot, fn)
}

func (e *Engine) withSlot(lane int, slot slots.Slot, fn func()) {
	e.locks.lock(slot)
	defer e.locks.unlock(slot)
	e.gate.lanes[lane].RLock()
	defer e.gate.lanes[lane].RUnlock()
	fn()
}
