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
	// few are the places of requests of several keys; positions is where those stand.
	few       [resp.BatchLen]command.FewPlaces
	positions []int
	// distinct is room for those that are to be warmed, and warmed how many there are.
	distinct [resp.BatchLen * command.FewKeys]command.Place
	warmed   int
	// changing is true when a request of several keys may change some: then keys mostly
	// come and go, which touches more than is worth touching for everybody.
	changing bool
	// elsewhere are the places of those that are looked up in another database too: see
	// command.Spec.Elsewhere.
	elsewhere places
	// warmth is what Warm read: it means nothing.
	warmth uint64
}

// places are keys of one database that are to be warmed.
type places struct {
	db, n int
	of    [resp.BatchLen]command.Place
}

// drop forgets what was found.
func (p *pipeline) drop() { p.requests, p.taken = nil, 0 }

// fill looks ahead in the input of s.
func (p *pipeline) fill(s *session) {
	p.requests, p.taken = s.scan.Ahead(s.data, &p.batch), 0
	p.warmed, p.elsewhere.n, p.changing = 0, 0, false
	var last []byte
	var place command.Place
	for i := range p.requests {
		args := p.requests[i].Args
		r := s.bench.recall(args)
		p.rows[i], p.places[i] = r, command.Place{}
		if r == nil || !r.keyed {
			continue
		}
		at := r.spec.OnlyKey(len(args))
		if at == 0 || at >= len(args) {
			if p.few[i].None(); r.several {
				p.findFew(s, i, r)
			}
			continue
		}
		if key := args[at]; p.warmed == 0 || !bytes.Equal(key, last) {
			place, last = s.srv.engine.Place(key), key
			p.warm(place)
		}
		p.places[i] = place
		if r.spec.Elsewhere != nil {
			p.findElsewhere(r, args, place)
		}
	}
	if p.warmed > 1 {
		p.warmth += s.srv.engine.Warm(s.db, p.distinct[:p.warmed])
		if p.changing {
			p.warmth += s.srv.engine.WarmChange(s.db, p.distinct[:p.warmed])
		}
	}
	if e := &p.elsewhere; e.n > 0 {
		p.warmth += s.srv.engine.Warm(e.db, e.of[:e.n])
	}
}

// findElsewhere notes that place is to be warmed in another database, if it is the same
// as for requests before.
func (p *pipeline) findElsewhere(r *row, args [][]byte, place command.Place) {
	e := &p.elsewhere
	db, ok := r.spec.Elsewhere(args)
	if !ok || e.n > 0 && db != e.db {
		return
	}
	e.db, e.of[e.n] = db, place
	e.n++
}

// warm notes that what lies at place is to be warmed.
func (p *pipeline) warm(place command.Place) {
	p.distinct[p.warmed] = place
	p.warmed++
}

// findFew finds the places of the keys of request i, a call of r, unless they are many.
func (p *pipeline) findFew(s *session, i int, r *row) {
	args := p.requests[i].Args
	positions, err := r.spec.KeyPositions(args, p.positions[:0])
	if p.positions = positions; err != nil || len(positions) > command.FewKeys {
		return
	}
	p.changing = p.changing || r.spec.Flags&command.Write != 0
	for _, at := range positions {
		place := s.srv.engine.Place(args[at])
		p.few[i].Add(place)
		p.warm(place)
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
		r := p.rows[i]
		if s.call.Few.None(); r != nil && r.several && !p.places[i].Known() {
			s.call.Few = p.few[i]
		}
		return r, true
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
			s.call.Few.None()
			return s.bench.recall(args), true
		}
	}
}
