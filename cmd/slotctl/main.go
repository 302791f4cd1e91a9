// Command slotctl is the operator's tool for a cluster: it backs a whole one up
// and restores the backup into one of any size.
//
// A backup is a directory with one RDB file per primary and a manifest, which is
// written last: a directory without one is not a backup. Each file is the state
// of its primary at one offset of its replication history; primaries are cut
// independently of each other, as the slots of a cluster are independent.
//
// Read options.go (the command line), cluster.go and link.go (how a cluster is
// asked), then backup.go with sync.go (what a replica would receive), files.go
// with lock_*.go and manifest.go (how it comes to the disk), then restore.go with delivery.go,
// and progress.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses.
const (
	exitDone    = 0
	exitFailed  = 1 // the cluster, the network or the disk did not play along
	exitUsage   = 2 // the command line is wrong
	exitRefused = 3 // nothing was written, because it would not have been right to
)

// refusal is an error by which nothing was begun: data in the way, a backup
// that is not whole.
type refusal struct{ error }

func refuse(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

func (r refusal) Unwrap() error { return r.error }

// usageError is a command line that says nothing sensible.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(status(run(ctx, os.Args[1:])))
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("what shall be done? backup or restore")}
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		fmt.Print(usage)
		return nil
	case "backup", "restore":
	default:
		return usageError{fmt.Errorf("unknown command %q: backup or restore", args[0])}
	}
	o, err := parseOptions(args[0], args[1:])
	if err != nil {
		return err
	}
	switch {
	case o.help:
		fmt.Print(usage)
		return nil
	case args[0] == "backup":
		return backup(ctx, o)
	default:
		return restore(ctx, o)
	}
}

// status prints err and returns what to exit with.
func status(err error) int {
	var refused refusal
	var wrong usageError
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(os.Stderr, "slotctl:", err)
	switch {
	case errors.As(err, &wrong):
		fmt.Fprintln(os.Stderr, "slotctl --help tells more")
		return exitUsage
	case errors.As(err, &refused):
		return exitRefused
	}
	return exitFailed
}
