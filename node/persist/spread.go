package persist

import (
	"runtime"
	"sync/atomic"

	"slotmesh/node/crew"
	"slotmesh/node/store"
)

// spread applies the commands of a file on all cores. One goroutine reads and
// cuts; a command that needs one slot, or a transaction of such commands, goes to
// the worker that has the slot's heap, which applies what it gets in the order of
// the file. Everything else is applied when the workers have done what is before
// it.
type spread struct {
	target   Target
	progress *Progress
	crew     *crew.Crew[orders]
	workers  []applier
	// block is what is being read into and cut, free are those nobody looks at.
	block *block
	free  chan *block
	one   [1]Command
	// failed is set when it was seen that a worker had failed.
	failed bool
}

const (
	// blockBytes is how much of a file is cut at once, and maxOrder how long a
	// command may be that a worker gets.
	blockBytes = 256 << 10
	maxOrder   = 4 << 20
	// ahead is for how many commands memory is asked for at once.
	ahead = 16
)

// block is a part of a file.
type block struct {
	buf []byte
	// given is what each worker is to do, spare what it was given before.
	given, spare []orders
	// users is how many look at it.
	users atomic.Int32
}

// orders are what one worker does of a block.
type orders struct {
	*block
	buf  []byte
	list []order
	// spans are the arguments of all of them, one after the other.
	spans []argSpan
}

// order is one step: a command, or a transaction.
type order struct {
	at   int64
	db   int
	args int
	key  int
	// group is a transaction, of memory of its own.
	group []Command
}

// applier is what a worker works with.
type applier struct {
	args     [][]byte
	commands []Command
	keys     [][]byte
}

func newSpread(t Target, p *Progress) *spread {
	n := t.Workers()
	s := &spread{target: t, progress: p, workers: make([]applier, n)}
	blocks := 2*n + 2
	s.free = make(chan *block, blocks)
	for range blocks {
		s.free <- &block{given: make([]orders, n), spare: make([]orders, n)}
	}
	s.crew = crew.New(n, s.work)
	return s
}

// begin is called before a file is read. It returns room to read into, which
// holds what was read ahead.
func (s *spread) begin(ahead []byte) []byte {
	if s.block != nil {
		s.let(s.block)
	}
	s.take(len(ahead))
	return append(s.block.buf, ahead...)
}

// turn hands out what was cut in buf and returns another room, which holds rest,
// the end of buf.
func (s *spread) turn(buf, rest []byte) []byte {
	s.deal(buf)
	s.failed = s.crew.Failed()
	s.let(s.block)
	s.take(len(rest))
	return append(s.block.buf, rest...)
}

// end waits until everything of a file is applied. buf is what was cut last.
func (s *spread) end(buf []byte) *crew.Failure {
	s.deal(buf)
	return s.crew.Wait()
}

func (s *spread) take(used int) {
	size := blockBytes
	for size < 2*used {
		size *= 2
	}
	b := <-s.free
	b.users.Store(1)
	if cap(b.buf) != size {
		b.buf = make([]byte, 0, size)
	}
	for i, spare := range b.spare {
		b.given[i] = orders{list: spare.list[:0], spans: spare.spans[:0]}
	}
	s.block = b
}

func (s *spread) let(b *block) {
	if b.users.Add(-1) == 0 {
		s.free <- b
	}
}

func (s *spread) deal(buf []byte) {
	b := s.block
	for i := range b.given {
		if g := b.given[i]; len(g.list) > 0 {
			b.users.Add(1)
			g.block, g.buf = b, buf
			b.given[i] = orders{}
			s.crew.Give(i, g)
		}
	}
}

// command applies a command, sooner or later. e is what it was read as, from byte
// start of the room on.
func (s *spread) command(c Command, e entry, start int, buf []byte) *crew.Failure {
	if s.failed {
		return s.crew.Wait()
	}
	slot, key, single := s.target.Route(c)
	if !single || e.size > maxOrder {
		s.one[0] = c
		return s.alone(e.at, s.one[:], buf)
	}
	g := &s.block.given[int(slot)%store.Heaps%len(s.workers)]
	for _, span := range e.spans {
		g.spans = append(g.spans, argSpan{start + span.from, start + span.to})
	}
	g.list = append(g.list, order{at: e.at, db: c.DB, args: len(e.spans), key: key})
	return nil
}

// transaction applies commands, which are the caller's no longer, as one step.
func (s *spread) transaction(at int64, commands []Command, buf []byte) *crew.Failure {
	worker := -1
	for _, c := range commands {
		slot, _, single := s.target.Route(c)
		w := int(slot) % store.Heaps % len(s.workers)
		if !single || worker >= 0 && w != worker {
			return s.alone(at, commands, buf)
		}
		worker = w
	}
	if worker < 0 {
		return nil
	}
	g := &s.block.given[worker]
	g.list = append(g.list, order{at: at, group: commands})
	return nil
}

// alone applies commands when everything before them is applied, and nothing else
// is meanwhile.
func (s *spread) alone(at int64, commands []Command, buf []byte) *crew.Failure {
	if f := s.end(buf); f != nil {
		return f
	}
	if err := s.target.Apply(0, commands); err != nil {
		return &crew.Failure{At: at, Err: err}
	}
	s.progress.Commands.Add(int64(len(commands)))
	return nil
}

// work does what a worker was given.
func (s *spread) work(worker int, o orders) (failed *crew.Failure) {
	w := &s.workers[worker]
	for list, spans := o.list, o.spans; len(list) > 0 && failed == nil; {
		n := min(len(list), ahead)
		spans = w.open(o.buf, list[:n], spans)
		failed = s.apply(worker, w, list[:n])
		list = list[n:]
		runtime.Gosched()
	}
	clear(o.list)
	o.spare[worker] = orders{list: o.list, spans: o.spans}
	s.let(o.block)
	return failed
}

// open puts the commands of list together, and returns what is left of spans.
func (w *applier) open(buf []byte, list []order, spans []argSpan) []argSpan {
	w.args, w.commands, w.keys = w.args[:0], w.commands[:0], w.keys[:0]
	for _, o := range list {
		for _, span := range spans[:o.args] {
			w.args = append(w.args, buf[span.from:span.to:span.to])
		}
		spans = spans[o.args:]
	}
	args := w.args
	for _, o := range list {
		c := Command{DB: o.db, Args: args[:o.args:o.args]}
		args = args[o.args:]
		w.commands = append(w.commands, c)
		if o.group == nil && o.db == list[0].db {
			w.keys = append(w.keys, c.Args[o.key])
		}
	}
	return spans
}

func (s *spread) apply(worker int, w *applier, list []order) *crew.Failure {
	s.target.Warm(list[0].db, w.keys)
	done := 0
	defer func() { s.progress.Commands.Add(int64(done)) }()
	for i, o := range list {
		commands := o.group
		if commands == nil {
			commands = w.commands[i : i+1]
		}
		if err := s.target.Apply(worker, commands); err != nil {
			return &crew.Failure{At: o.at, Err: err}
		}
		done += len(commands)
	}
	return nil
}

// close ends the workers.
func (s *spread) close() { s.crew.Close() }
