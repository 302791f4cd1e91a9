package backup

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
)

// pair is two counters that one transaction increments: a cut shows both equal.
type pair struct {
	tag   string
	count atomic.Int64 // of acknowledged transactions
}

func (p *pair) one() string { return "{" + p.tag + "}pair one" }
func (p *pair) two() string { return "{" + p.tag + "}pair two" }

func isPair(key string) bool { return strings.Contains(key, "}pair ") }

// increment writes to the pair until stop.
func (p *pair) increment(t *testing.T, conn *harness.Conn, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		for _, args := range [][]string{{"MULTI"}, {"INCR", p.one()}, {"INCR", p.two()}, {"EXEC"}} {
			if _, err := conn.Do(args...); err != nil {
				t.Errorf("%v: %v", args, err)
				return
			}
		}
		p.count.Add(1)
	}
}

// TestBackupAndRestore backs up a cluster of three primaries under writes, from
// the primaries and from their replicas, and restores it into clusters of two
// and of five, the latter while slots move.
func TestBackupAndRestore(t *testing.T) {
	if testing.Short() {
		t.Skip("needs thirteen processes: left out by -short")
	}
	rig := harness.New(t, harness.UnderTest(t))
	source := rig.StartCluster(3, 1, harness.Options{})
	from := connect(t, source)
	load(from, !rig.Server().Reference)

	tags := harness.Tags()
	pairs := []*pair{{tag: tags[5]}, {tag: tags[5005]}, {tag: tags[8005]}, {tag: tags[16005]}}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for _, p := range pairs {
		conn := source.Owner(slotOf(p)).Connect()
		writers.Go(func() { p.increment(t, conn, stop) })
	}
	harness.Await(t, patience, "writers write", func() string {
		for _, p := range pairs {
			if p.count.Load() < 10 {
				return p.tag
			}
		}
		return ""
	})
	// The reference lists a replica when its offset has gone round.
	harness.Await(t, patience, "replicas are listed", func() string {
		for _, shard := range source.Seed().Do("CLUSTER", "SLOTS").Elems {
			if len(shard.Elems) < 4 {
				return shard.String()
			}
		}
		return ""
	})
	dirs := []string{filepath.Join(rig.Dir(), "primaries"), filepath.Join(rig.Dir(), "deeper", "replicas")}
	atLeast, atMost := make([][]int64, 2), make([][]int64, 2)
	for i, args := range [][]string{
		{"backup", source.Seed().Addr(), dirs[0]},
		{"backup", source.Seed().Addr(), "--from-replicas", dirs[1]},
	} {
		atLeast[i] = counts(pairs)
		began := time.Now()
		status, output := run(t, slotctl(args...))
		atMost[i] = counts(pairs)
		if status != done {
			t.Fatalf("backup: status %d\n%s", status, output)
		}
		t.Logf("%.2f s, %d to %d transactions of the first pair:\n%s", time.Since(began).Seconds(), atLeast[i][0], atMost[i][0], output)
	}
	close(stop)
	writers.Wait()
	source.WaitOK(patience)

	for i, dir := range dirs {
		m := readManifest(t, dir)
		if m.Version != 1 || len(m.Files) != 3 || time.Since(m.Date) > time.Hour {
			t.Fatalf("manifest %+v", m)
		}
		for _, f := range m.Files {
			at := source.ByAddr(f.Source)
			if at == nil || (at.Info("replication")["role"] == "slave") != (i == 1) {
				t.Errorf("%s comes from %s", f.Name, f.Source)
			}
			if id := at.Info("replication")["master_replid"]; f.ReplID != id || f.Offset <= 0 || f.Keys < groups || f.Bytes == 0 {
				t.Errorf("file %+v, the node's history is %s", f, id)
			}
		}
	}

	t.Run("two primaries", func(t *testing.T) {
		rig := harness.New(t, rig.Server())
		c := form(t, rig, 2)
		damaged(t, dirs[0], c)
		expect(t, done, " keys of the backup of ", "restore", c.Nodes[1].Addr(), dirs[0])
		to := connect(t, c)
		compare(to, from, isPair)
		checkPairs(to, pairs, atLeast[0], atMost[0])
		replaced(t, dirs[0], c, to)
	})
	t.Run("five primaries while slots move", func(t *testing.T) {
		rig := harness.New(t, rig.Server())
		c := form(t, rig, 5)
		primaries := c.Primaries()
		var moves bytes.Buffer
		move := rig.StartCLI(&moves, "--cluster", "reshard", c.Seed().Addr(), "--cluster-from", c.ID(primaries[0])+","+c.ID(primaries[3]),
			"--cluster-to", c.ID(primaries[4]), "--cluster-slots", "400", "--cluster-yes")
		harness.Await(t, patience, "slots move", func() string {
			if n := c.View(primaries[4]).Self().SlotCount(); n <= 3280 {
				return "none has moved"
			}
			return ""
		})
		expect(t, done, " keys of the backup of ", "restore", "--connections", "3", c.Nodes[1].Addr(), dirs[1])
		// Again and again while the slots go, now with keys in them.
		during := 0
		for ; c.View(primaries[4]).Self().SlotCount() < 3600 && !t.Failed(); during++ {
			expect(t, done, " keys of the backup of ", "restore", "--replace", c.Nodes[during%5].Addr(), dirs[1])
		}
		if err := move.Wait(); err != nil {
			t.Fatalf("reshard: %v\n%s", err, moves.String())
		}
		c.WaitOK(patience)
		t.Logf("restored %d times while slots moved", during+1)
		to := connect(t, c)
		to.moved, from.moved = true, true
		to.unread, from.unread = rig.Server().Reference, rig.Server().Reference
		compare(to, from, isPair)
		checkPairs(to, pairs, atLeast[1], atMost[1])
	})
	t.Run("password", func(t *testing.T) { password(t, source) })
}

func slotOf(p *pair) int {
	for slot, tag := range harness.Tags() {
		if tag == p.tag {
			return slot
		}
	}
	return -1
}

func counts(pairs []*pair) []int64 {
	var all []int64
	for _, p := range pairs {
		all = append(all, p.count.Load())
	}
	return all
}

// checkPairs wants both counters of each pair equal: nothing else is a state
// that the primary was in.
func checkPairs(b *band, pairs []*pair, atLeast, atMost []int64) {
	b.t.Helper()
	for i, p := range pairs {
		one, two := b.do("GET", p.one()).Int(), b.do("GET", p.two()).Int()
		// One more may have been under way than was acknowledged.
		if one != two || one < atLeast[i] || one > atMost[i]+1 {
			b.t.Errorf("the pair of %s is %d and %d, %d were acknowledged before and %d after", p.tag, one, two, atLeast[i], atMost[i])
		}
	}
}
