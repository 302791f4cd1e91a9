package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"slotmesh/slots"
)

// values draws commands that only ever add, to one key of each kind and size.
type values struct{ *rand.Rand }

func (v values) word() string {
	switch v.IntN(4) {
	case 0:
		return strconv.FormatInt(int64(v.Uint64()>>v.IntN(64)), 10)
	case 1:
		return strings.Repeat(string(rune('a'+v.IntN(26))), v.IntN(80))
	}
	b := make([]byte, v.IntN(20))
	for i := range b {
		b[i] = byte(v.Uint32())
	}
	return string(b)
}

func (v values) command(i int) []string {
	key := func(kind string) string { return kind + strconv.Itoa(v.IntN(1+v.IntN(8))) }
	switch v.IntN(8) {
	case 0:
		return []string{"SET", key("string"), v.word()}
	case 1:
		return []string{"RPUSH", key("list"), v.word(), v.word(), v.word()}
	case 2:
		return []string{"SADD", key("set"), v.word(), v.word()}
	case 3:
		return []string{"SADD", key("ints"), strconv.Itoa(v.IntN(1 << v.IntN(31)))}
	case 4:
		score := []string{"inf", "-inf", "-0", "1e17", fmt.Sprint(v.NormFloat64()), strconv.Itoa(v.IntN(1000))}
		return []string{"ZADD", key("zset"), score[v.IntN(len(score))], v.word(), "2", v.word()}
	case 5:
		return []string{"HSET", key("hash"), v.word(), v.word(), v.word(), v.word()}
	case 6:
		return []string{"XADD", key("stream"), fmt.Sprintf("%d-%d", 1+i/3, i%3+1), v.word(), v.word(), v.word(), v.word()}
	}
	return []string{"EXPIRE", key([]string{"hash", "zset", "list", "set", "stream", "string"}[v.IntN(6)]), "100000"}
}

func (n *node) digestOf(key string) string {
	return fmt.Sprintf("*1\r\n+%x\r\n", DigestOf(n.engine.Store().Find(0, slots.Of([]byte(key)), []byte(key))))
}

// TestDigestsAndDumps fills an engine and the reference with the same random
// values and compares the digest of each; then each value goes there and back
// by DUMP and RESTORE.
func TestDigestsAndDumps(t *testing.T) {
	ref := startReference(t, "--enable-debug-command", "yes")
	ours := newNode(t)
	ours.real = true
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	v := values{rand.New(rand.NewPCG(seed, 0))}
	for i := range 6000 {
		args := v.command(i)
		if a, b := ours.do(args...), ref.do(args...); a != b {
			t.Fatalf("%q: %q, there %q", args, a, b)
		}
	}
	keys := decoded(ref.do("KEYS", "*")).([]any)
	for _, k := range keys {
		key := k.(string)
		want := ref.do("DEBUG", "DIGEST-VALUE", key)
		if got := ours.digestOf(key); got != want {
			t.Errorf("digest of %s is %s, want %s", key, got, want)
		}
		ttl := decoded(ref.do("PEXPIRETIME", key)).(int64)
		theirs := decoded(ref.do("DUMP", key)).(string)
		if got := ours.do("RESTORE", "copy", fmt.Sprint(max(ttl, 0)), theirs, "REPLACE", "ABSTTL"); got != "+OK\r\n" {
			t.Fatalf("RESTORE of %s: %s", key, got)
		}
		if got := ours.digestOf("copy"); got != want {
			t.Errorf("digest of the copy of %s is %s, want %s", key, got, want)
		}
		for _, question := range []string{"TYPE", "PEXPIRETIME"} {
			if a, b := ours.do(question, "copy"), ref.do(question, key); a != b {
				t.Errorf("%s of the copy of %s: %q, want %q", question, key, a, b)
			}
		}
		if a, b := ours.do("OBJECT", "ENCODING", "copy"), ref.do("OBJECT", "ENCODING", key); a != b {
			t.Errorf("encoding of the copy of %s: %q, want %q", key, a, b)
		}
		dump := decoded(ours.do("DUMP", "copy")).(string)
		if got := ref.do("RESTORE", "copy", fmt.Sprint(max(ttl, 0)), dump, "REPLACE", "ABSTTL"); got != "+OK\r\n" {
			t.Fatalf("RESTORE of our %s there: %s", key, got)
		}
		if got := ref.do("DEBUG", "DIGEST-VALUE", "copy"); got != want {
			t.Errorf("digest of the copy of %s there is %s, want %s", key, got, want)
		}
	}
	ours.do("DEL", "copy")
	ref.do("DEL", "copy")
	var c Call
	c.engine = ours.engine
	if a, b := fmt.Sprintf("+%x\r\n", c.DigestAll()), ref.do("DEBUG", "DIGEST"); a != b {
		t.Errorf("the digest of all is %q, want %q", a, b)
	}
	t.Logf("%d values compared", len(keys))
}

// TestRefusedRestore: a payload that is refused changes nothing and leaves
// nothing behind, whether a key is there or not.
func TestRefusedRestore(t *testing.T) {
	ref := startReference(t, "--sanitize-dump-payload", "yes")
	ours := newNode(t)
	ours.real = true
	v := values{rand.New(rand.NewPCG(5, 5))}
	for i := range 300 {
		args := v.command(i)
		ours.do(args...)
	}
	ours.do("SET", "there", "before")
	ref.do("SET", "there", "before")
	for range 2 { // the first time, tables may grow
		for _, key := range []string{"string0", "list0", "set0", "ints0", "zset0", "hash0", "stream0"} {
			dump := decoded(ours.do("DUMP", key)).(string)
			used := ours.engine.Store().Memory().Used()
			for n := 0; n < len(dump); n += 1 + len(dump)/60 {
				for _, args := range [][]string{
					{"RESTORE", "new", "0", dump[:n]},
					{"RESTORE", "there", "0", dump[:n], "REPLACE"},
					{"RESTORE", "new", "0", dump[:n] + "x" + dump[n:]},
					{"RESTORE", "there", "0", dump},
					{"RESTORE", "new", "-1", dump},
					{"RESTORE", "new", "x", dump[:n]},
					{"RESTORE", "new", "1", dump, "ABSTTL"},
					{"RESTORE", "new", "0", dump, "FREQ", "256"},
				} {
					if a, b := ours.do(args...), ref.do(args...); a != b {
						t.Errorf("%.100q: %q, there %q", args, a, b)
					}
				}
			}
			if got := ours.do("EXISTS", "new"); got != ":0\r\n" {
				t.Errorf("there is a key after refused payloads of %s", key)
			}
			if now := ours.engine.Store().Memory().Used(); now != used {
				t.Errorf("%s: %d bytes are left of refused payloads", key, now-used)
			}
		}
	}
	if got := ours.do("GET", "there"); got != "$6\r\nbefore\r\n" {
		t.Errorf("the key that was there is %q", got)
	}
}

// TestRestoreFieldDeadlines: what Redis 7.4 and Valkey 9 dump of hashes whose
// fields expire keeps its deadlines, also through our own DUMP.
func TestRestoreFieldDeadlines(t *testing.T) {
	n := newNode(t)
	for _, line := range []string{"HSET h f v g w", "HPEXPIREAT h 1700000005000 FIELDS 1 f"} {
		n.do(strings.Fields(line)...)
	}
	dump := decoded(n.do("DUMP", "h")).(string)
	if got := n.do("RESTORE", "copy", "0", dump); got != "+OK\r\n" {
		t.Fatal(got)
	}
	if got := n.do("HPEXPIRETIME", "copy", "FIELDS", "2", "f", "g"); got != "*2\r\n:1700000005000\r\n:-1\r\n" {
		t.Errorf("deadlines of the copy: %q", got)
	}
	n.now.Store(1_700_000_006_000)
	if got := n.do("HGETALL", "copy"); got != "*2\r\n$1\r\ng\r\n$1\r\nw\r\n" {
		t.Errorf("after the deadline: %q", got)
	}
}
