package node

import (
	"maps"
	"strings"
	"testing"
)

// fillAllKinds writes a key of every kind.
func fillAllKinds(c *client) {
	for _, line := range []string{
		"set s text", "set n 12", "setex e 1000 v", "rpush l a b c 4", "sadd ints 1 2 3", "sadd words a b c", "hset h f v g 7",
		"zadd z 1 a 2.5 b", "xadd x 1-1 f v", "xadd x 2-1 f w", "xgroup create x g 0", "xreadgroup group g me count 1 streams x >",
		"setbit bits 100 1", "pfadd hll a b c", "geoadd geo 13.36 38.11 palermo", "hset ttl f v", "hpexpireat ttl 4102444800000 fields 1 f",
	} {
		if reply := c.do(strings.Fields(line)...); reply.Err() != nil {
			c.t.Fatalf("%s: %v", line, reply.Err())
		}
	}
}

// dumps waits until the data are loaded and returns DUMP of every key.
func dumps(c *client) map[string]string {
	c.t.Helper()
	waitFor(c.t, "the data", func() bool { return !strings.HasPrefix(c.ask("dbsize"), "-") })
	all := map[string]string{}
	for _, key := range c.do("keys", "*").Elements {
		all[string(key.Text)] = c.ask("dump", string(key.Text))
	}
	return all
}

// stopNode asks a node to end and waits until it has.
func stopNode(t *testing.T, c *client, ended <-chan error, words ...string) {
	t.Helper()
	c.send(append([]string{"shutdown"}, words...)...)
	if err := <-ended; err != nil {
		t.Fatalf("Run: %v", err)
	}
}

// TestDataOutliveTheNode saves in each of the ways there are, and starts again.
func TestDataOutliveTheNode(t *testing.T) {
	for name, save := range map[string]func(*client) []string{
		"SAVE": func(c *client) []string {
			if got := c.ask("save"); got != `+"OK"` {
				t.Errorf("SAVE: %s", got)
			}
			return []string{"nosave"}
		},
		"BGSAVE": func(c *client) []string {
			if got := c.ask("bgsave"); got != `+"Background saving started"` {
				t.Errorf("BGSAVE: %s", got)
			}
			waitFor(c.t, "the save", func() bool {
				v, _ := infoField(string(c.do("info", "persistence").Text), "rdb_saves")
				return v == "1"
			})
			return []string{"nosave"}
		},
		"SHUTDOWN":      func(*client) []string { return nil },
		"SHUTDOWN SAVE": func(c *client) []string { c.do("config", "set", "save", ""); return []string{"save"} },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, dial, ended := startNode(t, "--dir", dir)
			c := dial()
			fillAllKinds(c)
			want := dumps(c)
			stopNode(t, c, ended, save(c)...)
			_, dial, _ = startNode(t, "--dir", dir)
			if got := dumps(dial()); !maps.Equal(got, want) {
				t.Errorf("%d keys, want %d, or what they hold differs", len(got), len(want))
			}
		})
	}
}

// TestWritesAreRefusedWhenSavingFails: what the reference does when it cannot
// save, and that it is over when saving works again.
func TestWritesAreRefusedWhenSavingFails(t *testing.T) {
	_, dial, _ := startNode(t, "--enable-protected-configs", "yes")
	c := dial()
	c.do("config", "set", "dir", "/proc")
	if got := c.ask("save"); !strings.HasPrefix(got, `-"ERR`) {
		t.Errorf("SAVE where nothing can be saved: %s", got)
	}
	c.do("bgsave")
	waitFor(t, "the failure", func() bool { return strings.HasPrefix(c.ask("set", "a", "1"), `-"MISCONF`) })
	if got := c.ask("get", "a"); !strings.HasPrefix(got, "$") && got != "(nil)" {
		t.Errorf("GET: %s", got)
	}
	if v, _ := infoField(string(c.do("info", "persistence").Text), "rdb_last_bgsave_status"); v != "err" {
		t.Errorf("rdb_last_bgsave_status: %s", v)
	}
	if got := c.ask("shutdown", "save"); got != `-"ERR Errors trying to SHUTDOWN. Check logs."` {
		t.Errorf("SHUTDOWN SAVE where nothing can be saved: %s", got)
	}
	c.do("config", "set", "stop-writes-on-bgsave-error", "no")
	if got := c.ask("set", "a", "1"); got != `+"OK"` {
		t.Errorf("SET with stop-writes-on-bgsave-error no: %s", got)
	}
	c.do("config", "set", "stop-writes-on-bgsave-error", "yes", "dir", t.TempDir())
	c.do("bgsave")
	waitFor(t, "a save that works", func() bool { return c.ask("set", "a", "2") == `+"OK"` })
}

// TestSavePoint: changes are saved when a save point is reached.
func TestSavePoint(t *testing.T) {
	_, dial, _ := startNode(t, "--save", "1 3")
	c := dial()
	for _, key := range []string{"a", "b", "c"} {
		c.do("set", key, "1")
	}
	waitFor(t, "the save", func() bool {
		text := string(c.do("info", "persistence").Text)
		saves, _ := infoField(text, "rdb_saves")
		changes, _ := infoField(text, "rdb_changes_since_last_save")
		return saves == "1" && changes == "0"
	})
}

// TestRestartedPrimaryIsFollowed: replicas of a primary that was started again
// with all of its data go on where they were.
func TestRestartedPrimaryIsFollowed(t *testing.T) {
	dir := t.TempDir()
	_, dial, ended := startNode(t, "--dir", dir)
	c := dial()
	replica := dial()
	replica.send("psync", "?", "-1")
	first, err := replica.receive()
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Fields(string(first.Text))[1]
	c.do("set", "a", "1")
	offset, _ := infoField(string(c.do("info", "replication").Text), "master_repl_offset")
	stopNode(t, c, ended, "now", "force")

	n, dial, _ := startNode(t, "--dir", dir)
	c = dial()
	waitFor(t, "the data", func() bool { return !strings.HasPrefix(c.ask("dbsize"), "-") })
	now, former, second := n.journal.IDs()
	if former != id || now == id {
		t.Errorf("ids %s, %s: want another one and %s", now, former, id)
	}
	if got := c.ask("get", "a"); got != `$"1"` {
		t.Errorf("a is %s", got)
	}
	if n.journal.Offset() != second-1 || offset == "" {
		t.Errorf("offset %d, shared up to %d", n.journal.Offset(), second-1)
	}
}

func TestDamagedFileStopsTheStart(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"no file of ours", "hello, world", "wrong signature"},
		{"cut", "REDIS0010\x00\x01k", "byte"},
	} {
		dir := t.TempDir()
		writeFile(t, dir+"/dump.rdb", c.content)
		cfgErr := runToEnd(t, "--dir", dir)
		if cfgErr == nil || !strings.Contains(cfgErr.Error(), c.want) || !strings.Contains(cfgErr.Error(), "dump.rdb") {
			t.Errorf("%s: %v", c.name, cfgErr)
		}
	}
}

// TestAppendOnlyFile: writes of every kind are in the file when their replies
// leave, in every mode, and come back; so do the data after a rewrite, after
// the file was switched on while it ran, and the history with them.
func TestAppendOnlyFile(t *testing.T) {
	for _, fsync := range []string{"always", "everysec", "no"} {
		t.Run(fsync, func(t *testing.T) {
			dir := t.TempDir()
			on := []string{"--dir", dir, "--appendonly", "yes", "--appendfsync", fsync, "--save", ""}
			n, dial, ended := startNode(t, on...)
			c := dial()
			fillAllKinds(c)
			c.do("multi")
			c.do("incr", "n")
			c.do("rpush", "l", "x")
			c.do("exec")
			want, offset := dumps(c), n.journal.Offset()
			stopNode(t, c, ended, "nosave")

			n, dial, ended = startNode(t, on...)
			c = dial()
			if got := dumps(c); !maps.Equal(got, want) {
				t.Fatalf("%d keys, want %d, or what they hold differs", len(got), len(want))
			}
			if _, _, second := n.journal.IDs(); second-1 != offset {
				t.Errorf("the history is shared up to %d, want %d", second-1, offset)
			}
			if got := c.ask("bgrewriteaof"); !strings.HasPrefix(got, `+"Background append only file rewriting started`) {
				t.Errorf("BGREWRITEAOF: %s", got)
			}
			waitFor(t, "the rewrite", func() bool {
				v, _ := infoField(string(c.do("info", "persistence").Text), "aof_rewrites")
				return v == "1"
			})
			c.do("set", "after", "the rewrite")
			if got := c.ask("waitaof", "1", "0", "5000"); got != "*[:1 :0]" {
				t.Errorf("WAITAOF: %s", got)
			}
			want = dumps(c)
			stopNode(t, c, ended, "nosave")

			_, dial, _ = startNode(t, on...)
			if got := dumps(dial()); !maps.Equal(got, want) {
				t.Fatalf("after the rewrite: %d keys, want %d, or what they hold differs", len(got), len(want))
			}
		})
	}
}

// TestAppendOnlyFileSwitchedOn: CONFIG SET appendonly yes writes what is there.
func TestAppendOnlyFileSwitchedOn(t *testing.T) {
	dir := t.TempDir()
	_, dial, ended := startNode(t, "--dir", dir, "--save", "")
	c := dial()
	fillAllKinds(c)
	if got := c.ask("config", "set", "appendonly", "yes"); got != `+"OK"` {
		t.Fatal(got)
	}
	waitFor(t, "the file to be complete", func() bool {
		text := string(c.do("info", "persistence").Text)
		rewriting, _ := infoField(text, "aof_rewrite_in_progress")
		enabled, _ := infoField(text, "aof_enabled")
		return rewriting == "0" && enabled == "1"
	})
	c.do("set", "later", "1")
	want := dumps(c)
	stopNode(t, c, ended, "nosave")
	_, dial, _ = startNode(t, "--dir", dir, "--save", "", "--appendonly", "yes")
	c = dial()
	if got := dumps(c); !maps.Equal(got, want) {
		t.Fatalf("%d keys, want %d, or what they hold differs", len(got), len(want))
	}
	if got := c.ask("config", "set", "appendonly", "no"); got != `+"OK"` {
		t.Fatal(got)
	}
	if got := c.ask("set", "without", "file"); got != `+"OK"` {
		t.Errorf("SET without the file: %s", got)
	}
}

// TestDebugReload: the data are the same after they went through a file.
func TestDebugReload(t *testing.T) {
	_, dial, _ := startNode(t, "--save", "")
	c := dial()
	fillAllKinds(c)
	want := dumps(c)
	for _, line := range []string{"debug reload", "debug reload nosave", "debug reload merge"} {
		if got := c.ask(strings.Fields(line)...); got != `+"OK"` {
			t.Errorf("%s: %s", line, got)
		}
		if got := dumps(c); !maps.Equal(got, want) {
			t.Errorf("%s: %d keys, want %d, or what they hold differs", line, len(got), len(want))
		}
	}
	c.do("set", "new", "1")
	if got := c.ask("debug", "reload", "nosave", "noflush"); !strings.HasPrefix(got, `-"ERR`) {
		t.Errorf("RELOAD NOFLUSH over keys that are there: %s", got)
	}
	if got := c.ask("get", "new"); got != `$"1"` {
		t.Errorf("new is %s", got)
	}
	if got := c.ask("debug", "reload", "nosave"); got != `+"OK"` {
		t.Errorf("RELOAD NOSAVE: %s", got)
	}
	if got := c.ask("exists", "new"); got != ":0" {
		t.Errorf("EXISTS of what was not saved: %s", got)
	}
	if got := c.ask("debug", "reload", "x"); !strings.HasPrefix(got, `-"ERR DEBUG RELOAD only`) {
		t.Errorf("RELOAD x: %s", got)
	}
}

// TestDebugLoadAOF: the data are the same after they were read from the append
// only file, also when a part of that is commands, and writes go on behind it.
func TestDebugLoadAOF(t *testing.T) {
	dir := t.TempDir()
	_, dial, _ := startNode(t, "--dir", dir, "--save", "", "--appendonly", "yes")
	c := dial()
	fillAllKinds(c)
	loaded := func(when string) {
		t.Helper()
		want := dumps(c)
		if got := c.ask("debug", "loadaof"); got != `+"OK"` {
			t.Errorf("%s: %s", when, got)
		}
		if got := dumps(c); !maps.Equal(got, want) {
			t.Errorf("%s: %d keys, want %d, or what they hold differs", when, len(got), len(want))
		}
	}
	loaded("commands only")
	if got := c.ask("config", "set", "appendonly", "no"); got != `+"OK"` {
		t.Fatal(got)
	}
	if got := c.ask("config", "set", "appendonly", "yes"); got != `+"OK"` {
		t.Fatal(got)
	}
	for _, line := range []string{"multi", "set {t}a 1", "incr {t}a", "exec", "multi", "set a 1", "set b 2", "exec", "mset x 1 y 2 z 3", "rename x {q}x", "del y"} {
		c.do(strings.Fields(line)...)
	}
	loaded("a base and commands")
	if got := c.ask("get", "{t}a"); got != `$"2"` {
		t.Errorf("what a transaction did is %s", got)
	}
	c.do("set", "behind", "it")
	loaded("a write behind it")
	if got := c.ask("debug", "loadaof", "x"); !strings.HasPrefix(got, `-"ERR`) {
		t.Errorf("LOADAOF x: %s", got)
	}
	if got := c.ask("config", "set", "appendonly", "no"); got != `+"OK"` {
		t.Fatal(got)
	}
	c.do("set", "not in", "the file")
	if got := c.ask("debug", "loadaof"); got != `+"OK"` {
		t.Errorf("while the file is off: %s", got)
	}
	if got := c.ask("exists", "not in", "behind"); got != ":1" {
		t.Errorf("after it: %s keys of two", got)
	}
}
