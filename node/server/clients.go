package server

import (
	"slices"
	"strconv"
	"time"
)

// ClientFilter chooses clients. Zero fields choose all.
type ClientFilter struct {
	IDs             []uint64
	Addr, LocalAddr string
	// Type is "normal", "master", "replica" or "pubsub".
	Type string
	User string
	// Skip is the id of a client that is never chosen.
	Skip uint64
}

// ClientInfo is one client as CLIENT LIST shows it.
type ClientInfo struct {
	ID   uint64
	Line string
}

// snapshot returns a copy of what others may know of s.
func (s *session) snapshot() view {
	s.bench.mu.Lock()
	defer s.bench.mu.Unlock()
	return s.view
}

// sessionBytes is about what a connection costs beside its buffers.
const sessionBytes = 1536

func (v *view) memory() int64 {
	return int64(sessionBytes + v.bufferBytes + v.multiBytes)
}

// kind is the client's type as CLIENT LIST TYPE and client-output-buffer-limit
// know it.
func (v *view) kind() string {
	switch {
	case v.flags&flagReplica != 0:
		return "replica"
	case v.flags&flagPubSub != 0:
		return "pubsub"
	}
	return "normal"
}

// matches reports whether the filter chooses s.
func (f *ClientFilter) matches(s *session, v *view) bool {
	return (len(f.IDs) == 0 || slices.Contains(f.IDs, s.id)) &&
		(f.Addr == "" || f.Addr == s.remote) &&
		(f.LocalAddr == "" || f.LocalAddr == s.local) &&
		(f.Type == "" || f.Type == v.kind()) &&
		(f.User == "" || f.User == defaultUser) &&
		(f.Skip == 0 || f.Skip != s.id)
}

// chosen returns the sessions that the filter chooses, by id.
func (srv *Server) chosen(f ClientFilter) []*session {
	srv.mu.Lock()
	sessions := make([]*session, 0, len(srv.clients))
	if len(f.IDs) > 0 {
		for _, id := range f.IDs {
			if s := srv.clients[id]; s != nil {
				sessions = append(sessions, s)
			}
		}
	} else {
		for _, s := range srv.clients {
			sessions = append(sessions, s)
		}
	}
	srv.mu.Unlock()
	slices.SortFunc(sessions, func(a, b *session) int { return int(int64(a.id) - int64(b.id)) })
	sessions = slices.Compact(sessions)
	return slices.DeleteFunc(sessions, func(s *session) bool {
		v := s.snapshot()
		return s.doomed.Load() || !f.matches(s, &v)
	})
}

// Clients returns the chosen clients by id, with the lines of CLIENT LIST.
func (srv *Server) Clients(f ClientFilter) []ClientInfo {
	sessions := srv.chosen(f)
	infos := make([]ClientInfo, len(sessions))
	now := srv.clock()
	for i, s := range sessions {
		v := s.snapshot()
		infos[i] = ClientInfo{s.id, string(s.line(nil, &v, now))}
	}
	return infos
}

// KillClients closes the chosen clients and returns how many there were. They
// are off the list when it returns; their sockets close soon after.
func (srv *Server) KillClients(f ClientFilter) int {
	sessions := srv.chosen(f)
	for _, s := range sessions {
		srv.kill(s)
	}
	return len(sessions)
}

func (srv *Server) kill(s *session) {
	if s.doomed.Swap(true) {
		return
	}
	srv.forget(s)
	s.doom()
}

// line appends the client's line of CLIENT LIST, without a line end.
func (s *session) line(dst []byte, v *view, now int64) []byte {
	word := func(name, value string) {
		if len(dst) > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, name...)
		dst = append(dst, '=')
		dst = append(dst, value...)
	}
	number := func(name string, value int64) {
		word(name, "")
		dst = strconv.AppendInt(dst, value, 10)
	}
	seconds := func(since int64) int64 { return max(0, int64(time.Duration(now-since)/time.Second)) }
	number("id", int64(s.id))
	word("addr", s.remote)
	word("laddr", s.local)
	number("fd", int64(s.fd))
	word("name", v.name)
	number("age", seconds(s.started))
	number("idle", seconds(v.active))
	word("flags", v.letters())
	number("db", int64(v.db))
	number("sub", 0)
	number("psub", 0)
	number("ssub", 0)
	number("multi", int64(v.multi))
	number("qbuf", int64(v.queryBytes))
	number("qbuf-free", int64(v.queryFree))
	number("argv-mem", int64(v.argBytes))
	number("multi-mem", int64(v.multiBytes))
	number("rbs", int64(s.bench.replyBytes()))
	number("rbp", int64(s.bench.replyBytes()))
	number("obl", int64(v.outBytes))
	number("oll", 0)
	number("omem", int64(v.outBytes))
	number("tot-mem", v.memory())
	events := "r"
	if v.outBytes > 0 {
		events = "rw"
	}
	word("events", events)
	word("cmd", v.row.name())
	word("user", defaultUser)
	number("redir", -1)
	number("resp", int64(max(v.proto, 2)))
	word("lib-name", v.libName)
	word("lib-ver", v.libVersion)
	return dst
}

// replyBytes is what CLIENT LIST calls the size of the reply buffer.
func (b *bench) replyBytes() int { return 16 << 10 }

// letters are the flags of CLIENT LIST.
func (v *view) letters() string {
	var dst []byte
	add := func(letter byte, on bool) {
		if on {
			dst = append(dst, letter)
		}
	}
	add('S', v.flags&flagReplica != 0)
	add('P', v.flags&flagPubSub != 0)
	add('x', v.flags&flagMulti != 0)
	add('b', v.blocked != nil)
	add('U', v.flags&flagUnix != 0)
	add('r', v.flags&flagReadOnly != 0)
	add('c', v.flags&flagCloseAfterReply != 0)
	add('e', v.flags&flagNoEvict != 0)
	add('T', v.flags&flagNoTouch != 0)
	if len(dst) == 0 {
		return "N"
	}
	return string(dst)
}
