package operator

import (
	"fmt"
	"os"
	"path/filepath"
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

// TestKeysOfUnownedSlots sees that a slot's keys outlive the slot's having no
// owner: a plain server's file starts a node that owns what it has keys of, and
// what CLUSTER DELSLOTS takes away comes back with ADDSLOTS, after a restart too.
func TestKeysOfUnownedSlots(t *testing.T) {
	rig := newRig(t)
	plain := rig.Prepare(harness.Options{Name: "plain"})
	launch := func(p *harness.Process) {
		t.Helper()
		if err := p.Launch(); err != nil {
			t.Fatal(err)
		}
		if err := p.WaitReady(patience); err != nil {
			t.Fatal(err)
		}
	}
	launch(plain)
	plain.Do("SET", "one", "1")
	plain.Do("SET", "two", "2")
	plain.Do("SAVE")
	file, err := os.ReadFile(filepath.Join(plain.Dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	p := rig.Prepare(harness.Options{Name: "clustered", Cluster: true, Directives: []string{"cluster-require-full-coverage no"}})
	if err := os.WriteFile(filepath.Join(p.Dir, "dump.rdb"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	launch(p)
	one, two := strconv.Itoa(int(slots.Of([]byte("one")))), strconv.Itoa(int(slots.Of([]byte("two"))))
	await := func(key, value string) {
		t.Helper()
		harness.Await(t, patience, key+" is served", func() string {
			reply, err := p.TryDo(2*time.Second, "GET", key)
			if err != nil || reply.Text != value {
				return fmt.Sprint(reply, err)
			}
			return ""
		})
	}
	await("one", "1")
	await("two", "2")
	if self := p.Do("CLUSTER", "INFO"); harness.Fields(self.Text)["cluster_slots_assigned"] != "2" {
		t.Errorf("it owns more than what it has keys of: %s", self.Text)
	}
	p.Do("CLUSTER", "DELSLOTS", one)
	if n := p.Do("CLUSTER", "COUNTKEYSINSLOT", one).Int(); n != 1 {
		t.Errorf("%d keys are left of the slot that was taken away", n)
	}
	p.Do("CLUSTER", "ADDSLOTS", one)
	await("one", "1")
	p.Do("CLUSTER", "DELSLOTS", two)
	p.Do("SAVE")
	p.Kill()
	p.Restart()
	await("two", "2") // it knows no other node that could own it

	c := rig.StartCluster(3, 0, harness.Options{})
	owner := c.Owner(int(slots.Of([]byte("one"))))
	owner.Do("SET", "one", "1")
	owner.Do("CLUSTER", "DELSLOTS", one)
	for _, n := range c.Nodes {
		n.TryDo(patience, "CLUSTER", "DELSLOTS", one) // it may know already
	}
	owner.Do("SAVE")
	owner.Kill()
	owner.Restart()
	harness.Await(t, patience, "the slot is served again", func() string {
		owner.TryDo(2*time.Second, "CLUSTER", "ADDSLOTS", one)
		reply, err := owner.TryDo(2*time.Second, "GET", "one")
		if err != nil || reply.Text != "1" {
			return fmt.Sprint(reply, err)
		}
		return ""
	})
}
