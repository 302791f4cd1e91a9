package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"slotmesh/node/e2e/harness"
)

// row is one kind of load.
type row struct {
	// command is one of redis-benchmark's tests, or a command with arguments in
	// which __rand_int__ stands for a number below keys.
	command  string
	pipeline int
	// keys is how many random keys the load is spread over; 1 is
	// redis-benchmark's default.
	keys int
	// requests is chosen so that a run takes a few seconds: what else the machine
	// does in one of them weighs less.
	requests int
}

var rows = []row{
	{command: "set", pipeline: 1, keys: 1, requests: 200_000},
	{command: "get", pipeline: 1, keys: 1, requests: 200_000},
	{command: "set", pipeline: 16, keys: 1, requests: 1_500_000},
	{command: "get", pipeline: 16, keys: 1, requests: 1_500_000},
	{command: "set", pipeline: 100, keys: 1, requests: 2_500_000},
	{command: "get", pipeline: 100, keys: 1, requests: 2_500_000},
	{command: "set", pipeline: 1, keys: manyKeys, requests: 200_000},
	{command: "get", pipeline: 1, keys: manyKeys, requests: 200_000},
	{command: "set", pipeline: 16, keys: manyKeys, requests: 1_500_000},
	{command: "get", pipeline: 16, keys: manyKeys, requests: 1_500_000},
	{command: "set", pipeline: 100, keys: manyKeys, requests: 2_500_000},
	{command: "get", pipeline: 100, keys: manyKeys, requests: 2_500_000},
}

// manyKeys do not fit into a core's caches.
const manyKeys = 100_000

func main() {
	rows := flag.String("rows", strings.Join(tables, ","), "which tables to make")
	rounds := flag.Int("rounds", 3, "how often each load is measured on each server")
	server := flag.String("server", "", "binary to measure; empty builds the node")
	match := flag.String("match", "", "which rows of the table of families to measure: a regular expression")
	idle := flag.Duration("idle", 20*time.Second, "how long the idle cluster is watched; 0 leaves it out")
	scale := flag.Float64("scale", 1, "factor on the number of requests")
	flag.Parse()
	if flag.NArg() == 2 && flag.Arg(0) == witnessArgument {
		fmt.Fprintln(os.Stderr, bearWitness(flag.Arg(1)))
		os.Exit(1)
	}

	console := harness.NewConsole(os.Stdout)
	defer console.Close()
	families, err := regexp.Compile(*match)
	if err != nil {
		console.Fatalf("-match: %v", err)
	}
	ours := harness.FromPath(*server)
	if *server == "" {
		dir, err := os.MkdirTemp("", "slotmesh-bench-")
		if err != nil {
			console.Fatalf("directory for the node: %v", err)
		}
		console.Cleanup(func() { os.RemoveAll(dir) })
		if ours, err = harness.Build(dir); err != nil {
			console.Fatalf("%v", err)
		}
	}
	for _, tool := range []string{"redis-benchmark", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil {
			console.Fatalf("%s is missing: `make tools` installs it (%v)", tool, err)
		}
	}
	b := bench{console: console, node: ours, reference: harness.Reference(console), scale: *scale, match: families}
	for _, name := range strings.Split(*rows, ",") {
		switch name {
		case "operations":
			b.operations(*rounds)
		case "families":
			b.families(*rounds)
		case "bytes":
			b.bytes()
		case "latency":
			b.latency(*rounds)
		case "fullsync":
			b.fullSync(*rounds)
		case "durability":
			b.durability(*rounds)
		case "idle":
			if *idle > 0 {
				b.idle(*idle)
			}
		default:
			console.Fatalf("there is no table %q; there are %s", name, strings.Join(tables, ", "))
		}
	}
}

// tables are what -rows names.
var tables = []string{"operations", "families", "bytes", "latency", "fullsync", "durability", "idle"}

type bench struct {
	console         *harness.Console
	node, reference harness.Server
	scale           float64
	// match says which families are measured.
	match *regexp.Regexp
}

// operations prints the table of processor time per operation.
func (b bench) operations(rounds int) {
	rig := harness.New(b.console, b.node)
	// The first core, counted from 1.
	node := rig.Start(harness.Options{Name: "node", CPU: 1})
	reference := rig.Start(harness.Options{Name: "reference", Server: b.reference, CPU: 1})
	fmt.Printf("%s and %s on core 0 of %d, redis-benchmark on core 1: 50 connections, values of 64 bytes, %d rounds\n",
		b.node, b.reference, runtime.NumCPU(), rounds)
	fmt.Println("server CPU per operation, median µs; ratio: median (least to greatest)")

	costs := make(map[row]map[*harness.Process][]float64)
	for _, r := range rows {
		costs[r] = make(map[*harness.Process][]float64)
	}
	for round := range rounds {
		order := []*harness.Process{node, reference}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, r := range rows {
			for _, p := range order {
				costs[r][p] = append(costs[r][p], b.measure(p, r))
			}
		}
	}
	fmt.Printf("%-10s %8s %10s %12s   %s\n", "", "keys", "node", "reference", "ratio")
	for _, r := range rows {
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = costs[r][node][i] / costs[r][reference][i]
		}
		fmt.Printf("%-3s P=%-4d %8d %10.2f %12.2f   %.2f (%.2f to %.2f)\n", strings.ToUpper(r.command), r.pipeline, r.keys,
			median(costs[r][node]), median(costs[r][reference]), median(ratios), slices.Min(ratios), slices.Max(ratios))
	}
	node.Kill()
	reference.Kill()
}

// measure runs one load and returns the server's microseconds per operation.
func (b bench) measure(p *harness.Process, r row) float64 {
	requests := int(float64(r.requests) * b.scale)
	before := b.cpu(p)
	args := []string{
		"-c", "1", "redis-benchmark", "-p", strconv.Itoa(p.Port),
		"-n", strconv.Itoa(requests), "-c", "50", "-d", "64", "-P", strconv.Itoa(r.pipeline), "-q",
	}
	if r.keys > 1 {
		args = append(args, "-r", strconv.Itoa(r.keys))
	}
	if words := strings.Fields(r.command); len(words) > 1 {
		args = append(args, words...)
	} else {
		args = append(args, "-t", r.command)
	}
	load := exec.Command("taskset", args...)
	if out, err := load.CombinedOutput(); err != nil {
		b.console.Fatalf("redis-benchmark on %s: %v\n%s", p.Name, err, out)
	}
	return microseconds(b.cpu(p)-before) / float64(requests)
}

// idle prints what the nodes of a cluster that nobody uses cost.
func (b bench) idle(watch time.Duration) {
	for _, server := range []harness.Server{b.node, b.reference} {
		rig := harness.New(b.console, server)
		cluster := rig.StartCluster(3, 1, harness.Options{})
		// What forming the cluster cost is no idleness.
		time.Sleep(5 * time.Second)
		begun := time.Now()
		before := make([]time.Duration, len(cluster.Nodes))
		for i, p := range cluster.Nodes {
			before[i] = b.cpu(p)
		}
		time.Sleep(watch)
		var shares, memory []float64
		for i, p := range cluster.Nodes {
			shares = append(shares, 100*float64(b.cpu(p)-before[i])/float64(time.Since(begun)))
			rss, err := p.RSS()
			if err != nil {
				b.console.Fatalf("memory of %s: %v", p.Name, err)
			}
			memory = append(memory, float64(rss)/(1<<20))
		}
		fmt.Printf("idle in a cluster of 6, %s: %.2f %% of a core (median; greatest %.2f), %.1f MiB resident (greatest %.1f)\n",
			server, median(shares), slices.Max(shares), median(memory), slices.Max(memory))
		for _, p := range cluster.Nodes {
			p.Kill()
		}
	}
}

func (b bench) cpu(p *harness.Process) time.Duration {
	used, err := p.CPUTime()
	if err != nil {
		b.console.Fatalf("processor time of %s: %v", p.Name, err)
	}
	return used
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
