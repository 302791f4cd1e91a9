package node

import (
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
