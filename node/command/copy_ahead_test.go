package command

import (
	"fmt"
	"strings"
	"testing"

	"slotmesh/node/resp"
)

// fillLarge makes a large value of each kind in the key that is called like it.
func fillLarge(n *node, members int) []string {
	for i := 0; i < members; i += 500 {
		hash, set, zset, list := []string{"HSET", "hash"}, []string{"SADD", "set"}, []string{"ZADD", "zset"}, []string{"RPUSH", "list"}
		for j := i; j < min(i+500, members); j++ {
			member := fmt.Sprint("member:", j)
			hash, set = append(hash, member, "value"), append(set, member)
			zset, list = append(zset, fmt.Sprint(j), member), append(list, member)
			n.do("XADD", "stream", fmt.Sprint(j+1, "-1"), "field", member)
		}
		for _, args := range [][]string{hash, set, zset, list} {
			n.do(args...)
		}
	}
	return []string{"hash", "set", "zset", "list", "stream"}
}

// exec runs commands as one transaction, by a goroutine that may wait.
func (n *node) exec(commands ...[]string) string {
	tx := &Transaction{Reply: &resp.Writer{}, DB: n.conn.db}
	for _, command := range commands {
		var args [][]byte
		for _, arg := range command {
			args = append(args, []byte(arg))
		}
		spec, err := n.engine.Table().Find(args)
		if err != nil {
			panic(err)
		}
		tx.Commands = append(tx.Commands, Queued{spec, args})
	}
	n.engine.ExecuteAllWait(tx)
	return string(tx.Reply.Buf)
}

// TestLargeCopies copies values that are cloned before their slots are held: alone,
// in transactions that change the source before, and when another database has
// come to its place meanwhile.
func TestLargeCopies(t *testing.T) {
	n := newNode(t)
	for _, key := range fillLarge(n, 5000) {
		digest := n.digestOf(key)
		if got := n.do("COPY", key, "copy"); got != ":1\r\n" || n.digestOf("copy") != digest {
			t.Errorf("%s: %q, a copy of %s is %s", key, got, digest, n.digestOf("copy"))
		}
		if got := n.exec([]string{"COPY", key, "copy", "REPLACE"}, []string{"COPY", "copy", "second"}); got != "*2\r\n:1\r\n:1\r\n" {
			t.Errorf("%s: %q", key, got)
		}
		if a, b := n.digestOf("copy"), n.digestOf("second"); a != digest || b != digest {
			t.Errorf("%s: copies of %s are %s and %s", key, digest, a, b)
		}
		// What is cloned ahead is not what COPY finds.
		n.exec([]string{"DEL", key}, []string{"RENAME", "second", key}, []string{"COPY", key, "third"}, []string{"DEL", "copy"}, []string{"SET", "copy", "text"})
		if n.digestOf("third") != digest || n.digestOf("copy") == digest {
			t.Errorf("%s: a copy of what was renamed is %s", key, n.digestOf("third"))
		}
		n.do("DEL", "copy", "third")
	}
	// A value that is not the one that was cloned, although it has not changed.
	n.do("COPY", "hash", "same", "DB", "1")
	n.do("RPUSH", "same", strings.Repeat("other", 10))
	for range 5000 {
		n.do("RPUSH", "same", "element")
	}
	other := n.digestOf("same")
	n.exec([]string{"SWAPDB", "0", "1"}, []string{"COPY", "same", "copied"})
	if got := n.digestOf("copied"); got == other || got != n.digestOf("same") {
		t.Errorf("the copy is %s, its source %s; in the other database is %s", got, n.digestOf("same"), other)
	}
	n.do("FLUSHALL")
	for n.engine.store.Reap(1000) {
	}
	if used := n.engine.store.Memory().Used(); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

// TestCopyBesideWrites copies a collection that another client changes all the
// time: every copy is the state of one instant.
func TestCopyBesideWrites(t *testing.T) {
	n := newNode(t)
	n.journal.on = false
	fillLarge(n, 3000)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			// Two fields at once: they are the same in any copy.
			value := fmt.Sprint("value", i)
			args := [][]byte{[]byte("HSET"), []byte("hash"), []byte("member:7"), []byte(value), []byte("member:2900"), []byte(value)}
			c := &Call{Spec: n.engine.Table().Lookup(args[0]), Args: args, Reply: &resp.Writer{}, Lane: 1}
			n.engine.ExecuteWait(c)
		}
	}()
	for range 50 {
		if got := n.do("COPY", "hash", "copy", "REPLACE"); got != ":1\r\n" {
			t.Fatalf("COPY: %q", got)
		}
		values, _ := decoded(n.do("HMGET", "copy", "member:7", "member:2900")).([]any)
		if size := n.do("HLEN", "copy"); size != ":3000\r\n" || len(values) != 2 || values[0] != values[1] {
			t.Fatalf("the copy has %s fields, and %q", size, values)
		}
		for n.engine.store.Reap(1000) {
		}
	}
	close(stop)
	<-done
}
