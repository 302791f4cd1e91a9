package server

import (
	"bytes"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// pipeline is what an owner has found out beforehand about the next requests of
// the session at work: cutting, looking up and hashing are done for many at once,
// and memory that they will need is asked for together. It says nothing that the
// input would not say again, and may be dropped at any time.
type pipeline struct {
	batch resp.Batch
	// requests are those found, of which the first taken ones were taken. A row is
	// nil and a place unknown where they are still to be found.
	requests []resp.Request
	taken    int
	rows     [resp.BatchLen]*row
	places   [resp.BatchLen]command.Place
	// distinct is room for those that are to be warmed.
	distinct [resp.BatchLen]command.Place
	// warmth is what Warm read: it means nothing.
	warmth uint64
}

// drop forgets what was found.
func (p *pipeline) drop() { p.requests, p.taken = nil, 0 }

// fill looks ahead in the input of s.
func (p *pipeline) fill(s *session) {
	p.requests, p.taken = s.scan.Ahead(s.data, &p.batch), 0
	n := 0
	var last []byte
	var place command.Place
	for i := range p.requests {
		args := p.requests[i].Args
		r := s.bench.recall(args)
		p.rows[i] = r
		if r == nil || r.onlyKey == 0 || r.onlyKey >= len(args) {
			p.places[i] = command.Place{}
			continue
		}
		if key := args[r.onlyKey]; n == 0 || !bytes.Equal(key, last) {
			place, last = s.srv.engine.Place(key), key
			p.distinct[n] = place
			n++
		}
		p.places[i] = place
	}
	if n > 1 {
		p.warmth += s.srv.engine.Warm(s.db, p.distinct[:n])
	}
}

// next takes the next request off the input of s: into args, with its row if that
// is known, and the place of its key. It reports whether there is one.
func (s *session) next() (r *row, ok bool) {
	p := &s.bench.ahead
	if p.taken == len(p.requests) {
		s.srv.engine.Leave(&s.call)
		p.fill(s)
	}
	// What was cut by other rules than those in force now is cut again.
	if i := p.taken; i < len(p.requests) && !s.scan.Restricted {
		p.taken++
		s.requestBytes = p.requests[i].Size
		s.data = s.data[s.requestBytes:]
		s.args, s.call.Place = p.requests[i].Args, p.places[i]
		return p.rows[i], true
	}
	p.drop()
	for {
		args, n, err := s.scan.Next(s.data)
		if err != nil {
			s.protocolError(err)
			return nil, false
		}
		if n == 0 {
			return nil, false
		}
		s.data, s.requestBytes = s.data[n:], n
		if len(args) > 0 {
			s.args, s.call.Place = args, command.Place{}
			return s.bench.recall(args), true
		}
	}
}
