package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"slotmesh/node/e2e/drill"
	"slotmesh/node/e2e/harness"
)

func main() {
	server := flag.String("server", "", "binary to test; empty builds the node")
	rounds := flag.Int("rounds", 20, "how many primaries to kill")
	timeout := flag.Int("timeout", 0, "cluster-node-timeout in milliseconds; 0 leaves the default")
	only := flag.String("only", "kill,replica,busy,pause,manual", "which drills to run")
	flag.Parse()

	console := harness.NewConsole(os.Stdout)
	defer console.Close()
	binary := harness.FromPath(*server)
	if *server == "" {
		dir, err := os.MkdirTemp("", "slotmesh-failover-")
		if err != nil {
			console.Fatalf("directory for the node: %v", err)
		}
		console.Cleanup(func() { os.RemoveAll(dir) })
		if binary, err = harness.Build(dir); err != nil {
			console.Fatalf("%v", err)
		}
	}
	d := driver{console: console, server: binary, timeoutMs: *timeout}
	for drillName := range strings.SplitSeq(*only, ",") {
		switch drillName {
		case "kill":
			d.kill(*rounds)
		case "replica":
			d.steady("one replica stopped for 20 s", func(l *drill.Load) { l.PauseReplica(0, 20*time.Second) })
		case "busy":
			d.steady("all cores busy for 20 s", func(l *drill.Load) { l.BusyCores(20 * time.Second) })
		case "pause":
			d.pause()
		case "manual":
			d.manual()
		default:
			console.Fatalf("there is no drill %q", drillName)
		}
	}
}

// driver runs each drill on a cluster of its own.
type driver struct {
	console   *harness.Console
	server    harness.Server
	timeoutMs int
}

// with runs fn on a fresh cluster under load and stops the cluster.
func (d driver) with(timeoutMs int, fn func(*drill.Load)) {
	inner := harness.NewConsole(os.Stdout)
	defer inner.Close()
	d.console.Cleanup(inner.Close)
	var options harness.Options
	if timeoutMs > 0 {
		options.Directives = []string{fmt.Sprintf("cluster-node-timeout %d", timeoutMs)}
	}
	rig := harness.New(inner, d.server)
	load := drill.StartLoad(inner, rig.StartCluster(3, 1, options))
	fn(load)
	load.Stop()
}

func (d driver) kill(rounds int) {
	d.with(d.timeoutMs, func(l *drill.Load) {
		baseline := time.Now()
		time.Sleep(2 * time.Second)
		quiet := l.OtherGap(-1, baseline, time.Now())
		fmt.Printf("%s, cluster-node-timeout %s: kill -9 of a primary, %d times\n", d.server, d.timeoutName(), rounds)
		var times, gaps []time.Duration
		for i := range rounds {
			r := l.KillRound(i%len(l.Shards), 2*time.Minute)
			times, gaps = append(times, r.ToAccepted), append(gaps, r.OtherGap)
			fmt.Printf("  %2d  %-3s first write after %6d ms, others interrupted at most %4d ms\n",
				i+1, r.Killed, r.ToAccepted.Milliseconds(), r.OtherGap.Milliseconds())
		}
		l.Stop()
		lost, _, err := l.Lost()
		if err != nil {
			d.console.Fatalf("read back: %v", err)
		}
		acked := 0
		for _, s := range l.Shards {
			acked += len(s.Writer.Acks())
		}
		fmt.Printf("first accepted write: median %d ms, worst %d ms\n", drill.Median(times).Milliseconds(), slices.Max(times).Milliseconds())
		fmt.Printf("other shards: worst interruption %d ms (%d ms with nothing killed)\n", slices.Max(gaps).Milliseconds(), quiet.Milliseconds())
		fmt.Printf("acknowledged writes: %d, lost with the killed primaries: %d\n\n", acked, lost)
	})
}

func (d driver) timeoutName() string {
	if d.timeoutMs == 0 {
		return "at its default"
	}
	return fmt.Sprintf("%d ms", d.timeoutMs)
}

func (d driver) steady(what string, disturb func(*drill.Load)) {
	d.with(d.timeoutMs, func(l *drill.Load) {
		begun := time.Now()
		err := l.Steady(3*time.Second, func() { disturb(l) })
		gap := l.OtherGap(-1, begun, time.Now())
		if err != nil {
			fmt.Printf("%s: %v\n\n", what, err)
			d.console.Errorf("%s caused a failover", what)
			return
		}
		fmt.Printf("%s: no failover; longest interruption of a shard %d ms\n\n", what, gap.Milliseconds())
	})
}

func (d driver) pause() {
	timeoutMs := d.timeoutMs
	if timeoutMs == 0 {
		timeoutMs = 1000
	}
	d.with(timeoutMs, func(l *drill.Load) {
		for i := range l.Shards {
			r := l.PauseRound(i, time.Minute)
			fmt.Printf("a primary paused past its timeout of %d ms and resumed acknowledged %d writes, %d of them lost\n",
				timeoutMs, r.Acknowledged, r.Lost)
			if r.Lost > 0 && !d.server.Reference {
				d.console.Errorf("lost %s", r.Example)
			}
		}
		fmt.Println()
	})
}

func (d driver) manual() {
	d.with(d.timeoutMs, func(l *drill.Load) {
		var gaps []time.Duration
		for i := range 2 * len(l.Shards) {
			gap, _ := l.ManualFailover(i%len(l.Shards), 7*time.Second)
			gaps = append(gaps, gap)
		}
		l.Stop()
		lost, example, err := l.Lost()
		if err != nil {
			d.console.Fatalf("read back: %v", err)
		}
		fmt.Printf("CLUSTER FAILOVER, %d times: slots without an accepted write for %d ms (median), %d ms (worst); acknowledged writes lost: %d %s\n\n",
			len(gaps), drill.Median(gaps).Milliseconds(), slices.Max(gaps).Milliseconds(), lost, example)
	})
}
