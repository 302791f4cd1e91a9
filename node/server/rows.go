package server

import (
	"bytes"
	"math"
	"strconv"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// The facts that most rows of the connection family share.
const (
	plainFlags = command.NoScript | command.Loading | command.Stale | command.Fast
	freeFlags  = plainFlags | command.NoAuth | command.AllowBusy
)

// Rows are the commands that live in this package: connections and
// transactions.
func (srv *Server) Rows() []command.Spec {
	rows := []command.Spec{
		srv.authRow(),
		srv.clientRow(),
		{
			Name: "echo", Syntax: "message", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Returns the given string.",
			Run:     func(c *command.Call) error { c.Reply.Bulk(c.Args[1]); return nil },
		},
		{
			Name: "hello", Syntax: "[protover [AUTH username password] [SETNAME clientname]]", Arity: -1, Flags: freeFlags, Group: "connection", Since: "6.0.0", Complexity: "O(1)",
			Summary: "Handshakes with the server.",
			Run:     srv.hello,
		},
		{
			Name: "ping", Syntax: "[message]", Arity: -1, Flags: command.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Returns the server's liveliness response.",
			Tips:    []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Run:     ping,
		},
		{
			Name: "quit", Arity: -1, Flags: freeFlags, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Closes the connection.",
			Run: func(c *command.Call) error {
				c.Reply.OK()
				c.Conn.CloseAfterReply()
				return nil
			},
		},
		{
			Name: "reset", Arity: 1, Flags: freeFlags, Group: "connection", Since: "6.2.0", Complexity: "O(1)",
			Summary: "Resets the connection.",
			Run:     reset,
		},
		{
			Name: "select", Syntax: "index", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, Group: "connection", Since: "1.0.0", Complexity: "O(1)",
			Summary: "Changes the selected database.",
			Run:     srv.selectDB,
		},
		srv.clusterFlagRow("asking", "Signals that a cluster client is following an -ASK redirect.", func(s *session) { s.flags |= flagAsking }),
		srv.clusterFlagRow("readonly", "Enables read-only queries for a connection to a Redis Cluster replica node.", func(s *session) { s.flags |= flagReadOnly }),
		srv.clusterFlagRow("readwrite", "Enables read-write queries for a connection to a Redis Cluster replica node.", func(s *session) { s.flags &^= flagReadOnly }),
	}
	return append(rows, srv.transactionRows()...)
}

// clusterFlagRow is a command that only sets a fact of the connection.
func (srv *Server) clusterFlagRow(name, summary string, set func(*session)) command.Spec {
	flags := command.Loading | command.Stale | command.Fast
	if name == "asking" {
		flags = command.Fast
	}
	return command.Spec{
		Name: name, Arity: 1, Flags: flags, Group: "cluster", Since: "3.0.0", Complexity: "O(1)", Summary: summary,
		Categories: []string{"connection"},
		Run: func(c *command.Call) error {
			if !srv.set.ClusterEnabled {
				return resp.ErrNoClusterMode
			}
			set(sessionOf(c))
			c.Reply.OK()
			return nil
		},
	}
}

// ping answers in the form that RESP2 subscribers expect when there are any.
func ping(c *command.Call) error {
	if len(c.Args) > 2 {
		return resp.WrongArity("ping")
	}
	if s := sessionOf(c); s != nil && s.flags&flagPubSub != 0 && !c.Reply.RESP3() {
		c.Reply.Array(2)
		c.Reply.BulkString("pong")
		if len(c.Args) == 2 {
			c.Reply.Bulk(c.Args[1])
		} else {
			c.Reply.BulkString("")
		}
		return nil
	}
	if len(c.Args) == 2 {
		c.Reply.Bulk(c.Args[1])
	} else {
		c.Reply.Buf = append(c.Reply.Buf, "+PONG\r\n"...)
	}
	return nil
}

func (srv *Server) selectDB(c *command.Call) error {
	db, ok := resp.ParseInt(c.Args[1])
	switch {
	case !ok:
		return resp.ErrNotInteger
	case db < math.MinInt32 || db > math.MaxInt32:
		return resp.ErrNotInt32
	case srv.set.ClusterEnabled && db != 0:
		return resp.ErrSelectCluster
	case db < 0 || db >= srv.set.Databases.Load():
		return resp.ErrDBIndex
	}
	c.Conn.SetDB(int(db))
	c.Reply.OK()
	return nil
}

// reset makes the connection as good as new, but for its name's absence of
// effect on who it is: it must authenticate again.
func reset(c *command.Call) error {
	s := sessionOf(c)
	if !c.InExec {
		s.endTransaction()
	}
	s.flags &^= flagMulti | flagAsking | flagReadOnly | flagReplyOff | flagReplySkip | flagReplySkipNext | flagNoEvict | flagNoTouch
	s.db = 0
	s.setName("")
	c.Reply.Proto = 2
	if s.srv.auth.required() {
		s.flags |= flagUnauthenticated
		s.scan.Restricted = true
	}
	c.Reply.Simple("RESET")
	return nil
}

// setName is CLIENT SETNAME after its validation.
func (s *session) setName(name string) {
	s.bench.mu.Lock()
	defer s.bench.mu.Unlock()
	s.view.name = name
}

// validName reports whether every byte can stand in CLIENT LIST.
func validName(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

// hello is HELLO. Nothing changes unless all of it is valid.
func (srv *Server) hello(c *command.Call) error {
	s := sessionOf(c)
	proto := max(c.Reply.Proto, 2)
	at := 1
	if len(c.Args) > 1 {
		n, ok := resp.ParseInt(c.Args[1])
		if !ok {
			return resp.ErrProtoVersion
		}
		if n < 2 || n > 3 {
			return resp.ErrNoProto
		}
		proto, at = int(n), 2
	}
	var user, password, name []byte
	var named bool
	for ; at < len(c.Args); at++ {
		rest := len(c.Args) - at - 1
		switch {
		case rest >= 2 && command.IsWord(c.Args[at], "auth"):
			user, password = c.Args[at+1], c.Args[at+2]
			at += 2
		case rest >= 1 && command.IsWord(c.Args[at], "setname"):
			name, named = c.Args[at+1], true
			if !validName(name) {
				return resp.ErrBadClientName
			}
			at++
		default:
			return resp.Errf("ERR Syntax error in HELLO option '", string(c.Args[at]), "'")
		}
	}
	if user != nil {
		if err := srv.auth.check(true, user, password); err != "" {
			return err
		}
		s.authenticated()
	}
	if s.flags&flagUnauthenticated != 0 && srv.auth.required() {
		return resp.ErrHelloNoAuth
	}
	if named {
		s.setName(string(name))
	}
	w := c.Reply
	w.Proto = proto
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(srv.set.ReportedVersion)
	w.BulkString("proto")
	w.Int(int64(proto))
	w.BulkString("id")
	w.Int(int64(s.id))
	w.BulkString("mode")
	if srv.set.ClusterEnabled {
		w.BulkString("cluster")
	} else {
		w.BulkString("standalone")
	}
	w.BulkString("role")
	if srv.state != nil && srv.state.Gates()&GateReplica != 0 {
		w.BulkString("replica")
	} else {
		w.BulkString("master")
	}
	w.BulkString("modules")
	w.Array(0)
	return nil
}

// ownView is what CLIENT INFO and LIST tell of the client that asks: as of now.
func (s *session) ownView(c *command.Call) view {
	v := s.snapshot()
	v.row = &s.srv.rows[c.Spec.Index()]
	v.db, v.flags, v.proto, v.active = s.db, s.flags, c.Reply.Proto, s.active
	v.multi = -1
	for _, arg := range c.Args {
		v.argBytes += len(arg)
	}
	return v
}

// parseID reads a client id, which is positive.
func parseID(arg []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(arg)), 10, 63)
	return n, err == nil && n > 0
}
