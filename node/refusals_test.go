package node

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestWritesAreRefusedWithoutReplicas(t *testing.T) {
	_, dial, _ := startNode(t)
	c := dial()
	const refused = `-"NOREPLICAS Not enough good replicas to write."`
	if got := c.ask("config", "set", "min-replicas-to-write", "1"); got != `+"OK"` {
		t.Fatal(got)
	}
	if got := c.ask("set", "a", "1"); got != refused {
		t.Errorf("SET without replicas: %s", got)
	}
	if got := c.ask("get", "a"); got != `(nil)` {
		t.Errorf("GET without replicas: %s", got)
	}
	replica := dial()
	replica.send("sync")
	waitFor(t, "a write with a replica", func() bool { return c.ask("set", "a", "1") == `+"OK"` })
	replica.conn.Close()
	waitFor(t, "the replica's leaving to be noticed", func() bool { return c.ask("set", "a", "1") == refused })
	c.do("config", "set", "min-replicas-to-write", "0")
	if got := c.ask("set", "a", "1"); got != `+"OK"` {
		t.Errorf("SET when none is asked for: %s", got)
	}
}

func TestWritesAreRefusedBeyondMaxmemory(t *testing.T) {
	_, dial, _ := startNode(t)
	c := dial()
	c.do("set", "a", "1")
	runtime.GC() // the limit counts what a collection found alive
	c.do("config", "set", "maxmemory", "1")
	if got := c.ask("set", "a", "2"); got != `-"OOM command not allowed when used memory > 'maxmemory'."` {
		t.Errorf("SET beyond maxmemory: %s", got)
	}
	if got := c.ask("del", "a"); got != `:1` {
		t.Errorf("DEL beyond maxmemory: %s", got)
	}
	c.do("config", "set", "maxmemory", "0")
	if got := c.ask("set", "a", "2"); got != `+"OK"` {
		t.Errorf("SET without a limit: %s", got)
	}
}

// TestSurroundingsCount has what surrounds the data count, with limits for which it
// is much and of which it leaves most.
func TestSurroundingsCount(t *testing.T) {
	n, dial, _ := startNode(t)
	debug.FreeOSMemory() // what the runtime has and never wrote to is not resident
	for _, tt := range []struct{ limit, least, most int64 }{
		{1 << 20, 1 << 16, 1 << 16}, // the program alone is more
		{256 << 20, 1 << 20, 16 << 20},
		{1 << 40, 0, 0},
	} {
		if got := aroundThatCounts(n.surroundings(), tt.limit); got < tt.least || got > tt.most {
			t.Errorf("with a limit of %d bytes, %d count, not %d to %d", tt.limit, got, tt.least, tt.most)
		}
	}
	c := dial()
	c.do("config", "set", "maxmemory", "256mb")
	owned, _ := runtimeBytes()
	around, besides := n.refusals.around.Load(), n.refusals.besides.Load()
	if around < 1<<20 || besides < owned/2 || n.countedMemory() < around+besides {
		t.Errorf("%d bytes around the data and %d of the runtime, but only %d and %d count", around, owned, besides, n.countedMemory())
	}
	// Another limit is in force with the reply, before anybody looks at memory again.
	c.do("config", "set", "maxmemory", "1mb")
	if around := n.refusals.around.Load(); around > 1<<16 {
		t.Errorf("%d bytes around the data count of a limit of a megabyte", around)
	}
	// What was known when a limit was last in force is not what a new one counts.
	c.do("config", "set", "maxmemory", "0")
	n.refusals.surroundings.Store(1)
	n.refusals.besides.Store(1)
	n.refreshRefusals()
	c.do("config", "set", "maxmemory", "256mb")
	if around, besides := n.refusals.around.Load(), n.refusals.besides.Load(); around < 1<<20 || besides < owned/2 {
		t.Errorf("%d bytes around the data and %d of the runtime count of a limit that is set again", around, besides)
	}
}
