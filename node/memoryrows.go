package node

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// memoryRow is MEMORY and its subcommands.
func (n *Node) memoryRow() command.Spec {
	everywhere := []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}
	row := func(name, complexity, summary string, tips []string, run func(*command.Call) error) command.Spec {
		return command.Spec{
			Name: name, Arity: 2, Group: "server", Since: "4.0.0", Complexity: complexity, Summary: summary, Tips: tips, Run: run,
		}
	}
	const costly = "Depends on how much memory is allocated, could be slow"
	help := row("help", "O(1)", "Lists the subcommands.", nil, memoryHelp)
	help.Flags = command.Loading | command.Stale
	purge := row("purge", costly, "Gives memory that is not in use back to the system.",
		[]string{"request_policy:all_shards", "response_policy:all_succeeded"}, n.memoryPurge)
	purge.Heavy = command.Always
	return command.Spec{
		Name: "memory", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on subcommand.",
		Summary: "Tells about the use of memory.",
		Sub: []command.Spec{
			row("doctor", "O(1)", "Says what is wrong with the use of memory.", everywhere, n.memoryDoctor),
			help,
			row("malloc-stats", costly, "Tells what the allocators know of themselves.", everywhere, n.mallocStats),
			purge,
			row("stats", "O(1)", "Tells what memory is used for.", everywhere, n.memoryStats),
			{
				Name: "usage", Syntax: "key [SAMPLES count]", Arity: -3, Flags: command.ReadOnly,
				Keys:  []command.KeySpec{{Flags: command.KeyRO, Begin: 2, Step: 1}},
				Group: "server", Since: "4.0.0", Complexity: "O(N) where N is the number of samples.",
				Summary: "Tells the memory that a key takes.", Run: memoryUsage,
			},
		},
	}
}

func memoryHelp(c *command.Call) error {
	command.Help(c.Reply, "MEMORY",
		"DOCTOR", "    Say what is wrong with the use of memory.",
		"MALLOC-STATS", "    Tell what the allocators know of themselves.",
		"PURGE", "    Give memory that is not in use back to the system.",
		"STATS", "    Tell what memory is used for.",
		"USAGE <key> [SAMPLES <count>]", "    Return the bytes that <key> and its value take. All of a value is counted,",
		"    whatever the number of samples.",
	)
	return nil
}

func memoryUsage(c *command.Call) error {
	for i := 3; i < len(c.Args); i += 2 {
		if !strings.EqualFold(string(c.Args[i]), "samples") || i+1 == len(c.Args) {
			return resp.ErrSyntax
		}
		samples, ok := value.ParseInt(c.Args[i+1])
		if !ok {
			return resp.ErrNotInteger
		}
		if samples < 0 {
			return resp.ErrSyntax
		}
	}
	key := c.Args[2]
	ref := c.Engine().Store().Find(c.DB, slots.Of(key), key)
	if !ref.OK() || ref.Expires() && ref.ExpireAt() <= c.Now {
		c.Reply.Null()
		return nil
	}
	c.Reply.Int(ref.Size())
	return nil
}

// memoryPurge collects what is garbage and gives free memory back.
func (n *Node) memoryPurge(c *command.Call) error {
	n.store.Memory().Trim()
	debug.FreeOSMemory()
	n.sampler.forget()
	c.Reply.OK()
	return nil
}

func (n *Node) mallocStats(c *command.Call) error {
	m := n.readMemory()
	var b strings.Builder
	fmt.Fprintf(&b, "store: %d bytes in blocks, %d bytes in pages\n", m.data, n.store.Memory().Mapped())
	fmt.Fprintf(&b, "runtime (%s): %d bytes in objects, %d bytes set aside for objects\n",
		runtime.Version(), m.objects-m.data, m.spans-n.store.Memory().Mapped())
	fmt.Fprintf(&b, "process: %d bytes mapped, %d bytes resident\n", m.mapped, m.resident)
	c.Reply.Verbatim("txt", b.String())
	return nil
}

// memoryStats answers with the fields of the reference, in its order.
func (n *Node) memoryStats(c *command.Call) error {
	m := n.readMemory()
	n.notePeak(m.used)
	peak := n.peakMemory.Load()
	st := n.server.Stats()
	retained, backlog := n.replication.retained()
	keys, tables := int64(0), 0
	for db := range n.store.Databases() {
		if used := n.store.Len(db); used > 0 {
			keys += int64(used)
			tables++
		}
	}
	overhead := min(n.startMemory+st.ClientMemory+st.ReplicaMemory+retained, m.used)
	dataset := m.used - overhead
	perKey := int64(0)
	if keys > 0 {
		perKey = (m.used - min(n.startMemory, m.used)) / keys
	}
	share := func(part, whole int64) float64 {
		if whole <= 0 {
			return 0
		}
		return float64(part) * 100 / float64(whole)
	}
	times := func(part, whole int64) float64 { return share(part, whole) / 100 }
	type field struct {
		name  string
		value any
	}
	fields := [...]field{
		{"peak.allocated", peak},
		{"total.allocated", m.used},
		{"startup.allocated", n.startMemory},
		{"replication.backlog", backlog},
		{"clients.slaves", st.ReplicaMemory},
		{"clients.normal", st.ClientMemory},
		{"cluster.links", int64(0)},
		{"aof.buffer", int64(0)},
		{"lua.caches", int64(0)},
		{"functions.caches", int64(0)},
		{"overhead.total", overhead},
		{"keys.count", keys},
		{"keys.bytes-per-key", perKey},
		{"dataset.bytes", dataset},
		{"dataset.percentage", share(dataset, m.used-n.startMemory)},
		{"peak.percentage", share(m.used, peak)},
		{"allocator.allocated", m.objects},
		{"allocator.active", m.spans},
		{"allocator.resident", m.mapped},
		{"allocator-fragmentation.ratio", times(m.spans, m.objects)},
		{"allocator-fragmentation.bytes", m.spans - m.objects},
		{"allocator-rss.ratio", times(m.mapped, m.spans)},
		{"allocator-rss.bytes", m.mapped - m.spans},
		{"rss-overhead.ratio", times(m.resident, m.mapped)},
		{"rss-overhead.bytes", m.resident - m.mapped},
		{"fragmentation", times(m.resident, m.used)},
		{"fragmentation.bytes", m.resident - m.used},
	}
	c.Reply.Map(len(fields))
	for i := range fields {
		c.Reply.BulkString(fields[i].name)
		switch v := fields[i].value.(type) {
		case int64:
			c.Reply.Int(v)
		case float64:
			c.Reply.Double(v)
		}
	}
	return nil
}

// Marks of MEMORY DOCTOR: what is worth a word.
const (
	doctorLeast    = 5 << 20   // below this there is nothing to judge
	doctorPeak     = 1.5       // the peak in units of what is used now
	doctorSpread   = 1.4       // resident memory likewise
	doctorSpare    = 10 << 20  // and at least so many bytes
	doctorClient   = 200 << 10 // the mean of a client
	doctorReplicas = 10 << 20  // the buffers of a replica
)

// memoryDoctor says in words what MEMORY STATS says in numbers.
func (n *Node) memoryDoctor(c *command.Call) error {
	m := n.readMemory()
	if m.used < doctorLeast {
		c.Reply.Verbatim("txt", "This node is empty or holds very little; there is nothing to judge yet.\n")
		return nil
	}
	st, peak := n.server.Stats(), n.peakMemory.Load()
	c.Reply.Text(func(dst []byte) []byte {
		begin := len(dst)
		// say adds a paragraph: texts and numbers in turn.
		say := func(text string, more ...any) {
			if len(dst) == begin {
				dst = append(dst, "About the use of memory:\n"...)
			}
			dst = append(append(dst, "\n * "...), text...)
			for _, part := range more {
				switch part := part.(type) {
				case int64:
					dst = strconv.AppendInt(dst, part, 10)
				case string:
					dst = append(dst, part...)
				}
			}
			dst = append(dst, '\n')
		}
		if float64(peak) > doctorPeak*float64(m.used) {
			say("Peak: up to ", peak, " bytes were in use at some time, much more than the ", m.used,
				" of now. Resident memory may stay high for a while; MEMORY PURGE gives back what can be.")
		}
		if float64(m.resident) > doctorSpread*float64(m.used) && m.resident-m.used > doctorSpare {
			say("Spread: the process has ", m.resident, " bytes of memory for ", m.used,
				" in use. Pages with few blocks are the reason if that is lasting.")
		}
		if clients := st.ConnectedClients; clients > 0 && st.ClientMemory/clients > doctorClient {
			say("Clients: the buffers of a client take ", st.ClientMemory/clients,
				" bytes on average. A client that asks for much and reads slowly is the usual cause: see CLIENT LIST.")
		}
		if st.ReplicaMemory > doctorReplicas {
			say("Replicas: what waits for replicas takes ", st.ReplicaMemory,
				" bytes. A slow link, or a replica that stands still, is the usual cause.")
		}
		if len(dst) == begin {
			return append(dst, "Nothing is wrong with the use of memory.\n"...)
		}
		return dst
	})
	return nil
}
