package node

import (
	"fmt"
	"strings"
	"testing"
)

// TestDebugTables compares what DEBUG HTSTATS tells with what there is.
func TestDebugTables(t *testing.T) {
	_, dial, _ := startNode(t)
	c := dial()
	numbers := func(reply string) (elements, chained, homes int) {
		size := 0
		for line := range strings.Lines(reply) {
			var n, length int
			var share float64
			if _, err := fmt.Sscanf(line, " table size: %d", &n); err == nil {
				size += n
			}
			if _, err := fmt.Sscanf(line, " number of elements: %d", &n); err == nil {
				elements += n
			}
			if _, err := fmt.Sscanf(line, " %d: %d (%f%%)", &length, &n, &share); err == nil {
				chained, homes = chained+length*n, homes+n
			}
		}
		if homes != size {
			t.Errorf("%d homes in a table of %d:\n%s", homes, size, reply)
		}
		return elements, chained, homes
	}
	const keys = 40_000
	c.do("DEBUG", "POPULATE", fmt.Sprint(keys))
	for i := range 700 {
		c.do("SET", fmt.Sprintf("{one}%d", i), "x")
		for _, full := range [][]string{nil, {"full"}} {
			if i%50 != 0 {
				continue
			}
			reply := string(c.do(append([]string{"DEBUG", "HTSTATS", "0"}, full...)...).Text)
			elements, chained, homes := numbers(reply)
			if want := keys + i + 1; elements != want || chained != want || homes < want {
				t.Fatalf("%d elements, %d in chains, %d homes, want %d:\n%s", elements, chained, homes, want, reply)
			}
		}
	}
	c.do("EXPIRE", "key:1", "1000")
	if reply := string(c.do("DEBUG", "HTSTATS", "0").Text); !strings.HasSuffix(reply, " number of elements: 1\n") {
		t.Errorf("of deadlines: %s", reply)
	}
	for i := range 1000 {
		c.do("SADD", "set", fmt.Sprint("m", i))
		c.do("ZADD", "zset", "1", fmt.Sprint("m", i))
		c.do("HSET", "hash", fmt.Sprint("m", i), "1")
		c.do("SADD", "numbers", fmt.Sprint(i%10))
		c.do("RPUSH", "list", "x")
	}
	for _, key := range []string{"set", "zset", "hash"} {
		if reply := string(c.do("DEBUG", "HTSTATS-KEY", key).Text); !strings.HasSuffix(reply, " number of elements: 1000\n") {
			t.Errorf("%s: %s", key, reply)
		}
	}
	for _, key := range []string{"numbers", "list"} {
		if reply := string(c.do("DEBUG", "HTSTATS-KEY", key).Text); !strings.Contains(reply, "not represented using an hash table") {
			t.Errorf("%s: %s", key, reply)
		}
	}
}

// TestDebugReplicate has replicas, and not this node's file, know of a command.
func TestDebugReplicate(t *testing.T) {
	for _, start := range []func(*testing.T, ...string) peerServer{startPeerNode, startPeerReference} {
		primary, replica := startPeerNode(t, "--appendonly", "yes"), start(t)
		replica.follow(primary)
		awaitSync(t, primary, replica)
		primary.do("SET", "a", "1")
		if reply := string(primary.do("DEBUG", "REPLICATE", "SET", "a", "2").Text); reply != "OK" {
			t.Fatal(reply)
		}
		primary.do("SET", "b", "1")
		awaitSync(t, primary, replica)
		if a, b := string(replica.do("GET", "a").Text), string(replica.do("GET", "b").Text); a != "2" || b != "1" {
			t.Errorf("the replica has a=%s b=%s", a, b)
		}
		if a := string(primary.do("GET", "a").Text); a != "1" {
			t.Errorf("the primary has a=%s", a)
		}
		if reply := string(primary.do("DEBUG", "LOADAOF").Text); reply != "OK" {
			t.Error(reply)
		}
		if a, b := string(primary.do("GET", "a").Text), string(primary.do("GET", "b").Text); a != "1" || b != "1" {
			t.Errorf("loaded from its file, the primary has a=%s b=%s", a, b)
		}
	}
}
