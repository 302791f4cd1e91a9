package harness

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"
)

// CLI is a run of the unmodified redis-cli.
type CLI struct {
	Args   []string
	Output string // both streams
	Status int    // exit status; -1 if it did not end by itself
}

// cliTimeout is beyond what any command of the cluster manager takes on a machine
// that others use: a rebalance moves slots one by one, thousands of them, and took
// two minutes where twenty processes wanted two cores.
const cliTimeout = 10 * time.Minute

// TryCLI runs redis-cli to its end.
func (g *Rig) TryCLI(args ...string) CLI {
	g.r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cliTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput()
	run := CLI{Args: args, Output: string(out)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		run.Status = exit.ExitCode()
	case err != nil:
		g.r.Fatalf("redis-cli does not run (Debian's redis-tools has it): %v", err)
	}
	return run
}

// CLI runs redis-cli and ends the test unless it exits with status 0.
func (g *Rig) CLI(args ...string) string {
	g.r.Helper()
	run := g.TryCLI(args...)
	if run.Status != 0 {
		g.r.Fatalf("redis-cli %s: exit status %d\n%s", strings.Join(args, " "), run.Status, lastLines(run.Output, 60))
	}
	return run.Output
}

// StartCLI starts redis-cli in the background; out holds what it printed after
// the command's Wait.
func (g *Rig) StartCLI(out *bytes.Buffer, args ...string) *exec.Cmd {
	g.r.Helper()
	cmd := exec.Command("redis-cli", args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := g.StartCommand(cmd); err != nil {
		g.r.Fatalf("redis-cli does not start: %v", err)
	}
	return cmd
}

// StartCommand starts cmd so that it does not outlive this process. Its caller
// waits for it.
func (g *Rig) StartCommand(cmd *exec.Cmd) error {
	cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	g.start <- func() { started <- cmd.Start() }
	return <-started
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
