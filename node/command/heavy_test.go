package command

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"slotmesh/node/resp"
	"slotmesh/slots"
)

// largeValues fills n with one value of each kind that is too large for a loop,
// under the names of the kinds, and small ones beside them.
func largeValues(n *node) {
	fill := func(size int, head []string, element func(i int) []string) {
		for i := 0; i < size; {
			args := head
			for end := min(i+500, size); i < end; i++ {
				args = append(args[:len(args):len(args)], element(i)...)
			}
			n.do(args...)
		}
	}
	word := func(i int) string { return fmt.Sprint("word", i) }
	for name, size := range map[string]int{"": 5000, "few": 3} {
		fill(size, []string{"SADD", name + "set"}, func(i int) []string { return []string{word(i)} })
		fill(size, []string{"ZADD", name + "zset"}, func(i int) []string { return []string{fmt.Sprint(i), word(i)} })
		fill(size, []string{"GEOADD", name + "geo"}, func(i int) []string { return []string{fmt.Sprint(float64(i) / 1e4), "38", word(i)} })
		fill(size, []string{"HSET", name + "hash"}, func(i int) []string { return []string{word(i), strings.Repeat("v", 50)} })
		fill(size, []string{"RPUSH", name + "list"}, func(i int) []string { return []string{strings.Repeat(word(i), 10)} })
		for i := range size {
			n.do("XADD", name+"stream", fmt.Sprint(i+1, "-1"), "f", "v")
		}
		n.do("XGROUP", "CREATE", name+"stream", "group", "0")
		n.do("XREADGROUP", "GROUP", "group", "c", "COUNT", fmt.Sprint(size-2), "STREAMS", name+"stream", ">")
	}
	n.do("SETRANGE", "string", "2000000", "x")
	n.do("SET", "fewstring", "x")
	n.do("SET", "word", "x")
	fill(900, []string{"RPUSH", "words"}, func(i int) []string { return []string{word(i)} })
	for i := range 120_000 {
		n.do("XADD", "log", fmt.Sprint(i+1, "-1"), "f", "v")
	}
}

// attempt runs a command as an event loop does.
func (n *node) attempt(line string) (reply string, long bool) {
	c := &n.call
	c.Args = nil
	for word := range strings.FieldsSeq(line) {
		c.Args = append(c.Args, []byte(word))
	}
	n.out.Buf = n.out.Buf[:0]
	c.Spec, _ = n.engine.Table().Find(c.Args)
	c.Reply, c.Conn, c.OnLoop = &n.out, n.conn, true
	n.engine.Execute(c, nil)
	c.OnLoop = false
	return string(n.out.Buf), c.Err == ErrLong
}

// TestLongCallsLeaveTheLoop says which calls are too long for a loop once their
// values are known. They have done nothing then. That all of them do what they
// should when they are given the time is what every other test sees: node.do
// tries first as a loop does.
func TestLongCallsLeaveTheLoop(t *testing.T) {
	n := newNode(t)
	largeValues(n)
	n.entries()
	before := digestAll(n.engine.Store())
	for _, line := range []string{
		"SMEMBERS set",
		"SINTER set set",
		"SINTERCARD 2 set set LIMIT 1",
		"SUNIONSTORE to fewset set",
		"SDIFFSTORE to set fewset",
		"ZRANGE zset 0 -1",
		"ZRANGE zset 0 4000",
		"ZRANGEBYSCORE zset -inf +inf",
		"ZRANGEBYLEX zset - +",
		"ZRANGESTORE to zset 0 -1",
		"ZREMRANGEBYRANK zset 5 2000",
		"ZREMRANGEBYSCORE zset 5 6000",
		"ZUNIONSTORE to 2 zset fewset",
		"ZDIFF 2 zset fewzset",
		"ZINTERCARD 2 zset zset",
		"SDIFF set fewset",
		"GEOSEARCH geo FROMLONLAT 0 38 BYRADIUS 5000 km",
		"GEOSEARCH geo FROMLONLAT 0 38 BYRADIUS 5000 km COUNT 4500 ANY",
		"GEOSEARCHSTORE to geo FROMLONLAT 0 38 BYRADIUS 5000 km",
		"BITCOUNT string",
		"BITPOS string 1",
		"BITOP NOT to string",
		"HGETALL hash",
		"HKEYS hash",
		"HVALS hash",
		"LRANGE list 0 -1",
		"LPOS list nothing",
		"LINSERT list BEFORE nothing x",
		"LREM list 0 nothing",
		"LINSERT list BEFORE " + strings.Repeat("word3000", 10) + " x",
		"LREM list 2 " + strings.Repeat("word1", 10),
		"LREM list -1 " + strings.Repeat("word1", 10),
		"LPOS list " + strings.Repeat("word1", 10) + " RANK -1",
		"LPOS list " + strings.Repeat("word1", 10) + " COUNT 0",
		"SORT list ALPHA",
		"SORT set ALPHA STORE to",
		"SORT words BY word* ALPHA GET #",
		"SORT words BY nothing GET a* GET b*",
		"XRANGE stream - +",
		"XREAD STREAMS stream 0",
		"XREADGROUP GROUP group c STREAMS stream 0",
		"XTRIM log MAXLEN 10",
		"XTRIM log MAXLEN ~ 10 LIMIT 0",
		"XADD log MAXLEN 10 * f v",
		"XADD log MINID 110000 * f v",
		"XADD log NOMKSTREAM MAXLEN = 10 * f v",
		"XGROUP DESTROY stream group",
		"XGROUP DELCONSUMER stream group c",
		"XAUTOCLAIM stream group d 0 0 COUNT 500",
		"XPENDING stream group IDLE 1 - + 5",
		"XINFO STREAM stream FULL COUNT 0",
		"SETBIT string 90000000 1", "BITFIELD none SET u8 90000000 1", "LCS string word LEN",
		"GET string", "MGET word string", "GETRANGE string 0 -1", "GETSET string x", "GETDEL string", "GETEX string PERSIST", "SET string x GET",
		"COPY string to", "COPY hash to", "DUMP string", "DUMP set",
	} {
		if reply, long := n.attempt(line); !long || reply != "" {
			t.Errorf("%s: ran on the loop and answered %.60q", line, reply)
		}
		if journaled := n.entries(); journaled != "" {
			t.Errorf("%s: changed something before it left the loop: %.200s", line, journaled)
		}
	}
	if digestAll(n.engine.Store()) != before {
		t.Error("what has not run changed the keyspace")
	}
	for _, line := range []string{
		"SMEMBERS fewset",
		"SMEMBERS none",
		"SMEMBERS string",
		"SINTER fewset fewset",
		"SINTER set fewset",
		"SINTERCARD 2 set fewset",
		"SINTER set none",
		"SDIFF fewset set",
		"ZINTERCARD 2 zset fewzset",
		"ZDIFF 2 fewzset zset",
		"SUNION fewset",
		"ZRANGE zset -1000 -1",
		"ZREVRANGE zset 5 9",
		"ZRANGEBYSCORE zset -inf +inf LIMIT 3 4",
		"ZREMRANGEBYRANK zset 5 6",
		"ZINTER 2 fewzset fewset",
		"GEOSEARCH geo FROMLONLAT 0 38 BYRADIUS 5000 km COUNT 10 ANY",
		"GEOSEARCH fewgeo FROMLONLAT 0 38 BYRADIUS 1 km",
		"BITCOUNT fewstring",
		"BITOP AND to fewstring fewstring",
		"HGETALL fewhash",
		"LRANGE list 5 10",
		"LREM fewlist 0 nothing",
		"LPOS list " + strings.Repeat("word1", 10),
		"LPOS list nothing MAXLEN 5",
		"LPOS list " + strings.Repeat("word4998", 10) + " RANK -1",
		"LINSERT list BEFORE " + strings.Repeat("word1", 10) + " x",
		"LREM list 1 " + strings.Repeat("word1", 10),
		"LREM list -1 " + strings.Repeat("word4998", 10),
		"LTRIM fewlist 0 1",
		"SORT fewlist ALPHA",
		"SORT fewlist BY word* ALPHA GET # GET x*",
		"SORT words BY nothing GET a* GET b* LIMIT 3 400",
		"XRANGE stream - + COUNT 10",
		"XRANGE stream 17 17",
		"XREVRANGE stream + 4800",
		"XREAD STREAMS stream 4990",
		"XREAD COUNT 2 STREAMS stream 0",
		"XREADGROUP GROUP group d STREAMS stream >",
		"XTRIM log MAXLEN ~ 10",
		"XADD log MAXLEN 110000 * f v",
		"XADD none MAXLEN 10 * f v",
		"XGROUP DESTROY fewstream group",
		"XAUTOCLAIM stream group d 0 0 COUNT 5",
		"XPENDING stream group",
		"XPENDING stream group - + 5",
		"XINFO STREAM stream",
		"XINFO STREAM stream FULL",
		"GET word", "MGET word word", "GETRANGE string -1000000 -1", "COPY word to", "DUMP fewset",
		"SETBIT string 15000000 1", "BITFIELD fewstring INCRBY i16 #2 1 OVERFLOW SAT INCRBY u4 3 1", "LCS fewstring fewstring",
	} {
		if reply, long := n.attempt(line); long || reply == "" {
			t.Errorf("%s: left the loop", line)
		}
	}
}

// TestLongCallsCountOnce looks at the accounts of calls that run twice.
func TestLongCallsCountOnce(t *testing.T) {
	n := newNode(t)
	largeValues(n)
	for _, line := range []string{
		"SUNION set none", "SUNION none set", "ZUNION 2 none zset", "SDIFF set none",
		"MGET string none", "MGET none string", "XREAD STREAMS stream none 0 0",
	} {
		n.engine.ResetStats()
		reply, long := n.attempt(line)
		if long {
			n.engine.ExecuteWait(&n.call)
			reply = string(n.out.Buf)
		}
		if !long || reply == "" || reply[0] == '-' {
			t.Errorf("%s: left the loop: %v; answered %.60q", line, long, reply)
		}
		if s := n.engine.Stats(); s.Hits != 1 || s.Misses != 1 {
			t.Errorf("%s: %d hits and %d misses, want 1 each", line, s.Hits, s.Misses)
		}
	}
}

// TestLongTransactionsLeaveTheLoop does the same for EXEC, which cannot give up
// in the middle and so judges by all its keys.
func TestLongTransactionsLeaveTheLoop(t *testing.T) {
	n := newNode(t)
	largeValues(n)
	for lines, want := range map[string]bool{
		"SMEMBERS set":                     true,
		"SADD fewset x; SMEMBERS fewset":   false,
		"SADD set x; SCARD set":            false,
		"SCARD set; SMEMBERS fewset":       true,
		"SELECT 0; SMEMBERS fewset":        true,
		"SORT fewlist BY w* ALPHA":         true,
		"SORT fewlist BY w ALPHA":          false,
		"LRANGE list 0 1":                  true,
		"HGETALL fewhash; GET fewstring":   false,
		"XRANGE fewstream - +; HVALS hash": true,
	} {
		var out resp.Writer
		tx := &Transaction{Reply: &out, Conn: n.conn, OnLoop: true}
		for line := range strings.SplitSeq(lines, "; ") {
			var args [][]byte
			for word := range strings.FieldsSeq(line) {
				args = append(args, []byte(word))
			}
			tx.Commands = append(tx.Commands, Queued{Spec: n.engine.Table().Lookup(args[0]), Args: args})
		}
		n.engine.ExecuteAll(tx, nil)
		if long := tx.Err == ErrLong; long != want || long != (len(out.Buf) == 0) {
			t.Errorf("%s: left the loop: %v, want %v; answered %.60q", lines, long, want, out.Buf)
		}
		tx.OnLoop = false
		if out.Buf = nil; want {
			n.engine.ExecuteAll(tx, nil)
			if tx.Err != nil || len(out.Buf) == 0 {
				t.Errorf("%s: off the loop: %v", lines, tx.Err)
			}
		}
	}
}

// TestWalksDoNotWaitOnALoop holds a slot: a walk gives up on a loop, with nothing
// answered, and waits elsewhere.
func TestWalksDoNotWaitOnALoop(t *testing.T) {
	n := newNode(t)
	n.do("SET", "key", "v")
	slot := slots.Of([]byte("key"))
	for line, want := range map[string]string{
		"SCAN 0": "*2\r\n$1\r\n0\r\n*1\r\n$3\r\nkey\r\n", "SCAN 0 MATCH k* COUNT 1000": "*2\r\n$1\r\n0\r\n*1\r\n$3\r\nkey\r\n",
		"RANDOMKEY": "$3\r\nkey\r\n",
		"KEYS *":    "*1\r\n$3\r\nkey\r\n",
	} {
		n.engine.locks.lock(slot)
		if reply, long := n.attempt(line); !long || reply != "" {
			t.Errorf("%s: waited on the loop and answered %q", line, reply)
		}
		done := make(chan string, 1)
		go func() {
			n.engine.ExecuteWait(&n.call)
			done <- string(n.out.Buf)
		}()
		n.engine.locks.unlock(slot)
		if got := <-done; got != want {
			t.Errorf("%s: answered %q, want %q", line, got, want)
		}
		if reply, long := n.attempt(line); long || reply != want {
			t.Errorf("%s: answered %q on the loop, want %q", line, reply, want)
		}
	}
}

// TestKeysOnALoop has KEYS answer on a loop while there are few keys, in many slots and
// in one, and leave it when they are many or the pattern is long.
func TestKeysOnALoop(t *testing.T) {
	n := newNode(t)
	for i := range loopKeys / 2 {
		n.do("SET", fmt.Sprint("key:", i), "v")
		n.do("SET", fmt.Sprint("{tag}", i), "v")
	}
	heads := map[string]string{"KEYS *": "*4000", "KEYS key:*": "*2000", "KEYS {tag}*": "*2000", "KEYS k[e]y:199?": "*10", "KEYS nothing": "*0"}
	for line, head := range heads {
		reply, long := n.attempt(line)
		if long || !strings.HasPrefix(reply, head+"\r\n") {
			t.Errorf("%s: %.20q on the loop", line, reply)
		}
		seen := map[string]bool{}
		for _, word := range strings.Fields(reply)[1:] {
			if word[0] != '$' && seen[word] {
				t.Errorf("%s: %s comes twice", line, word)
			}
			seen[word] = true
		}
	}
	if c := (&Call{Args: [][]byte{[]byte("keys"), make([]byte, loopPattern+1)}}); !longPattern(c) {
		t.Error("a long pattern stays on the loop")
	}
	n.do("SET", "one more", "v")
	for line := range heads {
		if reply, long := n.attempt(line); !long || reply != "" {
			t.Errorf("%s: %.20q on the loop", line, reply)
		}
	}
}

// TestWalksBesideEverything has walks, writes and what closes the gate get in each
// other's way: nobody may wait for ever.
func TestWalksBesideEverything(t *testing.T) {
	n := newNode(t)
	n.journal.on = false // it is for one goroutine
	var wg sync.WaitGroup
	run := func(onLoop bool, lines ...string) {
		wg.Go(func() {
			var out resp.Writer
			c := &Call{Reply: &out, Conn: n.conn}
			for i := range 3000 {
				c.Args = c.Args[:0]
				for word := range strings.FieldsSeq(lines[i%len(lines)]) {
					c.Args = append(c.Args, []byte(strings.ReplaceAll(word, "#", fmt.Sprint(i%50))))
				}
				out.Buf = out.Buf[:0]
				c.Spec, _ = n.engine.Table().Find(c.Args)
				if c.OnLoop = onLoop; !onLoop {
					n.engine.ExecuteWait(c)
					continue
				}
				n.engine.Execute(c, nil)
			}
		})
	}
	run(false, "SCAN 0 COUNT 100", "KEYS *", "RANDOMKEY")
	run(true, "SCAN 0 COUNT 100", "KEYS *", "RANDOMKEY")
	run(false, "SET key:# v", "SET other:# v", "DEL key:#")
	run(false, "FLUSHALL", "DBSIZE", "SET third:# v")
	wg.Wait()
}
