package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/e2e/harness"
)

// steadyWrites is how many writes a second others do while a client reads.
const steadyWrites = 20_000

// collection is the size of the collections that half the data may be in.
const collection = 5_000

// latency prints what the collector costs and how long a client waits.
func (b bench) latency(rounds int) {
	keys := max(int(manyStrings*b.scale), 10_000)
	rig := harness.New(b.console, b.node)
	node := rig.Start(harness.Options{Name: "node", CPU: 1, Env: []string{"GODEBUG=gctrace=1"}})
	reference := rig.Start(harness.Options{Name: "reference", Server: b.reference, CPU: 1})
	b.pin("1")
	defer b.pin("0-1")
	w := b.watch(0)
	fmt.Printf("\nGET while %d keys of 64 bytes are written, servers on core 0, clients on core 1\n", keys)
	b.whileLoading(node, w, keys)
	b.whileLoading(reference, w, keys)
	fmt.Printf("GET beside %d writes a second to as many keys, %d rounds\n", steadyWrites, rounds)
	collections := len(collectorCosts(node))
	b.besideWrites(node, reference, w, keys, rounds)
	w.end()
	b.collector(node, keys, "of strings", "10", collections)
	b.gather(node, keys/2, keys)
	collections = len(collectorCosts(node))
	b.steady(node, keys/2, after(steadyTime))
	b.collector(node, keys/2, "half of it in collections of 5,000", "20", collections)
	node.Kill()
	reference.Kill()
}

// whileLoading prints how long a client of p waits while so many keys are written as
// fast as they are taken.
func (b bench) whileLoading(p *harness.Process, w *witness, keys int) {
	var loaded atomic.Bool
	watched := make(chan turns)
	begun := monotonic()
	go func() { watched <- w.turnsUntil(p, loaded.Load) }()
	go func() {
		defer loaded.Store(true)
		l := b.loader(p)
		defer l.close()
		writeStrings(l, keys)
		l.finish()
	}()
	tail, most := b.reads(p, keys, loaded.Load)
	longest := <-watched
	fmt.Printf("%s: p99.9 %.0f µs, longest %.0f µs; longest absence of the core %.0f µs\n", p.Name, tail, most, w.longest(begun, monotonic()))
	if longest.whole > 0 {
		fmt.Printf("longest turn of one of its event loops: %.0f µs; without what other processes had of the core %.0f µs; and without the core's absence then %.0f µs\n",
			longest.whole, longest.own, longest.present)
	}
}

// besideWrites prints how long a client waits while another writes evenly.
func (b bench) besideWrites(node, reference *harness.Process, w *witness, keys, rounds int) {
	tails, worst := map[*harness.Process][]float64{}, map[*harness.Process][]float64{}
	var whole, own, present, absent []float64
	for round := range rounds {
		order := []*harness.Process{node, reference}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, p := range order {
			begun, over := monotonic(), after(steadyTime)
			watched := make(chan turns)
			go func() { watched <- w.turnsUntil(p, over) }()
			tail, most := b.steady(p, keys, over)
			if longest := <-watched; p == node {
				whole, own, present = append(whole, longest.whole), append(own, longest.own), append(present, longest.present)
			}
			absent = append(absent, w.longest(begun, monotonic()))
			tails[p], worst[p] = append(tails[p], tail), append(worst[p], most)
		}
	}
	ratios := make([]float64, rounds)
	for i := range ratios {
		ratios[i] = tails[node][i] / tails[reference][i]
	}
	fmt.Printf("p99.9: node %s µs, reference %s µs, ratio %s, to reach 1.20\n", spread(tails[node]), spread(tails[reference]), spread(ratios))
	fmt.Printf("longest: node %s µs, reference %s µs\n", spread(worst[node]), spread(worst[reference]))
	fmt.Printf("longest turn of one of the node's event loops: %s µs, to reach 5000; without what other processes had of the core %s µs; and without the core's absence then %s µs\n",
		spread(whole), spread(own), spread(present))
	fmt.Printf("longest absence of the core in a round, as a process of real-time priority noticed: %s µs\n", spread(absent))
}

// gather moves the strings from first to end into hashes and sets.
func (b bench) gather(p *harness.Process, first, end int) {
	l := b.loader(p)
	defer l.close()
	for k := first; k < end; k++ {
		l.send("UNLINK", keyName(k))
	}
	for k := 0; k < end-first; k += 100 {
		name := strconv.Itoa(k / collection)
		hash, set := []string{"HSET", "hash" + name}, []string{"SADD", "set" + name}
		for i := k; i < k+100; i++ {
			if k/collection%2 == 0 {
				hash = append(hash, keyName(i), strings.Repeat("v", 64))
			} else {
				set = append(set, keyName(i)+strings.Repeat("v", 48))
			}
		}
		if len(hash) > 2 {
			l.send(hash...)
		} else {
			l.send(set...)
		}
	}
	l.finish()
}

// steadyTime is how long a client is watched beside writes.
const steadyTime = 5 * time.Second

// leastTimes is what a 99.9th percentile needs.
const leastTimes = 1000

// after returns what is true once that long has passed.
func after(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
}

// steady writes evenly until over and returns the 99.9th percentile and the
// greatest time of GET, in µs.
func (b bench) steady(p *harness.Process, keys int, over func() bool) (tail, most float64) {
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		l := b.loader(p)
		defer l.close()
		value := strings.Repeat("w", 64)
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		begun, written := time.Now(), 0
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			// What a late tick has left out follows with the next, a little at a time.
			due := int(time.Since(begun).Seconds()*steadyWrites) - written
			for range min(due, 100) {
				l.send("SET", keyName(rand.IntN(keys)), value)
				written++
			}
			l.finish()
		}
	})
	tail, most = b.reads(p, keys, over)
	close(stop)
	writer.Wait()
	return tail, most
}

// reads has one client read until over, and returns the 99.9th percentile and the
// greatest time of GET, in µs.
func (b bench) reads(p *harness.Process, keys int, over func() bool) (tail, most float64) {
	conn, err := harness.Dial(p.Addr(), 10*time.Second)
	if err != nil {
		b.console.Fatalf("connect to %s: %v", p.Name, err)
	}
	defer conn.Close()
	var times []float64
	for !over() || len(times) < leastTimes {
		begun := time.Now()
		if _, err := conn.Do("GET", keyName(rand.IntN(keys))); err != nil {
			b.console.Fatalf("GET: %v", err)
		}
		times = append(times, float64(time.Since(begun).Nanoseconds())/1000)
	}
	slices.Sort(times)
	return times[len(times)*999/1000], times[len(times)-1]
}

// microsOf returns a field of microseconds from a section of INFO, or nothing if it is
// not there.
func microsOf(info map[string]string, field string) []float64 {
	text, ok := info[field]
	if !ok {
		return nil
	}
	micros, _ := strconv.ParseFloat(text, 64)
	return []float64{micros}
}

// forced is how many collections are asked for where none has been necessary.
const forced = 3

// collector prints what full collections have cost p since it had logged so many
// of them. If its clients have made too little garbage for one, it is asked for
// some beside more of the same writes: MEMORY PURGE begins with a full collection.
func (b bench) collector(p *harness.Process, keys int, what, target string, logged int) {
	why := ""
	if len(collectorCosts(p)) == logged {
		var done atomic.Bool
		go func() {
			defer done.Store(true)
			for range forced {
				p.Do("MEMORY", "PURGE")
			}
		}()
		b.steady(p, keys, done.Load)
		why = " that were asked for"
	}
	costs := collectorCosts(p)[logged:]
	fmt.Printf("collector, data %s: %d collections%s, %s ms of CPU each, to reach %s\n", what, len(costs), why, spread(costs), target)
}

// collectorCosts returns the milliseconds of processor time of every collection
// that p has logged. Source: the runtime package, GODEBUG gctrace: "…, a+b/c/d+e
// ms cpu, …"; d is time that nobody else wanted.
func collectorCosts(p *harness.Process) (costs []float64) {
	for line := range strings.Lines(p.Log()) {
		if !strings.HasPrefix(line, "gc ") {
			continue
		}
		_, rest, found := strings.Cut(line, " ms clock, ")
		cpu, _, whole := strings.Cut(rest, " ms cpu")
		if !found || !whole {
			continue
		}
		sum := 0.0
		for i, part := range strings.FieldsFunc(cpu, func(r rune) bool { return r == '+' || r == '/' }) {
			if ms, err := strconv.ParseFloat(part, 64); err == nil && i != 3 {
				sum += ms
			}
		}
		costs = append(costs, sum)
	}
	return costs
}
