package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"slotmesh/node/e2e/harness"
)

const (
	// durableKeys strings of 64 bytes are what is saved and loaded, and so many
	// of each kind of small collection, and one of so many elements.
	durableKeys        = 2_000_000
	durableCollections = 20_000
	durableElements    = 50_000
)

// pair is a measure of both servers, round by round.
type pair struct{ node, reference []float64 }

func (p *pair) add(b bench, s harness.Server, v float64) {
	if s == b.reference {
		p.reference = append(p.reference, v)
	} else {
		p.node = append(p.node, v)
	}
}

// print prints a row; the ratio is that of rounds.
func (p *pair) print(what, unit, target string) {
	ratios := make([]float64, len(p.node))
	for i := range ratios {
		ratios[i] = p.node[i] / p.reference[i]
	}
	fmt.Printf("%-34s %-5s %24s %24s   %-24s %s\n", what, unit, spread(p.node), spread(p.reference), spread(ratios), target)
}

// inTurn calls measure for both servers, the first one first every other time.
func (b bench) inTurn(rounds int, measure func(s harness.Server)) {
	for round := range rounds {
		order := []harness.Server{b.node, b.reference}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, s := range order {
			measure(s)
		}
	}
}

// durability prints what keeping data costs and how fast they are there again.
func (b bench) durability(rounds int) {
	keys := max(int(durableKeys*b.scale), 10_000)
	fmt.Printf("\ndurability: %d strings of 64 bytes, %d hashes, lists, sets and sorted sets of 10, four of %d; all cores; %d rounds\n",
		keys, 4*b.scaled(durableCollections), b.scaled(durableElements), rounds)
	fmt.Printf("%-34s %-5s %24s %24s   %-24s %s\n", "", "", "node", "reference", "ratio", "to reach")
	files := b.saving(rounds, keys)
	b.loading(rounds, files)
	os.RemoveAll(files)
	b.syncing(rounds)
}

func (b bench) scaled(n int) int { return max(int(float64(n)*b.scale), 100) }

// writeDurable fills p. Values are hexadecimal digits, which hardly compress.
func (b bench) writeDurable(p *harness.Process, keys int) {
	l := b.loader(p)
	defer l.close()
	random := rand.New(rand.NewPCG(1, 2))
	for k := range keys {
		value := fmt.Sprintf("%016x%016x%016x%016x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
		if k%10 == 0 {
			l.send("SET", keyName(k), value, "EX", "1000000")
		} else {
			l.send("SET", keyName(k), value)
		}
	}
	element := func(command string, i int) []string {
		switch command {
		case "HSET":
			return []string{"field" + strconv.Itoa(i), "value" + strconv.Itoa(i)}
		case "ZADD":
			return []string{strconv.Itoa(i * 37 % 1000003), "member" + strconv.Itoa(i)}
		}
		return []string{"element" + strconv.Itoa(i)}
	}
	for _, command := range []string{"HSET", "RPUSH", "SADD", "ZADD"} {
		for k := range b.scaled(durableCollections) {
			args := []string{command, command + keyName(k)}
			for i := range 10 {
				args = append(args, element(command, k*10+i)...)
			}
			l.send(args...)
		}
		for from := 0; from < b.scaled(durableElements); from += 100 {
			args := []string{command, command}
			for i := from; i < from+100; i++ {
				args = append(args, element(command, i)...)
			}
			l.send(args...)
		}
	}
	l.finish()
}

// saving prints what saving costs, and returns a directory with the files that
// the reference has written.
func (b bench) saving(rounds, keys int) (files string) {
	rig := harness.New(b.console, b.node)
	servers := map[harness.Server]*harness.Process{}
	for _, s := range []harness.Server{b.node, b.reference} {
		servers[s] = rig.Start(harness.Options{
			Name: s.String(), Server: s,
			Directives: []string{`save ""`, "auto-aof-rewrite-percentage 0"},
		})
		b.writeDurable(servers[s], keys)
	}
	var took pair
	b.inTurn(rounds, func(s harness.Server) {
		begun := time.Now()
		b.save(servers[s])
		took.add(b, s, time.Since(begun).Seconds())
	})
	took.print("SAVE", "s", "1.00")

	b.beside(rounds, keys, servers, "BGSAVE", "rdb_bgsave_in_progress", "rdb_last_cow_size")
	for _, p := range servers {
		p.Do("CONFIG", "SET", "appendonly", "yes")
		b.idleDisk(p)
	}
	b.beside(rounds, keys, servers, "BGREWRITEAOF", "aof_rewrite_in_progress", "aof_last_cow_size")

	// What is loaded later: an RDB file, an AOF that begins with one, and an AOF of
	// commands.
	files, err := os.MkdirTemp("", "slotmesh-bench-")
	if err != nil {
		b.console.Fatalf("directory for files: %v", err)
	}
	b.console.Cleanup(func() { os.RemoveAll(files) })
	p := servers[b.reference]
	b.save(p)
	b.keep(filepath.Join(p.Dir, "dump.rdb"), filepath.Join(files, "rdb", "dump.rdb"))
	for _, preamble := range []string{"yes", "no"} {
		p.Do("CONFIG", "SET", "aof-use-rdb-preamble", preamble)
		p.Do("BGREWRITEAOF")
		b.idleDisk(p)
		b.keep(filepath.Join(p.Dir, "appendonlydir"), filepath.Join(files, "preamble "+preamble, "appendonlydir"))
	}
	for _, p := range servers {
		p.Kill()
	}
	return files
}

// save has p save its data, however long that takes.
func (b bench) save(p *harness.Process) {
	if reply, err := p.TryDo(2*time.Minute, "SAVE"); err != nil || reply.IsError() {
		b.console.Fatalf("SAVE of %s: %v %s", p.Name, err, reply.Text)
	}
}

// keep copies a file, or the files of a directory.
func (b bench) keep(from, to string) {
	info, err := os.Stat(from)
	if err == nil && info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else if err == nil {
		err = copyFile(from, to)
	}
	if err != nil {
		b.console.Fatalf("keep %s: %v", from, err)
	}
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}

// idleDisk waits until p writes nothing in the background.
func (b bench) idleDisk(p *harness.Process) {
	harness.Await(b.console, 2*time.Minute, p.Name+" is done with its files", func() string {
		info := p.Info("persistence")
		for _, name := range []string{"rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled"} {
			if info[name] != "0" {
				return name
			}
		}
		return ""
	})
}

// beside prints how long a client waits, and how much memory is needed, while
// command writes a file in the background and 20,000 writes come in each second.
// running is INFO's name of its being under way, copied that of what a fork had to
// copy.
func (b bench) beside(rounds, keys int, servers map[harness.Server]*harness.Process, command, running, copied string) {
	var tail, worst, extra, took pair
	b.inTurn(rounds, func(s harness.Server) {
		p := servers[s]
		before := b.resetPeak(p)
		var ended atomic.Int64
		go func() {
			begun := time.Now()
			p.Do(command)
			// It is answered before it has begun.
			for p.Info("persistence")[running] != "1" && time.Since(begun) < time.Second {
				time.Sleep(time.Millisecond)
			}
			for p.Info("persistence")[running] != "0" {
				time.Sleep(20 * time.Millisecond)
			}
			ended.Store(int64(time.Since(begun)))
		}()
		p999, most := b.steady(p, keys, func() bool { return ended.Load() != 0 })
		tail.add(b, s, p999/1000)
		worst.add(b, s, most/1000)
		took.add(b, s, time.Duration(ended.Load()).Seconds())
		growth := b.peak(p) - before
		if fork, err := strconv.ParseInt(p.Info("persistence")[copied], 10, 64); err == nil {
			growth += fork
		}
		extra.add(b, s, 100*float64(max(growth, 0))/float64(before))
	})
	tail.print(command+": GET waits, p99.9", "ms", "1.00")
	worst.print(command+": GET waits, longest", "ms", "")
	extra.print(command+": memory beyond the data's", "%", "below 10 %")
	took.print(command+" took", "s", "")
}

// resetPeak has the system forget how much memory p has used, and returns how much
// it uses. Source: proc(5), clear_refs.
func (b bench) resetPeak(p *harness.Process) int64 {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.PID()), []byte("5"), 0); err != nil {
		b.console.Fatalf("reset the peak of %s: %v", p.Name, err)
	}
	rss, err := p.RSS()
	if err != nil {
		b.console.Fatalf("memory of %s: %v", p.Name, err)
	}
	return rss
}

// peak is the most memory that p has used since resetPeak.
func (b bench) peak(p *harness.Process) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		b.console.Fatalf("memory of %s: %v", p.Name, err)
	}
	for line := range strings.Lines(string(status)) {
		if text, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	b.console.Fatalf("memory of %s: no peak", p.Name)
	return 0
}

// loadedIn is how both say how long they have loaded.
var loadedIn = regexp.MustCompile(`DB loaded from [a-z ]*: ([0-9.]+) seconds`)

// loading prints how long both take for the same files.
func (b bench) loading(rounds int, files string) {
	for _, kind := range []struct{ name, dir, aof string }{
		{"load an RDB file", "rdb", "no"},
		{"load an AOF with an RDB preamble", "preamble yes", "yes"},
		{"load an AOF of commands", "preamble no", "yes"},
	} {
		var took, cpu pair
		b.inTurn(rounds, func(s harness.Server) {
			rig := harness.New(b.console, s)
			p := rig.Prepare(harness.Options{Name: "loader", Directives: []string{`save ""`, "appendonly " + kind.aof}})
			if err := os.CopyFS(p.Dir, os.DirFS(filepath.Join(files, kind.dir))); err != nil {
				b.console.Fatalf("files to load: %v", err)
			}
			if err := p.Launch(); err != nil {
				b.console.Fatalf("%v", err)
			}
			if err := p.WaitReady(2 * time.Minute); err != nil {
				b.console.Fatalf("%v", err)
			}
			harness.Await(b.console, 2*time.Minute, s.String()+" has loaded", func() string {
				if p.Info("persistence")["loading"] != "0" {
					return "it loads"
				}
				return ""
			})
			found := loadedIn.FindStringSubmatch(p.Log())
			if found == nil {
				b.console.Fatalf("%s does not say how long it has loaded:\n%s", s, p.LogTail(20))
			}
			seconds, _ := strconv.ParseFloat(found[1], 64)
			took.add(b, s, seconds)
			cpu.add(b, s, b.cpu(p).Seconds())
			p.Kill()
			os.RemoveAll(p.Dir)
		})
		took.print(kind.name, "s", "0.50")
		cpu.print("  processor time", "s", "")
	}
}

// syncing prints what the modes of fsync leave of the speed.
func (b bench) syncing(rounds int) {
	rig := harness.New(b.console, b.node)
	servers := map[harness.Server]*harness.Process{}
	for _, s := range []harness.Server{b.node, b.reference} {
		servers[s] = rig.Start(harness.Options{
			Name: s.String(), Server: s, CPU: 1,
			Directives: []string{`save ""`, "appendonly yes", "auto-aof-rewrite-percentage 0"},
		})
	}
	for _, mode := range []struct {
		name     string
		requests int
		target   string
	}{{"always", 20_000, "1.00"}, {"everysec", 100_000, ""}, {"no", 100_000, ""}} {
		var rate pair
		b.inTurn(rounds, func(s harness.Server) {
			servers[s].Do("CONFIG", "SET", "appendfsync", mode.name)
			rate.add(b, s, b.rate(servers[s], b.scaled(mode.requests)))
		})
		rate.print("SET, 50 clients, appendfsync "+mode.name, "k/s", mode.target)
	}
	for _, load := range []struct {
		pipeline, requests int
		target             string
	}{{1, 100_000, "0.95"}, {16, 800_000, "0.80"}} {
		var cost pair
		b.inTurn(rounds, func(s harness.Server) {
			servers[s].Do("CONFIG", "SET", "appendfsync", "everysec")
			cost.add(b, s, b.measure(servers[s], row{command: "set", pipeline: load.pipeline, keys: manyKeys, requests: load.requests}))
		})
		cost.print(fmt.Sprintf("CPU per SET, everysec, P=%d", load.pipeline), "µs", load.target)
	}
	for _, p := range servers {
		p.Kill()
	}
}

// rate returns how many thousand writes a second 50 clients get through.
func (b bench) rate(p *harness.Process, requests int) float64 {
	begun := time.Now()
	out, err := exec.Command("taskset", "-c", "1", "redis-benchmark", "-p", strconv.Itoa(p.Port),
		"-n", strconv.Itoa(requests), "-c", "50", "-d", "64", "-t", "set", "-r", strconv.Itoa(manyKeys), "-q").CombinedOutput()
	if err != nil {
		b.console.Fatalf("redis-benchmark on %s: %v\n%s", p.Name, err, out)
	}
	return float64(requests) / 1000 / time.Since(begun).Seconds()
}
