package harness

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"slotmesh/slots"
)

// Cluster is a set of processes in cluster mode.
type Cluster struct {
	Nodes []*Process

	rig *Rig
	r   Reporter
}

// StartNodes starts count empty nodes. options is the template of each; its
// Name and Port are chosen.
func (g *Rig) StartNodes(count int, options Options) *Cluster {
	g.r.Helper()
	c := &Cluster{rig: g, r: g.r}
	options.Cluster = true
	options.Port = 0
	for i := range count {
		options.Name = "n" + strconv.Itoa(i)
		p := g.Prepare(options)
		if err := p.Launch(); err != nil {
			g.r.Fatalf("%v", err)
		}
		c.Nodes = append(c.Nodes, p)
	}
	for _, p := range c.Nodes {
		if err := p.WaitReady(startLimit); err != nil {
			g.r.Fatalf("%v", err)
		}
	}
	return c
}

// ClusterOf makes a cluster of processes that were started one by one.
func (g *Rig) ClusterOf(nodes ...*Process) *Cluster {
	return &Cluster{Nodes: nodes, rig: g, r: g.r}
}

// StartCluster starts primaries*(1+replicas) nodes and has redis-cli make a
// cluster of them, which is complete when it returns.
func (g *Rig) StartCluster(primaries, replicas int, options Options) *Cluster {
	g.r.Helper()
	c := g.StartNodes(primaries*(1+replicas), options)
	c.Create(replicas)
	return c
}

// Create has the unmodified redis-cli make a cluster of the nodes.
func (c *Cluster) Create(replicas int) {
	c.r.Helper()
	args := []string{"--cluster", "create"}
	for _, p := range c.Nodes {
		args = append(args, p.Addr())
	}
	args = append(args, "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")
	c.rig.CLI(args...)
	c.WaitOK(startLimit)
}

// Rig returns the Rig that the nodes belong to.
func (c *Cluster) Rig() *Rig { return c.rig }

// Seed returns the first node that runs.
func (c *Cluster) Seed() *Process {
	c.r.Helper()
	for _, p := range c.Nodes {
		if p.Running() {
			return p
		}
	}
	c.r.Fatalf("no node of the cluster runs")
	return nil
}

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, p := range c.Nodes {
		addrs[i] = p.Addr()
	}
	return addrs
}

// TryView returns how p sees the cluster.
func TryView(p *Process) (View, error) {
	reply, err := p.TryDo(answerLimit, "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	return ParseNodes(reply.Text)
}

// View is TryView that ends the test on an error.
func (c *Cluster) View(p *Process) View {
	c.r.Helper()
	view, err := TryView(p)
	if err != nil {
		c.r.Fatalf("%s: %v", p.Name, err)
	}
	return view
}

// ID returns the node id of p.
func (c *Cluster) ID(p *Process) string {
	c.r.Helper()
	return p.Do("CLUSTER", "MYID").Text
}

// ByAddr returns the node at addr, nil if it is none of the cluster's.
func (c *Cluster) ByAddr(addr string) *Process {
	for _, p := range c.Nodes {
		if p.Addr() == addr {
			return p
		}
	}
	return nil
}

// Owner returns the running node that itself says that it owns slot, nil if
// none or more than one does.
func (c *Cluster) Owner(slot int) *Process {
	var owner *Process
	for _, p := range c.Nodes {
		if !p.Running() {
			continue
		}
		view, err := TryView(p)
		if err != nil {
			continue
		}
		if self := view.Self(); self.Primary() && self.Owns(slot) {
			if owner != nil {
				return nil
			}
			owner = p
		}
	}
	return owner
}

// Primaries returns the running nodes that say of themselves that they are
// primaries with slots, in the order of their first slot.
func (c *Cluster) Primaries() []*Process {
	first := make(map[int]*Process)
	for _, p := range c.Nodes {
		if !p.Running() {
			continue
		}
		if view, err := TryView(p); err == nil {
			if self := view.Self(); self.Primary() && len(self.Slots) > 0 {
				first[self.Slots[0].First] = p
			}
		}
	}
	var primaries []*Process
	for slot := range slots.Count {
		if p := first[slot]; p != nil {
			primaries = append(primaries, p)
		}
	}
	return primaries
}

// ReplicasOf returns the running nodes that say of themselves that they
// replicate primary.
func (c *Cluster) ReplicasOf(primary *Process) []*Process {
	c.r.Helper()
	id := c.ID(primary)
	var replicas []*Process
	for _, p := range c.Nodes {
		if p == primary || !p.Running() {
			continue
		}
		if view, err := TryView(p); err == nil && view.Self().PrimaryID == id {
			replicas = append(replicas, p)
		}
	}
	return replicas
}

// WaitOK waits until every running node serves, all agree on every slot and on
// who replicates whom, and every replica is in step with its primary.
func (c *Cluster) WaitOK(timeout time.Duration) {
	c.r.Helper()
	Await(c.r, timeout, "the cluster is complete", c.Incomplete)
}

// Incomplete returns what WaitOK still waits for, "" for nothing.
func (c *Cluster) Incomplete() string {
	signature, from := "", ""
	views := make(map[*Process]View)
	for _, p := range c.Nodes {
		if !p.Running() {
			continue
		}
		reply, err := p.TryDo(answerLimit, "CLUSTER", "INFO")
		if err != nil {
			return fmt.Sprintf("%s: %v", p.Name, err)
		}
		if state := Fields(reply.Text)["cluster_state"]; state != "ok" {
			return fmt.Sprintf("%s: cluster_state is %q", p.Name, state)
		}
		view, err := TryView(p)
		if err != nil {
			return fmt.Sprintf("%s: %v", p.Name, err)
		}
		views[p] = view
		if n := view.Assigned(); n != slots.Count {
			return fmt.Sprintf("%s: %d slots have an owner", p.Name, n)
		}
		if signature == "" {
			signature, from = view.Signature(), p.Name
		}
		if s := view.Signature(); s != signature {
			return fmt.Sprintf("%s and %s disagree:\n%s\n%s", from, p.Name, signature, s)
		}
		for _, n := range view {
			other := c.ByAddr(n.Addr)
			if other != nil && other.Running() && (n.Has("fail") || n.Has("fail?") || n.Has("handshake") || !n.Connected) {
				return fmt.Sprintf("%s sees %s as %s", p.Name, other.Name, strings.Join(n.Flags, ","))
			}
		}
		if !view.Self().Primary() {
			reply, err := p.TryDo(answerLimit, "INFO", "replication")
			if err != nil {
				return fmt.Sprintf("%s: %v", p.Name, err)
			}
			if link := Fields(reply.Text)["master_link_status"]; link != "up" {
				return fmt.Sprintf("%s: the link to its primary is %q", p.Name, link)
			}
		}
	}
	if signature == "" {
		return "no node runs"
	}
	for p, view := range views {
		self := view.Self()
		for other, seen := range views {
			line, known := seen.ByID(self.ID)
			if !known {
				return fmt.Sprintf("%s does not know %s", other.Name, p.Name)
			}
			if line.PrimaryID != self.PrimaryID {
				return fmt.Sprintf("%s sees %s replicate %q, it replicates %q", other.Name, p.Name, line.PrimaryID, self.PrimaryID)
			}
		}
	}
	return ""
}

// WaitListed waits until every running node's CLUSTER SLOTS lists every running
// replica, as clients that read from replicas need it. A replica is listed once
// it is known to have data: before the first write WaitListed does not return.
func (c *Cluster) WaitListed(timeout time.Duration) {
	c.r.Helper()
	Await(c.r, timeout, "replicas are listed", c.unlisted)
}

// unlisted returns what WaitListed still waits for, "" for nothing.
func (c *Cluster) unlisted() string {
	replicas := make(map[string]*Process)
	for _, p := range c.Nodes {
		if !p.Running() {
			continue
		}
		view, err := TryView(p)
		if err != nil {
			return fmt.Sprintf("%s: %v", p.Name, err)
		}
		if self := view.Self(); !self.Primary() {
			replicas[self.ID] = p
		}
	}
	for _, p := range c.Nodes {
		if !p.Running() {
			continue
		}
		reply, err := p.TryDo(answerLimit, "CLUSTER", "SLOTS")
		if err != nil {
			return fmt.Sprintf("%s: %v", p.Name, err)
		}
		listed := make(map[string]bool)
		for _, row := range reply.Elems {
			for _, n := range row.Elems[min(3, len(row.Elems)):] {
				if len(n.Elems) > 2 {
					listed[n.Elems[2].Text] = true
				}
			}
		}
		for id, replica := range replicas {
			if !listed[id] {
				return fmt.Sprintf("%s does not list %s", p.Name, replica.Name)
			}
		}
	}
	return ""
}

// Tags returns a short hash tag for every slot: Tags()[slot] in braces puts a
// key there.
func Tags() []string {
	tags := make([]string, slots.Count)
	missing := slots.Count
	for i := 0; missing > 0; i++ {
		tag := strconv.FormatInt(int64(i), 36)
		slot := slots.Of([]byte(tag))
		if tags[slot] == "" {
			tags[slot] = tag
			missing--
		}
	}
	return tags
}
