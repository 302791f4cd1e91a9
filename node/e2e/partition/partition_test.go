package partition

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"slotmesh/node/e2e/drill"
	"slotmesh/node/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const (
	// port is the same in every namespace.
	port = 7000
	// watch is how long the cut-off primary is still written to after another
	// took its place.
	watch = 2 * time.Second
	// slack is what the test's own goroutines may take to note an answer on a busy
	// machine. It is for what was sent before another was promoted: what was sent
	// later has none.
	slack = 400 * time.Millisecond
)

// TestCutOffPrimary goes through all cuts on one cluster, each time with the
// primary of the first shard.
func TestCutOffPrimary(t *testing.T) {
	if testing.Short() {
		t.Skip("takes about a minute: left out by -short")
	}
	if missing := unavailable(); missing != "" {
		t.Skipf("SKIPPED: partitions need %s", missing)
	}
	server := harness.UnderTest(t)
	net := newNetwork(t, 6)
	rig := harness.New(t, server)
	directives := []string{"cluster-node-timeout 1000"}
	if !server.Reference {
		// The bus has no secret in this test and does not stand on loopback.
		directives = append(directives, "cluster-allow-open-bus yes")
	}
	var nodes []*harness.Process
	for i, h := range net.hosts {
		nodes = append(nodes, rig.Start(harness.Options{
			Name: fmt.Sprintf("n%d", i), Host: h.addr, Port: port, Netns: h.netns, Cluster: true, Directives: directives,
		}))
	}
	cluster := rig.ClusterOf(nodes...)
	cluster.Create(1)

	for _, cut := range cuts {
		ok := t.Run(cut.name, func(t *testing.T) {
			load := drill.StartLoad(t, cluster)
			defer load.Stop()
			victim := cluster.Owner(load.Shards[0].Slot)
			index := slices.Index(nodes, victim)

			// A client that knows nobody else.
			direct := drill.StartWriter("direct", harness.Tags()[load.Shards[0].Slot], victim.Addr())
			defer direct.Stop()
			load.WaitFlowing(time.Now())
			begun := time.Now()
			net.apply(cut, index)
			defer net.heal(index)
			var promoted drill.Ack
			harness.Await(t, time.Minute, "the majority promotes another", func() string {
				for _, ack := range load.Shards[0].Writer.Acks() {
					if ack.Acked.After(begun) && ack.Addr != victim.Addr() {
						promoted = ack
						return ""
					}
				}
				return "no write was acknowledged by another node"
			})
			time.Sleep(watch)
			net.heal(index)
			healed := time.Now()
			cluster.WaitOK(time.Minute)
			t.Logf("promoted after %v, healed after %v",
				promoted.Acked.Sub(begun).Round(time.Millisecond), time.Since(healed).Round(time.Millisecond))
			load.Stop()
			direct.Stop()

			late := 0
			for _, w := range []*drill.Writer{direct, load.Shards[0].Writer} {
				for _, ack := range w.Acks() {
					// What comes after healing is the new primary's by redirection, or
					// the old one's that rightly won its slots back.
					if ack.Addr == victim.Addr() && ack.Acked.Before(healed) &&
						(ack.Sent.After(promoted.Acked) || ack.Acked.After(promoted.Acked.Add(slack))) {
						late++
					}
				}
			}
			switch {
			case late > 0 && server.Reference:
				t.Logf("the reference acknowledged %d writes after another was promoted", late)
			case late > 0:
				t.Errorf("the cut-off primary acknowledged %d writes after another was promoted", late)
			}
			drill.WaitAlike(t, cluster, time.Minute)
		})
		if !ok {
			return
		}
	}
}
