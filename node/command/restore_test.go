package command

import (
	"encoding/binary"
	"hash/crc64"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// redump gives a payload whose value was changed the checksum that fits.
func redump(payload []byte) string {
	const jones = 0x95ac9329ac4bc9b5 // reversed
	body := payload[:len(payload)-8]
	sum := ^crc64.Update(^uint64(0), crc64.MakeTable(jones), body)
	return string(binary.LittleEndian.AppendUint64(body[:len(body):len(body)], sum))
}

// TestDamagedValuesAreUsable restores damaged payloads that pass as values, and
// uses each with many commands of its type: they answer something, and deleting
// the key gives everything back.
func TestDamagedValuesAreUsable(t *testing.T) {
	n := newNode(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for _, line := range []string{
		"RPUSH list a 1 200 70000 bbbb -5000000000", "SADD ints 1 2 300 70000", "SADD set a b 1 ccccc", "ZADD zset 1 a 2.5 b -inf c inf d",
		"HSET hash a 1 b 2 c ddddd", "XADD stream 5-1 f v g w", "XADD stream 5-2 f v g w", "XADD stream 6-2 h x", "XADD stream 7-0 h y",
		"XGROUP CREATE stream g1 0", "XREADGROUP GROUP g1 c1 COUNT 2 STREAMS stream >", "XREADGROUP GROUP g1 c2 COUNT 1 STREAMS stream >",
		"XDEL stream 5-2", "XGROUP CREATE stream g2 6-2",
	} {
		n.do(strings.Fields(line)...)
	}
	for i := range 300 {
		number := strconv.Itoa(i)
		n.do("ZADD", "bigzset", number, "member"+number)
		n.do("HSET", "bighash", number, "value"+number)
		n.do("SADD", "bigset", "member"+number)
		n.do("XADD", "bigstream", number+"-1", "f", number)
	}
	use := map[string]string{
		"list": "LLEN k|LRANGE k 0 -1|LINDEX k -1|LPOS k a|LINSERT k BEFORE a x|LSET k 0 y|LREM k 0 1|LPOP k|RPOP k|LPUSH k z|LTRIM k 0 1",
		"set":  "SCARD k|SMEMBERS k|SISMEMBER k 1|SADD k new 5|SREM k 1|SRANDMEMBER k 5|SSCAN k 0|SPOP k 2|SUNION k k",
		"zset": "ZCARD k|ZRANGE k 0 -1 WITHSCORES|ZRANGEBYSCORE k -inf inf|ZRANK k a|ZSCORE k b|ZINCRBY k 1 a|ZADD k 5 new|ZREM k c|ZRANGEBYLEX k - +|ZPOPMIN k|ZPOPMAX k|ZSCAN k 0",
		"hash": "HLEN k|HGETALL k|HGET k a|HSET k new x|HINCRBY k a 1|HDEL k b|HRANDFIELD k 5|HSCAN k 0",
		"stream": "XLEN k|XRANGE k - +|XREVRANGE k + - COUNT 3|XINFO STREAM k FULL|XINFO GROUPS k|XINFO CONSUMERS k g1|XPENDING k g1|XPENDING k g1 - + 10|" +
			"XADD k * f v g w|XADD k 8-1 f v|XREADGROUP GROUP g1 c1 STREAMS k >|XREADGROUP GROUP g1 c1 STREAMS k 0|XCLAIM k g1 c3 0 5-1 6-2|" +
			"XAUTOCLAIM k g1 c4 0 0|XACK k g1 5-1 6-2|XDEL k 5-1 7-0|XGROUP DELCONSUMER k g1 c1|XTRIM k MAXLEN 1|XADD k MAXLEN ~ 1 * a b|XSETID k 9-9|XGROUP DESTROY k g1|XREAD STREAMS k 0",
	}
	keys := map[string]string{
		"list": "list", "ints": "set", "set": "set", "zset": "zset", "hash": "hash", "stream": "stream",
		"bigzset": "zset", "bighash": "hash", "bigset": "set", "bigstream": "stream",
	}
	// The store's own tables grow once.
	n.do("SET", "k", "v")
	n.do("DEL", "k")
	n.reap()
	used := n.engine.Store().Memory().Used()
	tried, taken := 0, 0
	for key, kind := range keys {
		dump := []byte(decoded(n.do("DUMP", key)).(string))
		for range 300 {
			damaged := append([]byte(nil), dump...)
			for range 1 + random.IntN(3) {
				at := 1 + random.IntN(len(dump)-11)
				if random.IntN(2) == 0 { // near the beginning or the end, where facts are
					at = 1 + random.IntN(min(len(dump)-11, 40))
				}
				if damaged[at] = byte(random.Uint32()); random.IntN(2) == 0 {
					damaged[at] = dump[at] + byte(random.IntN(3)) - 1
				}
			}
			tried++
			if n.do("RESTORE", "k", "0", redump(damaged)) != "+OK\r\n" {
				continue
			}
			taken++
			lines := strings.Split(use[kind], "|")
			random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			for _, line := range lines {
				if reply := n.do(strings.Fields(line)...); reply == "" {
					t.Fatalf("%s on %q answers nothing", line, damaged)
				}
			}
			if n.do("EXISTS", "k") == ":1\r\n" {
				again := decoded(n.do("DUMP", "k")).(string)
				if reply := n.do("RESTORE", "k", "0", again, "REPLACE"); reply != "+OK\r\n" {
					t.Errorf("what became of %q is dumped as %q, and restored: %s", damaged, again, reply)
				}
			}
			n.do("DEL", "k")
			n.journal.entries = nil
			n.reap()
			if now := n.engine.Store().Memory().Used(); now != used {
				t.Fatalf("%d bytes are left of %q", now-used, damaged)
			}
		}
	}
	t.Logf("%d payloads, %d taken and used", tried, taken)
	if taken < tried/10 {
		t.Error("too few are taken to be worth it")
	}
}

func (n *node) reap() {
	for n.engine.Store().Reap(1 << 20) {
	}
}

// TestRestoreOfCollectionsAllocates no more than that of a string does, where the journal
// of these tests takes memory: what is restored as it is packed needs none.
func TestRestoreOfCollectionsAllocates(t *testing.T) {
	plain := -1.0
	for _, create := range []string{"SET v text", "RPUSH v a b c", "SADD v 1 2 3", "HSET v f 1 g 2", "ZADD v 1 a 2 b"} {
		n := newNode(t)
		n.do(strings.Fields(create)...)
		_, payload, _ := strings.Cut(strings.TrimSuffix(n.do("DUMP", "v"), "\r\n"), "\r\n")
		words := [][]byte{[]byte("RESTORE"), []byte("to"), []byte("0"), []byte(payload), []byte("REPLACE")}
		c := &Call{Spec: n.engine.Table().Lookup(words[0]), Args: words, Reply: &n.out, Conn: n.conn}
		run := func() {
			n.out.Buf = n.out.Buf[:0]
			n.engine.Execute(c, func() {})
		}
		run()
		if reply := n.end(); reply != "+OK\r\n" {
			t.Fatalf("RESTORE of what %s made: %q", create, reply)
		}
		allocs := testing.AllocsPerRun(100, run)
		if plain < 0 {
			plain = allocs
		}
		if allocs > plain {
			t.Errorf("RESTORE of what %s made: %v allocations, of a string %v", create, allocs, plain)
		}
	}
}
