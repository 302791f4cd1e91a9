// Package server takes connections and runs what they send: listeners, event
// loops, sessions, the gates before a command, transactions, the CLIENT
// family, and the statistics of all that.
//
// # How to read it
//
// session.go is a connection without its socket: bytes in, bytes out, parked
// or not. It lives on one goroutine, its owner: an event loop (loop_linux.go,
// plain TCP on Linux) or a goroutine of its own (stream.go, Unix sockets and
// other systems). dispatch.go is the way of one request: gates, transaction,
// engine. Everything slow leaves the owner (park.go): a session that cannot go
// on is parked, its socket is not read, and a wake-up posted to the owner
// continues it; sleep.go is for those who wait for keys. flush.go lets replies
// out, past the Fence and the output limits. pipeline.go looks ahead in what a
// session has sent; doze_linux.go is how a loop waits while little happens, nap_linux.go
// how it does while much happens.
//
// # Who may touch what
//
// The fields of a session belong to its owner. Other goroutines see a session
// through its published view (session.view, guarded by the bench's lock) and
// act on it by posting functions to the owner. While a call runs off the loop
// the session is lent to that goroutine; the owner then touches only the
// socket.
//
// # Panics
//
// A panic ends the connection it happened on, with its stack in the log, and
// nothing else. session.protect is the only recover of the code base.
//
// Imports: command, config, resp, slots. node supplies the role, the fence and
// the engine.
package server
