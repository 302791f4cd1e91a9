package node

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestShutdownOptions(t *testing.T) {
	words := func(args ...string) (list [][]byte) {
		for _, arg := range args {
			list = append(list, []byte(arg))
		}
		return list
	}
	o, abort, err := parseShutdown(words("NoSave", "NOW", "force"))
	if err != nil || abort || o != (shutdownOptions{nosave: true, now: true, force: true}) {
		t.Errorf("got %+v %v %v", o, abort, err)
	}
	if _, abort, err := parseShutdown(words("abort")); !abort || err != nil {
		t.Errorf("abort: %v %v", abort, err)
	}
	for _, bad := range [][]string{{"x"}, {"save", "nosave"}, {"abort", "now"}, {"nosave", "abort"}} {
		if _, _, err := parseShutdown(words(bad...)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestShutdownWaitsForReplicas has a replica that never acknowledges: SHUTDOWN
// waits and can be aborted, NOW does not wait.
func TestShutdownWaitsForReplicas(t *testing.T) {
	n, dial, ended := startNode(t, "--shutdown-timeout", "1000")
	c, replica := dial(), dial()
	c.do("set", "a", "1")
	replica.send("sync")
	waitFor(t, "the replica to be online", func() bool {
		info := n.replication.Info()
		return len(info.Replicas) == 1 && info.Replicas[0].State.String() == "online"
	})
	c.do("set", "a", "2")
	if n.laggingReplicas(n.journal.Offset()) != 1 {
		t.Fatal("the replica does not lag")
	}
	second := dial()
	second.send("shutdown", "nosave")
	waitFor(t, "the shutdown to wait", func() bool {
		_, underWay := n.shutdownIn()
		return underWay
	})
	if value, ok := infoField(string(c.do("info", "server").Text), "shutdown_in_milliseconds"); !ok || value == "0" {
		t.Errorf("shutdown_in_milliseconds %q", value)
	}
	if got := c.ask("shutdown", "abort"); got != `+"OK"` {
		t.Errorf("SHUTDOWN ABORT: %s", got)
	}
	if reply, err := second.receive(); err != nil || text(reply) != `-"ERR Errors trying to SHUTDOWN. Check logs."` {
		t.Errorf("the aborted SHUTDOWN: %s %v", text(reply), err)
	}
	if got := c.ask("set", "a", "3"); got != `+"OK"` {
		t.Errorf("a write after ABORT: %s", got)
	}
	c.send("shutdown", "nosave", "now")
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the node does not end")
	}
	if _, err := c.receive(); err == nil {
		t.Error("SHUTDOWN was answered")
	}
}

// TestShutdownSavesWhatItAcknowledged writes while a node that keeps nothing but
// snapshots is told to end.
func TestShutdownSavesWhatItAcknowledged(t *testing.T) {
	const long = 2 << 20 // a string that is changed off the loop
	for _, args := range [][]string{{"shutdown"}, {"shutdown", "now"}} {
		dir := t.TempDir()
		_, dial, ended := startNode(t, "--dir", dir, "--save", "3600 1")
		c := dial()
		c.do("debug", "populate", "200000")
		c.do("set", "count", "0")
		c.do("setrange", "string", fmt.Sprint(long-1), "x")
		var counted, written atomic.Int64
		var writers sync.WaitGroup
		write := func(acknowledged *atomic.Int64, command func(n int64) []string) {
			writer := dial()
			writers.Go(func() {
				for n := int64(1); ; n++ {
					if writer.trySend(command(n)...) != nil {
						return
					}
					if reply, err := writer.receive(); err != nil || reply.Err() != nil {
						return
					}
					acknowledged.Store(n)
				}
			})
		}
		write(&counted, func(int64) []string { return []string{"incr", "count"} })
		write(&written, func(n int64) []string { return []string{"setrange", "string", fmt.Sprint(long + n - 1), "x"} })
		waitFor(t, "writes of both kinds", func() bool { return counted.Load() > 100 && written.Load() > 10 })
		c.send(args...)
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("the node does not end")
		}
		writers.Wait()
		_, dial, _ = startNode(t, "--dir", dir, "--save", "")
		c = dial()
		waitFor(t, "the data to be loaded", func() bool { return infoOf(c, "loading") == "0" })
		if got, n := c.ask("get", "count"), counted.Load(); got != fmt.Sprintf("$%q", fmt.Sprint(n)) && got != fmt.Sprintf("$%q", fmt.Sprint(n+1)) {
			t.Errorf("%v: %d increments were acknowledged, kept are %s", args, n, got)
		}
		if got, n := c.do("strlen", "string").Int-long, written.Load(); got != n && got != n+1 {
			t.Errorf("%v: %d writes off the loop were acknowledged, kept are %d", args, n, got)
		}
	}
}

// TestShutdownThatCannotSave leaves the node as it was.
func TestShutdownThatCannotSave(t *testing.T) {
	dir := t.TempDir()
	_, dial, _ := startNode(t, "--dir", dir, "--save", "3600 1", "--stop-writes-on-bgsave-error", "no")
	c := dial()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"shutdown"}, {"shutdown", "now"}, {"shutdown", "save"}} {
		if got := c.ask(args...); got != `-"ERR Errors trying to SHUTDOWN. Check logs."` {
			t.Errorf("%v: %s", args, got)
		}
		if got := c.ask("set", "key", "value"); got != `+"OK"` {
			t.Errorf("a write after %v: %s", args, got)
		}
	}
}

func TestDebugSleepHoldsUpNobodyElse(t *testing.T) {
	_, dial, _ := startNode(t)
	asleep := dial()
	asleep.send("debug", "sleep", "1000")
	others := make([]*client, 8)
	for i := range others {
		others[i] = dial()
		if got := others[i].ask("set", "k", "v"); got != `+"OK"` {
			t.Errorf("SET: %s", got)
		}
	}
}
