package partition

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"slotmesh/node/e2e/harness"
)

// network is a bridge with namespaces on it; the test itself stands on the
// bridge too, as the clients' network.
type network struct {
	r      harness.Reporter
	tag    string // makes names unique to this process
	subnet string // "10.x.y"
	hosts  []host
}

// host is one namespace and its address.
type host struct{ netns, addr string }

// unavailable says what is missing for namespaces, "" for nothing.
func unavailable() string {
	if os.Getuid() != 0 {
		return "root"
	}
	for _, tool := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "the program " + tool + " (Debian's iproute2 and iptables)"
		}
	}
	probe := fmt.Sprintf("smp%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		return "the right to make network namespaces: " + strings.TrimSpace(string(out))
	}
	defer func() { _ = exec.Command("ip", "netns", "del", probe).Run() }()
	out, err := exec.Command("ip", "netns", "exec", probe, "iptables", "-A", "INPUT", "-s", "10.0.0.1", "-j", "REJECT").CombinedOutput()
	if err != nil {
		return "iptables that works in a namespace: " + strings.TrimSpace(string(out))
	}
	return ""
}

// newNetwork makes count hosts and removes all of it at the end.
func newNetwork(r harness.Reporter, count int) *network {
	r.Helper()
	pid := os.Getpid()
	n := &network{r: r, tag: fmt.Sprintf("sm%d", pid%100000), subnet: fmt.Sprintf("10.%d.%d", 192+pid/256%64, pid%256)}
	bridge := n.tag + "br"
	r.Cleanup(func() {
		// A cable goes at once with one of its ends; with its namespace it would go
		// when the last socket there has.
		for i, h := range n.hosts {
			_ = exec.Command("ip", "link", "del", n.cable(i)).Run()
			_ = exec.Command("ip", "netns", "del", h.netns).Run()
		}
		_ = exec.Command("ip", "link", "del", bridge).Run()
	})
	n.run("ip", "link", "add", bridge, "type", "bridge")
	n.run("ip", "addr", "add", n.subnet+".254/24", "dev", bridge)
	n.run("ip", "link", "set", bridge, "up")
	for i := range count {
		h := host{netns: fmt.Sprintf("%sn%d", n.tag, i), addr: fmt.Sprintf("%s.%d", n.subnet, i+1)}
		cable := n.cable(i)
		n.run("ip", "netns", "add", h.netns)
		n.hosts = append(n.hosts, h)
		n.run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", h.netns)
		n.run("ip", "link", "set", cable, "master", bridge, "up")
		n.run("ip", "-n", h.netns, "addr", "add", h.addr+"/24", "dev", "eth0")
		n.run("ip", "-n", h.netns, "link", "set", "lo", "up")
		n.run("ip", "-n", h.netns, "link", "set", "eth0", "up")
	}
	return n
}

// cable is the name of the bridge's end of the link to host i.
func (n *network) cable(i int) string { return fmt.Sprintf("%sv%d", n.tag, i) }

func (n *network) run(name string, args ...string) {
	n.r.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		n.r.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// A cut is one way to separate a host from its peers.
type cut struct {
	name string
	// rules are iptables rules for one peer, in the host's namespace; PEER
	// stands for its address.
	rules []string
}

// cuts are what networks do to each other. Clients are no peers: they keep
// reaching the host.
var cuts = []cut{
	{"silence both ways", []string{"INPUT -s PEER -j DROP", "OUTPUT -d PEER -j DROP"}},
	{"nothing comes in", []string{"INPUT -s PEER -j DROP"}},
	{"nothing goes out", []string{"OUTPUT -d PEER -j DROP"}},
	{"refused both ways", []string{
		"INPUT -s PEER -p tcp -j REJECT --reject-with tcp-reset", "INPUT -s PEER -j REJECT",
		"OUTPUT -d PEER -p tcp -j REJECT --reject-with tcp-reset", "OUTPUT -d PEER -j REJECT",
	}},
}

// apply cuts the host at index off from all others.
func (n *network) apply(c cut, index int) {
	n.r.Helper()
	for i, peer := range n.hosts {
		if i == index {
			continue
		}
		for _, rule := range c.rules {
			args := strings.Fields(strings.ReplaceAll(rule, "PEER", peer.addr))
			n.run("ip", append([]string{"netns", "exec", n.hosts[index].netns, "iptables", "-A"}, args...)...)
		}
	}
}

// heal removes all rules of the host at index.
func (n *network) heal(index int) {
	n.r.Helper()
	n.run("ip", "netns", "exec", n.hosts[index].netns, "iptables", "-F")
}
