package memory

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/e2e/harness"
)

// TestDefragmentation deletes most of many keys at random. What is left is spread
// over all pages; the system gets nearly all of the rest back in spite of that, and
// no value changes.
func TestDefragmentation(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a few seconds: left out by -short")
	}
	keys := 500_000
	directives := []string{"active-defrag-ignore-bytes 4mb", "active-defrag-cycle-max 50"}
	if long() {
		keys, directives = 5_000_000, nil // as configured by default
	}
	rig := harness.New(t, harness.UnderTest(t))
	node := rig.Start(harness.Options{Name: "node", Directives: directives})
	if node.Server().Reference {
		t.Skip("the reference that is installed cannot defragment")
	}
	conn := node.Connect()
	conn.Timeout = patience
	random := rand.New(rand.NewPCG(1, 1))
	var commands [][]string
	send := func(args ...string) {
		if commands = append(commands, args); len(commands) == 1000 {
			batch(t, conn, commands)
			commands = commands[:0]
		}
	}
	number := func(field string) int64 {
		n, _ := strconv.ParseInt(node.Info("everything")[field], 10, 64)
		return n
	}
	do := func(args ...string) string {
		reply, err := conn.Do(args...)
		if err != nil {
			t.Fatalf("%s: %v", args[0], err)
		}
		return reply.Text
	}
	do("CONFIG", "SET", "activedefrag", "no")
	for i := range keys {
		send("SET", "key:"+strconv.Itoa(i), strings.Repeat("v", 40+random.IntN(60)))
	}
	resident := func() int64 {
		n, err := node.RSS()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	full, fullUsed := resident(), number("used_memory")
	for _, i := range random.Perm(keys) {
		if i%5 != 0 {
			send("DEL", "key:"+strconv.Itoa(i))
		}
	}
	for len(commands) > 0 {
		send("PING")
	}
	do("MEMORY", "PURGE")
	loose, spread, used, digest := resident(), number("allocator_frag_bytes"), number("used_memory"), do("DEBUG", "DIGEST")
	do("CONFIG", "SET", "activedefrag", "yes")
	harness.Await(t, patience, "the memory comes back", func() string {
		now, left := resident(), number("allocator_frag_bytes")
		if left > spread/3 || now > loose-(spread-left)*3/4 {
			return fmt.Sprintf("%d KiB are resident, %d were; %d KiB in pages are in no block, %d were; %d are used", now>>10, loose>>10, left>>10, spread>>10, used>>10)
		}
		return ""
	})
	harness.Await(t, patience, "defragmentation ends", func() string {
		if now := number("active_defrag_running"); now != 0 {
			return fmt.Sprintf("it takes %d %%", now)
		}
		return ""
	})
	t.Logf("%d keys: %d KiB resident for %d used; with a fifth of the keys %d for %d, and %d after %d moves in %d ms",
		keys, full>>10, fullUsed>>10, loose>>10, used>>10, resident()>>10, number("active_defrag_hits"), number("total_active_defrag_time"))
	if hits := number("active_defrag_hits"); hits == 0 {
		t.Error("the memory came back, but INFO counts no moves")
	}
	if got := do("DEBUG", "DIGEST"); got != digest {
		t.Errorf("the keyspace changed: %s, not %s", got, digest)
	}
}
