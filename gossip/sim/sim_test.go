package sim

import (
	"flag"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	oneSeed   = flag.Uint64("sim.seed", 0, "run exactly this seed and print its trace")
	firstSeed = flag.Uint64("sim.first", 1, "the first seed of the run")
	seedCount = flag.Int("sim.seeds", 2000, "how many seeds to run")
)

// TestSeeds lives many lives. It fails if one of them breaks a promise, and if
// the lives were so quiet that they prove nothing.
func TestSeeds(t *testing.T) {
	if *oneSeed != 0 {
		r := Run(Options{Seed: *oneSeed, Trace: true})
		t.Logf("seed %d\n%s\n%s", *oneSeed, r.Trace, r.Stats)
		for _, v := range r.Violations {
			t.Error(v)
		}
		return
	}
	count := *seedCount
	if testing.Short() {
		count = min(count, 100)
	}
	start := time.Now()
	total := runSeeds(t, *firstSeed, count, Options{})
	t.Logf("%d seeds in %v\n%s", count, time.Since(start).Round(time.Millisecond), total)
	if t.Failed() || count < 100 {
		return
	}
	requireNoZero(t, total)
}

// runSeeds runs seeds on all processors and reports each that fails.
func runSeeds(t *testing.T, first uint64, count int, opts Options) Stats {
	t.Helper()
	var (
		mu    sync.Mutex
		total Stats
		next  atomic.Uint64
		wg    sync.WaitGroup
		bad   []uint64
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var mine Stats
			for {
				i := next.Add(1) - 1
				if i >= uint64(count) {
					break
				}
				o := opts
				o.Seed = first + i
				r := Run(o)
				mine.Add(r.Stats)
				if len(r.Violations) > 0 {
					mu.Lock()
					bad = append(bad, o.Seed)
					enough := len(bad) > 20
					mu.Unlock()
					if enough {
						break
					}
				}
			}
			mu.Lock()
			total.Add(mine)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(bad)
	for i, seed := range bad {
		opts.Seed, opts.Trace = seed, true
		r := Run(opts)
		t.Errorf("seed %d (replay with -sim.seed=%d):", seed, seed)
		for _, v := range r.Violations {
			t.Errorf("  %v", v)
		}
		if i == 0 {
			t.Logf("the end of its trace:\n%s", tail(r.Trace, 120))
		}
	}
	return total
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// requireNoZero fails if something that the lives should contain never came.
func requireNoZero(t *testing.T, s Stats) {
	t.Helper()
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "OperatorRaces" || name == "ExcusedWipes" || name == "Uncovered" || v.Field(i).Kind() != reflect.Int {
			continue
		}
		if v.Field(i).Int() == 0 {
			t.Errorf("no %s in the whole run", name)
		}
	}
	for _, name := range faultNames {
		if s.Faults[name] == 0 {
			t.Errorf("no fault %q in the whole run", name)
		}
	}
}

// TestReplay demands that a seed determines everything.
func TestReplay(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		a, b := Run(Options{Seed: seed, Trace: true}), Run(Options{Seed: seed, Trace: true})
		if a.Digest == b.Digest {
			continue
		}
		x, y := strings.Split(a.Trace, "\n"), strings.Split(b.Trace, "\n")
		for i := range min(len(x), len(y)) {
			if x[i] != y[i] {
				t.Fatalf("seed %d, line %d: %q, then %q", seed, i, x[i], y[i])
			}
		}
		t.Fatalf("seed %d: %d lines, then %d", seed, len(x), len(y))
	}
}

// TestFailoverTime measures, in simulated time at the default configuration,
// how long the slots of a crashed primary are without one.
func TestFailoverTime(t *testing.T) {
	s := runSeeds(t, 1, 80, Options{OnlyCrash: true})
	if len(s.Recoveries) == 0 {
		t.Fatal("no crashed primary was replaced")
	}
	slices.Sort(s.Recoveries)
	median, worst := s.Recoveries[len(s.Recoveries)/2], s.Recoveries[len(s.Recoveries)-1]
	t.Logf("first acknowledged write of a slot after its primary crashed: median %v, worst %v of %d slots",
		median.Round(time.Millisecond), worst.Round(time.Millisecond), len(s.Recoveries))
	if median > time.Second {
		t.Errorf("median %v is above one second", median)
	}
}

// TestMain lets the environment ask for more seeds than the default.
func TestMain(m *testing.M) {
	flag.Parse()
	// Lives are short, small and leave much garbage.
	debug.SetGCPercent(1600)
	if n, err := strconv.Atoi(os.Getenv("SIM_SEEDS")); err == nil && n > 0 {
		*seedCount = n
	}
	os.Exit(m.Run())
}
