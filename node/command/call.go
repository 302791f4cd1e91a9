package command

import (
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// Call is one command on its way through the Engine. A connection owns one and
// uses it again and again; nothing in it may be kept by a handler.
type Call struct {
	Spec *Spec
	// Args is the whole command, Args[0] the name as sent. It aliases the
	// connection's input: copy what is kept.
	Args [][]byte
	DB   int
	// Now is the frozen time of the command, Unix milliseconds.
	Now int64
	// Reply takes the answer.
	Reply *resp.Writer
	// Conn is where it came from; nil for a call applied from a journal.
	Conn Conn
	// Lane is the gate lane of the goroutine that runs it: one per event loop,
	// see Engine.Lanes.
	Lane int
	// InExec is true inside EXEC and scripts: the call may not park.
	InExec bool
	// Applied is true for a call that comes from the primary, a file or an
	// import: no routing, no gates, expired keys are still there.
	Applied bool

	keys [][]byte
	slot slots.Slot
}
