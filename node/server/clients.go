package server

import (
	"cmp"
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

// kind is view.kind of what others may know of s.
func (s *session) kind() string {
	s.bench.mu.Lock()
	defer s.bench.mu.Unlock()
	return s.view.kind()
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
func (f *ClientFilter) matches(s *session) bool {
	return (len(f.IDs) == 0 || slices.Contains(f.IDs, s.id)) &&
		(f.Addr == "" || f.Addr == s.remote) &&
		(f.LocalAddr == "" || f.LocalAddr == s.local) &&
		(f.Type == "" || f.Type == s.kind()) &&
		(f.User == "" || f.User == defaultUser) &&
		(f.Skip == 0 || f.Skip != s.id)
}

// chosen returns the sessions that the filter chooses, by id.
func (srv *Server) chosen(f ClientFilter) []*session {
	var sessions []*session
	srv.mu.Lock()
	if len(f.IDs) > 0 {
		for _, id := range f.IDs {
			if s := srv.clients[id]; s != nil {
				sessions = append(sessions, s)
			}
		}
	} else {
		sessions = make([]*session, 0, len(srv.clients))
		for _, s := range srv.clients {
			sessions = append(sessions, s)
		}
	}
	srv.mu.Unlock()
	if len(sessions) == 0 {
		return nil
	}
	slices.SortFunc(sessions, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	sessions = slices.Compact(sessions)
	return slices.DeleteFunc(sessions, func(s *session) bool { return s.doomed.Load() || !f.matches(s) })
}

// survey is what is told of all clients together. Those that feed replicas count
// for replicaMemory only.
type survey struct {
	// taken is false once a client has come or gone, at is when it was made.
	taken bool
	at    int64

	normal, pubsub, maxInput, maxOutput, memory, replicaMemory int64
}

const (
	// surveyAge is how old a survey may be: with many clients it takes long. The
	// reference looks at every client once a second.
	surveyAge = int64(100 * time.Millisecond)
	// surveyTurn is how many clients are looked at under one lock of their owner's,
	// which waits meanwhile.
	surveyTurn = 64
)

// survey looks at all clients, or returns what it found a moment ago. The caller
// holds srv.mu.
func (srv *Server) survey() *survey {
	v, now := &srv.surveyed, srv.clock()
	if v.taken && now-v.at < surveyAge {
		return v
	}
	*v = survey{taken: true, at: now}
	var at *bench
	seen := 0
	for _, s := range srv.clients {
		if s.bench != at || seen == surveyTurn {
			if at != nil {
				at.mu.Unlock()
			}
			at, seen = s.bench, 0
			at.mu.Lock()
		}
		seen++
		v.add(&s.view)
	}
	if at != nil {
		at.mu.Unlock()
	}
	return v
}

func (v *survey) add(of *view) {
	if of.flags&flagReplica != 0 {
		v.replicaMemory += of.memory()
		return
	}
	v.normal++
	v.memory += of.memory()
	v.maxInput = max(v.maxInput, int64(of.queryBytes))
	v.maxOutput = max(v.maxOutput, int64(of.outBytes))
	if of.flags&flagPubSub != 0 {
		v.pubsub++
	}
}

func (srv *Server) kill(s *session) {
	if s.doomed.Swap(true) {
		return
	}
	srv.forget(s)
	// Its owner may be busy for a while, and what is written meanwhile is for others.
	if v := s.snapshot(); v.blocked != nil {
		v.blocked.abandon()
	}
	s.doom()
}

// word and number append a field of CLIENT LIST: its name with what stands around
// it, and its value.
func word(dst []byte, name, value string) []byte { return append(append(dst, name...), value...) }

func number(dst []byte, name string, value int64) []byte {
	return strconv.AppendInt(append(dst, name...), value, 10)
}

// appendLine appends the line of CLIENT LIST that tells v of s, with its end.
func (s *session) appendLine(dst []byte, v *view, now int64) []byte {
	seconds := func(since int64) int64 { return max(0, int64(time.Duration(now-since)/time.Second)) }
	dst = number(dst, "id=", int64(s.id))
	dst = word(dst, " addr=", s.remote)
	dst = word(dst, " laddr=", s.local)
	dst = number(dst, " fd=", int64(s.fd))
	dst = word(dst, " name=", v.name)
	dst = number(dst, " age=", seconds(s.started))
	dst = number(dst, " idle=", seconds(v.active))
	dst = v.appendLetters(append(dst, " flags="...))
	dst = number(dst, " db=", int64(v.db))
	dst = number(dst, " sub=", 0)
	dst = number(dst, " psub=", 0)
	dst = number(dst, " ssub=", 0)
	dst = number(dst, " multi=", int64(v.multi))
	dst = number(dst, " qbuf=", int64(v.queryBytes))
	dst = number(dst, " qbuf-free=", int64(v.queryFree))
	dst = number(dst, " argv-mem=", int64(v.argBytes))
	dst = number(dst, " multi-mem=", int64(v.multiBytes))
	dst = number(dst, " rbs=", int64(s.bench.replyBytes()))
	dst = number(dst, " rbp=", int64(s.bench.replyBytes()))
	dst = number(dst, " obl=", int64(v.outBytes))
	dst = number(dst, " oll=", 0)
	dst = number(dst, " omem=", int64(v.outBytes))
	dst = number(dst, " tot-mem=", v.memory())
	if v.outBytes > 0 {
		dst = word(dst, " events=", "rw")
	} else {
		dst = word(dst, " events=", "r")
	}
	dst = word(dst, " cmd=", v.row.name())
	dst = word(dst, " user=", defaultUser)
	dst = number(dst, " redir=", -1)
	dst = number(dst, " resp=", int64(max(v.proto, 2)))
	dst = word(dst, " lib-name=", v.libName)
	dst = word(dst, " lib-ver=", v.libVersion)
	return append(dst, '\n')
}

// replyBytes is what CLIENT LIST calls the size of the reply buffer.
func (b *bench) replyBytes() int { return 16 << 10 }

// appendLetters appends the flags of CLIENT LIST.
func (v *view) appendLetters(dst []byte) []byte {
	begin := len(dst)
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
	if len(dst) == begin {
		return append(dst, 'N')
	}
	return dst
}
