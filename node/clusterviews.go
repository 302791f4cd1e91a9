package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slotmesh/gossip"
	"slotmesh/gossip/bus"
	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// The subcommands of CLUSTER that only look. Their formats are those of
// Redis 7.0 with the fields of 7.2, as cluster tools and clients parse them.

func (r clusterCommands) myID(call *command.Call) error {
	call.Reply.BulkString(r.c.view.Load().Self.ID.String())
	return nil
}

func (r clusterCommands) myShardID(call *command.Call) error {
	call.Reply.BulkString(r.c.view.Load().Self.Shard.String())
	return nil
}

func (r clusterCommands) countFailureReports(call *command.Call) error {
	_, n, err := r.peer(call.Args[2], unknownNode)
	if err != nil {
		return err
	}
	call.Reply.Int(int64(n.Reports))
	return nil
}

func (r clusterCommands) info(call *command.Call) error {
	v := r.c.view.Load()
	var assigned, pfail, fail int
	for _, n := range v.Nodes {
		owned := n.Slots.Len()
		assigned += owned
		switch {
		case n.Fail:
			fail += owned
		case n.PFail:
			pfail += owned
		}
	}
	state := "fail"
	if v.OK && v.MayServe {
		// A primary that came back without its data and waits for a replica to
		// take over is not ok: whoever restarts nodes one by one goes by this.
		state = "ok"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cluster_state:%s\r\n", state)
	fmt.Fprintf(&b, "cluster_slots_assigned:%d\r\n", assigned)
	fmt.Fprintf(&b, "cluster_slots_ok:%d\r\n", assigned-pfail-fail)
	fmt.Fprintf(&b, "cluster_slots_pfail:%d\r\n", pfail)
	fmt.Fprintf(&b, "cluster_slots_fail:%d\r\n", fail)
	fmt.Fprintf(&b, "cluster_known_nodes:%d\r\n", len(v.Nodes))
	fmt.Fprintf(&b, "cluster_size:%d\r\n", v.Size)
	fmt.Fprintf(&b, "cluster_current_epoch:%d\r\n", v.CurrentEpoch)
	fmt.Fprintf(&b, "cluster_my_epoch:%d\r\n", r.myEpoch(v))
	writeBusStats(&b, r.c.busStats())
	b.WriteString("total_cluster_links_buffer_limit_exceeded:0\r\n")
	call.Reply.Verbatim("txt", b.String())
	return nil
}

// myEpoch is the config epoch that speaks for this node: its primary's when it
// is a replica.
func (r clusterCommands) myEpoch(v *gossip.View) uint64 {
	if v.Self.IsReplica {
		if p := v.Node(v.Self.Primary); p != nil {
			return p.ConfigEpoch
		}
	}
	return v.Self.ConfigEpoch
}

func (r clusterCommands) nodes(call *command.Call) error {
	v := r.c.view.Load()
	var b strings.Builder
	for _, n := range v.Nodes {
		r.writeNode(&b, v, n)
		b.WriteByte('\n')
	}
	call.Reply.Verbatim("txt", b.String())
	return nil
}

func (r clusterCommands) replicas(call *command.Call) error {
	id, n, err := r.peer(call.Args[2], unknownNode)
	if err != nil {
		return err
	}
	if n.IsReplica {
		return errNotPrimary
	}
	v := r.c.view.Load()
	list := replicasOf(v, id)
	call.Reply.Array(len(list))
	for _, replica := range list {
		var b strings.Builder
		r.writeNode(&b, v, replica)
		call.Reply.BulkString(b.String())
	}
	return nil
}

func replicasOf(v *gossip.View, primary slots.NodeID) []*gossip.Node {
	var list []*gossip.Node
	for _, n := range v.Nodes {
		if n.IsReplica && n.Primary == primary {
			list = append(list, n)
		}
	}
	return list
}

// writeNode appends one line of CLUSTER NODES, without its line end.
func (r clusterCommands) writeNode(b *strings.Builder, v *gossip.View, n *gossip.Node) {
	fmt.Fprintf(b, "%s %s:%d@%d", n.ID, n.Address.IP, n.Address.Port, n.Address.BusPort)
	if n.Address.Host != "" {
		b.WriteString("," + n.Address.Host)
	}
	primary := "-"
	if n.IsReplica && !n.Primary.IsZero() {
		primary = n.Primary.String()
	}
	epoch := n.ConfigEpoch
	if n.IsReplica {
		if p := v.Node(n.Primary); p != nil {
			epoch = p.ConfigEpoch
		}
	}
	link := "disconnected"
	if n.Linked || n == v.Self {
		link = "connected"
	}
	fmt.Fprintf(b, " %s %s %d %d %d %s", nodeFlags(v, n), primary, r.c.unixMs(n.PingSent), r.c.unixMs(n.PongReceived), epoch, link)
	for _, rg := range n.Slots.Ranges() {
		b.WriteString(" " + rg.String())
	}
	if n != v.Self {
		return
	}
	open := slices.AppendSeq(slices.Collect(maps.Keys(n.Migrating)), maps.Keys(n.Importing))
	slices.Sort(open)
	for _, slot := range open {
		if to, leaves := n.Migrating[slot]; leaves {
			fmt.Fprintf(b, " [%d->-%s]", slot, to)
		} else {
			fmt.Fprintf(b, " [%d-<-%s]", slot, n.Importing[slot])
		}
	}
}

func nodeFlags(v *gossip.View, n *gossip.Node) string {
	var flags []string
	add := func(on bool, word string) {
		if on {
			flags = append(flags, word)
		}
	}
	add(n == v.Self, "myself")
	if !n.Handshake {
		add(!n.IsReplica, "master")
		add(n.IsReplica, "slave")
	}
	add(n.PFail && !n.Fail, "fail?")
	add(n.Fail, "fail")
	add(n.Handshake, "handshake")
	add(n.NoAddress, "noaddr")
	add(n.NoFailover, "nofailover")
	if len(flags) == 0 {
		return "noflags"
	}
	return strings.Join(flags, ",")
}

// slots answers CLUSTER SLOTS: one row for each maximal range of one primary.
// Only replicas that have data and are not failing are listed.
func (r clusterCommands) slots(call *command.Call) error {
	v := r.c.view.Load()
	type row struct {
		slots.Range
		primary *gossip.Node
	}
	var rows []row
	for _, n := range v.Nodes {
		if n.IsReplica {
			continue
		}
		for _, rg := range n.Slots.Ranges() {
			rows = append(rows, row{rg, n})
		}
	}
	// In the order of the slots, as the reference answers: clients keep the first
	// nodes that they see as their seeds.
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.First, b.First) })
	call.Reply.Array(len(rows))
	for _, row := range rows {
		var usable []*gossip.Node
		for _, n := range replicasOf(v, row.primary.ID) {
			if !n.PFail && !n.Fail && n.Offset != 0 {
				usable = append(usable, n)
			}
		}
		call.Reply.Array(3 + len(usable))
		call.Reply.Int(int64(row.First))
		call.Reply.Int(int64(row.Last))
		for _, n := range append([]*gossip.Node{row.primary}, usable...) {
			r.writeSlotsNode(call.Reply, n)
		}
	}
	return nil
}

func (r clusterCommands) writeSlotsNode(w *resp.Writer, n *gossip.Node) {
	preferred := r.c.settings().Endpoint
	w.Array(4)
	r.writeEndpoint(w, n, preferred)
	w.Int(int64(n.Address.Port))
	w.BulkString(n.ID.String())
	withIP := preferred != gossip.EndpointIP
	withHost := preferred != gossip.EndpointHostname && n.Address.Host != ""
	pairs := 0
	for _, with := range []bool{withIP, withHost} {
		if with {
			pairs++
		}
	}
	w.Map(pairs)
	if withIP {
		w.BulkString("ip")
		w.BulkString(n.Address.IP)
	}
	if withHost {
		w.BulkString("hostname")
		w.BulkString(n.Address.Host)
	}
}

// writeEndpoint writes what clients should dial: null means "the host you
// asked", "?" a host name that nobody configured.
func (r clusterCommands) writeEndpoint(w *resp.Writer, n *gossip.Node, preferred gossip.EndpointKind) {
	switch {
	case preferred == gossip.EndpointUnknown:
		w.Null()
	case preferred == gossip.EndpointHostname && n.Address.Host != "":
		w.BulkString(n.Address.Host)
	case preferred == gossip.EndpointHostname:
		w.BulkString("?")
	default:
		w.BulkString(n.Address.IP)
	}
}

func (r clusterCommands) shards(call *command.Call) error {
	v := r.c.view.Load()
	var primaries []*gossip.Node
	for _, n := range v.Nodes {
		if !n.IsReplica && !n.Handshake {
			primaries = append(primaries, n)
		}
	}
	w := call.Reply
	w.Array(len(primaries))
	for _, p := range primaries {
		w.Map(2)
		w.BulkString("slots")
		ranges := p.Slots.Ranges()
		w.Array(2 * len(ranges))
		for _, rg := range ranges {
			w.Int(int64(rg.First))
			w.Int(int64(rg.Last))
		}
		w.BulkString("nodes")
		members := append([]*gossip.Node{p}, replicasOf(v, p.ID)...)
		w.Array(len(members))
		for _, n := range members {
			r.writeShardNode(w, v, n)
		}
	}
	return nil
}

func (r clusterCommands) writeShardNode(w *resp.Writer, v *gossip.View, n *gossip.Node) {
	fields := 7
	for _, present := range []bool{n.Address.TLSPort != 0, n.Address.Host != ""} {
		if present {
			fields++
		}
	}
	w.Map(fields)
	w.BulkString("id")
	w.BulkString(n.ID.String())
	w.BulkString("port")
	w.Int(int64(n.Address.Port))
	if n.Address.TLSPort != 0 {
		w.BulkString("tls-port")
		w.Int(int64(n.Address.TLSPort))
	}
	w.BulkString("ip")
	w.BulkString(n.Address.IP)
	w.BulkString("endpoint")
	r.writeEndpoint(w, n, r.c.settings().Endpoint)
	if n.Address.Host != "" {
		w.BulkString("hostname")
		w.BulkString(n.Address.Host)
	}
	w.BulkString("role")
	if n.IsReplica {
		w.BulkString("replica")
	} else {
		w.BulkString("master")
	}
	w.BulkString("replication-offset")
	w.Int(n.Offset)
	w.BulkString("health")
	switch {
	case n.Fail || n.PFail:
		w.BulkString("fail")
	case n.IsReplica && n.Offset == 0:
		w.BulkString("loading")
	default:
		w.BulkString("online")
	}
}

func (r clusterCommands) links(call *command.Call) error {
	links := r.c.links()
	w := call.Reply
	w.Array(len(links))
	for _, l := range links {
		w.Map(6)
		w.BulkString("direction")
		w.BulkString(direction(l.Outgoing))
		w.BulkString("node")
		w.BulkString(l.Node.String())
		w.BulkString("create-time")
		w.Int(l.Created.UnixMilli())
		w.BulkString("events")
		w.BulkString(l.Events)
		w.BulkString("send-buffer-allocated")
		w.Int(int64(l.SendBufferAllocated))
		w.BulkString("send-buffer-used")
		w.Int(int64(l.SendBufferUsed))
	}
	return nil
}

func direction(outgoing bool) string {
	if outgoing {
		return "to"
	}
	return "from"
}

func (r clusterCommands) help(call *command.Call) error {
	command.Help(call.Reply, "CLUSTER",
		"ADDSLOTS <slot> [<slot> ...]", "    Give free slots to this node.",
		"ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]", "    Give free slot ranges to this node.",
		"BUMPEPOCH", "    Take a config epoch greater than all others.",
		"COUNT-FAILURE-REPORTS <node-id>", "    Count the fresh failure reports about a node.",
		"COUNTKEYSINSLOT <slot>", "    Count the keys of a slot in this node.",
		"DELSLOTS <slot> [<slot> ...]", "    Make slots unassigned for this node.",
		"DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]", "    Make slot ranges unassigned for this node.",
		"FAILOVER [FORCE|TAKEOVER]", "    Let this replica take its primary's place.",
		"FLUSHSLOTS", "    Make all slots of this node unassigned.",
		"FORGET <node-id>", "    Remove a node from the cluster.",
		"GETKEYSINSLOT <slot> <count>", "    List keys of a slot in this node.",
		"INFO", "    Tell the state of the cluster.",
		"KEYSLOT <key>", "    Compute the slot of a key.",
		"LINKS", "    List the links to and from peers: direction, node, create-time,", "    events, send-buffer-allocated, send-buffer-used.",
		"MEET <ip> <port> [<bus-port>]", "    Join this cluster with another node's.",
		"MYID", "    Tell the id of this node.",
		"MYSHARDID", "    Tell the id of this node's shard.",
		"NODES", "    Tell every node, a line each:", "    <id> <ip:port@bus-port[,host]> <flags> <primary> <ping> <pong> <epoch> <link> <slot> ...",
		"REPLICAS <node-id>", "    List the replicas of a primary.",
		"REPLICATE <node-id>", "    Make this node a replica of a primary.",
		"RESET [HARD|SOFT]", "    Make this node a fresh one (default: soft).",
		"SAVECONFIG", "    Write the cluster config file now.",
		"SET-CONFIG-EPOCH <epoch>", "    Set the config epoch of a fresh node.",
		"SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)", "    Open a slot for moving, close it, or give it an owner.",
		"SHARDS", "    Tell every shard with its slots and nodes.",
		"SLOTS", "    Tell which nodes serve which slots.",
	)
	return nil
}

// unixMs turns an instant of the machine's clock into Unix milliseconds; never
// stays 0.
func (c *cluster) unixMs(at gossip.Instant) int64 {
	if at == 0 {
		return 0
	}
	return c.started.Add(at).UnixMilli()
}

// writeBusStats appends the cluster_stats_messages_* lines of CLUSTER INFO:
// messages over links, broadcasts, and exchanges of the whole state.
func writeBusStats(b *strings.Builder, s bus.Stats) {
	line := func(name string, n int64) { fmt.Fprintf(b, "cluster_stats_messages_%s:%d\r\n", name, n) }
	line("link_sent", s.MessagesSent)
	line("broadcast_sent", s.BroadcastsSent)
	line("sent", s.MessagesSent+s.BroadcastsSent)
	line("link_received", s.MessagesReceived)
	line("broadcast_received", s.BroadcastsReceived)
	line("repair_received", s.Repairs)
	line("received", s.MessagesReceived+s.BroadcastsReceived+s.Repairs)
	if !s.UDPHealthy {
		b.WriteString("cluster_bus_udp:blocked\r\n")
	} else {
		b.WriteString("cluster_bus_udp:ok\r\n")
	}
}
