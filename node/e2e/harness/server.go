package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Environment variables that choose what a test runs against.
const (
	// EnvServer names the binary to test in place of our own; one whose name
	// holds "redis-server" or "valkey-server" counts as a reference.
	EnvServer = "SLOTMESH_E2E_SERVER"
	// EnvReference names the reference implementation, if it is not the
	// redis-server in the path.
	EnvReference = "SLOTMESH_E2E_REFERENCE"
	// EnvKeep, when set, keeps the directories of the processes.
	EnvKeep = "SLOTMESH_E2E_KEEP"
)

// Server is a binary that speaks the protocol and takes redis-server's
// directives.
type Server struct {
	Path string
	// Reference is true for the implementation that ours is compared with. It
	// lacks our own directives and promises less.
	Reference bool
}

// String names the server in reports.
func (s Server) String() string {
	if s.Reference {
		return filepath.Base(s.Path)
	}
	return "slotmesh"
}

// UnderTest returns the server that tests are about: what EnvServer names,
// else the node, which Main has built.
func UnderTest(r Reporter) Server {
	r.Helper()
	path := os.Getenv(EnvServer)
	if path == "" {
		r.Fatalf("no server to test: the package's TestMain must call harness.Main, or %s must name one", EnvServer)
	}
	return FromPath(path)
}

// FromPath returns the server whose binary is at path.
func FromPath(path string) Server {
	name := filepath.Base(path)
	return Server{
		Path:      path,
		Reference: strings.Contains(name, "redis-server") || strings.Contains(name, "valkey-server"),
	}
}

// Reference returns the reference implementation, ending the test if there is
// none: `make test` installs it.
func Reference(r Reporter) Server {
	r.Helper()
	path, err := referencePath()
	if err != nil {
		r.Fatalf("the reference implementation is missing: install Debian's redis-server or set %s (%v)", EnvReference, err)
	}
	return Server{Path: path, Reference: true}
}

func referencePath() (string, error) {
	path := os.Getenv(EnvReference)
	if path == "" {
		path = "redis-server"
	}
	return exec.LookPath(path)
}

// StartReference starts the reference implementation, without a config file and with
// args on its command line, and waits until it has loaded its files. Where there is
// none the test is skipped.
func StartReference(t testing.TB, args ...string) *Process {
	t.Helper()
	path, err := referencePath()
	if err != nil {
		t.Skipf("SKIPPED: nothing to compare with: install Debian's redis-server or set %s (%v)", EnvReference, err)
	}
	p := New(t, Server{Path: path, Reference: true}).Start(Options{Name: "reference", Stdin: true, Args: args})
	if err := p.WaitLoaded(time.Minute); err != nil {
		t.Fatal(err)
	}
	return p
}

// ModuleDir returns the directory of the module that the caller runs in.
func ModuleDir() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("harness: find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Build compiles the node into dir and returns it.
func Build(dir string) (Server, error) {
	module, err := ModuleDir()
	if err != nil {
		return Server{}, err
	}
	path := filepath.Join(dir, "slotmesh")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "./cmd/slotmesh")
	build.Dir = module
	if out, err := build.CombinedOutput(); err != nil {
		return Server{}, fmt.Errorf("harness: build the node: %w\n%s", err, out)
	}
	return Server{Path: path}, nil
}

// Main is the body of TestMain in packages that start processes: it waits for
// its turn, for two clusters on two cores disturb each other's timing, builds
// the node once, runs the tests and returns the exit status.
func Main(m *testing.M) int {
	release, err := takeTurn()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer release()
	if os.Getenv(EnvServer) == "" {
		dir, err := os.MkdirTemp("", "slotmesh-e2e-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "harness: directory for the node:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		server, err := Build(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := os.Setenv(EnvServer, server.Path); err != nil {
			fmt.Fprintln(os.Stderr, "harness:", err)
			return 1
		}
	}
	return m.Run()
}
