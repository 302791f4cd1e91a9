package node

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"

	"slotmesh/node/command"
	"slotmesh/node/config"
	"slotmesh/node/resp"
)

// configRows are CONFIG and its subcommands.
func (n *Node) configRows() []command.Spec {
	flags := command.Admin | command.NoScript | command.Loading | command.Stale
	return []command.Spec{{
		Name: "config", Arity: -2, Group: "server", Since: "2.0.0", Complexity: "Depends on subcommand.",
		Summary: "Reads and changes the configuration.",
		Sub: []command.Spec{
			{
				Name: "get", Syntax: "parameter [parameter ...]", Arity: -3, Flags: flags, Group: "server", Since: "2.0.0",
				Complexity: "O(N) when N is the number of configuration parameters provided",
				Summary:    "Returns the values of directives, by name or pattern.", Run: n.configGet,
			},
			{
				Name: "set", Syntax: "parameter value [parameter value ...]", Arity: -4, Flags: flags, Group: "server", Since: "2.0.0",
				Complexity: "O(N) when N is the number of configuration parameters provided",
				Summary:    "Sets directives, all or none.",
				Tips:       []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				// Outside EXEC the handler finds out.
				Heavy: func(c *command.Call) bool { return c.InExec }, Run: n.configSet,
			},
			{
				Name: "resetstat", Arity: 2, Flags: flags, Group: "server", Since: "2.0.0", Complexity: "O(1)",
				Summary: "Sets the statistics of INFO to zero.", Run: n.configResetStat,
			},
			{
				Name: "rewrite", Arity: 2, Flags: flags, Group: "server", Since: "2.8.0", Complexity: "O(1)",
				Summary: "Writes the configuration in force to its file.",
				Heavy:   command.Always, Run: n.configRewrite,
			},
			{
				Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: "server", Since: "5.0.0", Complexity: "O(1)",
				Summary: "Lists the subcommands.", Run: configHelp,
			},
		},
	}}
}

func (n *Node) configGet(c *command.Call) error {
	patterns := make([]string, len(c.Args)-2)
	for i, arg := range c.Args[2:] {
		patterns[i] = string(arg)
	}
	found := n.cfg.Get(patterns...)
	c.Reply.Map(len(found))
	for _, pair := range found {
		c.Reply.BulkString(pair.Name)
		c.Reply.BulkString(pair.Value)
	}
	return nil
}

func (n *Node) configSet(c *command.Call) error {
	if len(c.Args)%2 != 0 {
		return resp.ErrSyntax
	}
	var room [4]config.Pair
	pairs := room[:0]
	for i := 2; i < len(c.Args); i += 2 {
		pairs = append(pairs, config.Pair{Name: string(c.Args[i]), Value: string(c.Args[i+1])})
	}
	ran, err := false, error(nil)
	if protected := n.mayProtected(c.Conn); !c.OnLoop {
		err = n.cfg.Set(pairs, protected)
	} else if ran, err = n.cfg.TrySet(pairs, protected); !ran {
		return command.ErrLong
	}
	if err != nil {
		return resp.Error(oneLine(err.Error()))
	}
	for _, pair := range pairs {
		// A transaction holds what the base waits for: there OK comes before it.
		if strings.EqualFold(pair.Name, "appendonly") && !c.InExec {
			if err := n.appendOnly.begun(); err != nil {
				return resp.Error("ERR " + err.Error())
			}
		}
	}
	c.Reply.OK()
	return nil
}

// oneLine keeps what a client sent from breaking the line of an error.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r", " "), "\n", " ")
}

// remote is a connection that knows where it came from.
type remote interface{ RemoteAddr() string }

// mayProtected reports whether a connection may set protected directives.
func (n *Node) mayProtected(conn command.Conn) bool {
	switch n.cfg.Enum("enable-protected-configs").Load() {
	case "yes":
		return true
	case "local":
		r, ok := conn.(remote)
		return ok && isLocal(r.RemoteAddr())
	}
	return false
}

// isLocal reports whether an address is that of a Unix socket or of loopback.
func isLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || strings.HasPrefix(address, "/") {
		return true
	}
	ip := net.ParseIP(host)
	return ip == nil || ip.IsLoopback()
}

// configResetStat zeroes what INFO counts.
func (n *Node) configResetStat(c *command.Call) error {
	n.server.ResetStats()
	n.engine.ResetStats()
	n.defrag.resetStats()
	n.peakMemory.Store(n.usedMemory())
	c.Reply.OK()
	return nil
}

func (n *Node) configRewrite(c *command.Call) error {
	err := n.cfg.Rewrite(false)
	switch {
	case errors.Is(err, config.ErrNoFile):
		return resp.Error("ERR " + err.Error())
	case err != nil:
		n.log.Warn("CONFIG REWRITE failed: " + err.Error())
		return resp.Error("ERR Rewriting config file: " + oneLine(errnoText(err)))
	}
	n.log.Warn("CONFIG REWRITE executed with success.")
	c.Reply.OK()
	return nil
}

func configHelp(c *command.Call) error {
	command.Help(c.Reply, "CONFIG",
		"GET <pattern> [<pattern> ...]",
		"    Return the directives that match <pattern>, with their values.",
		"SET <directive> <value> [<directive> <value> ...]",
		"    Set directives, all or none.",
		"RESETSTAT",
		"    Set the statistics of INFO to zero.",
		"REWRITE",
		"    Write the configuration in force to its file.",
	)
	return nil
}

// watchConfig has the parts of the node follow CONFIG SET where reading a live
// handle is not enough.
func (n *Node) watchConfig() {
	n.cfg.OnChange("port", n.relisten)
	n.cfg.OnChange("bind", n.relisten)
	n.cfg.OnChangeAtOnce("maxclients", n.fitMaxClients)
	n.cfg.OnChangeAtOnce("tls-port", func() error {
		if n.cfg.Int("tls-port").Load() != 0 {
			return config.Refusal("Unable to update TLS configuration: connections are plain TCP")
		}
		return nil
	})
	followAccessPolicy := n.accessPolicyFollower()
	followAccessPolicy()
	n.follow(followAccessPolicy, "maxmemory-policy", "lfu-log-factor", "lfu-decay-time")
	followLimits := n.limitsFollower()
	followLimits()
	n.follow(followLimits, limitDirectives...)
	followMaxBulk := n.maxBulkFollower()
	followMaxBulk()
	n.follow(followMaxBulk, "proto-max-bulk-len")
	followLazyExpire := n.lazyExpireFollower()
	followLazyExpire()
	n.follow(followLazyExpire, "lazyfree-lazy-expire")
	n.follow(n.backlogFollower(), "repl-backlog-size")
	followReadOnly := n.readOnlyFollower()
	followReadOnly()
	n.follow(followReadOnly, "replica-read-only")
	n.cfg.OnChange("appendonly", n.appendOnly.follow)
	n.cfg.OnChange("aof-disable-auto-gc", n.appendOnly.dropHistory)
	n.watchRefusals()
	if n.cluster != nil {
		for _, name := range clusterDirectives {
			n.cfg.OnChange(name, n.cluster.reconfigure)
		}
	}
}

// follow has fn called whenever one of the directives was changed. fn neither waits
// nor takes any time.
func (n *Node) follow(fn func(), directives ...string) {
	for _, name := range directives {
		n.cfg.OnChangeAtOnce(name, func() error {
			fn()
			return nil
		})
	}
}

// showPrimary keeps replicaof true about REPLICAOF, for CONFIG GET and REWRITE.
// In cluster mode the cluster says who follows whom.
func (n *Node) showPrimary() {
	if n.clusterMode() {
		return
	}
	words := []string{"no", "one"}
	if link := n.replication.linkInfo(); link != nil {
		words = []string{link.Host, strconv.Itoa(link.Port)}
	}
	if err := n.cfg.Assign("replicaof", words...); err != nil {
		n.log.Warn(err.Error())
	}
}

// accessPolicyFollower returns what has the store keep the clocks that OBJECT IDLETIME
// or FREQ shows.
func (n *Node) accessPolicyFollower() func() {
	policy, logFactor, decayTime := n.cfg.Enum("maxmemory-policy"), n.cfg.Int("lfu-log-factor"), n.cfg.Int("lfu-decay-time")
	return func() {
		lfu := strings.HasSuffix(policy.Load(), "-lfu")
		n.store.SetAccessPolicy(lfu, int(logFactor.Load()), int(decayTime.Load()))
	}
}

// limitDirectives are the directives that command.Limits come from.
var limitDirectives = []string{
	"hash-max-listpack-entries", "hash-max-listpack-value", "hll-sparse-max-bytes", "set-max-intset-entries",
	"stream-node-max-bytes", "stream-node-max-entries", "zset-max-listpack-entries", "zset-max-listpack-value",
}

// limitsFollower returns what tells the engine up to what size values are small.
func (n *Node) limitsFollower() func() {
	hashEntries, hashValue := n.cfg.Int("hash-max-listpack-entries"), n.cfg.Int("hash-max-listpack-value")
	intsetEntries, hllBytes := n.cfg.Int("set-max-intset-entries"), n.cfg.Int("hll-sparse-max-bytes")
	streamBytes, streamEntries := n.cfg.Int("stream-node-max-bytes"), n.cfg.Int("stream-node-max-entries")
	zsetEntries, zsetValue := n.cfg.Int("zset-max-listpack-entries"), n.cfg.Int("zset-max-listpack-value")
	number := func(h *config.Int) int { return int(min(h.Load(), math.MaxInt32)) }
	return func() {
		l := command.DefaultLimits()
		l.Hash.Entries, l.Hash.Value = number(hashEntries), number(hashValue)
		l.Set.IntsetEntries = number(intsetEntries)
		l.Stream.MaxBytes, l.Stream.MaxEntries = streamBytes.Load(), streamEntries.Load()
		l.ZSet.Entries, l.ZSet.Value = number(zsetEntries), number(zsetValue)
		l.HLLSparseBytes = number(hllBytes)
		n.engine.SetLimits(l)
	}
}

// maxBulkFollower returns what tells the engine how long a string may become.
func (n *Node) maxBulkFollower() func() {
	maxBulk := n.cfg.Int("proto-max-bulk-len")
	return func() { n.engine.SetMaxBulk(maxBulk.Load()) }
}

// lazyExpireFollower returns what tells the engine how replicas are to free what expired.
func (n *Node) lazyExpireFollower() func() {
	lazy := n.cfg.Bool("lazyfree-lazy-expire")
	return func() { n.engine.SetLazyExpire(lazy.Load()) }
}

// backlogFollower returns what tells the journal how much history it keeps. What it lets go
// of is the collector's: it steps over a chunk of 256 KiB in the time of a write, and holds
// up writes wherever it does so.
func (n *Node) backlogFollower() func() {
	size := n.cfg.Int("repl-backlog-size")
	return func() { n.journal.SetBacklogBytes(size.Load()) }
}

// readOnlyFollower returns what tells the engine whether replicas take writes.
func (n *Node) readOnlyFollower() func() {
	readOnly := n.cfg.Bool("replica-read-only")
	return func() { n.engine.SetReadOnly(readOnly.Load()) }
}

// relisten opens what bind and port ask for now and then closes what they do
// not ask for any more, so that a refused change leaves everything as it was.
// Config's lock keeps it from running twice at a time.
func (n *Node) relisten() error {
	wanted := make(map[string]bool)
	port := int(n.cfg.Int("port").Load())
	var opened []string
	for _, addr := range n.bindAddresses() {
		if port == 0 {
			break
		}
		at := net.JoinHostPort(addr.host, strconv.Itoa(port))
		if n.server.Addr("tcp", at) != nil {
			wanted[at] = true
			continue
		}
		err := n.server.Listen("tcp", at)
		if err == nil {
			wanted[at] = true
			opened = append(opened, at)
			continue
		}
		if addr.optional {
			continue
		}
		n.log.Warn("Could not create server TCP listening socket " + at + ": " + err.Error())
		for _, at := range opened {
			n.server.Unlisten("tcp", at)
		}
		return config.Refusal("Failed to bind to specified addresses.")
	}
	for _, at := range n.server.Listening("tcp") {
		if !wanted[at] {
			n.server.Unlisten("tcp", at)
		}
	}
	return nil
}

// fitMaxClients refuses more clients than there can be descriptors.
func (n *Node) fitMaxClients() error {
	room, err := ensureFiles(uint64(n.cfg.Int("maxclients").Load()) + reservedFiles)
	if err != nil {
		return config.Refusal(fmt.Sprintf("The operating system is not able to handle the specified number of clients, try with %d", max(int64(room)-reservedFiles, 1)))
	}
	return nil
}
