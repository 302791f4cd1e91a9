package node

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
)

// peerServer is a server under test with its TCP port: a node or the reference.
type peerServer struct {
	*client
	port string
}

func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(harness.New(t, harness.Server{}).FreePort())
}

func startPeerNode(t *testing.T, options ...string) peerServer {
	port := freePort(t)
	_, dial, _ := startNode(t, append([]string{"--port", port, "--bind", "127.0.0.1"}, options...)...)
	return peerServer{dial(), port}
}

func startPeerReference(t *testing.T, options ...string) peerServer {
	t.Helper()
	p := harness.StartReference(t, options...)
	return peerServer{dialClient(t, "tcp", p.Addr()), strconv.Itoa(p.Port)}
}

func (s peerServer) follow(primary peerServer) {
	s.t.Helper()
	if got := s.ask("REPLICAOF", "127.0.0.1", primary.port); !strings.HasPrefix(got, `+"OK`) {
		s.t.Fatalf("REPLICAOF answers %s", got)
	}
}

func (s peerServer) field(section, name string) string {
	s.t.Helper()
	for line := range strings.Lines(string(s.do("INFO", section).Text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// awaitSync waits until replica has what primary has.
func awaitSync(t *testing.T, primary, replica peerServer) {
	t.Helper()
	waitFor(t, "the replica to catch up", func() bool {
		return replica.field("replication", "master_link_status") == "up" &&
			replica.field("replication", "master_replid") == primary.field("replication", "master_replid") &&
			replica.field("replication", "slave_repl_offset") == primary.field("replication", "master_repl_offset")
	})
}

// TestWritesOfAReplica: a replica that takes writes stays at its primary's offset, and one
// that does not runs none that was queued when it was a primary.
func TestWritesOfAReplica(t *testing.T) {
	primary, replica := startPeerNode(t, "--appendonly", "yes"), startPeerNode(t, "--appendonly", "yes")
	primary.do("SET", "k", "1")
	replica.do("MULTI")
	replica.do("SET", "k", "2")
	other := dialClient(t, "tcp", "127.0.0.1:"+replica.port)
	other.do("REPLICAOF", "127.0.0.1", primary.port)
	if got := replica.ask("EXEC"); got != `-"EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica."` {
		t.Errorf("EXEC: %s", got)
	}
	awaitSync(t, primary, replica)
	replica.do("CONFIG", "SET", "replica-read-only", "no")
	waitFor(t, "a write on the replica", func() bool { return replica.ask("SET", "local", "v") == `+"OK"` })
	replica.do("MULTI")
	replica.do("SET", "local", "v")
	replica.do("INCR", "counter")
	replica.do("EXEC")
	if got := primary.ask("WAIT", "1", "20000"); got != ":1" {
		t.Errorf("WAIT: %s", got)
	}
	primary.do("SET", "k", "3")
	awaitSync(t, primary, replica)
	if got := replica.ask("MGET", "k", "local", "counter"); got != `*[$"3" $"v" $"1"]` {
		t.Errorf("MGET on the replica: %s", got)
	}
}

// keyspace is every key of databases 0 to 3 with its type, the digest of its
// value, which leaves out the groups of streams, these, and its expiry.
func (s peerServer) keyspace() []string {
	s.t.Helper()
	var all []string
	for db := range 4 {
		s.do("SELECT", strconv.Itoa(db))
		for _, key := range s.do("KEYS", "*").Elements {
			name := string(key.Text)
			line := fmt.Sprintf("%d/%s=%s %s@%s", db, name, s.ask("TYPE", name), s.ask("DEBUG", "DIGEST-VALUE", name), s.ask("PEXPIRETIME", name))
			if strings.HasPrefix(name, "stream") {
				groups := s.do("XINFO", "GROUPS", name)
				line += text(groups)
				for _, group := range groups.Elements {
					line += s.ask("XPENDING", name, string(group.Elements[1].Text))
				}
			}
			all = append(all, line)
		}
	}
	s.do("SELECT", "0")
	slices.Sort(all)
	return all
}

func sameKeyspace(t *testing.T, a, b peerServer) {
	t.Helper()
	if x, y := a.keyspace(), b.keyspace(); !slices.Equal(x, y) {
		t.Fatalf("keyspaces differ:\n%q\n%q", x, y)
	}
}

// writeMix does a bit of everything that the journal rewrites.
func writeMix(s peerServer, round int) {
	key := func(name string) string { return fmt.Sprintf("%s:%d", name, round) }
	s.do("SET", key("plain"), strings.Repeat("value ", round%40))
	s.do("SET", key("ttl"), "1", "EX", "1000")
	s.do("INCRBYFLOAT", key("float"), "0.1")
	s.do("APPEND", key("plain"), "tail")
	s.do("GETEX", key("plain"), "PX", "500000")
	s.do("SETRANGE", key("range"), "5", "x")
	s.do("SELECT", strconv.Itoa(round%4))
	s.do("MULTI")
	s.do("INCR", "counter")
	s.do("SET", key("tx"), "1")
	s.do("DEL", key("plain"))
	s.do("EXEC")
	s.do("RENAME", key("tx"), key("renamed"))
	s.do("SELECT", "0")
	s.writeCollections(round)
}

// writeCollections changes every type of collection, small ones and ones that
// grow with each round, also by commands whose effect is chosen here. In the lines
// of commands % is the round and @ the number of a member that it has added.
func (s peerServer) writeCollections(round int) {
	s.t.Helper()
	some := func(each ...string) (words []string) {
		for i := range 30 {
			for _, format := range each {
				words = append(words, fmt.Sprintf(format, round*20+i))
			}
		}
		return words
	}
	numbers := strings.NewReplacer("%", strconv.Itoa(round), "@", strconv.Itoa(round*20+25))
	grow := func(words []string, command ...string) { s.do(append(command, words...)...) }
	grow(some("element:%d"), "RPUSH", "list")
	grow(some("%d"), "SADD", "ints")
	grow(some("%d", "member:%d"), "SADD", "set")
	grow(some("%d.25", "member:%d"), "ZADD", "zset")
	grow(some("field:%d", "value %d"), "HSET", "hash")
	for range 5 {
		grow(some("field:%d", "value %d"), "XADD", "stream", "*")
	}
	s.do("XGROUP", "CREATE", "stream", "group", "0") // it is there after the first round
	for _, line := range []string{
		"LMOVE list list:% LEFT RIGHT", "LINSERT list BEFORE element:@ x", "LSET list:% 0 %", "LREM list 1 element:@", "LTRIM list 3 -2",
		"SMOVE set set:% member:@", "SREM ints @", "SPOP set 7", "SPOP ints", "SUNIONSTORE both set ints", "SDIFFSTORE both:% set ints",
		"ZINCRBY zset 0.1 member:@", "ZPOPMIN zset 3", "ZPOPMAX zset", "ZRANGESTORE zset:% zset 0 40", "ZUNIONSTORE sum 2 zset set WEIGHTS 2 1",
		"ZREMRANGEBYRANK zset 10 12", "GEOADD geo 13.361389 38.115556 place:%",
		"HINCRBYFLOAT hash float 0.1", "HINCRBY hash:% int 7", "HDEL hash field:@", "HSETNX hash:% once %",
		"XGROUP CREATE stream group:% $", "XREADGROUP GROUP group one COUNT 3 STREAMS stream >",
		"XREADGROUP GROUP group two COUNT 2 NOACK STREAMS stream >", "XAUTOCLAIM stream group two 0 0 COUNT 2", "XGROUP CREATECONSUMER stream group idle:%",
		"XTRIM stream MAXLEN ~ 150", "XADD stream:% MAXLEN 3 * f v", "XSETID stream:% 99999999999999-%",
		"PFADD hll a:% b:%", "PFMERGE merged hll", "SETBIT bits % 1", "BITFIELD bits INCRBY u8 #% 7",
		"COPY hash copy:%", "SORT ints BY nosort STORE sorted", "EXPIRE list:% 1000", "EXPIRE list 1000", "PERSIST list", "EXPIRE set:% 1000",
	} {
		words := strings.Fields(numbers.Replace(line))
		reply := s.ask(words...)
		// These say something else than whether they have done anything.
		about := words[0] == "SETBIT" || words[0] == "XTRIM" || words[0] == "PFADD"
		if reply[0] == '-' || !about && slices.Contains([]string{":0", ":-1", "(nil)", "*[]"}, reply) {
			s.t.Fatalf("%q does nothing: %s", words, reply)
		}
	}
	s.do("MULTI")
	s.do("SPOP", "set")
	s.do("XADD", "stream", "*", "in", "transaction")
	s.do("RPOPLPUSH", "list", "list")
	s.do("EXEC")
	acknowledge := s.do("XRANGE", "stream", "-", "+", "COUNT", "2")
	for _, entry := range acknowledge.Elements {
		s.do("XACK", "stream", "group", string(entry.Elements[0].Text))
		s.do("XDEL", "stream", string(entry.Elements[0].Text))
	}
}

// TestReplicationPairs runs every pair of node and reference through a full
// sync, a partial one, a promotion and the old primary's return.
func TestReplicationPairs(t *testing.T) {
	starts := map[string]func(*testing.T) peerServer{
		"node":      func(t *testing.T) peerServer { return startPeerNode(t) },
		"reference": func(t *testing.T) peerServer { return startPeerReference(t) },
	}
	for _, pair := range [][2]string{{"node", "node"}, {"node", "reference"}, {"reference", "node"}} {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			a, b := starts[pair[0]](t), starts[pair[1]](t)
			for i := range 50 {
				writeMix(a, i)
			}
			if pair == [2]string{"node", "node"} { // the reference has no such thing
				for _, at := range []string{"90000", "80000000"} {
					a.do("HSET", "fading", "field"+at, "v", "stays", "v")
					a.do("HPEXPIRE", "fading", at, "FIELDS", "1", "field"+at)
				}
			}
			b.do("SET", "old", "gone after the sync")
			b.follow(a)
			for i := range 50 {
				writeMix(a, 50+i)
			}
			awaitSync(t, a, b)
			sameKeyspace(t, a, b)
			for _, kind := range []string{"list", "set", "zset", "hash", "stream"} {
				if got := b.ask("TYPE", kind); got != fmt.Sprintf("+%q", kind) {
					t.Errorf("%s is a %s on the replica", kind, got)
				}
			}
			if x, y := a.ask("DEBUG", "DIGEST"), b.ask("DEBUG", "DIGEST"); x != y {
				t.Errorf("digests are %s and %s", x, y)
			}
			if got := b.ask("SET", "x", "1"); !strings.Contains(got, "READONLY") {
				t.Errorf("a write on the replica answers %s", got)
			}
			waitFor(t, "the acknowledgement", func() bool {
				want := fmt.Sprintf("ip=127.0.0.1,port=%s,state=online,offset=%s,lag=", b.port, a.field("replication", "master_repl_offset"))
				return strings.HasPrefix(a.field("replication", "slave0"), want)
			})
			for i := range 3 {
				a.do("CLIENT", "KILL", "TYPE", "replica")
				writeMix(a, 100+i)
				awaitSync(t, a, b)
			}
			sameKeyspace(t, a, b)
			if full := a.field("stats", "sync_full"); full != "1" {
				t.Errorf("%s full syncs", full)
			}

			b.do("REPLICAOF", "NO", "ONE")
			writeMix(b, 200)
			a.follow(b)
			awaitSync(t, b, a)
			writeMix(b, 201)
			awaitSync(t, b, a)
			sameKeyspace(t, b, a)
			if full := b.field("stats", "sync_full"); full != "0" {
				t.Errorf("%s full syncs after the promotion", full)
			}
			if role := a.ask("ROLE"); !strings.HasPrefix(role, fmt.Sprintf(`*[$"slave" $"127.0.0.1" :%s $"connected"`, b.port)) {
				t.Errorf("the old primary's role is %s", role)
			}
		})
	}
}

// TestReplicationExpiry: the primary deletes, the replica hides.
func TestReplicationExpiry(t *testing.T) {
	a, b := startPeerNode(t), startPeerNode(t)
	b.follow(a)
	awaitSync(t, a, b)
	a.do("SET", "short", "1", "PX", "1")
	waitFor(t, "the expiry on the primary", func() bool { return a.ask("DBSIZE") == ":0" })
	awaitSync(t, a, b)
	if got := b.ask("DBSIZE"); got != ":0" {
		t.Errorf("the replica has %s keys", got)
	}
}

// TestReplicationAuth: masterauth and requirepass, with the reference on either
// side; a wrong password is reported and tried again.
func TestReplicationAuth(t *testing.T) {
	secured := []string{"--requirepass", "secret"}
	for name, pair := range map[string][2]func(*testing.T, ...string) peerServer{
		"node to node":      {startPeerNode, startPeerNode},
		"reference to node": {startPeerReference, startPeerNode},
		"node to reference": {startPeerNode, startPeerReference},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair[0](t, secured...), pair[1](t)
			a.do("AUTH", "secret")
			a.do("SET", "k", "v")
			b.do("CONFIG", "SET", "masterauth", "wrong")
			b.follow(a)
			waitFor(t, "the refusal", func() bool { return strings.Contains(string(a.do("INFO", "errorstats").Text), "errorstat_WRONGPASS") })
			b.do("CONFIG", "SET", "masterauth", "secret")
			awaitSync(t, a, b)
			sameKeyspace(t, a, b)
		})
	}
}

func TestReplicaOfInClusterMode(t *testing.T) {
	n := startPeerNode(t, "--cluster-enabled", "yes")
	for _, line := range []string{"REPLICAOF 127.0.0.1 1", "SLAVEOF NO ONE"} {
		if got := n.ask(strings.Fields(line)...); got != `-"ERR REPLICAOF not allowed in cluster mode."` {
			t.Errorf("%s answers %s", line, got)
		}
	}
	if got := n.ask("FAILOVER"); got != `-"ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead."` {
		t.Errorf("FAILOVER answers %s", got)
	}
}

func TestReplicationChain(t *testing.T) {
	a, b, c := startPeerNode(t), startPeerNode(t), startPeerReference(t)
	b.follow(a)
	awaitSync(t, a, b)
	writeMix(a, 1)
	c.follow(b)
	writeMix(a, 2)
	awaitSync(t, a, b)
	awaitSync(t, b, c)
	writeMix(a, 3)
	awaitSync(t, a, b)
	awaitSync(t, b, c)
	sameKeyspace(t, a, c)
}

func TestWaitCommand(t *testing.T) {
	a, b := startPeerNode(t), startPeerNode(t)
	b.follow(a)
	awaitSync(t, a, b)
	var took []time.Duration
	for i := range 10 {
		a.do("SET", "k", strconv.Itoa(i))
		began := time.Now()
		if got := a.ask("WAIT", "1", "20000"); got != ":1" {
			t.Fatalf("WAIT 1 answers %s", got)
		}
		took = append(took, time.Since(began))
		if got := b.ask("GET", "k"); got != `$"`+strconv.Itoa(i)+`"` {
			t.Errorf("after WAIT the replica has %s", got)
		}
	}
	// A replica that nobody asks tells its offset once a second.
	if slices.Sort(took); took[len(took)/2] > 700*time.Millisecond {
		t.Errorf("WAIT took %s", took)
	}
	if got := a.ask("WAIT", "2", "30"); got != ":1" {
		t.Errorf("WAIT 2 answers %s", got)
	}
	// Many at once, some of whose clients leave.
	var waiting sync.WaitGroup
	for i := range 20 {
		c := dialClient(t, "tcp", "127.0.0.1:"+a.port)
		c.do("SET", "k", "v")
		c.send("WAIT", "2", "3000")
		if i%2 == 0 {
			c.conn.Close()
			continue
		}
		waiting.Go(func() {
			if reply, err := c.receive(); err != nil || reply.Int != 1 {
				t.Errorf("WAIT answers %v, %v", reply, err)
			}
		})
	}
	waiting.Wait()
	deposed := dialClient(t, "tcp", "127.0.0.1:"+a.port)
	deposed.send("WAIT", "3", "0")
	waitFor(t, "the WAIT to begin", func() bool { return a.field("clients", "blocked_clients") == "1" })
	a.follow(b)
	if reply, err := deposed.receive(); err != nil || !strings.HasPrefix(text(reply), `-"UNBLOCKED`) {
		t.Errorf("a WAIT on a node that became a replica answers %s, %v", text(reply), err)
	}
}

// TestReplicationErrors compares the answers of the rows with the reference's.
func TestReplicationErrors(t *testing.T) {
	n, reference := startPeerNode(t), startPeerReference(t)
	for _, line := range []string{
		"REPLICAOF a", "REPLICAOF a b", "REPLICAOF a -1", "REPLICAOF 1 99999", "REPLICAOF no one", "SLAVEOF NO ONE",
		"WAIT a 1", "WAIT 1 a", "WAIT 1 -1", "WAIT -1 10", "WAIT 0 0", "WAIT 1 10", "WAIT 1",
		"REPLCONF", "REPLCONF a", "REPLCONF foo bar", "REPLCONF listening-port x", "REPLCONF listening-port 1 capa",
		"REPLCONF ack", "REPLCONF getack", "REPLCONF rdb-only x", "REPLCONF rdb-filter-only", "REPLCONF rdb-filter-only foo",
		"REPLCONF rdb-filter-only functions", "REPLCONF capa x", "REPLCONF ip-address aaa",
		"REPLCONF ip-address " + strings.Repeat("x", 300),
		"PSYNC a b", "PSYNC a", "PSYNC a 1 FAILOVER", "ROLE x", "ROLE",
		"FAILOVER", "FAILOVER ABORT", "FAILOVER TO a 1", "FAILOVER TO a x", "FAILOVER FORCE", "FAILOVER TIMEOUT 0",
		"FAILOVER TIMEOUT x", "FAILOVER foo", "FAILOVER ABORT x", "FAILOVER TO a", "FAILOVER TO a 1 FORCE TIMEOUT 10",
		"COMMAND INFO wait", "COMMAND INFO psync", "COMMAND INFO role", "COMMAND INFO replicaof",
	} {
		words := strings.Fields(line)
		if got, want := n.ask(words...), reference.ask(words...); got != want {
			t.Errorf("%s: %s, the reference answers %s", line, got, want)
		}
	}
}

func TestFailoverCommand(t *testing.T) {
	a, b := startPeerNode(t), startPeerNode(t)
	a.do("SET", "k", "1")
	b.follow(a)
	awaitSync(t, a, b)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	var acknowledged atomic.Int64
	writer := dialClient(t, "tcp", "127.0.0.1:"+a.port)
	writing.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			writer.send("SET", "count", strconv.Itoa(n))
			reply, err := writer.receive()
			if err != nil || reply.Err() != nil {
				return
			}
			acknowledged.Store(int64(n))
		}
	})
	waitFor(t, "some writes", func() bool { return acknowledged.Load() > 100 })
	if got := a.ask("FAILOVER", "TO", "127.0.0.1", b.port, "TIMEOUT", "5000"); got != `+"OK"` {
		t.Fatalf("FAILOVER answers %s", got)
	}
	waitFor(t, "the roles to change", func() bool {
		return b.field("replication", "role") == "master" && a.field("replication", "master_link_status") == "up"
	})
	close(stop)
	writing.Wait()
	if got := b.ask("GET", "count"); got != fmt.Sprintf(`$"%d"`, acknowledged.Load()) {
		t.Errorf("%d writes were acknowledged, the new primary has %s", acknowledged.Load(), got)
	}
	if state := a.field("replication", "master_failover_state"); state != "no-failover" {
		t.Errorf("failover state %s", state)
	}
	b.do("SET", "k", "2")
	awaitSync(t, b, a)
	sameKeyspace(t, a, b)
}

// TestFullSyncStall reports what a client waits for a command while a replica
// takes a full sync, and without one. It judges nothing but the data: on a busy
// machine the numbers are the machine's. STALL_KEYS=1000000 is the size that
// the promise of 5 ms is about.
func TestFullSyncStall(t *testing.T) {
	keys := 30_000
	if text := os.Getenv("STALL_KEYS"); text != "" {
		var err error
		if keys, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	a, b := startPeerNode(t), startPeerNode(t)
	a.do("DEBUG", "POPULATE", strconv.Itoa(keys), "key", "64")
	t.Logf("%d keys, alone: %s", keys, a.probe(func() bool { return true }))
	b.follow(a)
	during := a.probe(func() bool {
		return a.field("replication", "slave0") != "" && strings.Contains(a.field("replication", "slave0"), "state=online")
	})
	t.Logf("%d keys, full sync: %s", keys, during)
	awaitSync(t, a, b)
	if x, y := a.ask("DBSIZE"), b.ask("DBSIZE"); x != y {
		t.Errorf("%s keys on the primary, %s on the replica", x, y)
	}
}

// probe writes and reads over a connection of its own for at least half a
// second and until over, and tells how long the commands took.
func (s peerServer) probe(over func() bool) string {
	c := dialClient(s.t, "tcp", "127.0.0.1:"+s.port)
	var took []time.Duration
	for began, done := time.Now(), false; !done; done = time.Since(began) > 500*time.Millisecond && over() {
		for i := range 200 {
			key := fmt.Sprintf("key:%d", i*7919%30_000)
			from := time.Now()
			if i%2 == 0 {
				c.do("SET", key, "written")
			} else {
				c.do("GET", key)
			}
			took = append(took, time.Since(from))
		}
	}
	slices.Sort(took)
	return fmt.Sprintf("%d commands, p50 %s, p99.9 %s, max %s", len(took), took[len(took)/2], took[len(took)*999/1000], took[len(took)-1])
}
