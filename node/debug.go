package node

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/rdb"
	"slotmesh/node/repl"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/list"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// debugRows is DEBUG. It is one row, as the reference has it: its subcommands
// are arguments that it looks at itself.
func (n *Node) debugRows() []command.Spec {
	return []command.Spec{{
		Name: "debug", Arity: -2, Group: "server", Since: "1.0.0", Complexity: "Depends on subcommand.",
		Flags:   command.Admin | command.NoScript | command.Loading | command.Stale | command.ProtectedCommand,
		Summary: "Helps to debug and test the server.", DocFlags: []string{"syscmd"},
		// Some of it walks the keyspace, see command.Call.WithSlot.
		Walks: true, Heavy: command.Always, Run: n.runDebug,
	}}
}

// debugCommand is a subcommand of DEBUG.
type debugCommand struct {
	name string
	// least and most are the numbers of arguments after the name; most < 0 means
	// any number.
	least, most int
	run         func(n *Node, c *command.Call, args [][]byte) error
	help        []string
}

func debugCommands() []debugCommand {
	return []debugCommand{
		{"change-repl-id", 0, 0, debugChangeReplID, []string{
			"CHANGE-REPL-ID", "    Begin a new replication history: replicas must synchronize in full.",
		}},
		{"config-rewrite-force-all", 0, 0, debugRewriteAll, []string{
			"CONFIG-REWRITE-FORCE-ALL", "    Like CONFIG REWRITE, with the directives at their default too.",
		}},
		{"digest", 0, 0, debugDigest, []string{
			"DIGEST", "    Return 40 hex digits that stand for the content of all databases.",
		}},
		{"digest-value", 0, -1, debugDigestValue, []string{
			"DIGEST-VALUE <key> [<key> ...]", "    Return 40 hex digits for each key that stand for its value.",
		}},
		{"error", 1, 1, debugError, []string{
			"ERROR <string>", "    Return <string> as an error.",
		}},
		{"htstats", 1, 2, debugTables, []string{
			"HTSTATS <dbid> [full]",
			"    Return how the keys of a database lie in the indexes of its slots, added up.",
		}},
		{"htstats-key", 1, 2, debugKeyTable, []string{
			"HTSTATS-KEY <key> [full]",
			"    Return how many elements a set, a hash or a sorted set has, if it is a large one.",
		}},
		{"loadaof", 0, 0, debugLoadAOF, []string{
			"LOADAOF",
			"    Load the append only file again, in the place of the data.",
		}},
		{"log", 1, 1, debugLog, []string{
			"LOG <message>", "    Write <message> to the log.",
		}},
		{"object", 1, 2, debugObject, []string{
			"OBJECT <key>", "    Return how <key> is kept.",
		}},
		{"populate", 1, 3, debugPopulate, []string{
			"POPULATE <count> [<prefix>] [<size>]",
			"    Create <count> string keys named <prefix>:<num> ('key' by default) with values of",
			"    <size> bytes, unless they exist. Replicas do not hear of them, and in a cluster",
			"    they are created whoever owns their slots.",
		}},
		{"protocol", 1, 1, debugProtocol, []string{
			"PROTOCOL <type>",
			"    Return a test value of a type: string, integer, double, bignum, null, array, set,",
			"    map, attrib, push, verbatim, true, false.",
		}},
		{"reload", 0, -1, debugReload, []string{
			"RELOAD [option ...]",
			"    Save the data to the RDB file and load them again. Options:",
			"    * MERGE: keep what is there, and let what is loaded win",
			"    * NOFLUSH: keep what is there",
			"    * NOSAVE: load the file as it is",
		}},
		{"replicate", 1, -1, debugReplicate, []string{
			"REPLICATE <command> [<arg> ...]",
			"    Send replicas a command that is not carried out here, which makes them differ.",
		}},
		{"set-active-expire", 1, 1, debugSetActiveExpire, []string{
			"SET-ACTIVE-EXPIRE <0|1>", "    Turn the deletion of expired keys in the background off or on.",
		}},
		{"sleep", 1, 1, debugSleep, []string{
			"SLEEP <seconds>", "    Wait before answering. Only this connection waits.",
		}},
		{"stringmatch-len", 2, 2, debugStringMatch, []string{
			"STRINGMATCH-LEN <length> <pattern>", "    Match a pattern against <length> bytes of 'a'.",
		}},
		{"quicklist-packed-threshold", 1, 1, debugPackedThreshold, nil},
		{"pause-cron", 1, 1, debugNothing, nil},
		{"set-disable-deny-scripts", 1, 1, debugNothing, nil},
		{"replybuffer", 2, 2, debugNothing, nil},
		{"set-skip-checksum-validation", 1, 1, debugNothing, nil},
		{"drop-cluster-packet-filter", 1, 1, debugNothing, nil},
		{"aof-flush-sleep", 1, 1, debugNothing, nil},
		{"mallctl", 1, 2, debugNothing, nil},
		{"mallctl-str", 1, 2, debugNothing, nil},
		{"jmap", 0, 0, debugNothing, nil},
	}
}

func (n *Node) runDebug(c *command.Call) error {
	name, args := strings.ToLower(string(c.Args[1])), c.Args[2:]
	if name == "help" && len(args) == 0 {
		return debugHelp(c)
	}
	for _, d := range debugCommands() {
		if d.name == name && len(args) >= d.least && (d.most < 0 || len(args) <= d.most) {
			return d.run(n, c, args)
		}
	}
	return wrongDebug(c)
}

func wrongDebug(c *command.Call) error {
	return resp.Errf("ERR unknown subcommand or wrong number of arguments for '", oneLine(string(c.Args[1])), "'. Try DEBUG HELP.")
}

func debugHelp(c *command.Call) error {
	var lines, idle []string
	for _, d := range debugCommands() {
		if d.help == nil {
			idle = append(idle, strings.ToUpper(d.name))
		}
		lines = append(lines, d.help...)
	}
	lines = append(lines, strings.Join(idle, ", "),
		"    Answer OK and do nothing: they are about forks, allocators, encodings or a",
		"    bus that this server does not have.")
	command.Help(c.Reply, "DEBUG", lines...)
	return nil
}

func debugNothing(_ *Node, c *command.Call, _ [][]byte) error {
	c.Reply.OK()
	return nil
}

func debugSleep(n *Node, c *command.Call, args [][]byte) error {
	// As the reference does, what is no number is 0.
	seconds, err := strconv.ParseFloat(string(args[0]), 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 {
		seconds = 0
	}
	const longest = 365 * 24 * 3600
	timer := time.NewTimer(time.Duration(min(seconds, longest) * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.stopping:
	}
	c.Reply.OK()
	return nil
}

func debugLog(n *Node, c *command.Call, args [][]byte) error {
	n.log.Warn("DEBUG LOG: " + string(args[0]))
	c.Reply.OK()
	return nil
}

func debugError(_ *Node, _ *command.Call, args [][]byte) error {
	return resp.Error(oneLine(string(args[0])))
}

func debugSetActiveExpire(n *Node, c *command.Call, args [][]byte) error {
	on, err := strconv.Atoi(string(args[0]))
	n.activeExpiry.Store(err == nil && on != 0)
	c.Reply.OK()
	return nil
}

func debugChangeReplID(n *Node, c *command.Call, _ [][]byte) error {
	n.journal.Rename(repl.NewHistoryID())
	n.journal.ForgetFormer()
	n.log.Info("Changing replication IDs after receiving change-repl-id")
	c.Reply.OK()
	return nil
}

func debugRewriteAll(n *Node, c *command.Call, _ [][]byte) error {
	if err := n.cfg.Rewrite(true); err != nil {
		return resp.Error("ERR CONFIG-REWRITE-FORCE-ALL failed")
	}
	c.Reply.OK()
	return nil
}

// find returns a key that is there and has not ended; the slot is locked.
func (n *Node) find(c *command.Call, slot slots.Slot, key []byte) (store.Ref, bool) {
	ref := n.engine.Store().Find(c.DB, slot, key)
	return ref, ref.OK() && !(ref.Expires() && ref.ExpireAt() <= c.Now)
}

// quicklistFields is what DEBUG OBJECT tells of a list.
func quicklistFields(v value.Value, most int64) string {
	r := list.Read(v)
	size := 0
	r.Packs(func(lp []byte) bool {
		size += len(lp)
		return true
	})
	return fmt.Sprintf(" ql_nodes:%d ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:0 ql_uncompressed_size:%d",
		r.PackCount(), float64(r.Len())/float64(r.PackCount()), most, size)
}

func debugObject(n *Node, c *command.Call, args [][]byte) error {
	slot := slots.Of(args[0])
	var line string
	c.WithSlot(slot, func() {
		if ref, ok := n.find(c, slot, args[0]); ok {
			v := ref.Value()
			// A dump is the value between a type and a footer.
			const around = 1 + 10
			line = fmt.Sprintf("Value at:0x0 refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
				v.Enc, len(rdb.AppendDump(nil, v))-around, lruClock(c.Now), max(ref.IdleSec(c.Now), 0))
			if v.Kind == value.KindList {
				line += quicklistFields(v, n.cfg.Int("list-max-listpack-size").Load())
			}
		}
	})
	if line == "" {
		return resp.ErrNoSuchKey
	}
	c.Reply.Simple(line)
	return nil
}

// lruClock is the 24-bit clock in seconds that the reference shows.
func lruClock(nowMs int64) int64 { return nowMs / 1000 & (1<<24 - 1) }

// populateMax bounds what one DEBUG POPULATE may create.
const populateMax = 1 << 30

func debugPopulate(n *Node, c *command.Call, args [][]byte) error {
	count, ok := value.ParseInt(args[0])
	if !ok || count < 0 || count > populateMax {
		return resp.ErrNotPositive
	}
	prefix, size := "key", int64(0)
	if len(args) > 1 {
		prefix = string(args[1])
	}
	if len(args) > 2 {
		if size, ok = value.ParseInt(args[2]); !ok || size < 0 || size > n.cfg.Int("proto-max-bulk-len").Load() {
			return resp.ErrNotPositive
		}
	}
	c.Populate(count, prefix, int(size))
	c.Reply.OK()
	return nil
}

func debugDigestValue(n *Node, c *command.Call, args [][]byte) error {
	c.Reply.Array(len(args))
	for _, key := range args {
		var d command.Digest
		slot := slots.Of(key)
		c.WithSlot(slot, func() {
			if ref, ok := n.find(c, slot, key); ok {
				d = command.DigestOf(ref)
			}
		})
		c.Reply.Simple(hex.EncodeToString(d[:]))
	}
	return nil
}

func debugDigest(_ *Node, c *command.Call, _ [][]byte) error {
	d := c.DigestAll()
	c.Reply.Simple(hex.EncodeToString(d[:]))
	return nil
}

func debugStringMatch(_ *Node, c *command.Call, args [][]byte) error {
	length, ok := value.ParseInt(args[0])
	if !ok || length < 0 || length > 1<<20 {
		return resp.ErrNotInteger
	}
	matched := command.Match(args[1], []byte(strings.Repeat("a", int(length))))
	c.Reply.Int(int64(bit(matched)))
	return nil
}

func debugProtocol(_ *Node, c *command.Call, args [][]byte) error {
	w := c.Reply
	switch strings.ToLower(string(args[0])) {
	case "string":
		w.BulkString("Hello World")
	case "integer":
		w.Int(12345)
	case "double":
		w.Double(3.141)
	case "null":
		w.Null()
	case "array":
		w.Array(3)
		for i := range int64(3) {
			w.Int(i)
		}
	case "set":
		w.Set(3)
		for i := range int64(3) {
			w.Int(i)
		}
	case "map":
		w.Map(3)
		for i := range int64(3) {
			w.Int(i)
			w.Bool(i == 1)
		}
	case "attrib":
		if w.RESP3() {
			w.Attribute(1)
			w.BulkString("key-popularity")
			w.Array(2)
			w.BulkString("key:123")
			w.Int(90)
		}
		w.BulkString("Some real reply following the attribute")
	case "push":
		if !w.RESP3() {
			return resp.Error("ERR RESP2 is not supported by this command")
		}
		w.Push(2)
		w.BulkString("server-cpu-usage")
		w.Int(42)
		w.BulkString("Some real reply following the push reply")
	case "bignum":
		w.BigNumber("1234567999999999999999999999999999999")
	case "true":
		w.Bool(true)
	case "false":
		w.Bool(false)
	case "verbatim":
		w.Verbatim("txt", "This is a verbatim\nstring")
	default:
		return resp.Error("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
	}
	return nil
}
