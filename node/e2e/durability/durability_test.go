package durability

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// rounds is how often each mode is killed.
func rounds() int {
	if os.Getenv("SLOTMESH_LONG") != "" {
		return 50
	}
	return 5
}

const writers = 50

// TestKilledUnderWriters: a process that is killed has every write that it
// acknowledged in its file, in every mode: a reply leaves after its effect.
func TestKilledUnderWriters(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes: left out by -short")
	}
	for _, fsync := range []string{"always", "everysec", "no"} {
		t.Run(fsync, func(t *testing.T) {
			rig := harness.New(t, harness.UnderTest(t))
			p := rig.Start(harness.Options{Directives: []string{
				"appendonly yes", "appendfsync " + fsync,
				// Rewrites happen while the writers write.
				"auto-aof-rewrite-min-size 1mb", "auto-aof-rewrite-percentage 50",
			}})
			total := int64(0)
			// acknowledged is the last value of each writer's key that was answered.
			var acknowledged [writers]int64
			for round := range rounds() {
				total += writeUntilKilled(t, p, &acknowledged, 300*time.Millisecond)
				p.Restart()
				harness.Await(t, 30*time.Second, "the data are loaded", func() string {
					if loading := p.Info("persistence")["loading"]; loading != "0" {
						return "loading:" + loading
					}
					return ""
				})
				for i, want := range acknowledged {
					if got := p.Do("GET", fmt.Sprint("key", i)).Int(); got < want {
						t.Fatalf("round %d: key%d is %d, and %d was acknowledged", round, i, got, want)
					}
				}
			}
			t.Logf("%d acknowledged writes, %d kills, none lost", total, rounds())
		})
	}
}

// writeUntilKilled has every writer count its key up until the process, which is
// killed after a while, is gone.
func writeUntilKilled(t *testing.T, p *harness.Process, acknowledged *[writers]int64, after time.Duration) (writes int64) {
	t.Helper()
	var running sync.WaitGroup
	var mu sync.Mutex
	for i := range writers {
		conn := p.Connect()
		running.Go(func() {
			key, n := fmt.Sprint("key", i), int64(0)
			for {
				reply, err := conn.Do("INCR", key)
				if err != nil {
					break
				}
				acknowledged[i] = reply.Int()
				n++
			}
			mu.Lock()
			writes += n
			mu.Unlock()
		})
	}
	timer := time.NewTimer(after)
	<-timer.C
	p.Kill()
	running.Wait()
	return writes
}
