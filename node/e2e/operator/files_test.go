package operator

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/e2e/harness"
)

// refuses starts p, which must end by itself with status 1 and say why.
func refuses(t *testing.T, what string, p *harness.Process, says ...string) {
	t.Helper()
	before := len(p.Log())
	if err := p.Launch(); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitExit(patience); err != nil {
		t.Errorf("%s: %v", what, err)
		p.Kill()
		return
	}
	if status := p.Status(); status == nil || status.Error() != "exit status 1" {
		t.Errorf("%s: ended with %v", what, status)
	}
	log := p.Log()[before:]
	for _, words := range says {
		if !strings.Contains(log, words) {
			t.Errorf("%s: the log does not say %q:\n%s", what, words, log)
		}
	}
}

// TestDamagedClusterConfigFile starts a node from files that are not what it
// has written: it names the path and the byte, and overwrites nothing.
func TestDamagedClusterConfigFile(t *testing.T) {
	p := newRig(t).Start(harness.Options{Cluster: true, Name: "n"})
	want(t, "ADDSLOTS", ask(t, p, "CLUSTER", "ADDSLOTS", "1", "2"), "OK")
	terminate(t, p)
	path := filepath.Join(p.Dir, "nodes.conf")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".prev"); err != nil {
		t.Error(err)
	}
	flipped := bytes.Clone(good)
	flipped[60] ^= 1
	for what, content := range map[string][]byte{
		"empty":       nil,
		"half":        good[:len(good)/2],
		"a byte less": good[:len(good)-1],
		"a byte more": append(bytes.Clone(good), 'x'),
		"a bit":       flipped,
		"zeros":       make([]byte, len(good)),
		"foreign":     []byte("8e174a36768a7431a6b75f50b77f4b4f7962139c 127.0.0.1:7000@17000 myself,master - 0 0 0 connected\n"),
	} {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		refuses(t, what, p, path, "damaged at byte ", path+".prev")
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file was touched (%v)", what, err)
		}
	}
	next := bytes.Replace(good, []byte("slotmesh-cluster-config 1"), []byte("slotmesh-cluster-config 2"), 1)
	if err := os.WriteFile(path, next, 0o644); err != nil {
		t.Fatal(err)
	}
	refuses(t, "another version", p, path, "version")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	refuses(t, "a directory", p, path, "is a directory")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, good, 0o644); err != nil {
		t.Fatal(err)
	}
	p.Restart()
	want(t, "slots of the good file", strconv.Itoa(harnessView(t, p).Self().SlotCount()), "2")
}

func harnessView(t *testing.T, p *harness.Process) harness.View {
	t.Helper()
	view, err := harness.TryView(p)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// TestStartsThatCannotBe has everything taken that a node needs.
func TestStartsThatCannotBe(t *testing.T) {
	rig := newRig(t)
	first := rig.Start(harness.Options{Cluster: true, Name: "first"})
	second := rig.Prepare(harness.Options{Cluster: true, Name: "second", Directives: []string{"dir " + first.Dir}})
	refuses(t, "a used directory", second, filepath.Join(first.Dir, "nodes.conf"), "already used")

	third := rig.Prepare(harness.Options{Cluster: true, Name: "third"})
	busPort := strconv.Itoa(third.Port + 10000)
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", busPort))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	refuses(t, "a used bus port", third, "Failed listening on port "+busPort)

	fourth := rig.Prepare(harness.Options{Cluster: true, Name: "fourth", Directives: []string{"port 60000"}})
	refuses(t, "no room for the bus port", fourth, "must be 55535 or less")
	want(t, "the first node", ask(t, first, "PING"), "PONG")
}
