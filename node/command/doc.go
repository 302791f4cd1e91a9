// Package command turns requests into changes of the keyspace: one declarative
// row a command (Spec), the rows of a server (Table), what a running command
// may see and do (Call), and the one way of running it (Engine).
//
// # One row, everything derived
//
// A command is a Spec in its family's file. COMMAND and its subcommands, arity
// errors, ACL categories, slot routing, the gates, journaling, statistics and
// the reference table in the README come from the row.
//
// # One way of running
//
// The Engine locks the slots of the call's keys ascending, asks the slot table
// for its verdict, freezes the time, runs the row's function, appends the
// effect to the journal under the lock, and unlocks. A busy slot is tried
// briefly; then the call waits in the slot's queue and its connection parks, so
// that an event loop is never held up. Replicas, recovery and imports go
// through Apply, which is the same without routing and gates.
//
// An event loop calls with Call.OnLoop: a call that would take too long for it
// then does nothing and says ErrLong (heavy.go), and is run again on a goroutine
// of its own. With Call.Stay a run of calls passes the gate once.
//
// # Waiting for keys
//
// A handler that finds nothing to do may call Call.Wait (blocking.go). The client
// then stands in the queues of its keys, and its connection sleeps. Whatever
// changes a key says so by Call.Changed; when the call is over and journaled,
// and before its slots are let go, those who wait for what it changed are served
// in order (serving.go). One decision, under the lock of the one who waits, ends
// the waiting: to be served, to time out, to be unblocked or to have left.
//
// # Purity
//
// No clock, socket, disk or global randomness here: Engine is given its time
// and its seeds.
package command
