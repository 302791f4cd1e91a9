package server

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCoreUsageTaken(t *testing.T) {
	before := coreUsage{waited: 1000, thread: 100, process: 500}
	for name, c := range map[string]struct {
		now         coreUsage
		first, want int64
	}{
		"no wait":                       {coreUsage{1000, 300, 700}, 0, 0},
		"all of it for other processes": {coreUsage{1700, 300, 700}, 0, 700},
		"some before the turn":          {coreUsage{1700, 300, 700}, 600, 100},
		"perhaps all before the turn":   {coreUsage{1700, 300, 700}, 800, 0},
		"threads of this process ran":   {coreUsage{1700, 300, 1200}, 0, 200},
		"they ran elsewhere as well":    {coreUsage{1700, 300, 1900}, 0, 0},
		"clocks that were read apart":   {coreUsage{1700, 301, 700}, 0, 700},
	} {
		if got := c.now.taken(before, c.first); got != c.want {
			t.Errorf("%s: %d ns, want %d", name, got, c.want)
		}
	}
}

func TestSecondNumber(t *testing.T) {
	for text, want := range map[string]int64{"1 22 333\n": 22, "10\t0\n": 0, "123456789012 98765432109 4\n": 98765432109, "": -1, "12": -1, "12 ": -1, "12 3": -1} {
		got, ok := secondNumber([]byte(text))
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("secondNumber(%q) = %d, want %d", text, got, want)
		}
	}
}

// A thread that shares its processor with a process that never sleeps is told what
// that one had, and no more than there was.
func TestCoreTaken(t *testing.T) {
	if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(unix.Gettid()) + "/schedstat"); err != nil {
		t.Skipf("the kernel keeps no account of waiting: %v", err)
	}
	runtime.LockOSThread() // and ends with the test: its affinity is nobody else's
	var usual, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &usual); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if usual.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil { // it inherits the affinity
		t.Fatal(err)
	}
	defer func() {
		_ = busy.Process.Kill()
		_ = busy.Wait()
	}()
	started := time.Now()
	clock := func() int64 { return int64(time.Since(started)) }
	c := core{file: -1, at: -lookEvery}
	defer c.close()
	for deadline := 20 * time.Second; ; {
		begun := clock()
		c.begin(begun)
		for clock()-begun < 50e6 {
		}
		took, taken := clock()-begun, c.taken(begun)
		if taken < 0 || taken > took {
			t.Fatalf("%d ns of %d ns were taken", taken, took)
		}
		if taken > 10e6 {
			return
		}
		if clock() > int64(deadline) {
			t.Fatalf("the other process has taken nothing: %d ns of %d ns", taken, took)
		}
	}
}

// Who never waits is told that nothing was taken, and a turn on another thread than
// the look is its own as a whole.
func TestCoreKnowsNothing(t *testing.T) {
	var c core
	c.file = -1
	if got := c.taken(0); got != 0 {
		t.Errorf("%d ns were taken before the first look", got)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.begin(lookEvery)
	defer c.close()
	other := make(chan int64)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		other <- c.taken(lookEvery)
	}()
	if got := <-other; got != 0 {
		t.Errorf("%d ns were taken from another thread", got)
	}
}
