package node

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"slotmesh/gossip"
	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// Errors of CLUSTER that do not come from the state machine.
const (
	errClusterDisabled resp.Error = "ERR This instance has cluster support disabled"
	errSlotRange       resp.Error = "ERR Invalid or out of range slot"
	errSlot            resp.Error = "ERR Invalid slot"
	errSlotOrCount     resp.Error = "ERR Invalid slot or number of keys"
	errSetSlot         resp.Error = "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP"
	errNotPrimary      resp.Error = "ERR The specified node is not a master"
)

// clusterRows declares CLUSTER; READONLY, READWRITE and ASKING live with the
// connection in package server. Outside cluster mode every subcommand but HELP
// answers errClusterDisabled.
func clusterRows(c *cluster, engine *command.Engine) []command.Spec {
	r := clusterCommands{c, engine}
	const (
		admin = command.Admin | command.Stale | command.NoAsyncLoading
		query = command.Stale
		// looks is of those that only look, and still are for operators.
		looks = command.Admin | query
	)
	nondeterministic := []string{"nondeterministic_output"}
	sub := func(name, syntax string, arity int, flags command.Flags, since, complexity, summary string, tips []string, run func(*command.Call) error) command.Spec {
		s := command.Spec{
			Name: name, Syntax: syntax, Arity: arity, Flags: flags, Group: "cluster",
			Since: since, Complexity: complexity, Summary: summary, Tips: tips, Run: run,
		}
		if flags&command.Admin != 0 && flags != looks {
			// These write the cluster config file.
			s.Heavy = command.Always
		}
		if name == "bumpepoch" {
			// Outside EXEC the handler finds out.
			s.Heavy = func(c *command.Call) bool { return c.InExec }
		}
		s.Walks = name == "getkeysinslot"
		if c == nil && name != "help" {
			s.Run = func(*command.Call) error { return errClusterDisabled }
		}
		return s
	}
	return []command.Spec{{
		Name: "cluster", Arity: -2, Group: "cluster", Since: "3.0.0",
		Complexity: "Depends on subcommand.", Summary: "Holds the commands about the cluster.",
		Sub: []command.Spec{
			sub("addslots", "slot [slot ...]", -3, admin, "3.0.0", "O(N) where N is the total number of hash slot arguments", "Gives free slots to this node.", nil, r.addSlots),
			sub("addslotsrange", "start-slot end-slot [start-slot end-slot ...]", -4, admin, "7.0.0", "O(N) where N is the total number of the slots between the start slot and end slot arguments.", "Gives free slot ranges to this node.", nil, r.addSlotsRange),
			sub("bumpepoch", "", 2, admin, "3.0.0", "O(1)", "Takes a config epoch greater than all others.", nondeterministic, r.bumpEpoch),
			sub("count-failure-reports", "node-id", 3, looks, "3.0.0", "O(N) where N is the number of failure reports", "Counts the fresh failure reports about a node.", nondeterministic, r.countFailureReports),
			sub("countkeysinslot", "slot", 3, query, "3.0.0", "O(1)", "Counts the keys of a slot in this node.", nil, r.countKeysInSlot),
			sub("delslots", "slot [slot ...]", -3, admin, "3.0.0", "O(N) where N is the total number of hash slot arguments", "Makes slots unassigned for this node.", nil, r.delSlots),
			sub("delslotsrange", "start-slot end-slot [start-slot end-slot ...]", -4, admin, "7.0.0", "O(N) where N is the total number of the slots between the start slot and end slot arguments.", "Makes slot ranges unassigned for this node.", nil, r.delSlotsRange),
			sub("failover", "[FORCE | TAKEOVER]", -2, admin, "3.0.0", "O(1)", "Lets this replica take its primary's place.", nil, r.failover),
			sub("flushslots", "", 2, admin, "3.0.0", "O(1)", "Makes all slots of this node unassigned.", nil, r.flushSlots),
			sub("forget", "node-id", 3, admin, "3.0.0", "O(1)", "Removes a node from the cluster.", nil, r.forget),
			sub("getkeysinslot", "slot count", 4, query, "3.0.0", "O(log(N)) where N is the number of requested keys", "Lists keys of a slot in this node.", nondeterministic, r.getKeysInSlot),
			sub("help", "", 2, command.Loading|command.Stale, "5.0.0", "O(1)", "Lists the subcommands.", nil, r.help),
			sub("info", "", 2, query, "3.0.0", "O(1)", "Tells the state of the cluster as this node sees it.", nondeterministic, r.info),
			sub("keyslot", "key", 3, query, "3.0.0", "O(N) where N is the number of bytes in the key", "Computes the slot of a key.", nil, r.keySlot),
			sub("links", "", 2, query, "7.0.0", "O(N) where N is the total number of Cluster nodes", "Lists the links between this node and its peers.", nondeterministic, r.links),
			sub("meet", "ip port [cluster-bus-port]", -4, admin, "3.0.0", "O(1)", "Joins this node's cluster with another node's.", nil, r.meet),
			sub("myid", "", 2, query, "3.0.0", "O(1)", "Tells the id of this node.", nil, r.myID),
			sub("myshardid", "", 2, query, "7.2.0", "O(1)", "Tells the id of this node's shard.", nondeterministic, r.myShardID),
			sub("nodes", "", 2, query, "3.0.0", "O(N) where N is the total number of Cluster nodes", "Tells every node, its role and its slots, in the format of the config file.", nondeterministic, r.nodes),
			sub("replicas", "node-id", 3, looks, "5.0.0", "O(1)", "Lists the replicas of a primary.", nondeterministic, r.replicas),
			sub("replicate", "node-id", 3, admin, "3.0.0", "O(1)", "Makes this node a replica of a primary.", nil, r.replicate),
			sub("reset", "[HARD | SOFT]", -2, command.Admin|command.NoScript|command.Stale, "3.0.0", "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.", "Makes this node a fresh one.", nil, r.reset),
			sub("saveconfig", "", 2, admin, "3.0.0", "O(1)", "Writes the cluster config file now.", nil, r.saveConfig),
			sub("set-config-epoch", "config-epoch", 3, admin, "3.0.0", "O(1)", "Sets the config epoch of a fresh node.", nil, r.setConfigEpoch),
			sub("setslot", "slot <IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>", -4, admin, "3.0.0", "O(1)", "Opens a slot for moving, closes it, or gives it an owner.", nil, r.setSlot),
			sub("shards", "", 2, query, "7.0.0", "O(N) where N is the total number of cluster nodes", "Tells every shard with its slots and nodes.", nondeterministic, r.shards),
			sub("slaves", "node-id", 3, looks, "3.0.0", "O(1)", "Lists the replicas of a primary.", nondeterministic, r.replicas),
			sub("slots", "", 2, query, "3.0.0", "O(N) where N is the total number of Cluster nodes", "Tells which nodes serve which slots.", nondeterministic, r.slots),
		},
	}}
}

// clusterCommands runs the subcommands of CLUSTER. Those that change something
// translate their arguments into one event of the state machine.
type clusterCommands struct {
	c      *cluster
	engine *command.Engine
}

// change steps the machine and replies OK.
func (r clusterCommands) change(call *command.Call, ev gossip.Event) error {
	if err := r.c.command(ev); err != nil {
		return err
	}
	call.Reply.OK()
	return nil
}

func parseSlot(arg []byte) (slots.Slot, error) {
	slot, err := slots.Parse(string(arg))
	if err != nil {
		return 0, errSlotRange
	}
	return slot, nil
}

func parseSlots(args [][]byte) ([]slots.Slot, error) {
	list := make([]slots.Slot, 0, len(args))
	for _, arg := range args {
		slot, err := parseSlot(arg)
		if err != nil {
			return nil, err
		}
		list = append(list, slot)
	}
	return distinct(list)
}

func parseSlotRanges(call *command.Call) ([]slots.Slot, error) {
	args := call.Args[2:]
	if len(args)%2 != 0 {
		return nil, resp.Error("ERR wrong number of arguments for '" + call.Spec.FullName() + "' command")
	}
	var list []slots.Slot
	for ; len(args) > 0; args = args[2:] {
		first, err := parseSlot(args[0])
		if err != nil {
			return nil, err
		}
		last, err := parseSlot(args[1])
		if err != nil {
			return nil, err
		}
		if first > last {
			return nil, resp.Error("ERR start slot number " + strconv.Itoa(int(first)) + " is greater than end slot number " + strconv.Itoa(int(last)))
		}
		for slot := int(first); slot <= int(last); slot++ {
			list = append(list, slots.Slot(slot))
		}
	}
	return distinct(list)
}

func distinct(list []slots.Slot) ([]slots.Slot, error) {
	var seen slots.Set
	for _, slot := range list {
		if seen.Has(slot) {
			return nil, resp.Error("ERR Slot " + strconv.Itoa(int(slot)) + " specified multiple times")
		}
		seen.Add(slot)
	}
	return list, nil
}

func (r clusterCommands) addSlots(call *command.Call) error {
	list, err := parseSlots(call.Args[2:])
	if err != nil {
		return err
	}
	return r.change(call, gossip.AddSlots{Slots: list})
}

func (r clusterCommands) addSlotsRange(call *command.Call) error {
	list, err := parseSlotRanges(call)
	if err != nil {
		return err
	}
	return r.change(call, gossip.AddSlots{Slots: list})
}

func (r clusterCommands) delSlots(call *command.Call) error {
	list, err := parseSlots(call.Args[2:])
	if err != nil {
		return err
	}
	return r.change(call, gossip.DelSlots{Slots: list})
}

func (r clusterCommands) delSlotsRange(call *command.Call) error {
	list, err := parseSlotRanges(call)
	if err != nil {
		return err
	}
	return r.change(call, gossip.DelSlots{Slots: list})
}

func (r clusterCommands) flushSlots(call *command.Call) error {
	return r.change(call, gossip.FlushSlots{HasKeys: r.engine.HasKeys()})
}

// bumpEpoch is CLUSTER BUMPEPOCH. Where this node has the greatest epoch already, as it
// mostly has, there is nothing to do, and the loop can say so.
func (r clusterCommands) bumpEpoch(call *command.Call) error {
	view := r.c.view.Load()
	before := view.Self.ConfigEpoch
	if hasGreatestEpoch(view) {
		call.Reply.Simple("STILL " + strconv.FormatUint(before, 10))
		return nil
	}
	if call.OnLoop {
		return command.ErrLong
	}
	if err := r.c.command(gossip.BumpEpoch{}); err != nil {
		return err
	}
	word, now := "STILL ", r.c.view.Load().Self.ConfigEpoch
	if now != before {
		word = "BUMPED "
	}
	call.Reply.Simple(word + strconv.FormatUint(now, 10))
	return nil
}

// hasGreatestEpoch reports whether no other node's config epoch reaches this one's, as far
// as view tells.
func hasGreatestEpoch(view *gossip.View) bool {
	self := view.Self
	return self.ConfigEpoch > 0 && !slices.ContainsFunc(view.Nodes, func(n *gossip.Node) bool {
		return n.ID != self.ID && n.ConfigEpoch >= self.ConfigEpoch
	})
}

func (r clusterCommands) setConfigEpoch(call *command.Call) error {
	epoch, err := strconv.ParseInt(string(call.Args[2]), 10, 64)
	if err != nil {
		return resp.ErrNotInteger
	}
	if epoch < 0 {
		return resp.Error("ERR Invalid config epoch specified: " + string(call.Args[2]))
	}
	return r.change(call, gossip.SetConfigEpoch{Epoch: uint64(epoch)})
}

func (r clusterCommands) saveConfig(call *command.Call) error {
	// Whatever is not yet durable is written before a command returns, so the
	// file only has to be proven writable.
	if err := r.c.save(); err != nil {
		return resp.Error("ERR error saving the cluster node config: " + err.Error())
	}
	call.Reply.OK()
	return nil
}

// peer finds the node that an argument names.
func (r clusterCommands) peer(arg []byte, unknown string) (slots.NodeID, *gossip.Node, error) {
	id, err := slots.ParseNodeID(strings.ToLower(string(arg)))
	if err == nil {
		if n := r.c.view.Load().Node(id); n != nil {
			return id, n, nil
		}
	}
	return id, nil, resp.Error("ERR " + unknown + " " + string(arg))
}

const (
	unknownNode    = "Unknown node"
	unknownSetSlot = "I don't know about node"
)

func (r clusterCommands) setSlot(call *command.Call) error {
	slot, err := parseSlot(call.Args[2])
	if err != nil {
		return err
	}
	if r.c.view.Load().Self.IsReplica {
		return resp.Error("ERR Please use SETSLOT only with masters.")
	}
	ev := gossip.SetSlot{Slot: slot, KeysInSlot: r.engine.CountInSlot(slot)}
	action, withNode := strings.ToLower(string(call.Args[3])), len(call.Args) == 5
	unknown := unknownSetSlot
	switch {
	case action == "stable" && len(call.Args) == 4:
		ev.To = gossip.Stable
	case action == "migrating" && withNode:
		ev.To = gossip.Migrating
		if !r.c.view.Load().Self.Slots.Has(slot) {
			return resp.Error("ERR I'm not the owner of hash slot " + strconv.Itoa(int(slot)))
		}
	case action == "importing" && withNode:
		ev.To = gossip.Importing
		if r.c.view.Load().Self.Slots.Has(slot) {
			return resp.Error("ERR I'm already the owner of hash slot " + strconv.Itoa(int(slot)))
		}
	case action == "node" && withNode:
		ev.To, unknown = gossip.OwnedBy, unknownNode
	default:
		return errSetSlot
	}
	if withNode {
		if ev.Node, _, err = r.peer(call.Args[4], unknown); err != nil {
			return err
		}
	}
	return r.change(call, ev)
}

func (r clusterCommands) meet(call *command.Call) error {
	port, err := strconv.Atoi(string(call.Args[3]))
	if err != nil {
		return resp.Error("ERR Invalid TCP base port specified: " + string(call.Args[3]))
	}
	busPort := port + busPortOffset
	if len(call.Args) == 5 {
		if busPort, err = strconv.Atoi(string(call.Args[4])); err != nil {
			return resp.Error("ERR Invalid bus port specified: " + string(call.Args[4]))
		}
	} else if len(call.Args) > 5 {
		return resp.Error("ERR wrong number of arguments for '" + call.Spec.FullName() + "' command")
	}
	ip := string(call.Args[2])
	parsed := net.ParseIP(ip)
	if parsed == nil || port <= 0 || port > 65535 || busPort <= 0 || busPort > 65535 {
		return resp.Error("ERR Invalid node address specified: " + ip + ":" + string(call.Args[3]))
	}
	if err := r.c.checkAddress(parsed.String()); err != nil {
		return err
	}
	return r.change(call, gossip.Meet{IP: parsed.String(), Port: port, BusPort: busPort})
}

func (r clusterCommands) forget(call *command.Call) error {
	id, err := slots.ParseNodeID(strings.ToLower(string(call.Args[2])))
	if err != nil {
		return resp.Error("ERR " + unknownNode + " " + string(call.Args[2]))
	}
	return r.change(call, gossip.Forget{Node: id})
}

func (r clusterCommands) replicate(call *command.Call) error {
	id, _, err := r.peer(call.Args[2], unknownNode)
	if err != nil {
		return err
	}
	return r.change(call, gossip.Replicate{Primary: id, HasKeys: r.engine.HasKeys()})
}

func (r clusterCommands) failover(call *command.Call) error {
	kind := gossip.FailoverAgreed
	switch {
	case len(call.Args) == 2:
	case len(call.Args) == 3 && strings.EqualFold(string(call.Args[2]), "force"):
		kind = gossip.FailoverForce
	case len(call.Args) == 3 && strings.EqualFold(string(call.Args[2]), "takeover"):
		kind = gossip.FailoverTakeover
	default:
		return resp.ErrSyntax
	}
	return r.change(call, gossip.Failover{Kind: kind})
}

func (r clusterCommands) reset(call *command.Call) error {
	hard := false
	switch {
	case len(call.Args) == 2:
	case len(call.Args) == 3 && strings.EqualFold(string(call.Args[2]), "hard"):
		hard = true
	case len(call.Args) == 3 && strings.EqualFold(string(call.Args[2]), "soft"):
	default:
		return resp.ErrSyntax
	}
	wasReplica := r.c.view.Load().Self.IsReplica
	if err := r.c.command(gossip.Reset{Hard: hard, HasKeys: r.engine.HasKeys()}); err != nil {
		return err
	}
	if wasReplica {
		// A copy of somebody's data is of no use to a fresh node.
		r.engine.FlushAll()
	}
	call.Reply.OK()
	return nil
}

func (r clusterCommands) keySlot(call *command.Call) error {
	call.Reply.Int(int64(slots.Of(call.Args[2])))
	return nil
}

func (r clusterCommands) countKeysInSlot(call *command.Call) error {
	n, err := strconv.ParseInt(string(call.Args[2]), 10, 64)
	if err != nil {
		return resp.ErrNotInteger
	}
	if n < 0 || n >= slots.Count {
		return errSlot
	}
	call.Reply.Int(int64(r.engine.CountInSlot(slots.Slot(n))))
	return nil
}

func (r clusterCommands) getKeysInSlot(call *command.Call) error {
	slot, err := strconv.ParseInt(string(call.Args[2]), 10, 64)
	if err != nil {
		return resp.ErrNotInteger
	}
	limit, err := strconv.ParseInt(string(call.Args[3]), 10, 64)
	if err != nil {
		return resp.ErrNotInteger
	}
	if slot < 0 || slot >= slots.Count || limit < 0 {
		return errSlotOrCount
	}
	// A slot that is taken may have been handed to a call that waits for the very
	// loop that this one is on.
	const loopKeys = 1000
	limit = min(limit, int64(r.engine.CountInSlot(slots.Slot(slot))))
	if call.OnLoop && limit > loopKeys {
		return command.ErrLong
	}
	var keys [][]byte
	if !call.TrySlot(slots.Slot(slot), func() { keys = r.engine.Store().KeysInSlot(0, slots.Slot(slot), int(limit)) }) {
		return command.ErrLong
	}
	call.Reply.Array(len(keys))
	for _, key := range keys {
		call.Reply.Bulk(key)
	}
	return nil
}
