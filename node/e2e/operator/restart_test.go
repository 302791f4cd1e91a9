package operator

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

// writeAnywhere sets key wherever the cluster takes it, until it is
// acknowledged.
func writeAnywhere(c *harness.Cluster, key, value string, deadline time.Time) error {
	var last error
	for time.Now().Before(deadline) {
		for _, p := range c.Nodes {
			_, err := p.TryDo(2*time.Second, "SET", key, value)
			if err == nil {
				return nil
			}
			last = err
		}
	}
	return fmt.Errorf("SET %s was not acknowledged: %w", key, last)
}

// settled reports whether every node serves, and every replica follows.
func settled(c *harness.Cluster) bool {
	for _, p := range c.Nodes {
		if !stateOK(p) {
			return false
		}
		reply, err := p.TryDo(2*time.Second, "INFO", "replication")
		info := harness.Fields(reply.Text)
		if err != nil || info["role"] != "master" && info["master_link_status"] != "up" {
			return false
		}
	}
	return true
}

// TestRestarts ends nodes in every way: killed and started again at once, one
// by one in order, all together.
func TestRestarts(t *testing.T) {
	c := newRig(t).StartCluster(3, 1, harness.Options{})
	tags := make([]string, 3) // one hash tag for each shard
	for i := range tags {
		slot := c.View(c.Primaries()[i]).Self().Slots[0].First
		tags[i] = "{" + harness.Tags()[slot] + "}"
	}
	check := func(what string, counts [3]int) {
		t.Helper()
		for i, tag := range tags {
			owner, _ := ownerAndOther(t, c, tag)
			for n := range counts[i] {
				if key := tag + strconv.Itoa(n); ask(t, owner, "GET", key) != "v" {
					t.Errorf("%s: %s, which was acknowledged, is lost", what, key)
				}
			}
		}
	}
	var counts [3]int
	for i, tag := range tags {
		for counts[i] = range 20 {
			if err := writeAnywhere(c, tag+strconv.Itoa(counts[i]), "v", time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
		}
		owner, _ := ownerAndOther(t, c, tag)
		conn := owner.Connect()
		on(t, owner, conn, "SET", tag+"barrier", "v")
		want(t, "WAIT", on(t, owner, conn, "WAIT", "1", "10000"), "1")
	}

	t.Run("killed and back at once", func(t *testing.T) {
		for round := range 3 {
			owner, _ := ownerAndOther(t, c, tags[round])
			owner.Kill()
			owner.Restart()
			c.WaitOK(patience)
			if c.View(owner).Self().Primary() {
				t.Errorf("round %d: the primary that came back without data is primary still", round)
			}
			check("after a kill", counts)
		}
	})

	t.Run("one by one", func(t *testing.T) {
		var stop atomic.Bool
		var writers sync.WaitGroup
		for i, tag := range tags {
			writers.Go(func() {
				for !stop.Load() {
					if err := writeAnywhere(c, tag+strconv.Itoa(counts[i]), "v", time.Now().Add(patience)); err != nil {
						t.Error(err)
						return
					}
					counts[i]++
				}
			})
		}
		for _, p := range c.Nodes {
			terminate(t, p)
			p.Restart()
			await(t, "the cluster has settled", func() bool { return settled(c) })
		}
		stop.Store(true)
		writers.Wait()
		c.WaitOK(patience)
		check("after a rolling restart", counts)
	})

	t.Run("all at once", func(t *testing.T) {
		before := c.View(c.Nodes[0]).Signature()
		for _, p := range c.Nodes {
			p.Kill()
		}
		for _, p := range c.Nodes {
			if err := p.Launch(); err != nil {
				t.Fatal(err)
			}
		}
		c.WaitOK(patience)
		want(t, "the slots", c.View(c.Nodes[0]).Signature(), before)
		for _, tag := range tags {
			if err := writeAnywhere(c, tag+"again", "v", time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			owner, _ := ownerAndOther(t, c, tag)
			if log := owner.Log(); !strings.Contains(log, "serving an EMPTY dataset") {
				t.Errorf("%s does not say that its data are gone", owner.Name)
			}
		}
		if owned := c.View(c.Nodes[0]).Assigned(); owned != slots.Count {
			t.Errorf("%d slots have an owner", owned)
		}
	})
}
