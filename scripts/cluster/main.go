package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

const (
	primaries = 3
	nodes     = 6
	// busOffset is the distance of a node's bus port from its client port.
	busOffset = 10000
)

func main() {
	dir := flag.String("dir", "data", "directory of the nodes, one below it for each")
	port := flag.Int("port", 7000, "port of the first node; the others follow")
	server := flag.String("server", "bin/slotmesh", "binary of the node")
	flag.Parse()

	console := harness.NewConsole(os.Stdout)
	defer console.Close()
	if err := portsFree(*port); err != nil {
		console.Fatalf("%v", err)
	}
	absolute, err := filepath.Abs(*dir)
	if err != nil {
		console.Fatalf("directory %s: %v", *dir, err)
	}
	binary, err := filepath.Abs(*server)
	if err != nil {
		console.Fatalf("binary %s: %v", *server, err)
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	rig := harness.NewIn(console, harness.FromPath(binary), absolute)
	cluster, back := start(console, rig, *port)
	describe(cluster, back, *dir)
	watch(cluster, interrupted)
	fmt.Println("stopping the nodes")
	stop(console, cluster)
}

// portsFree returns an error that names the first port in use.
func portsFree(first int) error {
	for port := first; port < first+nodes; port++ {
		for _, p := range []int{port, port + busOffset} {
			listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
			if err != nil {
				return fmt.Errorf("port %d cannot be used (%w): stop what uses it, or choose other ports with `make run PORT=7100`", p, err)
			}
			listener.Close()
		}
	}
	return nil
}

// start launches the nodes and returns them as a complete cluster, and whether
// it is one that was there before.
func start(console *harness.Console, rig *harness.Rig, port int) (cluster *harness.Cluster, back bool) {
	var processes []*harness.Process
	for i := range nodes {
		p := rig.Prepare(harness.Options{
			Name: strconv.Itoa(port + i), Port: port + i, Cluster: true,
			// The next start finds the data too.
			Directives: []string{"appendonly yes"},
		})
		if err := p.Launch(); err != nil {
			console.Fatalf("%v", err)
		}
		processes = append(processes, p)
	}
	for _, p := range processes {
		if err := p.WaitReady(15 * time.Second); err != nil {
			console.Fatalf("%v", err)
		}
		if err := p.WaitLoaded(time.Hour); err != nil {
			console.Fatalf("%v", err)
		}
	}
	cluster = rig.ClusterOf(processes...)
	back = len(cluster.View(processes[0])) > 1
	if !back {
		form(console, cluster)
	}
	cluster.WaitOK(time.Minute)
	return cluster, back
}

// form makes one cluster of empty nodes: slots and distinct epochs for the
// primaries, then a meeting, then the replicas.
func form(console *harness.Console, cluster *harness.Cluster) {
	for i, p := range cluster.Nodes {
		if i < primaries {
			first, last := i*slots.Count/primaries, (i+1)*slots.Count/primaries-1
			p.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		}
		p.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	for _, p := range cluster.Nodes[1:] {
		cluster.Nodes[0].Do("CLUSTER", "MEET", p.Host, strconv.Itoa(p.Port))
	}
	harness.Await(console, 30*time.Second, "the nodes know each other", func() string {
		for _, p := range cluster.Nodes {
			view, err := harness.TryView(p)
			if err != nil {
				return err.Error()
			}
			known := 0
			for _, n := range view {
				if !n.Has("handshake") {
					known++
				}
			}
			if known < nodes {
				return fmt.Sprintf("%s knows %d", p.Name, known)
			}
		}
		return ""
	})
	for i, p := range cluster.Nodes[primaries:] {
		p.Do("CLUSTER", "REPLICATE", cluster.ID(cluster.Nodes[i]))
	}
}

// describe tells how to use the cluster.
func describe(cluster *harness.Cluster, back bool, dir string) {
	if back {
		fmt.Println("the cluster of the last time is back:")
	} else {
		fmt.Println("a new cluster is ready:")
	}
	for _, p := range cluster.Nodes {
		self := cluster.View(p).Self()
		if !self.Primary() {
			of := "unknown"
			if primary, ok := cluster.View(p).ByID(self.PrimaryID); ok {
				of = primary.Addr
			}
			fmt.Printf("  %s  replica of %s\n", p.Addr(), of)
			continue
		}
		var ranges []string
		for _, r := range self.Slots {
			ranges = append(ranges, fmt.Sprintf("%d-%d", r.First, r.Last))
		}
		fmt.Printf("  %s  primary of slots %s\n", p.Addr(), strings.Join(ranges, " "))
	}
	fmt.Printf("\nconnect:  redis-cli -c -p %d\nlogs:     %s\nstop:     Ctrl-C; the next start brings the same nodes and slots back\n",
		cluster.Nodes[0].Port, filepath.Join(dir, "*", "log"))
}

// watch returns when a signal comes, and says so when a node ends by itself.
func watch(cluster *harness.Cluster, interrupted <-chan os.Signal) {
	look := time.NewTicker(500 * time.Millisecond)
	defer look.Stop()
	reported := make(map[*harness.Process]bool)
	for {
		select {
		case <-interrupted:
			return
		case <-look.C:
		}
		for _, p := range cluster.Nodes {
			if !p.Running() && !reported[p] {
				reported[p] = true
				fmt.Printf("node %s ended (%v); its log ends with\n%s\n", p.Name, p.Status(), p.LogTail(3))
			}
		}
	}
}

// stop ends all nodes at once, so that nobody promotes anybody meanwhile.
func stop(console *harness.Console, cluster *harness.Cluster) {
	for _, p := range cluster.Nodes {
		p.Signal(syscall.SIGTERM)
	}
	for _, p := range cluster.Nodes {
		if err := p.WaitExit(10 * time.Second); err != nil {
			console.Errorf("%v: killing it", err)
			p.Kill()
		}
	}
}
