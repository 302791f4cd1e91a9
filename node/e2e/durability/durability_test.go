package durability

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
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
				total += writeWhile(p, &acknowledged, increment, func() {
					pause(300 * time.Millisecond)
					p.Kill()
				})
				p.Restart()
				allThere(t, p, round, &acknowledged)
			}
			t.Logf("%d acknowledged writes, %d kills, none lost", total, rounds())
		})
	}
}

// TestKilledAfterSwitchingOn: once CONFIG SET appendonly yes has answered, the data
// that were there and every write since survive a kill, although the first base
// takes a while.
func TestKilledAfterSwitchingOn(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes: left out by -short")
	}
	rig := harness.New(t, harness.UnderTest(t))
	total := int64(0)
	for round := range rounds() {
		p := rig.Start(harness.Options{Name: fmt.Sprint("switched", round)})
		p.Do("DEBUG", "POPULATE", "100000", "filler", "100")
		var acknowledged [writers]int64
		total += writeWhile(p, &acknowledged, increment, func() {
			pause(50 * time.Millisecond)
			// It answers when the base is written, beside fifty writers.
			if _, err := p.TryDo(2*time.Minute, "CONFIG", "SET", "appendonly", "yes"); err != nil {
				t.Errorf("CONFIG SET: %v", err)
			}
			// The kill comes at once, or a little later.
			pause(time.Duration(round%5) * 10 * time.Millisecond)
			p.Kill()
		})
		if err := p.WriteConfig("appendonly yes"); err != nil {
			t.Fatal(err)
		}
		p.Restart()
		allThere(t, p, round, &acknowledged)
		if got := p.Do("DBSIZE").Int(); got < 100_000+writers {
			t.Fatalf("round %d: %d keys", round, got)
		}
		p.Kill()
	}
	t.Logf("%d acknowledged writes, %d kills after the switch, none lost", total, rounds())
}

// TestReplicaHasWhatItReports: what WAITAOF says to be on a replica's disk is there
// after a kill of the replica, however close behind its full sync, and with
// everything that was there before.
func TestReplicaHasWhatItReports(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes: left out by -short")
	}
	rig := harness.New(t, harness.UnderTest(t))
	primary := rig.Start(harness.Options{Name: "primary"})
	replica := rig.Start(harness.Options{Name: "replica", Directives: []string{"appendonly yes"}})
	primary.Do("DEBUG", "POPULATE", "50000", "filler", "100")
	var acknowledged [writers]int64
	total := int64(0)
	for round := range rounds() {
		replica.Do("SET", "of", "another history")
		replica.Do("CONFIG", "SET", "appendfsync", []string{"everysec", "always"}[round%2])
		replica.Do("REPLICAOF", primary.Host, fmt.Sprint(primary.Port))
		var done atomic.Bool
		var reported atomic.Int64
		total += writeWhile(primary, &acknowledged, func(conn *harness.Conn, key string) (int64, error) {
			for !done.Load() {
				n, err := increment(conn, key)
				if err != nil {
					return 0, err
				}
				reply, err := conn.Do("WAITAOF", "0", "1", "2000")
				if err != nil {
					return 0, err
				}
				if len(reply.Elems) == 2 && reply.Elems[1].Int() >= 1 {
					reported.Add(1)
					return n, nil
				}
			}
			return 0, errors.New("over")
		}, func() {
			harness.Await(t, 2*time.Minute, "the full sync", func() string {
				if status := replica.Info("replication")["master_link_status"]; status != "up" {
					return "master_link_status:" + status
				}
				return ""
			})
			// Every other kill comes wherever the replica is with its files.
			if round%2 == 0 {
				harness.Await(t, 2*time.Minute, "a report", func() string {
					if reported.Load() == 0 {
						return "no write is on the replica's disk"
					}
					return ""
				})
			}
			pause(time.Duration(100+round%5*300) * time.Millisecond)
			replica.Kill()
			done.Store(true)
		})
		replica.Restart()
		allThere(t, replica, round, &acknowledged)
		if reported.Load() == 0 {
			continue // it may have gone back to before the full sync
		}
		if got := replica.Do("DBSIZE").Int(); got < 50_000 {
			t.Fatalf("round %d: %d keys", round, got)
		}
		if reply := replica.Do("EXISTS", "of"); reply.Int() != 0 {
			t.Fatalf("round %d: the replica has gone back behind its full sync", round)
		}
	}
	t.Logf("%d writes reported by the replica, %d kills, none lost", total, rounds())
}

// allThere looks for what was acknowledged.
func allThere(t *testing.T, p *harness.Process, round int, acknowledged *[writers]int64) {
	t.Helper()
	for i, want := range acknowledged {
		if got := p.Do("GET", fmt.Sprint("key", i)).Int(); got < want {
			t.Fatalf("round %d: key%d is %d, and %d was acknowledged", round, i, got, want)
		}
	}
}

// pause lets writers write.
func pause(d time.Duration) { <-time.After(d) }

// increment counts a key up.
func increment(conn *harness.Conn, key string) (int64, error) {
	reply, err := conn.Do("INCR", key)
	return reply.Int(), err
}

// writeWhile has every writer count its key up while act runs, and until a write
// fails, and returns how many writes were acknowledged.
func writeWhile(p *harness.Process, acknowledged *[writers]int64, write func(conn *harness.Conn, key string) (int64, error), act func()) (writes int64) {
	var running sync.WaitGroup
	var total atomic.Int64
	for i := range writers {
		conn := p.Connect()
		running.Go(func() {
			for {
				n, err := write(conn, fmt.Sprint("key", i))
				if err != nil {
					return
				}
				acknowledged[i] = n
				total.Add(1)
			}
		})
	}
	act()
	running.Wait()
	return total.Load()
}
