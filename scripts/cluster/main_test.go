package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestRunTwice starts the cluster as `make run` does, interrupts it and starts
// it again: nodes, roles and slots are the same.
func TestRunTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("starts six nodes twice: left out by -short")
	}
	server := harness.UnderTest(t)
	rig := harness.New(t, server)
	dir := t.TempDir()
	program := filepath.Join(dir, "cluster")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	data := filepath.Join(dir, "data")
	port := freePorts(t)

	var identities [2]string
	for i, greeting := range []string{"a new cluster is ready", "the cluster of the last time is back"} {
		var out lockedBuffer
		cmd := exec.Command(program, "-server", server.Path, "-dir", data, "-port", strconv.Itoa(port))
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := rig.StartCommand(cmd); err != nil {
			t.Fatal(err)
		}
		exited := make(chan error, 1)
		go func() { exited <- cmd.Wait() }()
		harness.Await(t, time.Minute, "the cluster is up", func() string {
			if strings.Contains(out.String(), "connect:") {
				return ""
			}
			return "it says " + out.String()
		})
		if !strings.Contains(out.String(), greeting) {
			t.Errorf("start %d does not say %q:\n%s", i+1, greeting, out.String())
		}
		identities[i] = identity(t, port)
		if starts := countStart(t, port); starts != int64(i+1) {
			t.Errorf("start %d is counted as the %dth", i+1, starts)
		}
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-exited:
			if err != nil {
				t.Fatalf("after the interrupt: %v\n%s", err, out.String())
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("the program does not stop:\n%s", out.String())
		}
		for p := port; p < port+nodes; p++ {
			if conn, err := harness.Dial(fmt.Sprintf("127.0.0.1:%d", p), time.Second); err == nil {
				conn.Close()
				t.Errorf("port %d is still served after the end", p)
			}
		}
	}
	if identities[0] != identities[1] {
		t.Errorf("the second start differs:\n%s\n%s", identities[0], identities[1])
	}
}

// TestPortInUse wants the port named.
func TestPortInUse(t *testing.T) {
	rig := harness.New(t, harness.UnderTest(t))
	p := rig.Start(harness.Options{})
	err := portsFree(p.Port - 2)
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(p.Port)) {
		t.Errorf("portsFree says %v", err)
	}
}

// countStart adds one to a key of the cluster, at whichever node has it, and
// returns what it is then.
func countStart(t *testing.T, port int) (starts int64) {
	t.Helper()
	harness.Await(t, 20*time.Second, "a node counts", func() string {
		said := ""
		for p := port; p < port+nodes; p++ {
			conn, err := harness.Dial(fmt.Sprintf("127.0.0.1:%d", p), 5*time.Second)
			if err != nil {
				return err.Error()
			}
			reply, err := conn.Do("INCR", "starts")
			conn.Close()
			if err == nil {
				starts = reply.Int()
				return ""
			}
			said = err.Error()
		}
		return said
	})
	return starts
}

// identity returns ids, roles and slots as the first node tells them.
func identity(t *testing.T, port int) string {
	t.Helper()
	conn, err := harness.Dial(fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reply, err := conn.Do("CLUSTER", "NODES")
	if err != nil {
		t.Fatal(err)
	}
	view, err := harness.ParseNodes(reply.Text)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, n := range view {
		lines = append(lines, fmt.Sprintf("%s %s of %q with %v", n.Addr, n.ID, n.PrimaryID, n.Slots))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// freePorts returns the first of six ports in a row that are free.
func freePorts(t *testing.T) int {
	t.Helper()
	for port := 12000; port < 21000; port += 10 {
		if portsFree(port) == nil {
			return port
		}
	}
	t.Fatal("no six free ports in a row")
	return 0
}

// lockedBuffer is a buffer that a process writes to while the test reads.
type lockedBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
