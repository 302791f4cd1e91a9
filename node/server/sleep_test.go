package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// TestManySleepers has thousands of clients wait for one key and serves them
// one by one: in the order in which they came.
func TestManySleepers(t *testing.T) {
	const n = 2000
	r := newRig(t, func(o *Options) { o.Settings.MaxClients = fixedInt(3 * n) })
	waiting := make([]*client, n)
	for i := range waiting {
		waiting[i] = r.dial()
		waiting[i].send("BLPOP k 0\r\n")
		until(t, "the next one to block", func() bool { return r.engine.Blocked() == i+1 })
	}
	other := r.dial()
	for i := 0; i < n; {
		// Some are served by one push, others by one of many elements.
		push := "RPUSH k"
		count := 1 + i%7*20
		for j := range min(count, n-i) {
			push += fmt.Sprint(" ", i+j)
		}
		other.send(push + "\r\n")
		if got := other.reply(); got != fmt.Sprint(min(count, n-i)) {
			t.Fatalf("%.50s: %s", push, got)
		}
		i += min(count, n-i)
	}
	for i, c := range waiting {
		if got := c.reply(); got != fmt.Sprintf("*[k %d]", i) {
			t.Fatalf("client %d got %s", i, got)
		}
	}
	until(t, "nobody to block", func() bool { return r.srv.Stats().BlockedClients == 0 && r.engine.Blocked() == 0 })
	other.expect("EXISTS k", "0")
}

// TestSleepersLoseNothing has consumers that wait for several keys, with short
// timeouts, and that leave, are killed and unblocked, while producers push to
// all keys: every element arrives once, at a consumer or where it was moved to,
// or is still there.
func TestSleepersLoseNothing(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Settings.MaxClients = fixedInt(5000) })
	const producers, consumers, each, keys = 4, 24, 400, 5
	var mu sync.Mutex
	seen := make(map[string]int)
	note := func(element string) {
		mu.Lock()
		seen[element]++
		mu.Unlock()
	}
	var stop atomic.Bool
	var group, pushing sync.WaitGroup
	for i := range consumers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			c := r.dial()
			for !stop.Load() {
				key := func() string { return fmt.Sprint("k", random.IntN(keys)) }
				timeout := []string{"0.001", "0.01", "0.3"}[random.IntN(3)]
				var got string
				switch random.IntN(5) {
				case 0:
					got = c.do(fmt.Sprintf("BLMOVE %s sink%d LEFT RIGHT %s", key(), random.IntN(3), timeout))
					if got != "nil" {
						note(got)
					}
					continue
				case 1:
					c.do(fmt.Sprintf("BLMOVE %s %s LEFT RIGHT %s", key(), key(), timeout))
					continue
				case 2:
					got = c.do(fmt.Sprintf("BLMPOP %s 2 %s %s RIGHT", timeout, key(), key()))
				default:
					got = c.do(fmt.Sprintf("BLPOP %s %s %s %s", key(), key(), key(), timeout))
				}
				switch {
				case got == "nil" || strings.HasPrefix(got, "-UNBLOCKED"):
				case strings.HasPrefix(got, "*["):
					fields := strings.Fields(strings.NewReplacer("*[", " ", "[", " ", "]", " ").Replace(got))
					note(fields[len(fields)-1])
				default:
					t.Errorf("got %q", got)
					return
				}
			}
		})
	}
	// Others are unblocked by force.
	group.Go(func() {
		c := r.dial()
		for id := uint64(1); !stop.Load(); id = id%(consumers+producers) + 1 {
			c.do(fmt.Sprint("CLIENT UNBLOCK ", id, " ", []string{"TIMEOUT", "ERROR"}[id%2]))
		}
	})
	for i := range producers {
		pushing.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 2))
			c := r.dial()
			for n := range each {
				element := fmt.Sprintf("e%d.%d", i, n)
				key := fmt.Sprint("k", random.IntN(keys))
				switch random.IntN(4) {
				case 0:
					c.expect("MULTI", "OK")
					c.expect("RPUSH "+key+" "+element, "QUEUED")
					c.expect("PING", "QUEUED")
					c.do("EXEC")
				case 1:
					temporary := fmt.Sprint("t", i)
					c.expect("RPUSH "+temporary+" "+element, "1")
					// RENAME would replace what is there.
					c.expect("LMOVE "+temporary+" "+key+" LEFT RIGHT", element)
				default:
					c.do("LPUSH " + key + " " + element)
				}
			}
		})
	}
	pushing.Wait()
	last := r.dial()
	until(t, "the consumers to take everything", func() bool {
		left := 0
		for key := range keys {
			if last.do(fmt.Sprint("LLEN k", key)) != "0" {
				left++
			}
		}
		return left == 0
	})
	stop.Store(true)
	group.Wait()
	for key := range keys {
		// What moved in the last moment.
		for got := last.do(fmt.Sprint("LPOP k", key)); got != "nil"; got = last.do(fmt.Sprint("LPOP k", key)) {
			note(got)
		}
	}
	for i := range producers {
		for n := range each {
			element := fmt.Sprintf("e%d.%d", i, n)
			if seen[element] != 1 {
				t.Errorf("%s was seen %d times", element, seen[element])
			}
		}
	}
	for sink := range 3 {
		for got := last.do(fmt.Sprint("LPOP sink", sink)); got != "nil"; got = last.do(fmt.Sprint("LPOP sink", sink)) {
			seen[got]--
		}
	}
	until(t, "nobody to block", func() bool { return r.srv.Stats().BlockedClients == 0 && r.engine.Blocked() == 0 })
}

// TestSleepersOfSlots has clients wait for keys of slots that leave, and the
// node become a replica.
func TestSleepersOfSlots(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Settings.ClusterEnabled = true })
	r.engine.SetRouting(testTable())
	stays, leaves, gone := r.dial(), r.dial(), r.dial()
	// b is slot 3300, c is 7365, a is 15495 and belongs to the other node.
	gone.expect("BLPOP a 0", "-MOVED 15495 127.0.0.1:2")
	gone.expect("BLPOP b c 0", "-CROSSSLOT Keys in request don't hash to the same slot")
	stays.send("BLPOP b 0\r\n")
	leaves.send("BLMOVE c c{c} LEFT RIGHT 0\r\nPING\r\n")
	until(t, "two to block", func() bool { return r.engine.Blocked() == 2 })
	table := testTable()
	table.Owner[slots.Of([]byte("c"))] = 1
	r.engine.SetRouting(table)
	if a, b := leaves.reply(), leaves.reply(); a != "-MOVED 7365 127.0.0.1:2" || b != "PONG" {
		t.Errorf("got %q and %q", a, b)
	}
	if n := r.engine.Blocked(); n != 1 {
		t.Errorf("%d are blocked", n)
	}
	other := r.dial()
	other.expect("RPUSH b 1", "1")
	if got := stays.reply(); got != "*[b 1]" {
		t.Errorf("got %q", got)
	}
	stays.send("BLPOP b 0\r\nPING\r\n")
	until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
	table = testTable()
	table.Up = false
	r.engine.SetRouting(table)
	if got := stays.reply(); got != "-CLUSTERDOWN The cluster is down" {
		t.Errorf("got %q", got)
	}
	stays.reply()
	r.engine.SetRouting(testTable())
	stays.send("BLPOP b 0\r\nPING\r\n")
	until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
	r.engine.SetReplica(true)
	if got := stays.reply(); got != "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)" {
		t.Errorf("got %q", got)
	}
	if !stays.closed() {
		t.Error("the connection is still open")
	}
}

// TestKilledSleeperTakesNothing: a client that was killed is served no more, although its
// loop has not come to closing it.
func TestKilledSleeperTakesNothing(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.send("BLPOP k 0\r\n")
	until(t, "it to be listed as blocked", func() bool { v := r.only(); return v != nil && v.snapshot().blocked != nil })
	s := r.only()
	busy := make(chan struct{})
	s.tr.post(func() { <-busy })
	r.srv.kill(s)
	push := callOf(r, "RPUSH", "k", "v")
	r.engine.ExecuteWait(push)
	length := callOf(r, "LLEN", "k")
	r.engine.ExecuteWait(length)
	if got := string(length.Reply.Buf); got != ":1\r\n" {
		t.Errorf("LLEN: %q", got)
	}
	close(busy)
	if !c.closed() {
		t.Error("it was not closed")
	}
}

// TestSleeperBehindFence: the reply of one who was served leaves when that of
// the write may, and not at all after the role was lost.
func TestSleeperBehindFence(t *testing.T) {
	fence := &testFence{state: FenceOpen, term: 1}
	r := newRig(t, func(o *Options) { o.Fence = fence })
	held, lost, other := r.dial(), r.dial(), r.dial()
	held.send("BLPOP k 0\r\n")
	until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
	// The push is let in, and then the lease is stale.
	r.engine.ExecuteWait(callOf(r, "RPUSH", "k", "1"))
	if got := held.reply(); got != "*[k 1]" {
		t.Errorf("got %q", got)
	}
	held.send("BLPOP k 0\r\n")
	until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
	fence.set(FenceHeld, 1)
	r.engine.ExecuteWait(callOf(r, "RPUSH", "k", "2"))
	until(t, "the reply to be held", func() bool { return fence.waiters() > 0 })
	fence.set(FenceOpen, 1)
	if got := held.reply(); got != "*[k 2]" {
		t.Errorf("got %q", got)
	}
	fence.set(FenceOpen, 2)
	r.engine.ExecuteWait(callOf(r, "RPUSH", "waits", "ready"))
	lost.expect("BLPOP waits 0", "*[waits ready]")
	held.send("BLPOP k 0\r\n")
	until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
	fence.set(FenceOpen, 3)
	r.engine.ExecuteWait(callOf(r, "RPUSH", "k", "late"))
	if got := held.reply(); got != "*[k late]" {
		t.Errorf("got %q", got)
	}
	lost.send("BLPOP k 0\r\n")
	until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
	fence.set(FenceHeld, 3)
	r.engine.ExecuteWait(callOf(r, "RPUSH", "k", "3"))
	until(t, "the reply to be held", func() bool { return fence.waiters() > 0 })
	fence.set(FenceOpen, 4)
	if !lost.closed() {
		t.Error("a reply of an older term left")
	}
	other.expect("EXISTS k", "0")
}

// TestSleeperOfALostCluster: who waits is told that the cluster is down.
func TestSleeperOfALostCluster(t *testing.T) {
	fence := &testFence{state: FenceOpen, term: 1}
	r := newRig(t, func(o *Options) { o.Fence = fence })
	c := r.dial()
	c.send("BLPOP k 0\r\nPING\r\n")
	until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
	// That the role was lost and won before is no reason not to hear of it.
	fence.set(FenceOpen, 2)
	fence.set(FenceDown, 2)
	if a, b := c.reply(), c.reply(); a != "-CLUSTERDOWN The cluster is down" || b != "PONG" {
		t.Errorf("got %q and %q", a, b)
	}
	// The slot table may say so first, when the fence lets nothing else out.
	fence.set(FenceOpen, 2)
	c.send("BLPOP k 0\r\nPING\r\n")
	until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
	fence.set(FenceHeld, 2)
	table := testTable()
	table.Owner[slots.Of([]byte("k"))] = 1
	r.engine.SetRouting(table)
	if a, b := c.reply(), c.reply(); !strings.HasPrefix(a, "-MOVED ") || b != "PONG" {
		t.Errorf("got %q and %q", a, b)
	}
}

func callOf(r *rig, args ...string) *command.Call {
	c := &command.Call{Lane: r.engine.Background(), Reply: new(resp.Writer)}
	for _, arg := range args {
		c.Args = append(c.Args, []byte(arg))
	}
	c.Spec, _ = r.engine.Table().Find(c.Args)
	return c
}

// TestSleeperTimes looks at how long timeouts are.
func TestSleeperTimes(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []*client{r.dial(), r.dialUnix()} {
		begun := time.Now()
		c.expect("BLPOP k 0.15", "nil")
		if took := time.Since(begun); took < 150*time.Millisecond || took > 10*time.Second {
			t.Errorf("0.15 s took %v", took)
		}
		c.send("BLPOP k 100\r\nPING\r\n")
		until(t, "one to block", func() bool { return r.engine.Blocked() == 1 })
		c.conn.Close()
		until(t, "the departure to be noticed", func() bool { return r.engine.Blocked() == 0 && r.srv.blocked.Load() == 0 })
	}
}
