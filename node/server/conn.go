package server

import "slotmesh/node/command"

// sessionOf returns the session that c came from, or nil.
func sessionOf(c *command.Call) *session {
	s, _ := c.Conn.(*session)
	return s
}

// ID implements command.Conn.
func (s *session) ID() uint64 { return s.id }

// DB implements command.Conn.
func (s *session) DB() int { return s.db }

// SetDB implements command.Conn.
func (s *session) SetDB(db int) { s.db = db }

// Asking implements command.Conn. The effect of ASKING ends by itself after the
// next request.
func (s *session) Asking() bool { return s.flags&flagAsking != 0 }

// ReadOnlyConn implements command.Conn.
func (s *session) ReadOnlyConn() bool { return s.flags&flagReadOnly != 0 }

// Attachment implements command.Conn.
func (s *session) Attachment() any { return s.attachment }

// SetAttachment implements command.Conn.
func (s *session) SetAttachment(value any) { s.attachment = value }

// CloseAfterReply implements command.Conn.
func (s *session) CloseAfterReply() { s.flags |= flagCloseAfterReply }

// RemoteAddr is the peer's address, "ip:port" or "path:0".
func (s *session) RemoteAddr() string { return s.remote }

// LocalAddr is the address that the peer connected to.
func (s *session) LocalAddr() string { return s.local }

// SetReplica marks the connection as a replica's: its class in CLIENT LIST and
// for output limits.
func (s *session) SetReplica() { s.flags |= flagReplica }
