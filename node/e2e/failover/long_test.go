package failover

import (
	"os"
	"slices"
	"testing"
	"time"

	"slotmesh/node/e2e/drill"
	"slotmesh/node/e2e/harness"
)

// envLong turns on the tests that take minutes and assert times.
const envLong = "SLOTMESH_LONG"

// TestTwentyKills holds failovers at the default configuration to their limits.
func TestTwentyKills(t *testing.T) {
	if os.Getenv(envLong) == "" {
		t.Skip("takes minutes and an otherwise idle machine: `make test-long` runs it")
	}
	load := start(t, options(harness.UnderTest(t)))
	var times []time.Duration
	var worstElsewhere time.Duration
	for i := range 20 {
		round := load.KillRound(i%len(load.Shards), time.Minute)
		times = append(times, round.ToAccepted)
		worstElsewhere = max(worstElsewhere, round.OtherGap)
	}
	slices.Sort(times)
	median := drill.Median(times)
	t.Logf("first write after a kill: median %v, worst %v; worst interruption of another shard %v",
		median.Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond), worstElsewhere.Round(time.Millisecond))
	if load.Cluster.Rig().Server().Reference {
		t.Skip("the limits are not the reference's")
	}
	if median > time.Second {
		t.Errorf("median %v, wanted at most 1 s", median)
	}
	if worstElsewhere > 200*time.Millisecond {
		t.Errorf("another shard was interrupted for %v, wanted at most 0.2 s", worstElsewhere)
	}
}
