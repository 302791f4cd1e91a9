package command

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// TestStaged runs the scripts of testdata/staged as TestScripts runs its own.
// They need more than one client of a server that is alone. A line may be an
// instruction:
//
//	!cluster            at the top: both own all slots and know a second node
//	!slot STATE KEY     the key's slot is now migrating to the second node, importing
//	                    from it, moved to it, unserved or stable again
//	!down [reads]       the cluster is down, or only accepts reads
//	!repeat N COMMAND   so often, without a look at the replies
//	!asking             what comes next may look at slots that are being imported
//	!policy NAME        maxmemory-policy
//	!everyaccess        the frequencies of keys count all accesses and never decay
//	!maxbulk BYTES      proto-max-bulk-len
//	!exec A ; B         a transaction; the reply of EXEC is compared
//	!asleep COMMAND     a second client, which waits for keys
//	!woken              what that one is answered
func TestStaged(t *testing.T) {
	files, err := filepath.Glob("testdata/staged/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	replies, different := 0, 0
	for _, proto := range []int{2, 3} {
		for _, file := range files {
			t.Run(filepath.Base(file)+"/RESP"+strconv.Itoa(proto), func(t *testing.T) {
				s := &stage{T: t, file: filepath.Base(file), proto: proto, ours: newNode(t)}
				s.ours.real = true
				s.ours.out.Proto = proto
				s.run(file)
				replies, different = replies+s.compared, different+s.differ
			})
		}
	}
	t.Logf("%d replies compared, %d differ", replies, different)
}

// patience is how long a condition may take on a busy machine.
const patience = 20 * time.Second

// stage is a script's two servers and who else takes part.
type stage struct {
	*testing.T
	file             string
	line             int
	proto            int
	compared, differ int

	ours    *node
	ref     *reference
	process *harness.Process

	// routing is the slot table of ours, peer the reference's id of the second node.
	routing *slots.Table
	peer    string

	// The second client, on both.
	oursAsleep *node
	refAsleep  *reference
}

func (s *stage) run(file string) {
	f, err := os.Open(file)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		s.line++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if line == "!cluster" {
			s.startCluster()
			continue
		}
		if s.ref == nil {
			s.process = harness.StartReference(s.T)
			s.ref = s.connect()
		}
		if instruction, ok := strings.CutPrefix(line, "!"); ok {
			words := splitLine(s.T, instruction)
			s.direct(line, words[0], words[1:])
			continue
		}
		args, same := comparison(splitLine(s.T, line))
		s.compare(line, s.ours.do(args...), s.ref.do(args...), same)
	}
	if err := lines.Err(); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) compare(line, ours, theirs string, same func(a, b string) bool) {
	s.compared++
	if !same(ours, theirs) {
		s.differ++
		s.Errorf("%s:%d: %s\n ours:   %q\n theirs: %q", s.file, s.line, line, clip([]byte(ours), 1000), clip([]byte(theirs), 1000))
	}
}

// connect opens a connection to the reference.
func (s *stage) connect() *reference {
	conn := s.process.Connect()
	ref := &reference{t: s.T, conn: conn, r: bufio.NewReader(conn)}
	if s.proto == 3 {
		ref.do("HELLO", "3")
	}
	return ref
}

// direct carries out an instruction.
func (s *stage) direct(line, what string, args []string) {
	equal := func(a, b string) bool { return a == b }
	switch what {
	case "slot":
		s.setSlot(args[0], slots.Of([]byte(args[1])))
	case "down":
		s.down(len(args) > 0)
	case "repeat":
		s.repeat(args[0], args[1:])
	case "asking":
		s.ours.conn.asking = true
		s.ref.do("ASKING")
	case "policy":
		s.must("CONFIG", "SET", "maxmemory-policy", args[0])
		s.ours.engine.Store().SetAccessPolicy(strings.HasSuffix(args[0], "-lfu"), 10, 1)
	case "everyaccess":
		s.must("CONFIG", "SET", "lfu-log-factor", "0", "lfu-decay-time", "0")
		s.ours.engine.Store().SetAccessPolicy(true, 0, 0)
	case "maxbulk":
		s.must("CONFIG", "SET", "proto-max-bulk-len", args[0])
		limit, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			s.Fatal(err)
		}
		s.ours.engine.SetMaxBulk(limit)
	case "exec":
		var commands []string
		for command := range strings.SplitSeq(strings.TrimPrefix(line, "!exec"), ";") {
			commands = append(commands, command)
		}
		s.ref.do("MULTI")
		for _, command := range commands {
			s.ref.do(strings.Fields(command)...)
		}
		s.compare(line, s.ours.tx(nil, commands...), s.ref.do("EXEC"), equal)
	case "asleep":
		s.fallAsleep(args)
	case "woken":
		raw, ours := new(strings.Builder), make(chan string, 1)
		if err := readReply(s.refAsleep.r, raw); err != nil {
			s.Fatalf("%s:%d: %v", s.file, s.line, err)
		}
		go func() { ours <- s.oursAsleep.end() }()
		select {
		case reply := <-ours:
			s.compare(line, reply, raw.String(), equal)
		case <-time.After(patience):
			s.Fatalf("%s:%d: %s: still asleep; the reference answered %q", s.file, s.line, line, raw)
		}
	default:
		s.Fatalf("%s:%d: no such instruction: %s", s.file, s.line, line)
	}
}

// repeat does a command many times on both.
func (s *stage) repeat(times string, args []string) {
	n, err := strconv.Atoi(times)
	if err != nil {
		s.Fatal(err)
	}
	const script = "for i = 1, KEYS[1] do redis.call(unpack(ARGV)) end"
	s.must(append([]string{"EVAL", script, "1", times}, args...)...)
	for range n {
		if reply := s.ours.do(args...); reply[0] == '-' {
			s.Fatalf("%s:%d: %q: %s", s.file, s.line, args, reply)
		}
	}
}

// fallAsleep sends a command on a second connection and waits until its client is
// asleep.
func (s *stage) fallAsleep(args []string) {
	if s.refAsleep == nil {
		s.refAsleep = s.connect()
		s.oursAsleep = &node{engine: s.ours.engine, journal: s.ours.journal, conn: &testConn{}}
		s.oursAsleep.out.Proto = s.proto
	}
	if _, err := s.refAsleep.conn.Write(resp.AppendCommand(nil, args...)); err != nil {
		s.Fatal(err)
	}
	harness.Await(s.T, patience, "the reference's client sleeps", func() string {
		if blocked := s.process.Info("clients")["blocked_clients"]; blocked != "1" {
			return "blocked_clients:" + blocked
		}
		return ""
	})
	s.oursAsleep.begin(args...)
	if s.oursAsleep.conn.asleep == nil {
		s.Errorf("%s:%d: not asleep: %q", s.file, s.line, s.oursAsleep.out.Buf)
	}
}

// must sends the reference a command that is not to fail.
func (s *stage) must(args ...string) string {
	reply := s.ref.do(args...)
	if reply[0] == '-' {
		s.Fatalf("%s:%d: %q: %s", s.file, s.line, args, reply)
	}
	return reply
}

// startCluster starts a reference of all slots that knows another, and gives ours
// the same slot table.
func (s *stage) startCluster() {
	start := func() *harness.Process {
		return harness.StartReference(s.T, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
	}
	s.process = start()
	s.ref = s.connect()
	peer := start()
	s.peer = peer.Do("CLUSTER", "MYID").Text
	s.must("CLUSTER", "ADDSLOTSRANGE", "0", strconv.Itoa(slots.Count-1))
	s.must("CLUSTER", "MEET", peer.Host, strconv.Itoa(peer.Port))
	harness.Await(s.T, patience, "the reference's cluster is up", func() string {
		view := s.process.Do("CLUSTER", "NODES").Text
		if s.clusterState() == "ok" && strings.Contains(view, s.peer) && !strings.Contains(view, "handshake") {
			return ""
		}
		return view
	})
	s.routing = clusterTable()
	s.routing.Nodes[1] = slots.Endpoint{Host: peer.Host, Port: peer.Port}
	s.ours.engine.SetRouting(s.routing)
}

func (s *stage) clusterState() string {
	return harness.Fields(s.process.Do("CLUSTER", "INFO").Text)["cluster_state"]
}

// reroute gives ours a slot table that change has made of the present one.
func (s *stage) reroute(change func(t *slots.Table)) {
	next := *s.routing
	next.Epoch++
	next.Migrating, next.Importing = maps.Clone(next.Migrating), maps.Clone(next.Importing)
	change(&next)
	s.routing = &next
	s.ours.engine.SetRouting(s.routing)
}

func (s *stage) setSlot(state string, slot slots.Slot) {
	const peer = 1 // in the table's Nodes
	number := strconv.Itoa(int(slot))
	switch state {
	case "migrating":
		s.must("CLUSTER", "SETSLOT", number, "MIGRATING", s.peer)
		s.reroute(func(t *slots.Table) { t.Migrating = map[slots.Slot]uint16{slot: peer} })
	case "importing":
		s.must("CLUSTER", "SETSLOT", number, "IMPORTING", s.peer)
		s.reroute(func(t *slots.Table) { t.Importing = map[slots.Slot]uint16{slot: peer} })
	case "moved":
		s.must("CLUSTER", "SETSLOT", number, "NODE", s.peer)
		s.reroute(func(t *slots.Table) { t.Owner[slot] = peer })
	case "unserved":
		s.must("CLUSTER", "DELSLOTS", number)
		s.reroute(func(t *slots.Table) { t.Owner[slot] = slots.None })
	case "stable":
		s.must("CLUSTER", "SETSLOT", number, "STABLE")
		s.reroute(func(t *slots.Table) {
			delete(t.Migrating, slot)
			delete(t.Importing, slot)
		})
	default:
		s.Fatalf("%s:%d: no such state: %s", s.file, s.line, state)
	}
}

// down takes the reference's cluster down by a slot that nobody serves.
func (s *stage) down(reads bool) {
	s.must("CONFIG", "SET", "cluster-allow-reads-when-down", map[bool]string{true: "yes", false: "no"}[reads])
	if s.clusterState() == "ok" {
		s.must("CONFIG", "SET", "cluster-require-full-coverage", "yes")
		s.must("CLUSTER", "DELSLOTS", "0")
		harness.Await(s.T, patience, "the reference's cluster is down", func() string {
			if state := s.clusterState(); state != "fail" {
				return state
			}
			return ""
		})
	}
	s.reroute(func(t *slots.Table) {
		t.Owner[0] = slots.None
		t.Up, t.ReadsWhenDown = false, reads
	})
}
