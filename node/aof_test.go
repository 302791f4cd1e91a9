package node

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"slotmesh/node/resp"
)

// infoOf is one field of INFO persistence.
func infoOf(c *client, field string) string {
	c.t.Helper()
	v, _ := infoField(string(c.do("info", "persistence").Text), field)
	return v
}

// rewrite runs BGREWRITEAOF to its end.
func rewrite(c *client) {
	c.t.Helper()
	before := infoOf(c, "aof_rewrites")
	if got := c.ask("bgrewriteaof"); got != `+"Background append only file rewriting started"` {
		c.t.Fatalf("BGREWRITEAOF: %s", got)
	}
	waitFor(c.t, "the rewrite", func() bool { return infoOf(c, "aof_rewrites") != before })
	if got := infoOf(c, "aof_last_bgrewrite_status"); got != "ok" {
		c.t.Fatalf("aof_last_bgrewrite_status: %s", got)
	}
}

// fillChunks writes collections that take several commands each, and streams
// with all that they know.
func fillChunks(c *client) {
	for i := range 3*64 + 1 {
		n := fmt.Sprint(i)
		c.do("rpush", "list", n, "text\r\n"+n)
		c.do("sadd", "set", "member"+n)
		c.do("sadd", "ints", n)
		c.do("zadd", "zset", fmt.Sprint(float64(i)/7), "member"+n)
		c.do("hset", "hash", "field"+n, strings.Repeat("v", i))
		c.do("hset", "fields", "field"+n, n)
		if i%3 > 0 {
			c.do("hpexpireat", "fields", fmt.Sprint(4102444800000+int64(i/70)), "fields", "1", "field"+n)
		}
		c.do("xadd", "stream", n+"-1", "f", n, "g", "")
	}
	c.do("zadd", "zset", "inf", "most", "-inf", "least", "1e-300", "small")
	for _, line := range []string{
		"pexpireat list 4102444800000",
		"xadd empty 5-5 f v", "xdel empty 5-5", "xgroup create empty g 5-5", "xgroup create never g $ mkstream",
		"xdel stream 7-1", "xgroup create stream g 3-1 entriesread 4", "xgroup createconsumer stream g idle",
		"xreadgroup group g one count 70 streams stream >", "xreadgroup group g two count 3 streams stream >",
		"xclaim stream g two 0 9-1 time 1700000000000 retrycount 12 justid",
		"xadd trimmed 1-1 f v", "xadd trimmed 2-1 f v", "xgroup create trimmed g 0",
		"xreadgroup group g me streams trimmed >", "xdel trimmed 1-1",
	} {
		if reply := c.do(strings.Fields(line)...); reply.Err() != nil {
			c.t.Fatalf("%s: %v", line, reply.Err())
		}
	}
	c.do("select", "3")
	c.do("set", "elsewhere", "1")
	c.do("select", "0")
}

// knowledge is what a server can say of the data.
func knowledge(c *client) map[string]string {
	c.t.Helper()
	known := map[string]string{"digest": c.ask("debug", "digest")}
	for _, key := range []string{"stream", "empty", "never", "trimmed", "x"} {
		// The reference's tree of blocks, and when consumers were seen, are no data.
		full := regexp.MustCompile(`\$"radix-tree-(keys|nodes)" :\d+ |\$"(seen-time|active-time)" :-?\d+ `).ReplaceAllString(c.ask("xinfo", "stream", key, "full", "count", "0"), "")
		known[key] = full
		known["expiry of "+key] = c.ask("pexpiretime", key)
	}
	known["expiry of list"] = c.ask("pexpiretime", "list")
	return known
}

func differences(got, want map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			fmt.Fprintf(&b, "%s:\n got %s\nwant %s\n", name, got[name], want[name])
		}
	}
	return b.String()
}

// TestPlainBase: without an RDB preamble a base is commands that any client might
// send, and holds everything, for this server and for the reference.
func TestPlainBase(t *testing.T) {
	dir := t.TempDir()
	_, dial, ended := startNode(t, "--dir", dir, "--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--save", "")
	c := dial()
	fillAllKinds(c)
	fillChunks(c)
	rewrite(c)
	ttl, trimmed := c.ask("hpexpiretime", "fields", "fields", "4", "field0", "field1", "field2", "field130"), c.ask("dump", "trimmed")
	want := knowledge(c)
	bases, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.base.aof"))
	if err != nil || len(bases) != 1 {
		t.Fatalf("bases: %q, %v", bases, err)
	}
	content, err := os.ReadFile(bases[0])
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, m := range regexp.MustCompile(`\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n`).FindAllSubmatch(content, -1) {
		counts[string(m[1])]++
	}
	// Only the entries that were deleted while they were pending need RESTORE.
	if counts["RESTORE"] != 1 || counts["RPUSH"] != 8 || counts["HMSET"] < 8 || counts["XCLAIM"] != 74 || counts["HPEXPIREAT"] < 4 {
		t.Errorf("commands of the base: %v", counts)
	}
	stopNode(t, c, ended, "nosave")

	_, dial, ended = startNode(t, "--dir", dir, "--appendonly", "yes", "--save", "")
	c = dial()
	waitFor(t, "the data", func() bool { return !strings.HasPrefix(c.ask("dbsize"), "-") })
	if diff := differences(knowledge(c), want); diff != "" {
		t.Errorf("after a restart:\n%s", diff)
	}
	if got := c.ask("hpexpiretime", "fields", "fields", "4", "field0", "field1", "field2", "field130"); got != ttl {
		t.Errorf("deadlines of fields: %s, want %s", got, ttl)
	}
	if got := c.ask("dump", "trimmed"); got != trimmed {
		t.Error("the stream with a deleted pending entry differs")
	}
	// The reference knows no deadlines of fields.
	c.do("del", "ttl", "fields", "hll")
	c.do("config", "set", "aof-use-rdb-preamble", "no")
	rewrite(c)
	want = knowledge(c)
	stopNode(t, c, ended, "nosave")
	peer := startReference(t, "--dir", dir, "--appendonly", "yes", "--aof-use-rdb-preamble", "no")()
	if diff := differences(knowledge(peer), want); diff != "" {
		t.Errorf("in the reference:\n%s", diff)
	}
}

// aofBytes returns the contents of the files of a kind in dir, by name.
func aofBytes(t *testing.T, dir, kind string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*."+kind+".*"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(content)
	}
	return files
}

// TestLazyExpiryIsJournaled: replicas and files are told UNLINK or DEL of what expired,
// as lazyfree-lazy-expire says.
func TestLazyExpiryIsJournaled(t *testing.T) {
	dir := t.TempDir()
	_, dial, ended := startNode(t, "--dir", dir, "--appendonly", "yes", "--lazyfree-lazy-expire", "yes", "--save", "")
	c := dial()
	for _, line := range []string{
		"set lazily v", "expire lazily -1", "config set lazyfree-lazy-expire no", "set at-once v", "expire at-once -1",
	} {
		c.do(strings.Fields(line)...)
	}
	stopNode(t, c, ended, "nosave")
	for name, content := range aofBytes(t, dir, "incr") {
		for _, want := range []string{"UNLINK\r\n$6\r\nlazily", "DEL\r\n$7\r\nat-once"} {
			if !strings.Contains(content, want) {
				t.Errorf("%s has no %q: %q", name, want, content)
			}
		}
	}
}

// TestFullSyncIsTheBase: what a full sync brings is the base of the replica's file
// as it came; where it cannot be, the data are written anew. Either way they are
// there after a restart without the primary.
func TestFullSyncIsTheBase(t *testing.T) {
	for _, kind := range []struct {
		name      string
		reference bool
		options   []string
		received  bool
	}{
		{"from a node", false, nil, true},
		{"from the reference", true, nil, true},
		{"base of commands", false, []string{"--aof-use-rdb-preamble", "no"}, false},
	} {
		t.Run(kind.name, func(t *testing.T) {
			start := startPeerNode
			if kind.reference {
				start = startPeerReference
			}
			primary := start(t, "--save", "")
			// The reference refuses the deadlines of fields among it.
			fillChunks(primary.client)
			dir := t.TempDir()
			on := append([]string{"--dir", dir, "--appendonly", "yes", "--save", ""}, kind.options...)
			port := freePort(t)
			_, dial, ended := startNode(t, append(on, "--port", port, "--bind", "127.0.0.1")...)
			replica := peerServer{dial(), port}
			replica.do("set", "former", "data")
			for round := range 2 {
				if round > 0 {
					replica.do("replicaof", "no", "one")
					replica.do("set", "own", "write")
				}
				replica.follow(primary)
				awaitSync(t, primary, replica)
				primary.do("incr", "n")
				awaitSync(t, primary, replica)
				waitFor(t, "the base", func() bool { return infoOf(replica.client, "aof_rewrites") == fmt.Sprint(round+1) })
				bases := aofBytes(t, dir, "base")
				if len(bases) != 1 {
					t.Fatalf("%d bases", len(bases))
				}
				for name, content := range bases {
					// A base of our own says that it is one.
					marked := strings.Contains(content[:min(len(content), 300)], "aof-base\xc0\x01")
					if received := strings.HasSuffix(name, ".rdb") && !marked; received != kind.received {
						t.Errorf("round %d: base %s, received as it is: %v", round, name, received)
					}
				}
			}
			if got := replica.ask("exists", "former", "own") + replica.ask("exists", "n", "list"); got != ":0:2" {
				t.Fatalf("the replica's keys: %s", got)
			}
			want := knowledge(replica.client)
			stopNode(t, replica.client, ended, "nosave")
			leftovers, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "temp-*"))
			if err != nil || len(leftovers) > 0 {
				t.Errorf("left over: %q, %v", leftovers, err)
			}
			n, dial, _ := startNode(t, on...)
			c := dial()
			waitFor(t, "the data", func() bool { return !strings.HasPrefix(c.ask("dbsize"), "-") })
			if diff := differences(knowledge(c), want); diff != "" {
				t.Errorf("after a restart:\n%s", diff)
			}
			if _, _, second := n.journal.IDs(); second < 0 {
				t.Error("the history of the primary is not known any more")
			}
		})
	}
}

// TestStartFromRDB: a node that finds an RDB file and no append only file serves when
// that holds the data: a crash right after the first write loses nothing.
func TestStartFromRDB(t *testing.T) {
	dir := t.TempDir()
	_, dial, ended := startNode(t, "--dir", dir)
	c := dial()
	c.do("debug", "populate", "50000", "key", "100")
	stopNode(t, c, ended, "save")
	_, dial, _ = startNode(t, "--dir", dir, "--appendonly", "yes", "--save", "")
	c = dial()
	waitFor(t, "a write", func() bool { return c.ask("set", "later", "1") == `+"OK"` })
	// What a kill would leave behind.
	left := t.TempDir()
	if err := os.CopyFS(filepath.Join(left, "appendonlydir"), os.DirFS(filepath.Join(dir, "appendonlydir"))); err != nil {
		t.Fatal(err)
	}
	_, dial, _ = startNode(t, "--dir", left, "--appendonly", "yes", "--save", "")
	c = dial()
	waitFor(t, "the data", func() bool { return !strings.HasPrefix(c.ask("dbsize"), "-") })
	if got := c.ask("dbsize") + c.ask("get", "later"); got != `:50001$"1"` {
		t.Errorf("after the crash: %s", got)
	}
}

// TestOneAtATime: a rewrite beside a save is for later, and a save beside a
// rewrite, as in the reference.
func TestOneAtATime(t *testing.T) {
	script := func(t *testing.T, dial func() *client) (transcript []string) {
		c := dial()
		say := func(words ...string) { transcript = append(transcript, strings.Join(words, " ")+": "+c.ask(words...)) }
		state := func() {
			for _, field := range []string{"rdb_bgsave_in_progress", "aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled", "aof_rewrites_consecutive_failures"} {
				transcript = append(transcript, field+" "+infoOf(c, field))
			}
		}
		say("debug", "populate", "50")
		say("config", "set", "rdb-key-save-delay", "10000")
		say("bgsave")
		say("bgsave")
		say("bgsave", "schedule")
		say("bgsave", "x")
		say("bgrewriteaof")
		state()
		say("config", "set", "rdb-key-save-delay", "0")
		waitFor(t, "the rewrite that was scheduled", func() bool { return infoOf(c, "aof_rewrites") == "1" && infoOf(c, "aof_rewrite_in_progress") == "0" })
		state()
		say("multi")
		say("bgsave")
		say("exec")
		waitFor(t, "the save that was scheduled", func() bool { return infoOf(c, "rdb_saves") == "2" })
		say("multi")
		say("bgrewriteaof")
		say("exec")
		waitFor(t, "the second rewrite", func() bool { return infoOf(c, "aof_rewrites") == "2" && infoOf(c, "aof_rewrite_in_progress") == "0" })
		state()
		return transcript
	}
	_, ours, _ := startNode(t, "--appendonly", "yes", "--save", "")
	reference := startReference(t, "--appendonly", "yes", "--hz", "100")
	got, want := script(t, ours), script(t, reference)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestHistoryIsDropped: what a rewrite has left, as it was told to, goes when it is
// told otherwise.
func TestHistoryIsDropped(t *testing.T) {
	dir := t.TempDir()
	_, dial, _ := startNode(t, "--dir", dir, "--save", "", "--appendonly", "yes", "--aof-disable-auto-gc", "yes")
	c := dial()
	rewrite(c)
	if got := len(aofBytes(t, dir, "base")); got != 2 {
		t.Errorf("%d bases are kept, want 2", got)
	}
	if got := c.ask("config", "set", "aof-disable-auto-gc", "no"); got != `+"OK"` {
		t.Errorf("CONFIG SET: %s", got)
	}
	if got := len(aofBytes(t, dir, "base")); got != 1 {
		t.Errorf("%d bases are left, want 1", got)
	}
}

// TestUnderWayAtOnce: who is told that a save or a rewrite has started and looks at
// once whether it is over does not find it over before it has begun.
func TestUnderWayAtOnce(t *testing.T) {
	for name, off := range map[string]string{"on": "yes", "off": "no"} {
		t.Run("the file is "+name, func(t *testing.T) {
			_, dial, _ := startNode(t, "--appendonly", off, "--save", "")
			c := dial()
			c.do("debug", "populate", "10000")
			for _, row := range []struct{ command, started, again, field string }{
				{"bgsave", `+"Background saving started"`, `-"` + string(errSaveUnderWay) + `"`, "rdb_bgsave_in_progress"},
				{"bgrewriteaof", `+"Background append only file rewriting started"`, `-"` + string(errRewriteUnderWay) + `"`, "aof_rewrite_in_progress"},
			} {
				for range 10 {
					if _, err := c.conn.Write([]byte(row.command + "\r\ninfo persistence\r\n" + row.command + "\r\n")); err != nil {
						t.Fatal(err)
					}
					var replies [3]resp.Reply
					for i := range replies {
						var err error
						if replies[i], err = c.receive(); err != nil {
							t.Fatal(err)
						}
					}
					running, _ := infoField(string(replies[1].Text), row.field)
					got := text(replies[0]) + " " + running + " " + text(replies[2])
					if want := row.started + " 1 " + row.again; got != want {
						t.Fatalf("%s: %s, want %s", row.command, got, want)
					}
					waitFor(t, "the end of it", func() bool { return infoOf(c, row.field) == "0" })
				}
			}
		})
	}
}

// TestRewriteWhileOff: BGREWRITEAOF writes a base although the file is off.
func TestRewriteWhileOff(t *testing.T) {
	dir := t.TempDir()
	_, dial, ended := startNode(t, "--dir", dir, "--save", "")
	c := dial()
	fillAllKinds(c)
	want := dumps(c)
	if got := c.ask("bgrewriteaof"); got != `+"Background append only file rewriting started"` {
		t.Fatal(got)
	}
	waitFor(t, "the base", func() bool {
		return infoOf(c, "aof_rewrite_in_progress") == "0" && len(aofBytes(t, dir, "base")) == 1
	})
	for field, want := range map[string]string{"aof_enabled": "0", "aof_rewrites": "1", "aof_last_rewrite_time_sec": "0", "aof_last_bgrewrite_status": "ok"} {
		if got := infoOf(c, field); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
	stopNode(t, c, ended, "nosave")
	_, dial, _ = startNode(t, "--dir", dir, "--save", "", "--appendonly", "yes")
	if got := dumps(dial()); !maps.Equal(got, want) {
		t.Errorf("%d keys, want %d, or what they hold differs", len(got), len(want))
	}
}

// TestAppendOnlyFileCannotBeSwitchedOn: where nothing can be written CONFIG SET
// fails, and the file is off.
func TestAppendOnlyFileCannotBeSwitchedOn(t *testing.T) {
	_, dial, _ := startNode(t, "--save", "", "--enable-protected-configs", "yes")
	c := dial()
	c.do("config", "set", "dir", "/proc")
	got := c.ask("config", "set", "appendonly", "yes")
	if got != `-"ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs."` {
		t.Errorf("CONFIG SET: %s", got)
	}
	if got := c.ask("config", "get", "appendonly"); got != `*[$"appendonly" $"no"]` {
		t.Errorf("CONFIG GET: %s", got)
	}
	if got := c.ask("set", "a", "1"); got != `+"OK"` {
		t.Errorf("SET: %s", got)
	}
	c.do("config", "set", "dir", t.TempDir())
	if got := c.ask("config", "set", "appendonly", "yes"); got != `+"OK"` {
		t.Errorf("CONFIG SET where files can be written: %s", got)
	}
	if got := infoOf(c, "aof_enabled") + infoOf(c, "aof_rewrite_in_progress"); got != "10" {
		t.Errorf("after OK: %s", got)
	}
}
