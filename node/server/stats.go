package server

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// counters are the server's accounts that are not worth keeping per owner.
type counters struct {
	accepted    atomic.Int64
	rejected    atomic.Int64
	queryLimit  atomic.Int64
	outputLimit atomic.Int64
	evicted     atomic.Int64
	panics      atomic.Int64
	errorCount  atomic.Int64

	mu     sync.Mutex
	errors map[string]*int64
}

// maxErrorPrefixes bounds the table of errors: a prefix may come from a script.
const maxErrorPrefixes = 128

// errorReply counts an error reply by its prefix.
func (c *counters) errorReply(prefix string) {
	c.errorCount.Add(1)
	c.mu.Lock()
	if n := c.errors[prefix]; n != nil {
		*n++
	} else if len(c.errors) < maxErrorPrefixes {
		c.errors[prefix] = new(int64)
		*c.errors[prefix] = 1
	}
	c.mu.Unlock()
}

// Stats is what INFO shows of connections and commands.
type Stats struct {
	ConnectionsReceived, ConnectionsRejected int64
	Commands                                 int64
	OpsPerSecond                             int64
	BytesIn, BytesOut                        int64
	BytesInPerSecond, BytesOutPerSecond      int64
	ConnectedClients, BlockedClients         int64
	MaxInputBuffer, MaxOutputBuffer          int64
	// ClientMemory is that of normal clients, ReplicaMemory that of replicas'.
	ClientMemory, ReplicaMemory int64
	PubSubClients               int64
	QueryLimitDisconnections    int64
	OutputLimitDisconnections   int64
	EvictedClients              int64
	Errors                      int64
	// LoopRounds are the rounds of all event loops, LoopBusy is how long they took
	// together and LoopLongest the longest of them. LoopLongestOwn is the longest
	// less the time for which the kernel knows that the loop wanted to run and other
	// processes had the processor.
	LoopRounds                            int64
	LoopBusy, LoopLongest, LoopLongestOwn time.Duration
	// LoopNaps is how often a loop put off its next look, so that requests gather.
	LoopNaps int64
}

// CommandStat is the account of one command.
type CommandStat struct {
	Name                            string
	Calls, Micros, Rejected, Failed int64
}

// add adds the accounts of other.
func (t *traffic) add(other *traffic) {
	t.commands += other.commands
	t.bytesIn += other.bytesIn
	t.bytesOut += other.bytesOut
	t.rounds += other.rounds
	t.busy += other.busy
	t.longest = max(t.longest, other.longest)
	t.longestOwn = max(t.longestOwn, other.longestOwn)
	t.naps += other.naps
}

func newRowSums(rows int) rowSums {
	return rowSums{calls: make([]int64, rows), nanos: make([]int64, rows)}
}

func (s *rowSums) add(other *rowSums) {
	for i := range other.calls {
		s.calls[i] += other.calls[i]
		s.nanos[i] += other.nanos[i]
	}
}

func (s *rowSums) reset() {
	clear(s.calls)
	clear(s.nanos)
}

// newBenchStats returns the accounts of an owner of so many rows.
func newBenchStats(rows int) benchStats {
	return benchStats{rowSums: newRowSums(rows), times: make(latencies, rows)}
}

// reset zeroes the accounts.
func (s *benchStats) reset() {
	s.traffic = traffic{}
	s.rowSums.reset()
	s.times.reset()
}

// accounts calls visit with the accounts of each owner, of now and of before,
// which do not change meanwhile. The caller holds srv.mu.
func (srv *Server) accounts(visit func(*benchStats)) {
	visit(&srv.retired)
	for b := range srv.benches {
		b.mu.Lock()
		visit(&b.stats)
		b.mu.Unlock()
	}
}

// totals sums up what all owners had to do. The caller holds srv.mu.
func (srv *Server) totals() (total traffic) {
	srv.accounts(func(s *benchStats) { total.add(&s.traffic) })
	return total
}

// called sums up how often commands ran, and for how long, in srv.sum. The caller
// holds srv.mu.
func (srv *Server) called() *rowSums {
	srv.sum.reset()
	srv.accounts(func(s *benchStats) { srv.sum.add(&s.rowSums) })
	return &srv.sum
}

// Stats returns the accounts as of now; what it tells of the clients together is of
// a moment ago, see survey.
func (srv *Server) Stats() Stats {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	total := srv.totals()
	c, clients := &srv.counters, srv.survey()
	st := Stats{
		ConnectionsReceived: c.accepted.Load(), ConnectionsRejected: c.rejected.Load(),
		Commands: total.commands, BytesIn: total.bytesIn, BytesOut: total.bytesOut,
		ConnectedClients: clients.normal, BlockedClients: srv.blocked.Load(),
		MaxInputBuffer: clients.maxInput, MaxOutputBuffer: clients.maxOutput,
		ClientMemory: clients.memory, ReplicaMemory: clients.replicaMemory, PubSubClients: clients.pubsub,
		QueryLimitDisconnections: c.queryLimit.Load(), OutputLimitDisconnections: c.outputLimit.Load(),
		EvictedClients: c.evicted.Load(), Errors: c.errorCount.Load(),
		LoopRounds: total.rounds, LoopBusy: time.Duration(total.busy), LoopLongest: time.Duration(total.longest),
		LoopLongestOwn: time.Duration(total.longestOwn), LoopNaps: total.naps,
	}
	st.OpsPerSecond, st.BytesInPerSecond, st.BytesOutPerSecond = srv.ops.rates()
	return st
}

// ErrorCount is how many error replies began with a word.
type ErrorCount struct {
	Prefix string
	Count  int64
}

// ErrorCounts returns the counts of error replies, by their first words.
func (srv *Server) ErrorCounts() []ErrorCount {
	c := &srv.counters
	c.mu.Lock()
	counts := make([]ErrorCount, 0, len(c.errors))
	for prefix, n := range c.errors {
		counts = append(counts, ErrorCount{prefix, *n})
	}
	c.mu.Unlock()
	slices.SortFunc(counts, func(a, b ErrorCount) int { return strings.Compare(a.Prefix, b.Prefix) })
	return counts
}

// CommandStats returns the accounts of the commands that were called.
func (srv *Server) CommandStats() []CommandStat {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	sum := srv.called()
	var stats []CommandStat
	for i := range srv.rows {
		r := &srv.rows[i]
		rejected, failed := r.rejected.Load(), r.failed.Load()
		if sum.calls[i]+rejected+failed > 0 {
			stats = append(stats, CommandStat{
				Name: r.spec.FullName(), Calls: sum.calls[i], Micros: sum.nanos[i] / 1000, Rejected: rejected, Failed: failed,
			})
		}
	}
	return stats
}

// Latencies calls visit with how long the commands took that ran. The Latency is
// good for this call, and visit must not call the server.
func (srv *Server) Latencies(visit func(name string, l *Latency)) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	calls := srv.called().calls
	var sum Latency
	for i := range srv.rows {
		if calls[i] == 0 {
			continue
		}
		sum.reset()
		srv.accounts(func(s *benchStats) {
			if from := s.times[i]; from != nil {
				sum.add(from)
			}
		})
		visit(srv.rows[i].spec.FullName(), &sum)
	}
}

// ResetStats is CONFIG RESETSTAT.
func (srv *Server) ResetStats() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.accounts((*benchStats).reset)
	for i := range srv.rows {
		zero(&srv.rows[i].rejected)
		zero(&srv.rows[i].failed)
	}
	c := &srv.counters
	for _, n := range [...]*atomic.Int64{&c.accepted, &c.rejected, &c.queryLimit, &c.outputLimit, &c.evicted, &c.errorCount} {
		zero(n)
	}
	c.mu.Lock()
	clear(c.errors)
	c.mu.Unlock()
	srv.ops = opsSampler{}
}

// zero resets a counter. Most of them are zero already, and a store that others
// must see costs much more than a look.
func zero(n *atomic.Int64) {
	if n.Load() != 0 {
		n.Store(0)
	}
}

// opsSampler keeps the rates of the last samples, as INFO's instantaneous_*.
type opsSampler struct {
	samples [16]opsSample
	next    int
	last    opsSample
	taken   bool
}

type opsSample struct{ at, commands, bytesIn, bytesOut int64 }

// Sample takes the totals for the instantaneous rates; it is to be called about
// every 100 ms, or less often when nothing happens.
func (srv *Server) Sample() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	total := srv.totals()
	srv.ops.take(opsSample{srv.clock(), total.commands, total.bytesIn, total.bytesOut})
}

func (o *opsSampler) take(now opsSample) {
	if o.taken && now.at > o.last.at && now.commands >= o.last.commands {
		o.samples[o.next%len(o.samples)] = opsSample{
			now.at - o.last.at, now.commands - o.last.commands, now.bytesIn - o.last.bytesIn, now.bytesOut - o.last.bytesOut,
		}
		o.next++
	}
	o.last, o.taken = now, true
}

// rates returns commands and bytes per second over the samples.
func (o *opsSampler) rates() (commands, bytesIn, bytesOut int64) {
	var sum opsSample
	for _, s := range o.samples {
		sum.at += s.at
		sum.commands += s.commands
		sum.bytesIn += s.bytesIn
		sum.bytesOut += s.bytesOut
	}
	if sum.at == 0 {
		return 0, 0, 0
	}
	perSecond := func(n int64) int64 { return int64(float64(n) * 1e9 / float64(sum.at)) }
	return perSecond(sum.commands), perSecond(sum.bytesIn), perSecond(sum.bytesOut)
}
