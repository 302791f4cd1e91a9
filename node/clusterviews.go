package node

import (
	"cmp"
	"maps"
	"slices"

	"slotmesh/gossip"
	"slotmesh/gossip/bus"
	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// The subcommands of CLUSTER that only look. Their formats are those of
// Redis 7.0 with the fields of 7.2, as cluster tools and clients parse them.

func (r clusterCommands) myID(call *command.Call) error {
	writeID(call.Reply, r.c.view.Load().Self.ID)
	return nil
}

func writeID(w *resp.Writer, id slots.NodeID) {
	var room [2 * len(id)]byte
	w.Bulk(id.Append(room[:0]))
}

func (r clusterCommands) myShardID(call *command.Call) error {
	writeID(call.Reply, slots.NodeID(r.c.view.Load().Self.Shard))
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
	call.Reply.Text(func(text []byte) []byte {
		t := infoText(text)
		t.line("cluster_state", state)
		t.line("cluster_slots_assigned", assigned)
		t.line("cluster_slots_ok", assigned-pfail-fail)
		t.line("cluster_slots_pfail", pfail)
		t.line("cluster_slots_fail", fail)
		t.line("cluster_known_nodes", len(v.Nodes))
		t.line("cluster_size", v.Size)
		t.line("cluster_current_epoch", int64(v.CurrentEpoch))
		t.line("cluster_my_epoch", int64(r.myEpoch(v)))
		t.busStats(r.c.busStats())
		t.line("total_cluster_links_buffer_limit_exceeded", 0)
		return t
	})
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
	call.Reply.Text(func(text []byte) []byte {
		for _, n := range v.Nodes {
			text = append(r.appendNode(text, v, n), '\n')
		}
		return text
	})
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
	list := appendReplicas(nil, v, id)
	call.Reply.Array(len(list))
	var room [256]byte
	for _, replica := range list {
		call.Reply.Bulk(r.appendNode(room[:0], v, replica))
	}
	return nil
}

// appendReplicas appends the replicas of a primary.
func appendReplicas(list []*gossip.Node, v *gossip.View, primary slots.NodeID) []*gossip.Node {
	for _, n := range v.Nodes {
		if n.IsReplica && n.Primary == primary {
			list = append(list, n)
		}
	}
	return list
}

// appendNode appends one line of CLUSTER NODES, without its line end.
func (r clusterCommands) appendNode(dst []byte, v *gossip.View, n *gossip.Node) []byte {
	dst = append(n.ID.Append(dst), ' ')
	dst = append(dst, n.Address.IP...)
	dst = appendNumber(dst, ":", int64(n.Address.Port))
	dst = appendNumber(dst, "@", int64(n.Address.BusPort))
	if n.Address.Host != "" {
		dst = append(append(dst, ','), n.Address.Host...)
	}
	dst = appendNodeFlags(append(dst, ' '), v, n)
	dst = append(dst, ' ')
	epoch := n.ConfigEpoch
	if n.IsReplica && !n.Primary.IsZero() {
		dst = n.Primary.Append(dst)
	} else {
		dst = append(dst, '-')
	}
	if n.IsReplica {
		if p := v.Node(n.Primary); p != nil {
			epoch = p.ConfigEpoch
		}
	}
	dst = appendNumber(dst, " ", r.c.unixMs(n.PingSent))
	dst = appendNumber(dst, " ", r.c.unixMs(n.PongReceived))
	dst = appendNumber(dst, " ", int64(epoch))
	if n.Linked || n == v.Self {
		dst = append(dst, " connected"...)
	} else {
		dst = append(dst, " disconnected"...)
	}
	var room [16]slots.Range
	for _, rg := range n.Slots.AppendRanges(room[:0]) {
		dst = rg.Append(append(dst, ' '))
	}
	if n != v.Self {
		return dst
	}
	open := slices.AppendSeq(slices.Collect(maps.Keys(n.Migrating)), maps.Keys(n.Importing))
	slices.Sort(open)
	for _, slot := range open {
		dst = appendNumber(dst, " [", int64(slot))
		if to, leaves := n.Migrating[slot]; leaves {
			dst = to.Append(append(dst, "->-"...))
		} else {
			dst = n.Importing[slot].Append(append(dst, "-<-"...))
		}
		dst = append(dst, ']')
	}
	return dst
}

func appendNodeFlags(dst []byte, v *gossip.View, n *gossip.Node) []byte {
	begin := len(dst)
	add := func(on bool, word string) {
		if !on {
			return
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = append(dst, word...)
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
	add(len(dst) == begin, "noflags")
	return dst
}

// slots answers CLUSTER SLOTS: one row for each maximal range of one primary.
// Only replicas that have data and are not failing are listed.
func (r clusterCommands) slots(call *command.Call) error {
	v, preferred := r.c.view.Load(), r.c.settings().Endpoint
	type row struct {
		slots.Range
		// shard says which of shards serves the range.
		shard int
	}
	// shard is what the rows of one primary end with: so many nodes.
	type shard struct {
		nodes int
		text  []byte
	}
	var rows []row
	var shards []shard
	var ranges []slots.Range
	for _, n := range v.Nodes {
		if n.IsReplica || n.Slots.Empty() {
			continue
		}
		ranges = n.Slots.AppendRanges(ranges[:0])
		for _, rg := range ranges {
			rows = append(rows, row{rg, len(shards)})
		}
		w := resp.Writer{Proto: call.Reply.Proto, Buf: make([]byte, 0, 256)}
		writeSlotsNode(&w, n, preferred)
		nodes := 1
		for _, of := range v.Nodes {
			if of.IsReplica && of.Primary == n.ID && !of.PFail && !of.Fail && of.Offset != 0 {
				writeSlotsNode(&w, of, preferred)
				nodes++
			}
		}
		shards = append(shards, shard{nodes, w.Buf})
	}
	// In the order of the slots, as the reference answers: clients keep the first
	// nodes that they see as their seeds.
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.First, b.First) })
	w := call.Reply
	w.Array(len(rows))
	for _, row := range rows {
		of := &shards[row.shard]
		w.Array(2 + of.nodes)
		w.Int(int64(row.First))
		w.Int(int64(row.Last))
		w.Buf = append(w.Buf, of.text...)
	}
	return nil
}

func writeSlotsNode(w *resp.Writer, n *gossip.Node, preferred gossip.EndpointKind) {
	w.Array(4)
	writeEndpoint(w, n, preferred)
	w.Int(int64(n.Address.Port))
	writeID(w, n.ID)
	withIP := preferred != gossip.EndpointIP
	withHost := preferred != gossip.EndpointHostname && n.Address.Host != ""
	w.Map(bit(withIP) + bit(withHost))
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
func writeEndpoint(w *resp.Writer, n *gossip.Node, preferred gossip.EndpointKind) {
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
	v, preferred := r.c.view.Load(), r.c.settings().Endpoint
	primaries := 0
	for _, n := range v.Nodes {
		primaries += bit(!n.IsReplica && !n.Handshake)
	}
	w := call.Reply
	w.Array(primaries)
	var roomOfRanges [16]slots.Range
	var roomOfNodes [8]*gossip.Node
	for _, p := range v.Nodes {
		if p.IsReplica || p.Handshake {
			continue
		}
		w.Map(2)
		w.BulkString("slots")
		ranges := p.Slots.AppendRanges(roomOfRanges[:0])
		w.Array(2 * len(ranges))
		for _, rg := range ranges {
			w.Int(int64(rg.First))
			w.Int(int64(rg.Last))
		}
		w.BulkString("nodes")
		members := appendReplicas(append(roomOfNodes[:0], p), v, p.ID)
		w.Array(len(members))
		for _, n := range members {
			writeShardNode(w, n, preferred)
		}
	}
	return nil
}

func writeShardNode(w *resp.Writer, n *gossip.Node, preferred gossip.EndpointKind) {
	w.Map(7 + bit(n.Address.TLSPort != 0) + bit(n.Address.Host != ""))
	w.BulkString("id")
	writeID(w, n.ID)
	w.BulkString("port")
	w.Int(int64(n.Address.Port))
	if n.Address.TLSPort != 0 {
		w.BulkString("tls-port")
		w.Int(int64(n.Address.TLSPort))
	}
	w.BulkString("ip")
	w.BulkString(n.Address.IP)
	w.BulkString("endpoint")
	writeEndpoint(w, n, preferred)
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
		writeID(w, l.Node)
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

// busStats adds the cluster_stats_messages_* lines of CLUSTER INFO: messages over
// links, broadcasts, and exchanges of the whole state.
func (t *infoText) busStats(s bus.Stats) {
	t.line("cluster_stats_messages_link_sent", s.MessagesSent)
	t.line("cluster_stats_messages_broadcast_sent", s.BroadcastsSent)
	t.line("cluster_stats_messages_sent", s.MessagesSent+s.BroadcastsSent)
	t.line("cluster_stats_messages_link_received", s.MessagesReceived)
	t.line("cluster_stats_messages_broadcast_received", s.BroadcastsReceived)
	t.line("cluster_stats_messages_repair_received", s.Repairs)
	t.line("cluster_stats_messages_received", s.MessagesReceived+s.BroadcastsReceived+s.Repairs)
	if s.UDPHealthy {
		t.line("cluster_bus_udp", "ok")
	} else {
		t.line("cluster_bus_udp", "blocked")
	}
}
