package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const usage = `Usage: slotctl backup  [options] <host:port> <dir>
       slotctl restore [options] <host:port> <dir>

backup writes one consistent RDB file per primary and a manifest into dir, which
is made if it is not there and must be empty. host:port is any node of the
cluster. A backup that did not come to its end has no manifest.json and is not
taken for one.

restore checks every file of the backup in dir first and then sends its keys,
with their expiry, to the primaries that own their slots now; the cluster may
have another number of them than the one that was backed up. The cluster must be
empty.

Options:
  --user <name>         who to log in as; default $SLOTCTL_USER
  --pass <password>     default $SLOTCTL_PASS, then $REDISCLI_AUTH. Others on this
                        machine can see the command line, but not the environment.
  --timeout <duration>  the longest silence of a node to bear; default 30s
  --replace             backup: over the backup that is in dir, which stays good
                        until the new one is complete. restore: into a cluster
                        that holds data; keys of the backup replace those of the
                        same name, other keys stay.
  --from-replicas       backup: read from a replica of each primary where one is in
                        step, to spare the primary
  --connections <n>     restore: how many connections send; default 2 per primary
  --quiet               no progress, only errors

Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused before anything was written.
`

// options are what the command line says.
type options struct {
	addr, dir    string
	user, pass   string
	timeout      time.Duration
	replace      bool
	fromReplicas bool
	connections  int
	quiet        bool
	help         bool
}

func parseOptions(command string, args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("slotctl "+command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&o.user, "user", os.Getenv("SLOTCTL_USER"), "")
	set.StringVar(&o.pass, "pass", passwordFromEnvironment(), "")
	set.DurationVar(&o.timeout, "timeout", 30*time.Second, "")
	set.BoolVar(&o.replace, "replace", false, "")
	set.BoolVar(&o.quiet, "quiet", false, "")
	if command == "backup" {
		set.BoolVar(&o.fromReplicas, "from-replicas", false, "")
	} else {
		set.IntVar(&o.connections, "connections", 0, "")
	}
	// Options may stand anywhere, as with other tools of an operator.
	var plain []string
	for rest := args; ; {
		if err := set.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return options{help: true}, nil
			}
			return options{}, usageError{err}
		}
		if rest = set.Args(); len(rest) == 0 {
			break
		}
		plain = append(plain, rest[0])
		rest = rest[1:]
	}
	if len(plain) != 2 {
		return options{}, usageError{fmt.Errorf("%s takes a node's host:port and a directory, not %d arguments", command, len(plain))}
	}
	o.addr, o.dir = plain[0], plain[1]
	host, port, err := net.SplitHostPort(o.addr)
	switch {
	case err != nil || port == "" || strings.ContainsAny(host, "/ "):
		return options{}, usageError{fmt.Errorf("%q is not host:port", o.addr)}
	case o.dir == "":
		return options{}, usageError{errors.New("the directory has no name")}
	case o.timeout <= 0:
		return options{}, usageError{errors.New("--timeout must be more than nothing")}
	case o.connections < 0 || o.connections > maxConnections:
		return options{}, usageError{fmt.Errorf("--connections goes from 1 to %d", maxConnections)}
	case o.user != "" && o.pass == "":
		return options{}, usageError{fmt.Errorf("user %q has no password: --pass or $SLOTCTL_PASS", o.user)}
	}
	return o, nil
}

func passwordFromEnvironment() string {
	if pass := os.Getenv("SLOTCTL_PASS"); pass != "" {
		return pass
	}
	return os.Getenv("REDISCLI_AUTH")
}
