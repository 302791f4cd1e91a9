package memory

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const (
	// fullLimit is the least maxmemory for which there is a promise about resident
	// memory; smallLimit is for what does not depend on it.
	fullLimit, smallLimit = 256 << 20, 64 << 20
	// probes is how many keys of each kind are watched.
	probes = 2000
	// farAhead is when far keys expire, in ms.
	farAhead = 4_102_444_800_000
	patience = 60 * time.Second
	// valueMost is the greatest value that is written; growth is what the
	// commands of all writers together may use beyond the limit, with what
	// their connections hold.
	valueMost = 8 << 10
	growth    = 1 << 20
)

// long reports whether tests may take minutes.
func long() bool { return os.Getenv("SLOTMESH_LONG") != "" }

// TestPolicies writes one and a half times maxmemory under each policy, and for a
// minute with SLOTMESH_LONG.
func TestPolicies(t *testing.T) {
	if testing.Short() {
		t.Skip("needs half a minute: left out by -short")
	}
	for _, policy := range []string{
		"noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
		"allkeys-lru", "allkeys-lfu", "allkeys-random",
	} {
		limit := int64(smallLimit)
		if long() || policy == "allkeys-lru" {
			limit = fullLimit
		}
		t.Run(policy, func(t *testing.T) { fill(t, policy, limit) })
	}
}

// filler writes keys to one node.
type filler struct {
	t    *testing.T
	node *harness.Process
	// limit is its maxmemory.
	limit int64
	// volatile gives the filler's own keys a deadline.
	volatile bool
	refused  int
}

// value returns a value of some size, different every time.
func value(r *rand.Rand) string {
	return strings.Repeat(strconv.Itoa(r.IntN(10)), 200+r.IntN(valueMost-200))
}

// batch sends commands in one go and returns their replies.
func batch(t *testing.T, conn *harness.Conn, commands [][]string) []harness.Reply {
	t.Helper()
	var out []byte
	for _, args := range commands {
		out = append(out, harness.Encode(args...)...)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	replies := make([]harness.Reply, len(commands))
	for i := range replies {
		reply, err := conn.Receive()
		if err != nil {
			t.Fatal(err)
		}
		replies[i] = reply
	}
	return replies
}

// load writes the probes: keys named by prefix, with a deadline unless at is 0.
func load(t *testing.T, conn *harness.Conn, prefix string, at int64) {
	t.Helper()
	for i := 0; i < probes; i += 100 {
		var commands [][]string
		for j := i; j < i+100; j++ {
			args := []string{"SET", prefix + strconv.Itoa(j), strings.Repeat("p", 300)}
			if at > 0 {
				args = append(args, "PXAT", strconv.FormatInt(at, 10))
			}
			commands = append(commands, args)
		}
		for _, reply := range batch(t, conn, commands) {
			if reply.IsError() {
				t.Fatalf("loading: %v", reply)
			}
		}
	}
}

// survivors counts the probes that are still there.
func survivors(t *testing.T, conn *harness.Conn, prefix string) int {
	t.Helper()
	args := []string{"EXISTS"}
	for i := range probes {
		args = append(args, prefix+strconv.Itoa(i))
	}
	reply, err := conn.Do(args...)
	if err != nil {
		t.Fatal(err)
	}
	return int(reply.Int())
}

// touch reads the probes of prefix over and over until stop.
func touch(t *testing.T, conn *harness.Conn, prefix string, stop chan struct{}) {
	commands := make([][]string, probes)
	for i := range commands {
		commands[i] = []string{"GET", prefix + strconv.Itoa(i)}
	}
	every(100*time.Millisecond, stop, func() { batch(t, conn, commands) })
}

// falter has a replica stand still again and again, as on a busy machine: what
// waits for it grows and shrinks.
func falter(replica *harness.Process, stop chan struct{}) {
	every(400*time.Millisecond, stop, func() {
		replica.Pause()
		time.Sleep(150 * time.Millisecond)
		replica.Resume()
	})
}

// every does something again and again until stop is closed.
func every(period time.Duration, stop chan struct{}, do func()) {
	pace := time.NewTicker(period)
	defer pace.Stop()
	for {
		select {
		case <-stop:
			return
		case <-pace.C:
			do()
		}
	}
}

// peaks are the greatest values that were seen.
type peaks struct {
	used, resident int64
	// slow is the most that was kept for the replica beyond the backlog: on a
	// machine that others use it falls behind. As with the reference that counts
	// for nothing, or evictions would cause evictions.
	slow  int64
	looks int
	// most is INFO memory when the use was greatest.
	most string
}

func watch(t *testing.T, p *harness.Process, conn *harness.Conn, stop chan struct{}) (seen peaks) {
	for {
		select {
		case <-stop:
			return seen
		default:
		}
		reply, err := conn.Do("INFO", "memory")
		if err != nil {
			t.Error(err)
			return seen
		}
		number := func(name string) int64 {
			n, _ := strconv.ParseInt(harness.Fields(reply.Text)[name], 10, 64)
			return n
		}
		seen.slow = max(seen.slow, number("mem_total_replication_buffers")-number("mem_replication_backlog"))
		if used := number("used_memory") - seen.slow; used > seen.used {
			seen.used, seen.most = used, reply.Text
		}
		resident, err := p.RSS()
		if err != nil {
			t.Error(err)
			return seen
		}
		seen.resident = max(seen.resident, resident-seen.slow)
		seen.looks++
		time.Sleep(2 * time.Millisecond)
	}
}

func fill(t *testing.T, policy string, limit int64) {
	rig := harness.New(t, harness.UnderTest(t))
	node := rig.Start(harness.Options{Name: "primary", Directives: []string{
		"maxmemory " + strconv.FormatInt(limit, 10), "maxmemory-policy " + policy, "maxmemory-samples 10",
	}})
	replica := rig.Start(harness.Options{Name: "replica", Directives: []string{"replicaof 127.0.0.1 " + strconv.Itoa(node.Port)}})
	harness.Await(t, patience, "the replica is in step", func() string {
		if replica.Info("replication")["master_link_status"] == "up" {
			return ""
		}
		return "the link is down"
	})
	conn := node.Connect()
	conn.Timeout = patience
	now := time.Now().UnixMilli()
	hot, cold := int64(0), int64(0)
	if strings.HasPrefix(policy, "volatile") {
		hot, cold = farAhead, farAhead
	}
	load(t, conn, "hot", hot)
	load(t, conn, "cold", cold)
	load(t, conn, "far", farAhead)
	load(t, conn, "near", now+600_000)
	load(t, conn, "lasting", 0)

	f := &filler{t: t, node: node, limit: limit, volatile: strings.HasPrefix(policy, "volatile")}
	stop := make(chan struct{})
	var others sync.WaitGroup
	var seen peaks
	watcher, toucher := node.Connect(), node.Connect()
	others.Go(func() { seen = watch(t, node, watcher, stop) })
	others.Go(func() { touch(t, toucher, "hot", stop) })
	others.Go(func() { falter(replica, stop) })
	if strings.HasSuffix(policy, "lru") {
		// Idle time is counted in seconds.
		harness.Await(t, patience, "the keys that nobody reads are idle", func() string {
			if idle := node.Do("OBJECT", "IDLETIME", "cold1").Int(); idle < 2 {
				return fmt.Sprintf("for %d s", idle)
			}
			return ""
		})
	}
	written := f.run()
	close(stop)
	others.Wait()

	stats := node.Info("stats")
	count := func(prefix string) int { return survivors(t, conn, prefix) }
	left := map[string]int{}
	for _, prefix := range []string{"hot", "cold", "far", "near", "lasting"} {
		left[prefix] = count(prefix)
	}
	t.Logf("%s: %d MiB written, %d refused, %s evicted; used at most %.4f of the limit (%d looks), resident %.3f, without %d KiB for the replica; left of %d: %v", policy,
		written>>20, f.refused, stats["evicted_keys"], float64(seen.used)/float64(limit), seen.looks, float64(seen.resident)/float64(limit), seen.slow>>10, probes, left)
	if !node.Server().Reference {
		if seen.used > limit+growth {
			t.Errorf("%d bytes were used, %d beyond the limit:\n%s", seen.used, seen.used-limit, seen.most)
		}
		if most := float64(seen.resident) / float64(limit); most > 1.15 && limit >= fullLimit {
			t.Errorf("%d bytes were resident, %.3f of the limit", seen.resident, most)
		}
	}
	judge(t, policy, left, f.refused)
	if policy == "noeviction" {
		refuses(t, conn)
	} else if stats["evicted_keys"] == "0" {
		t.Errorf("nothing was evicted")
	}
	harness.Await(t, patience, "the replica is like its primary", func() string {
		if node.Info("replication")["master_repl_offset"] != replica.Info("replication")["slave_repl_offset"] {
			return "it is behind"
		}
		is, want := replica.Do("DEBUG", "DIGEST").Text, node.Do("DEBUG", "DIGEST").Text
		if is != want {
			return is + " instead of " + want
		}
		return ""
	})
}

// run writes until half of the limit was written beyond it, or for a minute,
// and returns how many bytes that was.
func (f *filler) run() (written int64) {
	f.t.Helper()
	var writers sync.WaitGroup
	var mu sync.Mutex
	const each = 2
	for w := range each {
		conn := f.node.Connect()
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 3))
			own, refused := int64(0), 0
			begun := time.Now()
			for n := 0; own < 3*f.limit/2/each || long() && time.Since(begun) < time.Minute; n++ {
				var commands [][]string
				for i := range 20 {
					key := fmt.Sprintf("filler:%d:%d", w, n*20+i)
					v := value(r)
					own += int64(len(v))
					var args []string
					switch i {
					case 0:
						args = []string{"RPUSH", key, v[:len(v)/2], v[len(v)/2:]}
					case 1:
						args = []string{"HSET", key, "a", v[:len(v)/2], "b", v[len(v)/2:]}
					case 2:
						args = []string{"ZADD", key, "1", v}
					default:
						args = []string{"SET", key, v}
					}
					commands = append(commands, args)
					if f.volatile {
						commands = append(commands, []string{"PEXPIREAT", key, strconv.FormatInt(farAhead-int64(r.IntN(1_000_000)), 10)})
					}
				}
				for _, reply := range batch(f.t, conn, commands) {
					if reply.IsError() {
						if !strings.HasPrefix(reply.Text, "OOM ") {
							f.t.Errorf("the filler is answered %v", reply)
							return
						}
						refused++
					}
				}
			}
			mu.Lock()
			written += own
			f.refused += refused
			mu.Unlock()
		})
	}
	writers.Wait()
	return written
}

// judge compares who is left with what the policy says.
func judge(t *testing.T, policy string, left map[string]int, refused int) {
	t.Helper()
	all := func(prefixes ...string) {
		for _, p := range prefixes {
			if left[p] != probes {
				t.Errorf("%d of %d %s keys are left: none may go", left[p], probes, p)
			}
		}
	}
	fewer := func(a, b string) {
		if left[a] > left[b]*3/4 {
			t.Errorf("%d %s keys are left and %d %s keys: the former should go first", left[a], a, left[b], b)
		}
	}
	if policy == "noeviction" {
		all("hot", "cold", "far", "near", "lasting")
		if refused == 0 {
			t.Errorf("no write was refused")
		}
		return
	}
	if refused > 0 {
		t.Errorf("%d writes were refused while there was something to evict", refused)
	}
	if strings.HasPrefix(policy, "volatile") {
		all("lasting")
	}
	switch {
	case strings.HasSuffix(policy, "lru"), strings.HasSuffix(policy, "lfu"):
		fewer("cold", "hot")
	case policy == "volatile-ttl":
		fewer("near", "far")
	default:
		if left["cold"] == probes && left["hot"] == probes {
			t.Errorf("random eviction has left all the probes")
		}
	}
}

// refuses checks what a full node that may not evict still does.
func refuses(t *testing.T, conn *harness.Conn) {
	t.Helper()
	conn.Timeout = patience
	large := func() error {
		_, err := conn.Do("SET", "big", strings.Repeat("b", valueMost))
		return err
	}
	// The last bytes below the limit.
	fill := func() {
		for range 10_000 {
			if large() != nil {
				return
			}
			if _, err := conn.Do("RENAME", "big", "big"+strconv.Itoa(rand.IntN(1<<30))); err != nil {
				t.Fatal(err)
			}
		}
	}
	const oom = "OOM command not allowed when used memory > 'maxmemory'."
	for _, args := range [][]string{
		{"SET", "x", "1"},
		{"LPUSH", "x", "1"},
		{"SADD", "x", "1"},
		{"ZADD", "x", "1", "1"},
		{"HSET", "x", "1", "1"},
		{"XADD", "x", "*", "a", "1"},
		{"PFADD", "x", "1"},
		{"SETBIT", "x", "1", "1"},
		{"GEOADD", "x", "1", "1", "m"},
	} {
		var err error
		for range 20 {
			fill()
			if _, err = conn.Do(args...); err != nil {
				break
			}
			// The node was full no more: the runtime's garbage counts, and was collected.
			conn.Do("DEL", "x")
		}
		if err == nil || err.Error() != oom {
			t.Errorf("%s on a full node: %v", args[0], err)
		}
	}
	if reply, err := conn.Do("GET", "lasting1"); err != nil || len(reply.Text) != 300 {
		t.Errorf("GET on a full node: %v %v", reply, err)
	}
	for i := range 1000 {
		if reply, err := conn.Do("DEL", "filler:0:"+strconv.Itoa(i)); err != nil || reply.Int() != 1 {
			t.Fatalf("DEL on a full node: %v %v", reply, err)
		}
	}
	if err := large(); err != nil {
		t.Errorf("SET after 1000 keys were deleted: %v", err)
	}
}
