package command

import (
	"slices"

	"slotmesh/node/resp"
	"slotmesh/slots"
)

// Transaction is what EXEC runs: the queued commands of one connection as one.
// It is used like a Call: handed to Engine.ExecuteAll, and again after it was
// parked.
type Transaction struct {
	Commands []Queued
	// Watcher is what the connection watches; nil or empty for nothing. The
	// owner ends it with Unwatch after ExecuteAll returned true.
	Watcher *Watcher
	Reply   *resp.Writer
	Conn    Conn
	// DB is the database that is selected when EXEC comes. With a Conn the
	// engine asks that one before each command, since SELECT may be queued.
	DB   int
	Lane int
	// OnLoop is Call.OnLoop for all of it, Clock is Call.Clock.
	OnLoop bool
	Clock  int64

	// Before, if set, is asked before each command; an error is the command's
	// reply. After, if set, is told of each command that ran.
	Before func(*Call) error
	After  func(*Call)

	// Err is the routing error that was written instead of an array, after
	// ExecuteAll returned true, or ErrLong; Aborted is true if a watched key had changed.
	Err     error
	Aborted bool

	// all stands for the transaction as a whole, with all its keys and locks;
	// each is the command that runs.
	all, each Call
	// ends are where the keys of each of Commands end among those of all.
	ends []int
	// ahead is what Spec.Ahead made for each of Commands; empty for nothing.
	ahead []*unpacked
}

// Reset makes tx, which is over, what a new one is, but for the memory that it
// keeps for the next.
func (tx *Transaction) Reset() {
	tx.Commands, tx.Watcher, tx.Reply, tx.Conn = nil, nil, nil, nil
	tx.Before, tx.After = nil, nil
	tx.Err, tx.Aborted = nil, false
	for _, c := range []*Call{&tx.all, &tx.each} {
		c.forget()
		c.Spec, c.Args, c.Reply, c.Conn, c.granted = nil, nil, nil, nil, nil
		c.keySet = keySet{}
		clear(c.keyBuf[:])
		clear(c.room.keys[:cap(c.room.keys)])
	}
}

// Queued is one command of a transaction. Args must stay as they are until EXEC.
type Queued struct {
	Spec *Spec
	Args [][]byte
}

// ExecuteAll runs tx as Execute runs a call, with the same rule for parking:
// it locks the slots of all its commands and of all watched keys, checks WATCH,
// runs the commands at one frozen time, writes the array of replies (null if a
// watched key changed, an error if the slots are not served here) and journals
// one entry.
func (e *Engine) ExecuteAll(tx *Transaction, resume func()) bool {
	c := &tx.all
	switch c.phase {
	case phaseNew:
		if err := e.prepareAll(tx); err != nil {
			tx.fail(err)
			return true
		}
		if e.needsExclusive(tx) {
			if tx.OnLoop && tx.reaches(e) {
				tx.Err = ErrLong
				return true
			}
			e.exclusively(&tx.each, func() { e.runAll(tx) })
			return true
		}
		c.granted = resume
	case phaseLock:
		if !e.locks.claim(c.slots[c.held], &c.waiter) {
			return false
		}
		c.held++
	}
	if !e.acquireWide(c) {
		return false
	}
	if len(c.slots) == 0 {
		// No key anywhere: nothing to hold, and commands such as CLUSTER may
		// close the gate themselves.
		defer e.release(c)
		e.runAll(tx)
		return true
	}
	e.enter(c)
	if e.transit.any() && e.transit.park(e, c, resume) {
		return false
	}
	defer e.Recover(c)
	e.runAll(tx)
	return true
}

// ExecuteAllWait is ExecuteAll for a goroutine that may block and take its time.
func (e *Engine) ExecuteAllWait(tx *Transaction) {
	tx.OnLoop = false
	e.prepareAhead(tx)
	defer tx.dropAhead()
	granted := make(chan struct{}, 1)
	for !e.ExecuteAll(tx, func() { granted <- struct{}{} }) {
		<-granted
	}
}

// prepareAhead does what can be done for the commands of tx before it has its
// slots.
func (e *Engine) prepareAhead(tx *Transaction) {
	tx.ahead = tx.ahead[:0]
	if !slices.ContainsFunc(tx.Commands, func(q Queued) bool { return q.Spec.Ahead != nil }) {
		return
	}
	c := &Call{engine: e, DB: tx.DB, Lane: tx.Lane}
	if tx.Conn != nil {
		c.DB = tx.Conn.DB()
	}
	for _, q := range tx.Commands {
		if c.Spec, c.Args, c.ahead = q.Spec, q.Args, nil; q.Spec.Ahead != nil {
			q.Spec.Ahead(c)
		}
		tx.ahead = append(tx.ahead, c.ahead)
	}
}

// dropAhead gives back what no command has taken.
func (tx *Transaction) dropAhead() {
	for _, u := range tx.ahead {
		if u != nil {
			u.drop()
		}
	}
	clear(tx.ahead)
	tx.ahead = tx.ahead[:0]
}

// AbandonAll gives up a parked transaction whose client has gone.
func (e *Engine) AbandonAll(tx *Transaction) { e.Abandon(&tx.all) }

func (tx *Transaction) fail(err error) {
	tx.Err = err
	tx.Reply.Error(err.Error())
}

func (e *Engine) needsExclusive(tx *Transaction) bool {
	return slices.ContainsFunc(tx.Commands, func(q Queued) bool {
		return q.Spec.Exclusive || q.Spec.Walks
	}) || tx.reaches(e)
}

// reaches reports whether one of the commands looks at keys that it does not
// name: as many as there are elements somewhere, which may take long.
func (tx *Transaction) reaches(e *Engine) bool {
	return slices.ContainsFunc(tx.Commands, func(q Queued) bool { return e.reaches(q.Spec, q.Args) })
}

// prepareAll gathers the keys and slots of all commands and watched keys.
func (e *Engine) prepareAll(tx *Transaction) error {
	tx.Err, tx.Aborted = nil, false
	for _, c := range []*Call{&tx.all, &tx.each} {
		c.forget()
		c.engine, c.Spec, c.Conn, c.Lane, c.DB = e, &wholeRow, tx.Conn, tx.Lane, tx.DB
		c.Reply, c.InExec = tx.Reply, true
		c.noKeys()
		c.held = 0
	}
	c := &tx.all
	tx.ends = tx.ends[:0]
	for _, q := range tx.Commands {
		if q.Spec.keyed {
			c.addKeys(q.Spec, q.Args, nil)
		}
		tx.ends = append(tx.ends, len(c.keys))
	}
	c.keepRoom()
	if e.routing.Load() != nil {
		if len(c.slots) > 1 {
			return resp.ErrCrossSlot
		}
		c.takeFlags()
	}
	if tx.Watcher != nil {
		for _, key := range tx.Watcher.keys {
			c.addSlot(key.slot)
		}
	}
	return nil
}

// wholeRow is the row of a transaction as a whole, for what asks a call for one.
var wholeRow = Spec{Name: "exec", facts: facts{fullName: "exec", keyed: true}}

// runAll runs tx. The caller holds its slots, or the closed gate, or there are
// no keys.
func (e *Engine) runAll(tx *Transaction) {
	if tx.OnLoop && tx.long(e) {
		tx.Err = ErrLong
		return
	}
	now := tx.Clock
	if now == 0 {
		now = e.now()
	}
	tx.all.Now = now
	tx.each.onReplica = e.replica.Load()
	if err := e.routeAll(tx); err != nil {
		tx.fail(err)
		return
	}
	if why := e.refusal(tx.each.onReplica); why != "" && ChangesData(tx.Commands) {
		tx.fail(resp.Error("EXECABORT Transaction discarded because of: " + why))
		return
	}
	if tx.Watcher != nil && tx.Watcher.stale(e.store, now) {
		tx.Aborted = true
		tx.Reply.NullArray()
		return
	}
	tx.Reply.Array(len(tx.Commands))
	c := &tx.each
	c.Now = now
	changed := int64(0)
	for i, q := range tx.Commands {
		c.Spec, c.Args = q.Spec, q.Args
		if c.Conn != nil {
			c.DB = c.Conn.DB()
		}
		if len(tx.ahead) > 0 {
			c.ahead, tx.ahead[i] = tx.ahead[i], nil
		}
		c.Err, c.Rejected, c.dirty, c.replaced = nil, false, 0, false
		if err := tx.runOne(i); err != nil {
			c.fail(err)
		}
		if c.ahead != nil { // not taken: given back without the slots
			tx.ahead[i], c.ahead = c.ahead, nil
		}
		changed += c.dirty
		if c.dirty > 0 && !c.replaced && e.journal.Active() {
			c.note(c.DB, c.Args...)
		}
		if tx.After != nil {
			tx.After(c)
		}
	}
	c.counted.dirty += changed
	if !c.onReplica {
		e.append(c.effects)
	}
	e.serveReadied(c, tx.all.slots)
	e.gate.lanes[c.Lane].book(&c.counted)
}

// ChangesData reports whether one of the commands may change data.
func ChangesData(queued []Queued) bool {
	return slices.ContainsFunc(queued, func(q Queued) bool { return q.Spec.Flags&Write != 0 })
}

// runOne runs command i, which tx.each stands at.
func (tx *Transaction) runOne(i int) error {
	c := &tx.each
	if tx.Before != nil {
		if err := tx.Before(c); err != nil {
			c.Rejected = true
			return err
		}
	}
	from := 0
	if i > 0 {
		from = tx.ends[i-1]
	}
	c.takeKeys(&tx.all, from, tx.ends[i])
	return c.Spec.Run(c)
}

// routeAll asks for the verdict on all the keys of tx together. It is a read if
// all its commands are.
func (e *Engine) routeAll(tx *Transaction) error {
	t := e.routing.Load()
	c := &tx.all
	if t == nil || len(c.keys) == 0 {
		return nil
	}
	return e.verdict(t, c, slots.Request{
		Slot:         slots.Of(c.keys[0]),
		ReadOnly:     !ChangesData(tx.Commands),
		Asking:       c.asking,
		ReadOnlyConn: c.readOnlyConn,
		Keys:         len(c.keys),
	})
}
