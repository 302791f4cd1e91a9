package operator

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/e2e/harness"
)

// TestClusterSecret forms a cluster that shares a secret, keeps strangers out,
// and changes the secret by restarting one node after the other.
func TestClusterSecret(t *testing.T) {
	const first, second = "first-secret-of-this-cluster", "second-secret-of-this-cluster"
	rig := newRig(t)
	write := func(p *harness.Process, keys ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(p.Dir, "secret"), []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	prepare := func(name string, keys ...string) *harness.Process {
		t.Helper()
		p := rig.Prepare(harness.Options{Cluster: true, Name: name, Directives: []string{"cluster-secret-file secret"}})
		write(p, keys...)
		return p
	}
	members := []*harness.Process{prepare("a", first), prepare("b", first), prepare("c", first)}
	for _, p := range members {
		p.Restart()
	}
	c := rig.ClusterOf(members...)
	c.Create(0)

	other := prepare("other", second)
	other.Restart()
	none := rig.Start(harness.Options{Cluster: true, Name: "none"})
	for _, stranger := range []*harness.Process{other, none} {
		want(t, "MEET", ask(t, stranger, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(members[0].Port)), "OK")
		want(t, "MEET", ask(t, members[1], "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(stranger.Port)), "OK")
	}
	await(t, "the refusals are logged", func() bool {
		return strings.Contains(members[0].Log(), "it has no cluster secret and this node has") &&
			strings.Contains(other.Log(), "it has another cluster secret")
	})
	for _, p := range append(members, other, none) {
		size := len(harnessView(t, p))
		if member := p != other && p != none; member && size != 3 || !member && size != 1 {
			t.Errorf("%s sees %d nodes", p.Name, size)
		}
	}
	other.Kill()
	none.Kill()

	for _, keys := range [][]string{{first, second}, {second, first}, {second}} {
		for _, p := range members {
			write(p, keys...)
			terminate(t, p)
			p.Restart()
			c.WaitOK(patience)
		}
	}
}

// TestSecretFilesThatCannotBeUsed stop the start.
func TestSecretFilesThatCannotBeUsed(t *testing.T) {
	rig := newRig(t)
	for name, row := range map[string]struct{ content, says string }{
		"short":   {"long-enough-as-a-secret\nabc\n", "line 2: a secret of 3 bytes is too short"},
		"nothing": {"# a comment\n\n", "no secret in it"},
	} {
		p := rig.Prepare(harness.Options{Cluster: true, Name: name, Directives: []string{"cluster-secret-file secret"}})
		path := filepath.Join(p.Dir, "secret")
		if err := os.WriteFile(path, []byte(row.content), 0o600); err != nil {
			t.Fatal(err)
		}
		refuses(t, name, p, "secret", row.says)
	}
	p := rig.Prepare(harness.Options{Cluster: true, Name: "missing", Directives: []string{"cluster-secret-file nowhere"}})
	refuses(t, "a missing file", p, "nowhere: no such file or directory")
}

// TestOpenBusStaysOnLoopback refuses to meet strangers over a network that
// nothing protects.
func TestOpenBusStaysOnLoopback(t *testing.T) {
	p := newRig(t).Start(harness.Options{Cluster: true})
	for _, ip := range []string{"192.0.2.1", "10.0.0.1", "2001:db8::1", "0.0.0.0"} {
		if got := ask(t, p, "CLUSTER", "MEET", ip, "7000"); !strings.HasPrefix(got, "ERR the cluster bus is open and accepts only loopback addresses") {
			t.Errorf("MEET %s: %q", ip, got)
		}
	}
}
