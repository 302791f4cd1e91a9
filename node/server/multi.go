package server

import (
	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// transaction is what a connection has queued since MULTI, and what it watches.
type transaction struct {
	queued  []command.Queued
	watcher command.Watcher
	// spoiled is set by an error while queueing: EXEC will answer EXECABORT.
	spoiled bool
	// heavy is set when one of the commands is, keyed and writes likewise.
	heavy, keyed, writes bool
	bytes                int

	// executing is true from EXEC until its reply is written.
	executing bool
	all       command.Transaction
	// ran are the commands that EXEC has run, and since is when the last one
	// ended.
	ran   []tallied
	since int64

	// text and args are memory for what is queued. Both grow by being left behind,
	// so what is in them stays where it is.
	text []byte
	args [][]byte
}

// spareTransactions are kept by an owner for those that begin: one is large, and
// most are over at once. spareText bounds the memory for what they queue.
const (
	spareTransactions = 16
	spareText         = 16 << 10
)

// transact returns the session's transaction, begun if need be. A WATCH that runs off
// the loop leaves the spare ones alone, which are the owner's.
func (s *session) transact() *transaction {
	switch {
	case s.tx != nil:
	case s.off != nil || len(s.bench.transactions) == 0:
		s.tx = new(transaction)
	default:
		spare := s.bench.transactions
		last := len(spare) - 1
		s.tx, spare[last] = spare[last], nil
		s.bench.transactions = spare[:last]
	}
	return s.tx
}

// reset makes tx, which nobody uses, what a new one is, but for its memory.
func (tx *transaction) reset() {
	clear(tx.queued)
	tx.queued, tx.ran = tx.queued[:0], tx.ran[:0]
	tx.spoiled, tx.heavy, tx.keyed, tx.writes, tx.bytes, tx.executing = false, false, false, false, 0, false
	clear(tx.args)
	tx.text, tx.args = tx.text[:0], tx.args[:0]
	tx.all.Reset()
}

// keep copies a request into the transaction's memory.
func (tx *transaction) keep(args [][]byte) [][]byte {
	from := len(tx.args)
	for _, arg := range args {
		at := len(tx.text)
		tx.text = append(tx.text, arg...)
		tx.args = append(tx.args, tx.text[at:len(tx.text):len(tx.text)])
	}
	return tx.args[from:len(tx.args):len(tx.args)]
}

// largeExec is how many commands a transaction may have to run on the loop.
const largeExec = 512

// queue adds the request under way to the transaction, after asking where its
// keys are served: an error now is what the reference answers at this point,
// and spoils the transaction.
func (s *session) queue(row *row) {
	if row.keyed {
		if err := s.routeQueued(row); err != "" {
			s.refuse(row, string(err))
			return
		}
	}
	tx := s.tx
	args := tx.keep(s.args)
	tx.queued = append(tx.queued, command.Queued{Spec: row.spec, Args: args})
	for _, arg := range args {
		tx.bytes += len(arg) + 24
	}
	tx.keyed = tx.keyed || row.keyed && row.spec.Flags&command.NoFence == 0
	tx.writes = tx.writes || row.spec.Flags&(command.Write|command.MayReplicate) != 0
	if row.heavy != nil && !tx.heavy {
		c := &s.call
		c.Spec, c.Args, c.DB, c.InExec = row.spec, args, s.db, true
		tx.heavy = row.heavy(c)
		c.InExec = false
	}
	if limit := s.srv.set.QueryBuffer.Load(); int64(tx.bytes) > limit {
		s.srv.log.Warn("Closing client that reached max query buffer length", "client", s.remote, "bytes", tx.bytes)
		s.srv.counters.queryLimit.Add(1)
		s.close()
		return
	}
	mark := len(s.out.Buf)
	s.out.Simple("QUEUED")
	if s.flags&^flagMulti != 0 {
		s.afterReply(mark)
	}
}

// routeQueued is the verdict on a command that is being queued. Whether keys of
// an open slot are still here is left to EXEC, which asks under the slot's
// lock; the loop takes no locks of slots to queue something.
func (s *session) routeQueued(row *row) resp.Error {
	table := s.srv.engine.Routing()
	if table == nil {
		return ""
	}
	positions, err := row.spec.KeyPositions(s.args, nil)
	if err != nil {
		return resp.Error(err.Error())
	}
	if len(positions) == 0 {
		return ""
	}
	slot := slots.Of(s.args[positions[0]])
	for _, at := range positions[1:] {
		if slots.Of(s.args[at]) != slot {
			return resp.ErrCrossSlot
		}
	}
	if err := command.Route(table, s.routeRequest(row, slot, len(positions))); err != nil {
		return resp.Error(err.Error())
	}
	return ""
}

// routeRequest is what the slot table must know of the request under way, when
// nobody looks whether the keys of an open slot are here.
func (s *session) routeRequest(row *row, slot slots.Slot, keys int) slots.Request {
	return slots.Request{
		Slot:         slot,
		ReadOnly:     row.spec.Flags&command.Write == 0,
		Asking:       s.flags&flagAsking != 0 || row.spec.Flags&command.Asking != 0,
		ReadOnlyConn: s.flags&flagReadOnly != 0,
		Keys:         keys,
		Missing:      func() int { return 0 },
	}
}

// exec is EXEC's function. It answers, or leaves the session parked with its
// transaction executing.
func (s *session) exec(c *command.Call) error {
	tx := s.tx
	switch {
	case s.flags&flagMulti == 0:
		return resp.ErrExecNoMulti
	case tx.spoiled:
		s.endTransaction()
		return resp.ErrExecAbort
	}
	if s.ranFn == nil {
		s.ranFn = s.ranInExec
	}
	all := &tx.all
	all.Commands, all.Reply, all.Conn, all.DB = tx.queued, &s.out, s, s.db
	all.Lane, all.OnLoop, all.After = s.bench.lane, true, s.ranFn
	if !tx.watcher.Empty() {
		tx.all.Watcher = &tx.watcher
	}
	tx.executing = true
	// MULTI ends here, for what runs inside may ask.
	s.flags &^= flagMulti
	s.executeAll()
	return nil
}

// execMayRun passes the transaction through the fence, parks it there, or
// answers for it.
func (s *session) execMayRun() bool {
	tx := s.tx
	if s.srv.fence == nil || !tx.keyed {
		return true
	}
	switch state, _ := s.bench.fence(s.srv.fence); {
	case state == FenceDown:
		s.out.Error(string(resp.ErrClusterDown))
		s.bench.tally.failed(s.srv, s.row, string(resp.ErrClusterDown), true)
		s.endTransaction()
		return false
	case state == FenceHeld, state == FenceWritesHeld && tx.writes:
		s.suspend(parkEngine)
		park := s.park
		s.srv.fence.Notify(func() { s.wakeLater(park) })
		return false
	}
	return true
}

// executeAll runs the transaction on the owner, for the first time or again.
// When it returns, the reply is written or the session is parked.
func (s *session) executeAll() {
	if !s.execMayRun() {
		return
	}
	tx := s.tx
	if tx.heavy || len(tx.queued) > largeExec {
		s.runOffLoop()
		return
	}
	s.stampAll()
	// The clock was read when the run of EXEC began.
	tx.since, tx.all.Clock = s.bench.tally.since, s.bench.wall
	if !s.srv.engine.ExecuteAll(&tx.all, s.resumeFn) {
		s.suspend(parkEngine)
		return
	}
	if tx.all.Err == command.ErrLong {
		s.runOffLoop()
		return
	}
	s.finishAll()
}

// stampAll is stamp for the transaction.
func (s *session) stampAll() {
	if s.srv.fence != nil && s.tx.keyed {
		_, term := s.bench.fence(s.srv.fence)
		s.stamp(s.tx.writes, term)
	}
}

// executeAllWait runs the transaction on a goroutine that may wait.
func (s *session) executeAllWait(reply *resp.Writer, lane int) {
	tx := s.tx
	tx.all.Reply, tx.all.Lane, tx.all.Clock = reply, lane, 0
	tx.since = s.srv.clock()
	s.srv.engine.ExecuteAllWait(&tx.all)
}

// ranInExec is told of every command that ran inside EXEC.
func (s *session) ranInExec(c *command.Call) {
	tx := s.tx
	now := s.srv.clock()
	row := &s.srv.rows[c.Spec.Index()]
	tx.ran = append(tx.ran, tallied{row, 1, now - tx.since})
	tx.since = now
	if c.Err != nil {
		row.failed.Add(1)
		s.srv.counters.errorReply(resp.ErrorPrefix(c.Err.Error()))
	}
}

// finishAll ends the transaction after its reply was written.
func (s *session) finishAll() {
	tx := s.tx
	s.bench.tally.groups = append(s.bench.tally.groups, tx.ran...)
	if err := tx.all.Err; err != nil {
		s.bench.tally.failed(s.srv, s.row, err.Error(), true)
	}
	s.endTransaction()
}

// endTransaction forgets what was queued and what is watched. Nothing of the
// transaction runs.
func (s *session) endTransaction() {
	s.flags &^= flagMulti
	tx := s.tx
	if tx == nil {
		return
	}
	if !tx.watcher.Empty() {
		s.srv.engine.Unwatch(&tx.watcher)
	}
	s.tx = nil
	if s.parked == parkGone {
		// Whatever it was in the middle of.
		return
	}
	if b := s.bench; len(b.transactions) < spareTransactions && cap(tx.text) <= spareText && cap(tx.queued) <= largeExec {
		tx.reset()
		b.transactions = append(b.transactions, tx)
	}
}

// watch is WATCH's function; the engine holds the slots of the keys.
func (s *session) watch(c *command.Call) error {
	c.Watch(&s.transact().watcher)
	c.Reply.OK()
	return nil
}

// transactionRows are the rows of the transactions family.
func (srv *Server) transactionRows() []command.Spec {
	const flags = command.NoScript | command.Loading | command.Stale | command.Fast | command.AllowBusy
	return []command.Spec{
		{
			Name: "multi", Arity: 1, Flags: flags, Group: "transactions", Since: "1.2.0", Complexity: "O(1)",
			Summary: "Starts a transaction.",
			Run: func(c *command.Call) error {
				s := sessionOf(c)
				if s.flags&flagMulti != 0 {
					return resp.ErrNestedMulti
				}
				s.transact()
				s.flags |= flagMulti
				c.Reply.OK()
				return nil
			},
		},
		{
			Name: "exec", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.SkipSlowlog, Group: "transactions", Since: "1.2.0",
			Complexity: "Depends on commands in the transaction",
			Summary:    "Executes all commands in a transaction.",
			Run:        func(c *command.Call) error { return sessionOf(c).exec(c) },
		},
		{
			Name: "discard", Arity: 1, Flags: flags, Group: "transactions", Since: "2.0.0", Complexity: "O(N), when N is the number of queued commands",
			Summary: "Discards a transaction.",
			Run: func(c *command.Call) error {
				s := sessionOf(c)
				if s.flags&flagMulti == 0 {
					return resp.ErrDiscardNoMulti
				}
				s.endTransaction()
				c.Reply.OK()
				return nil
			},
		},
		{
			Name: "watch", Syntax: "key [key ...]", Arity: -2, Flags: flags, Group: "transactions", Since: "2.2.0", Complexity: "O(1) for every key.",
			Summary: "Monitors changes to keys to determine the execution of a transaction.",
			Keys:    []command.KeySpec{{Flags: command.KeyRO, Begin: 1, Last: -1, Step: 1}},
			Run: func(c *command.Call) error {
				s := sessionOf(c)
				if s.flags&flagMulti != 0 {
					return resp.ErrWatchInMulti
				}
				return s.watch(c)
			},
		},
		{
			Name: "unwatch", Arity: 1, Flags: flags, Group: "transactions", Since: "2.2.0", Complexity: "O(1)",
			Summary: "Forgets about watched keys of a transaction.",
			Run: func(c *command.Call) error {
				s := sessionOf(c)
				if s.tx != nil && !s.tx.executing && !s.tx.watcher.Empty() {
					s.srv.engine.Unwatch(&s.tx.watcher)
				}
				c.Reply.OK()
				return nil
			},
		},
	}
}
