package server

import (
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
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
	errors map[string]int64
}

// maxErrorPrefixes bounds the table of errors: a prefix may come from a script.
const maxErrorPrefixes = 128

// errorReply counts an error reply by its prefix.
func (c *counters) errorReply(prefix string) {
	c.errorCount.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.errors[prefix]; known || len(c.errors) < maxErrorPrefixes {
		c.errors[prefix]++
	}
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
	// ErrorsByPrefix counts error replies by their first word.
	ErrorsByPrefix map[string]int64
}

// CommandStat is the account of one command.
type CommandStat struct {
	Name                            string
	Spec                            *command.Spec
	Calls, Micros, Rejected, Failed int64
	// Latency is nil for a command that never ran.
	Latency *Latency
}

// add adds the accounts of other.
func (s *benchStats) add(other *benchStats) {
	if s.calls == nil {
		s.calls, s.nanos = make([]int64, len(other.calls)), make([]int64, len(other.nanos))
	}
	for i := range other.calls {
		s.calls[i] += other.calls[i]
		s.nanos[i] += other.nanos[i]
	}
	s.commands += other.commands
	s.bytesIn += other.bytesIn
	s.bytesOut += other.bytesOut
	s.rounds += other.rounds
	s.busy += other.busy
	s.longest = max(s.longest, other.longest)
	s.longestOwn = max(s.longestOwn, other.longestOwn)
}

// reset zeroes the accounts.
func (s *benchStats) reset() {
	clear(s.calls)
	clear(s.nanos)
	clear(s.times)
	s.commands, s.bytesIn, s.bytesOut = 0, 0, 0
	s.rounds, s.busy, s.longest, s.longestOwn = 0, 0, 0, 0
}

// totals sums up the accounts of all owners. The caller holds srv.mu.
func (srv *Server) totals() benchStats {
	total := benchStats{calls: make([]int64, len(srv.rows)), nanos: make([]int64, len(srv.rows))}
	if srv.retired.calls != nil {
		total.add(&srv.retired)
	}
	for b := range srv.benches {
		b.mu.Lock()
		total.add(&b.stats)
		b.mu.Unlock()
	}
	return total
}

// times sums up how long commands took. The caller holds srv.mu.
func (srv *Server) times() latencies {
	sum := make(latencies, len(srv.rows))
	sum.add(srv.retired.times)
	for b := range srv.benches {
		b.mu.Lock()
		sum.add(b.stats.times)
		b.mu.Unlock()
	}
	return sum
}

// Stats returns the accounts as of now.
func (srv *Server) Stats() Stats {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	total := srv.totals()
	c := &srv.counters
	st := Stats{
		ConnectionsReceived: c.accepted.Load(), ConnectionsRejected: c.rejected.Load(),
		Commands: total.commands, BytesIn: total.bytesIn, BytesOut: total.bytesOut,
		BlockedClients:           srv.blocked.Load(),
		QueryLimitDisconnections: c.queryLimit.Load(), OutputLimitDisconnections: c.outputLimit.Load(),
		EvictedClients: c.evicted.Load(), Errors: c.errorCount.Load(),
		LoopRounds: total.rounds, LoopBusy: time.Duration(total.busy), LoopLongest: time.Duration(total.longest),
		LoopLongestOwn: time.Duration(total.longestOwn),
		ErrorsByPrefix: make(map[string]int64),
	}
	st.OpsPerSecond, st.BytesInPerSecond, st.BytesOutPerSecond = srv.ops.rates()
	for _, s := range srv.clients {
		v := s.snapshot()
		memory := v.memory()
		if v.flags&flagReplica != 0 {
			st.ReplicaMemory += memory
			continue
		}
		st.ConnectedClients++
		st.ClientMemory += memory
		st.MaxInputBuffer = max(st.MaxInputBuffer, int64(v.queryBytes))
		st.MaxOutputBuffer = max(st.MaxOutputBuffer, int64(v.outBytes))
		if v.flags&flagPubSub != 0 {
			st.PubSubClients++
		}
	}
	c.mu.Lock()
	for prefix, n := range c.errors {
		st.ErrorsByPrefix[prefix] = n
	}
	c.mu.Unlock()
	return st
}

// CommandStats returns the accounts of the commands that were called.
func (srv *Server) CommandStats() []CommandStat {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	total, times := srv.totals(), srv.times()
	var stats []CommandStat
	for i := range srv.rows {
		r := &srv.rows[i]
		stat := CommandStat{
			Name: r.spec.FullName(), Spec: r.spec,
			Calls: total.calls[i], Micros: total.nanos[i] / 1000,
			Rejected: r.rejected.Load(), Failed: r.failed.Load(), Latency: times[i],
		}
		if stat.Calls+stat.Rejected+stat.Failed > 0 {
			stats = append(stats, stat)
		}
	}
	return stats
}

// ResetStats is CONFIG RESETSTAT.
func (srv *Server) ResetStats() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.retired.reset()
	for b := range srv.benches {
		b.mu.Lock()
		b.stats.reset()
		b.mu.Unlock()
	}
	for i := range srv.rows {
		srv.rows[i].rejected.Store(0)
		srv.rows[i].failed.Store(0)
	}
	c := &srv.counters
	for _, n := range []*atomic.Int64{&c.accepted, &c.rejected, &c.queryLimit, &c.outputLimit, &c.evicted, &c.errorCount} {
		n.Store(0)
	}
	c.mu.Lock()
	clear(c.errors)
	c.mu.Unlock()
	srv.ops = opsSampler{}
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
