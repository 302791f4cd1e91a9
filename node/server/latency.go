package server

import (
	"math/bits"
	"time"
)

// Latency is how often a command took how long, in classes of about six per
// cent: sixteen for every doubling of the time. Calls that ran one after
// another without a pause are timed together and count with their mean.
type Latency struct {
	counts [latencyClasses]int64
	total  int64
}

const (
	// latencyFine is the binary logarithm of the classes for a doubling.
	latencyFine = 4
	// latencyBits is the length of the longest time that is told apart from
	// longer ones: 2^36 ns, a little more than a minute.
	latencyBits    = 36
	latencyClasses = (latencyBits - latencyFine + 1) << latencyFine
)

// latencyClass is the class of a time.
func latencyClass(nanos int64) int {
	n := uint64(max(nanos, 0))
	if n >= 1<<latencyBits {
		return latencyClasses - 1
	}
	if n < 1<<latencyFine {
		return int(n)
	}
	shift := bits.Len64(n) - latencyFine - 1
	return shift<<latencyFine + int(n>>shift)
}

// latencyBound is the greatest time of a class.
func latencyBound(class int) int64 {
	if class < 2<<latencyFine {
		return int64(class)
	}
	shift := class>>latencyFine - 1
	return (int64(class-shift<<latencyFine)+1)<<shift - 1
}

func (l *Latency) note(nanos, count int64) {
	l.counts[latencyClass(nanos)] += count
	l.total += count
}

func (l *Latency) add(other *Latency) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.total += other.total
}

func (l *Latency) reset() { *l = Latency{} }

// Percentiles appends to dst the times that so many per cent of the calls did not
// exceed.
func (l *Latency) Percentiles(dst []time.Duration, percents []float64) []time.Duration {
	begin := len(dst)
	for _, p := range percents {
		// The rank among the calls, until the time is known.
		rank := int64(p / 100 * float64(l.total))
		dst = append(dst, time.Duration(-min(max(rank, 1), l.total)))
	}
	found := dst[begin:]
	var seen int64
	for class, n := range l.counts {
		if n == 0 {
			continue
		}
		seen += n
		for i, at := range found {
			if at < 0 && seen >= int64(-at) {
				found[i] = time.Duration(latencyBound(class))
			}
		}
	}
	return dst
}

// latencies are those of all rows, by index; nil for a row that was not called.
type latencies []*Latency

func (l latencies) note(row int, nanos, count int64) {
	if l[row] == nil {
		l[row] = new(Latency)
	}
	l[row].note(nanos/count, count)
}

// reset zeroes the accounts of the rows that have any.
func (l latencies) reset() {
	for _, of := range l {
		if of != nil {
			of.reset()
		}
	}
}

func (l latencies) add(other latencies) {
	for i, from := range other {
		if from == nil {
			continue
		}
		if l[i] == nil {
			l[i] = new(Latency)
		}
		l[i].add(from)
	}
}
