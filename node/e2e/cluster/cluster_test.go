package cluster

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// groupsPerClient times clients are the groups of keys; a group has up to
// twenty keys.
const (
	clients         = 4
	groupsPerClient = 120
	largeMembers    = 10_000
)

// TestEveryTypeSurvives moves 2,000 slots and kills a primary under writes of
// every type, and compares every key with the models.
func TestEveryTypeSurvives(t *testing.T) {
	if testing.Short() {
		t.Skip("needs about a minute: left out by -short")
	}
	rig := harness.New(t, harness.UnderTest(t))
	m := models{reference: rig.Start(harness.Options{Name: "model", Server: harness.Reference(t)})}
	deadlines := !rig.Server().Reference
	if deadlines {
		m.ours = rig.Start(harness.Options{Name: "model2"})
	}
	c := rig.StartCluster(3, 1, harness.Options{Directives: []string{"cluster-node-timeout 3000"}})
	f := &fleet{t: t, cluster: c, models: m}
	step := func(name string, run func()) {
		t.Helper()
		if t.Failed() {
			t.FailNow()
		}
		begun, before := time.Now(), f.acked.Load()
		run()
		t.Logf("%s: %.1f s, %d writes", name, time.Since(begun).Seconds(), f.acked.Load()-before)
	}

	tags := harness.Tags()
	own := make([][]string, clients)
	for i := range clients * groupsPerClient {
		// Every 34th slot or so: all primaries, and the moved slots too.
		slot := i * slots.Count / (clients * groupsPerClient)
		own[i%clients] = append(own[i%clients], tags[slot])
	}
	source := c.Owner(0)
	target := c.Owner(slots.Count - 1)
	step("load", func() {
		loader := f.client(99)
		defer loader.close()
		for _, tag := range []string{tags[7], tags[6001], tags[12001]} {
			for _, args := range large(loader.r, tag, largeMembers, deadlines) {
				if !loader.write(args, nil) {
					t.Fatalf("%s is not answered", args[0])
				}
			}
		}
	})
	step("writes", func() { writeFor(f, 1, own, 3*time.Second) })
	step("reshard of 2000 slots under writes", func() {
		w := f.start(11, own)
		rig.CLI("--cluster", "reshard", c.Seed().Addr(), "--cluster-from", c.ID(source),
			"--cluster-to", c.ID(target), "--cluster-slots", "2000", "--cluster-pipeline", "20", "--cluster-yes")
		w.end()
		if n := len(f.doubts); n > 0 {
			t.Errorf("an orderly move left %d writes in doubt", n)
		}
		c.WaitOK(patience)
		if n := c.View(source).Self().SlotCount(); n > slots.Count/3+1-2000 {
			t.Errorf("%s still has %d slots", source.Name, n)
		}
	})
	step("the keyspace after the reshard", func() { f.compare(rig) })
	step("kill -9 of a primary and promotion", func() {
		f.careful.Store(true)
		w := f.start(21, own)
		harness.Await(t, patience, "writes with WAIT", enough(f, 300))
		heir := c.ReplicasOf(target)[0]
		target.Kill()
		harness.Await(t, patience, "the replica is promoted", func() string {
			view, err := harness.TryView(heir)
			if err == nil && view.Self().Primary() && view.Self().SlotCount() > 0 {
				return ""
			}
			return heir.Name + " is a replica"
		})
		f.careful.Store(false)
		harness.Await(t, patience, "writes after the promotion", enough(f, 2000))
		w.end()
		t.Logf("%d writes in doubt", len(f.doubts))
	})
	step("the keyspace after the promotion", func() { f.compare(rig) })
	step("the killed node comes back", func() {
		target.Restart()
		c.WaitOK(patience)
		f.compareReplicas()
	})
}

// writeFor lets clients write for a while.
func writeFor(f *fleet, seed uint64, own [][]string, life time.Duration) {
	w := f.start(seed, own)
	time.Sleep(life)
	w.end()
}

// enough waits for n more acknowledged writes.
func enough(f *fleet, n int64) func() string {
	from := f.acked.Load()
	return func() string {
		if got := f.acked.Load() - from; got < n && !f.t.Failed() {
			return fmt.Sprintf("%d of %d", got, n)
		}
		return ""
	}
}

// compare compares every key of the cluster with the models, and every replica
// with its primary.
func (f *fleet) compare(rig *harness.Rig) {
	t := f.t
	t.Helper()
	keys := make(map[string]*harness.Conn)
	// What ends by itself is given the time to: its last moment is 3 s ahead.
	harness.Await(t, patience, "what had a deadline is gone", func() string {
		clear(keys)
		for _, p := range f.cluster.Primaries() {
			conn := p.Connect()
			found, err := scanAll(conn)
			if err != nil {
				t.Fatalf("SCAN of %s: %v", p.Name, err)
			}
			for _, key := range found {
				if keys[key] != nil {
					t.Errorf("two primaries have %s", key)
				}
				keys[key] = conn
			}
		}
		for key := range keys {
			if strings.HasSuffix(key, "!") {
				return key + " is still there"
			}
		}
		return ""
	})
	doubted := make(map[string][]doubt)
	for _, d := range f.doubts {
		slot := strconv.Itoa(int(slots.Of([]byte(keyOf(d.args)))))
		doubted[slot] = append(doubted[slot], d)
	}
	compared := 0
	for _, model := range []*harness.Process{f.models.reference, f.models.ours} {
		if model == nil {
			continue
		}
		side := model.Connect()
		if _, err := side.Do("SELECT", "1"); err != nil {
			t.Fatalf("SELECT: %v", err)
		}
		c := comparison{model: model.Connect(), side: side, deadlines: model == f.models.ours}
		wanted, err := scanAll(c.model)
		if err != nil {
			t.Fatalf("SCAN of the model: %v", err)
		}
		own := modelConn{}
		if c.deadlines {
			own.ours = c.model
		} else {
			own.reference = c.model
		}
		all := wanted
		for key := range keys {
			if own.of(key) == c.model {
				all = append(all, key)
			}
		}
		slices.Sort(all)
		for _, key := range slices.Compact(all) {
			if strings.HasSuffix(key, "!") {
				continue // the model has not looked at it since it ended
			}
			if _, err := side.Do("DEL", key); err != nil {
				t.Fatalf("DEL beside the model: %v", err)
			}
			if at := keys[key]; at != nil {
				dump, err := at.Do("DUMP", key)
				if err != nil {
					t.Fatalf("DUMP %s: %v", key, err)
				}
				ends, err := at.Do("PEXPIRETIME", key)
				if err != nil {
					t.Fatalf("PEXPIRETIME %s: %v", key, err)
				}
				if err := c.restore(dump.Text, strconv.FormatInt(max(ends.Int(), 0), 10), key); err != nil {
					t.Errorf("RESTORE of %s: %v", key, err)
				}
			}
			f.compareKey(c, key, doubted[strconv.Itoa(int(slots.Of([]byte(key))))])
			compared++
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d keys are as the models have them", compared)
	if compared < clients*groupsPerClient {
		t.Errorf("only %d keys were compared", compared)
	}
	f.compareReplicas()
}

// compareKey reports a difference, unless a write in doubt explains it.
func (f *fleet) compareKey(c comparison, key string, doubts []doubt) {
	difference, err := c.equal(key)
	if err == nil && difference != "" {
		for _, d := range doubts {
			if d.args[0] == "" {
				return // its choice is unknown
			}
			if !slices.Contains(d.args, key) {
				continue
			}
			if _, err := c.model.Do(d.args...); err != nil && !harness.IsReplyError(err) {
				f.t.Fatalf("the model does not answer: %v", err)
			}
			if difference, err = c.equal(key); difference == "" {
				return
			}
		}
	}
	if err != nil {
		f.t.Errorf("%s: %v", key, err)
	}
	if difference != "" {
		f.t.Errorf("%s", difference)
	}
}

// compareReplicas compares the digests of every primary and its replicas.
func (f *fleet) compareReplicas() {
	f.t.Helper()
	for _, p := range f.cluster.Primaries() {
		for _, r := range f.cluster.ReplicasOf(p) {
			harness.Await(f.t, patience, r.Name+" is like "+p.Name, func() string {
				is, want := r.Do("DEBUG", "DIGEST").Text, p.Do("DEBUG", "DIGEST").Text
				if is == want {
					return ""
				}
				return is + " instead of " + want
			})
		}
	}
}
