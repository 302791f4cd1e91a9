package command

import (
	"fmt"
	"slices"

	"slotmesh/node/resp"
	"slotmesh/slots"
)

// Applied is one command of a replication stream, a file or an import.
type Applied struct {
	DB   int
	Args [][]byte
}

// ReplyError is what Apply returns when a command of the stream was refused by
// its handler, which means that this keyspace differs from the sender's. The
// rest of the group was applied.
type ReplyError struct {
	Command string
	Err     error
}

func (e *ReplyError) Error() string {
	return fmt.Sprintf("apply: %s answered: %v", e.Command, e.Err)
}

func (e *ReplyError) Unwrap() error { return e.Err }

// Applier runs the commands of one stream, one group after the other. It is
// used by one goroutine at a time.
type Applier struct {
	e     *Engine
	call  Call
	reply resp.Writer
	specs []*Spec
	// held are the slots that are locked, positions room to find keys.
	held      []slots.Slot
	positions []int
}

// NewApplier returns an applier with buffers of its own.
func (e *Engine) NewApplier() *Applier { return e.LaneApplier(e.Background()) }

// LaneApplier is NewApplier for who has a lane of an event loop to itself.
func (e *Engine) LaneApplier(lane int) *Applier {
	a := &Applier{e: e}
	a.call = Call{engine: e, Lane: lane, Reply: &a.reply, Applied: true}
	return a
}

// Route returns the slot that is all a command needs, and which argument is its
// first key. It is not ok for a command that needs several slots, or all, or none;
// nor for one that does not exist.
func (a *Applier) Route(args [][]byte) (slot slots.Slot, key int, ok bool) {
	if len(args) == 0 {
		return 0, 0, false
	}
	spec, err := a.e.table.Find(args)
	if err != nil || !spec.keyed || a.wide(spec, args) {
		return 0, 0, false
	}
	if key = spec.OnlyKey(len(args)); key > 0 {
		return slots.Of(args[key]), key, true
	}
	positions, err := spec.KeyPositions(args, a.positions[:0])
	if err != nil || len(positions) == 0 {
		return 0, 0, false
	}
	a.positions = positions
	slot = slots.Of(args[positions[0]])
	for _, at := range positions[1:] {
		if slots.Of(args[at]) != slot {
			return 0, 0, false
		}
	}
	return slot, positions[0], true
}

// wide reports whether a command needs the whole keyspace.
func (a *Applier) wide(spec *Spec, args [][]byte) bool {
	return spec.Exclusive || spec.Walks || a.e.reaches(spec, args)
}

// Apply is NewApplier and Apply at once.
func (e *Engine) Apply(cmds []Applied, after func()) error { return e.NewApplier().Apply(cmds, after) }

// Apply runs cmds as one step that nobody sees half of: without routing, without
// journaling, with expired keys still there. It blocks until the slots are
// free. after, if not nil, runs before they are given up and while the gate
// cannot close, so that what it journals and what the commands did are on the
// same side of every cut.
//
// A command that does not exist is an error that names it, and nothing of cmds
// is applied. A command that its handler refuses is a *ReplyError.
func (a *Applier) Apply(cmds []Applied, after func()) error {
	c := &a.call
	a.specs = a.specs[:0]
	c.noKeys()
	exclusive := false
	for _, cmd := range cmds {
		if len(cmd.Args) == 0 {
			return fmt.Errorf("apply: empty command")
		}
		spec, err := a.e.table.Find(cmd.Args)
		if err != nil {
			return fmt.Errorf("apply %q: %w", clip(cmd.Args[0], 128), err)
		}
		a.specs = append(a.specs, spec)
		exclusive = exclusive || a.wide(spec, cmd.Args)
		if !spec.keyed {
			continue
		}
		c.addKeys(spec, cmd.Args, nil)
	}
	if exclusive {
		a.e.gate.close()
		defer a.e.gate.open()
		c.exclusive = true
		defer func() { c.exclusive = false }()
		return a.run(cmds, nil, after)
	}
	held := append(a.held[:0], c.slots...)
	a.held = held
	for _, slot := range held {
		a.e.locks.lock(slot)
	}
	defer a.unlock(held)
	lane := &a.e.gate.lanes[c.Lane]
	lane.RLock()
	defer lane.RUnlock()
	return a.run(cmds, held, after)
}

func (a *Applier) unlock(held []slots.Slot) {
	for _, slot := range slices.Backward(held) {
		a.e.locks.unlock(slot)
	}
}

// run runs cmds. The caller holds what they need: the slots held, or everything.
func (a *Applier) run(cmds []Applied, held []slots.Slot, after func()) error {
	c := &a.call
	a.e.freeze(c)
	var failed error
	for i, cmd := range cmds {
		c.forget()
		c.Spec, c.Args, c.DB = a.specs[i], cmd.Args, cmd.DB
		if len(cmds) > 1 {
			c.noKeys()
		}
		if len(cmds) > 1 && c.Spec.keyed {
			c.addKeys(c.Spec, c.Args, nil)
		}
		a.reply.Buf = a.reply.Buf[:0]
		if err := c.Spec.Run(c); err != nil && failed == nil {
			failed = &ReplyError{Command: c.Spec.fullName, Err: err}
		}
		c.counted.dirty += c.dirty
	}
	a.e.gate.lanes[c.Lane].book(&c.counted)
	if after != nil {
		after()
	}
	a.e.serveReadied(c, held)
	return failed
}
