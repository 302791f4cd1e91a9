package main

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"slotmesh/node/e2e/harness"
)

// syncKeys is the size that the promise of 5 ms during a full sync is about.
const syncKeys = 1_000_000

// fullSync prints how long a client waits for a command, alone and while a
// replica takes a full sync. Everybody may use all cores, but the replica, which
// elsewhere has a machine of its own, gets what the others leave idle.
func (b bench) fullSync(times int) {
	keys := max(int(syncKeys*b.scale), 10_000)
	fmt.Printf("\nGET and SET one after another beside a full sync of %d keys of 64 bytes, %d rounds; µs: median (least to greatest)\n", keys, times)
	fmt.Printf("%-10s %-10s %28s %28s %28s\n", "", "", "p99.9", "longest", "sync took, ms")
	for _, server := range []harness.Server{b.node, b.reference} {
		rig := harness.New(b.console, server)
		primary := rig.Start(harness.Options{Name: "primary"})
		l := b.loader(primary)
		writeStrings(l, keys)
		l.finish()
		l.close()
		var alone, beside waits
		var turns, own []float64
		for round := range times {
			alone.add(b.waitsOf(primary, keys, func() bool { return true }))
			replica := rig.Start(harness.Options{Name: fmt.Sprint("replica", round)})
			if out, err := exec.Command("chrt", "-a", "-i", "-p", "0", strconv.Itoa(replica.PID())).CombinedOutput(); err != nil {
				b.console.Fatalf("chrt: %v\n%s", err, out)
			}
			primary.Do("CONFIG", "RESETSTAT")
			replica.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(primary.Port))
			beside.add(b.waitsOf(primary, keys, func() bool {
				return strings.Contains(replica.Do("INFO", "replication").Text, "master_link_status:up")
			}))
			replica.Kill()
			tells := primary.Info("debug")
			turns = append(turns, microsOf(tells, "eventloop_duration_max")...)
			own = append(own, microsOf(tells, "eventloop_own_duration_max")...)
		}
		for _, row := range []struct {
			name string
			w    waits
		}{{"alone", alone}, {"full sync", beside}} {
			fmt.Printf("%-10s %-10s %28s %28s %28s\n", server, row.name, spread(row.w.tail), spread(row.w.longest), spread(row.w.took))
		}
		if len(turns) > 0 {
			fmt.Printf("%-10s longest turn of an event loop during the sync: %s, without what other processes had of the core %s\n", server, spread(turns), spread(own))
		}
		primary.Kill()
	}
}

// waits are a client's greatest waits, in µs, and the time in ms in which it
// looked, round by round.
type waits struct{ tail, longest, took []float64 }

func (w *waits) add(other waits) {
	w.tail = append(w.tail, other.tail...)
	w.longest = append(w.longest, other.longest...)
	w.took = append(w.took, other.took...)
}

// waitsOf sends one command after another for at least a second, and until over.
func (b bench) waitsOf(p *harness.Process, keys int, over func() bool) waits {
	conn, err := harness.Dial(p.Addr(), 10*time.Second)
	if err != nil {
		b.console.Fatalf("connect to %s: %v", p.Name, err)
	}
	defer conn.Close()
	ended := make(chan time.Duration, 1)
	begun := time.Now()
	go func() {
		for !over() {
			time.Sleep(time.Millisecond)
		}
		ended <- time.Since(begun)
	}()
	value := strings.Repeat("w", 64)
	var times []float64
	took := time.Duration(0)
	for took == 0 || time.Since(begun) < time.Second {
		command := []string{"GET", keyName(rand.IntN(keys))}
		if len(times)%2 == 0 {
			command = []string{"SET", command[1], value}
		}
		from := time.Now()
		if _, err := conn.Do(command...); err != nil {
			b.console.Fatalf("%s: %v", command[0], err)
		}
		times = append(times, float64(time.Since(from).Nanoseconds())/1000)
		select {
		case took = <-ended:
		default:
		}
	}
	slices.Sort(times)
	return waits{
		tail:    []float64{times[len(times)*999/1000]},
		longest: []float64{times[len(times)-1]},
		took:    []float64{float64(took.Milliseconds())},
	}
}
