package command

import (
	"net"
	"time"

	"slotmesh/node/resp"
)

// Conn is the connection that a call came from, as far as commands may know
// it. Package server implements it; calls that come from a journal have none.
// Rows that live in server reach the rest by a type assertion there.
type Conn interface {
	// ID is the client id, unique in the process.
	ID() uint64

	// DB and SetDB are the selected database.
	DB() int
	SetDB(db int)

	// Asking reports and ends the effect of ASKING; ReadOnlyConn is READONLY.
	Asking() bool
	ReadOnlyConn() bool

	// Park suspends the connection: nothing more is read or answered until
	// wake is called. start may call wake at once or keep it for another
	// goroutine; only the first call counts. reply writes the answer on the
	// connection's own loop. The cancel that start returns, if any, is called
	// when the client leaves first.
	Park(start func(wake func(reply func(*resp.Writer))) (cancel func()))

	// Sleep is Park for a call that waits for keys. The connection calls Withdraw
	// of b when the client leaves or is unblocked, or timeout, unless 0, has
	// passed, and may do so at once. It is for Call.Wait alone.
	Sleep(b *Blocked, timeout time.Duration) Sleeper

	// Hijack takes the socket away from its loop after the replies so far are
	// out and hands it to take in blocking mode, with the input that was read
	// but not parsed. The server forgets the connection, except that CLIENT LIST
	// and CLIENT KILL go on to know it until done is called.
	Hijack(take func(socket net.Conn, pending []byte, done func()))

	// Attachment is one value that the commands of a family may keep with the
	// connection (replication keeps what REPLCONF told).
	Attachment() any
	SetAttachment(any)

	// CloseAfterReply ends the connection when its replies are out.
	CloseAfterReply()
}
