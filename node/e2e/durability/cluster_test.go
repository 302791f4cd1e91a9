package durability

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

// TestClusterKilledAtOnce: every node of a cluster is killed in the same moment,
// as when a room loses power. When all are back so is every acknowledged write,
// and replicas go on where they were instead of copying everything.
func TestClusterKilledAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster: left out by -short")
	}
	rig := harness.New(t, harness.UnderTest(t))
	c := rig.StartCluster(3, 1, harness.Options{Directives: []string{"appendonly yes"}})
	write := func(from, to int) {
		for i := from; i < to; i++ {
			key := fmt.Sprint("key:", i)
			owner := c.Owner(int(slots.Of([]byte(key))))
			if reply := owner.Do("SET", key, fmt.Sprint(i)); reply.IsError() {
				t.Fatalf("SET %s: %v", key, reply)
			}
		}
	}
	written := 0
	for round := range 2 {
		write(written, written+500)
		written += 500
		for _, p := range c.Nodes {
			p.Kill()
		}
		for _, p := range c.Nodes {
			p.Restart()
		}
		c.WaitOK(60 * time.Second)
		for i := range written {
			key := fmt.Sprint("key:", i)
			owner := c.Owner(int(slots.Of([]byte(key))))
			if got := owner.Do("GET", key).Text; got != fmt.Sprint(i) {
				t.Fatalf("round %d: %s is %q on %s", round, key, got, owner.Name)
			}
		}
	}
	full := 0
	for _, p := range c.Nodes {
		full += strings.Count(p.Log(), "Full resync from master")
	}
	t.Logf("%d keys through two power cuts; %d full syncs in all, three of them at the beginning", written, full)
}
