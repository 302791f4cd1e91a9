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
	waitFor(t, "the reference", func() bool { return !strings.HasPrefix(peer.ask("dbsize"), "-") })
	if diff := differences(knowledge(peer), want); diff != "" {
		t.Errorf("in the reference:\n%s", diff)
	}
}
