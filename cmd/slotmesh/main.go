// Command slotmesh is the node: it takes the arguments and the configuration
// file of redis-server, runs one node until it is told to stop, and exits with
// 0 after an orderly stop and 1 otherwise.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"slotmesh/node"
	"slotmesh/node/config"
	"slotmesh/node/persist"
)

func main() {
	args := node.CaptureArgs()
	os.Exit(run(args))
}

const usage = `Usage: slotmesh [/path/to/redis.conf] [options] [-]
       slotmesh - (read config from stdin)
       slotmesh -v or --version
       slotmesh -h or --help
       slotmesh check-aof [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>
       slotmesh check-rdb <file.rdb>

Options are the directives of the configuration file with two dashes:

       slotmesh --port 7000 --cluster-enabled yes
       slotmesh redis.conf --loglevel verbose
       echo 'maxmemory 128mb' | slotmesh -
       slotmesh --port 7777 --replicaof 127.0.0.1 8888
       slotmesh --save "" --log-format json
`

// run is main without the exit.
func run(args *node.Args) int {
	options := args.List[1:]
	if len(options) > 0 && options[0] == "check-aof" {
		return persist.CheckAOF(options[1:], os.Stdin, os.Stdout)
	}
	if len(options) > 0 && options[0] == "check-rdb" {
		return persist.CheckRDB(options[1:], time.Now().UnixMilli(), os.Stdout)
	}
	if len(options) == 1 {
		switch options[0] {
		case "-v", "--version":
			fmt.Println(node.VersionLine())
			return 0
		case "-h", "--help":
			fmt.Fprint(os.Stderr, usage)
			return 0
		}
	}

	cfg := config.New()
	var stdin bytes.Buffer
	if err := cfg.Load(options, io.TeeReader(os.Stdin, &stdin)); err != nil {
		return refused(err)
	}
	if code, done, err := node.Daemonize(cfg, args.List, stdin.Bytes()); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, "slotmesh:", err)
		}
		return code
	}
	log, err := node.OpenLog(cfg, os.Stdout)
	if err != nil {
		return refused(err)
	}
	node.LogStart(log, cfg, len(options) > 0)
	err = serve(cfg, log, args)
	var bad *config.LoadError
	switch {
	case errors.As(err, &bad):
		return refused(err)
	case err != nil:
		log.Warn(err.Error())
		return 1
	}
	return 0
}

// serve runs a node from its making to its end.
func serve(cfg *config.Config, log *slog.Logger, args *node.Args) error {
	process, err := node.NewProcess(cfg, log, args)
	if err != nil {
		return err
	}
	defer process.Ended()
	node.LogRole(log, false)
	n, err := node.New(cfg, log)
	if err != nil {
		return err
	}
	// There is an event loop for each processor. One more place to run is for
	// everything else: background work that is busy then shares the processors
	// with the loops by the system's slices, which are finer than the runtime's,
	// and a loop that waits is not robbed of its place at once.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	process.Attach(n)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	process.HandleSignals(ctx, n)
	if err := n.Run(context.Background()); err != nil {
		return err
	}
	process.Ended() // says what it does, and this is to be the last line
	log.Warn("Slotmesh is now ready to exit, bye bye...")
	return nil
}

// refused prints why the configuration cannot be used.
func refused(err error) int {
	var open *config.OpenError
	if errors.As(err, &open) {
		fmt.Printf("%d:C # Fatal error, can't open config file '%s': %s\n", os.Getpid(), open.Path, open.Text())
		return 1
	}
	fmt.Fprint(os.Stderr, config.FatalText(err, "Slotmesh "+node.Version))
	return 1
}
