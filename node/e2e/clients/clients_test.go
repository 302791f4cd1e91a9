package clients

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slotmesh/node/e2e/drill"
	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// allowed is what a client may report while slots move and primaries die. The
// words of a closed or refused connection are those of five libraries for the
// same thing; "offline" is node-redis's for a connection that was closed and not
// yet made again.
var allowed = regexp.MustCompile(`CLUSTERDOWN|TRYAGAIN|MOVED|ASK |` +
	`(?i:refused|closed|reset by peer|broken pipe|\bEOF\b|ECONNRESET|EPIPE|The client is offline)`)

// grace is how long after the end of a failover a client may still fail.
const grace = time.Second

type named struct {
	name string
	client
}

func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a cluster: left out by -short")
	}
	server := harness.UnderTest(t)
	rig := harness.New(t, server)
	var options harness.Options
	if server.Reference {
		options.Directives = []string{"cluster-node-timeout 1000"}
	}
	cluster := rig.StartCluster(3, 1, options)
	all := start(t, rig, cluster)

	// One key of every slot.
	tags := harness.Tags()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			keys := make([]string, slots.Count)
			for slot, tag := range tags {
				keys[slot] = "{" + tag + "}" + c.name
			}
			if err := c.fill(keys, [2]string{"{pair}a" + c.name, "{pair}b" + c.name}); err != nil {
				t.Fatalf("fill: %v", err)
			}
			drill.WaitAlike(t, cluster, 30*time.Second)
			cluster.WaitListed(30 * time.Second)
			before := replicaReads(t, cluster)
			if err := c.readReplicas(keys); err != nil {
				t.Fatalf("read from replicas: %v", err)
			}
			if read := replicaReads(t, cluster) - before; read == 0 {
				t.Error("no replica was read from")
			} else {
				t.Logf("%d keys over all slots, %d reads by replicas", len(keys), read)
			}
		})
	}
	if t.Failed() {
		return
	}

	t.Run("reshard", func(t *testing.T) {
		records := during(t, all, "reshard", func() {
			from, to := cluster.Owner(0), cluster.Owner(slots.Count-1)
			rig.CLI("--cluster", "reshard", cluster.Seed().Addr(), "--cluster-from", cluster.ID(from),
				"--cluster-to", cluster.ID(to), "--cluster-slots", "1000", "--cluster-yes")
		})
		cluster.WaitOK(30 * time.Second)
		for i, c := range all {
			judge(t, c.name, records[i], time.Time{})
			missing := lost(t, cluster, prefix("reshard", c.name), records[i])
			t.Logf("%s: %d writes acknowledged, %d refused, %d lost", c.name, len(records[i].Acks), len(records[i].Failures), len(missing))
			if len(missing) > 0 {
				t.Errorf("%s: %d acknowledged writes are lost, such as %s", c.name, len(missing), missing[0])
			}
		}
	})

	t.Run("kill", func(t *testing.T) {
		var killed *harness.Process
		var killedAt, over time.Time
		var range0 []harness.SlotRange
		records := during(t, all, "kill", func() {
			killed = cluster.Owner(8000)
			range0 = cluster.View(killed).Self().Slots
			killedAt = time.Now()
			killed.Kill()
			cluster.WaitOK(time.Minute)
			over = time.Now()
			// Long enough after the grace to see who is still in trouble.
			time.Sleep(grace + 2*time.Second)
		})
		t.Logf("the failover was over after %v", over.Sub(killedAt).Round(time.Millisecond))
		for i, c := range all {
			judge(t, c.name, records[i], over.Add(grace))
			recovered := 0
			for _, a := range records[i].Acks {
				slot := int(slots.Of([]byte(writeKey(prefix("kill", c.name), a.Seq))))
				if a.At > over.Add(grace).UnixMilli() && slices.ContainsFunc(range0, func(r harness.SlotRange) bool {
					return r.First <= slot && slot <= r.Last
				}) {
					recovered++
				}
			}
			if recovered == 0 {
				t.Errorf("%s: no write to the slots of the killed primary in the two seconds after the grace", c.name)
			}
			last := killedAt.UnixMilli()
			for _, f := range records[i].Failures {
				last = max(last, f.At)
			}
			t.Logf("%s: %d writes acknowledged, %d refused until %d ms after the kill, %d accepted on the moved slots after the grace",
				c.name, len(records[i].Acks), len(records[i].Failures), last-killedAt.UnixMilli(), recovered)
		}
		killed.Restart()
		cluster.WaitOK(time.Minute)
	})
}

// start returns every client that can run here, and says which cannot.
func start(t *testing.T, rig *harness.Rig, cluster *harness.Cluster) []named {
	t.Helper()
	seed := cluster.Seed()
	ctx := t.Context()
	all := []named{{"go-redis", newGoRedis(ctx, seed.Addr())}}
	r, err := newRueidis(ctx, seed.Addr())
	if err != nil {
		t.Errorf("rueidis does not connect: %v", err)
	} else {
		all = append(all, named{"rueidis", r})
	}
	host, port, err := net.SplitHostPort(seed.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range childCommands(t, ctx, host, port) {
		c.cmd.Stderr = os.Stderr
		child, err := startChild(c.cmd, rig.StartCommand)
		if err != nil {
			t.Errorf("%s does not start: %v", c.name, err)
			continue
		}
		all = append(all, named{c.name, child})
		t.Cleanup(func() { _ = c.cmd.Wait() })
	}
	t.Cleanup(func() {
		for _, c := range all {
			c.close()
		}
	})
	return all
}

type childCommand struct {
	name string
	cmd  *exec.Cmd
}

func childCommands(t *testing.T, ctx context.Context, host, port string) []childCommand {
	t.Helper()
	var commands []childCommand
	module, err := harness.ModuleDir()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(module, ".cache", "clients")
	for _, c := range []struct{ name, pkg, script string }{
		{"ioredis", "ioredis", "ioredis.cjs"},
		{"node-redis", "redis", "node-redis.cjs"},
	} {
		if _, err := os.Stat(filepath.Join(modules, "node_modules", c.pkg)); err != nil {
			t.Logf("SKIPPED: %s is not installed (`make tools` does it and needs npm)", c.name)
			continue
		}
		cmd := exec.CommandContext(ctx, "node", filepath.Join("scripts", c.script), host, port)
		cmd.Env = append(os.Environ(), "SLOTMESH_CLIENT_MODULES="+modules)
		commands = append(commands, childCommand{c.name, cmd})
	}
	// Debian's package belongs to Debian's interpreter.
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import redis.cluster").Run() == nil {
			cmd := exec.CommandContext(ctx, python, filepath.Join("scripts", "redis_py.py"), host, port)
			return append(commands, childCommand{"python3-redis", cmd})
		}
	}
	t.Log("SKIPPED: no Python has the redis module (Debian's package python3-redis)")
	return commands
}

func prefix(phase, name string) string { return phase + "-" + name }

// during lets all clients write while fn runs and returns their records.
func during(t *testing.T, all []named, phase string, fn func()) []record {
	t.Helper()
	for _, c := range all {
		if err := c.startWrites(prefix(phase, c.name)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	// Each loop is under way before the fault: this is a lead, not a wait for
	// something.
	time.Sleep(500 * time.Millisecond)
	fn()
	time.Sleep(500 * time.Millisecond)
	records := make([]record, len(all))
	errs := make([]error, len(all))
	var stopping sync.WaitGroup
	for i, c := range all {
		stopping.Go(func() { records[i], errs[i] = c.stopWrites() })
	}
	stopping.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("%s: %v", all[i].name, err)
		}
		if len(records[i].Acks) < 50 {
			t.Errorf("%s: only %d writes were acknowledged", all[i].name, len(records[i].Acks))
		}
	}
	return records
}

// judge holds the failures of a record to the list, and to the time unless
// latest is zero.
func judge(t *testing.T, name string, r record, latest time.Time) {
	t.Helper()
	foreign := make(map[string]int)
	late := make(map[string]int)
	for _, f := range r.Failures {
		if !allowed.MatchString(f.Text) {
			foreign[f.Text]++
		}
		if !latest.IsZero() && f.At > latest.UnixMilli() {
			late[f.Text]++
		}
	}
	if len(foreign) > 0 {
		t.Errorf("%s: errors that a client must not see: %s", name, counts(foreign))
	}
	if len(late) > 0 {
		t.Errorf("%s: errors later than %v after the failover: %s", name, grace, counts(late))
	}
}

func counts(of map[string]int) string {
	var lines []string
	for text, n := range of {
		lines = append(lines, fmt.Sprintf("%d × %s", n, text))
	}
	slices.Sort(lines)
	return strings.Join(lines[:min(len(lines), 10)], "; ")
}

// lost returns the acknowledged keys that the cluster does not hold.
func lost(t *testing.T, cluster *harness.Cluster, prefix string, r record) []string {
	t.Helper()
	// Grouped by owner, so that each node is asked in pipelines.
	byOwner := make(map[*harness.Process][]string)
	owners := make(map[int]*harness.Process)
	view := cluster.View(cluster.Seed())
	for _, a := range r.Acks {
		key := writeKey(prefix, a.Seq)
		slot := int(slots.Of([]byte(key)))
		if owners[slot] == nil {
			line, ok := view.Owner(slot)
			if !ok {
				t.Fatalf("slot %d has no owner", slot)
			}
			owners[slot] = cluster.ByAddr(line.Addr)
		}
		byOwner[owners[slot]] = append(byOwner[owners[slot]], key)
	}
	var missing []string
	for owner, keys := range byOwner {
		values, err := drill.Get(owner.Addr(), keys)
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range keys {
			if values[i] != key {
				missing = append(missing, key)
			}
		}
	}
	return missing
}

// replicaReads returns how often replicas have run GET.
func replicaReads(t *testing.T, cluster *harness.Cluster) int {
	t.Helper()
	total := 0
	for _, p := range cluster.Nodes {
		if cluster.View(p).Self().Primary() {
			continue
		}
		fields := p.Info("commandstats")["cmdstat_get"]
		calls, _, _ := strings.Cut(strings.TrimPrefix(fields, "calls="), ",")
		if n, err := strconv.Atoi(calls); err == nil {
			total += n
		}
	}
	return total
}
