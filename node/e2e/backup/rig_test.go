package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

const patience = 60 * time.Second

// envTool tells tests where slotctl was built.
const envTool = "SLOTMESH_E2E_SLOTCTL"

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "slotctl")
	if err == nil {
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "slotctl")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", path, "slotmesh/cmd/slotctl").CombinedOutput(); err != nil {
			err = fmt.Errorf("build slotctl: %w\n%s", err, out)
		} else {
			err = os.Setenv(envTool, path)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return harness.Main(m)
}

// Exit statuses of slotctl.
const (
	done    = 0
	failed  = 1
	misused = 2
	refused = 3
)

// slotctl returns a command that is not started yet.
func slotctl(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv(envTool), args...)
	cmd.Env = append(os.Environ(), "SLOTCTL_USER=", "SLOTCTL_PASS=", "REDISCLI_AUTH=")
	return cmd
}

// run runs slotctl and returns its exit status and what it printed.
func run(t *testing.T, cmd *exec.Cmd) (status int, output string) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("slotctl does not run: %v", err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// expect runs slotctl and wants a status and a text.
func expect(t *testing.T, want int, text string, args ...string) {
	t.Helper()
	status, output := run(t, slotctl(args...))
	if status != want || !strings.Contains(output, text) {
		t.Errorf("slotctl %v: status %d, want %d with %q:\n%s", args, status, want, text, output)
	}
}

// manifest is what the tests look at of a manifest.
type manifest struct {
	Version int
	Date    time.Time
	Files   []struct {
		Name, Source, SHA256 string
		Slots                []string
		ReplID               string `json:"replication_id"`
		Offset, Keys, Bytes  int64
	}
}

func readManifest(t *testing.T, dir string) manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return m
}

// form makes a cluster of n primaries: redis-cli makes none of fewer than three.
func form(t *testing.T, rig *harness.Rig, n int) *harness.Cluster {
	t.Helper()
	if n >= 3 {
		return rig.StartCluster(n, 0, harness.Options{})
	}
	c := rig.StartNodes(n, harness.Options{})
	for i, p := range c.Nodes {
		p.Do("CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		p.Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(i*slots.Count/n), fmt.Sprint((i+1)*slots.Count/n-1))
		if i > 0 {
			p.Do("CLUSTER", "MEET", c.Nodes[0].Host, fmt.Sprint(c.Nodes[0].Port))
		}
	}
	c.WaitOK(patience)
	return c
}
