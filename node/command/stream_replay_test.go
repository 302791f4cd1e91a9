package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/store"
)

// TestStreamReplay lets time pass between random commands on streams, and
// replays the journal on engines with other clocks: DUMP must say the same,
// the times of groups and consumers included.
func TestStreamReplay(t *testing.T) {
	keys := []string{"s1", "s2", "s3", "s4"}
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			kept := &keeper{}
			n := newNode(t)
			n.engine = NewEngine(EngineOptions{Table: testTable(t), Store: store.New(store.Options{}), Journal: kept, Lanes: 2, Seed: 1, Now: n.now.Load})
			d := &driver{Rand: rand.New(rand.NewPCG(seed, 6))}
			groups := 0
			others := []*node{newNode(t), newNode(t)}
			others[0].now.Add(-1_000_000_000)
			others[1].now.Add(1_000_000_000)
			for i := range 3000 {
				args := d.stream()
				if args[0] == "XADD" && d.IntN(50) == 0 {
					// Its own choice of an id, at the place of one that names milliseconds.
					for j, arg := range args {
						if strings.HasSuffix(arg, "-*") {
							args[j] = "*"
							d.lastID = max(d.lastID, int(n.now.Load()))
						}
					}
				}
				n.do(args...)
				if d.IntN(3) == 0 {
					n.now.Add(int64(d.IntN(20)))
				}
				for _, other := range others {
					for _, group := range kept.groups[groups:] {
						if err := other.engine.Apply(group, nil); err != nil {
							t.Fatalf("%q: %s: %v", args, joinArgs(group[0].Args), err)
						}
					}
				}
				groups = len(kept.groups)
				if i%10 > 0 {
					continue
				}
				for _, key := range keys {
					want := n.do("DUMP", key)
					for _, other := range others {
						if got := other.do("DUMP", key); got != want {
							t.Fatalf("command %d, %s: after %q:\n %.800q\n %.800q", i, key, args, got, want)
						}
					}
				}
			}
		})
	}
}

// TestStreamEffects looks at what is journaled.
func TestStreamEffects(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct{ command, want string }{
		{"XADD s * a 1", "0 XADD s 1700000000000-0 a 1"},
		{"XADD s * a 1", "0 XADD s 1700000000000-1 a 1"},
		{"XADD s 1700000000001-* a 1", "0 XADD s 1700000000001-0 a 1"},
		{"XADD s 1700000000002-0 a 1", "0 XADD s 1700000000002-0 a 1"},
		{"XADD s NOMKSTREAM MAXLEN ~ 10 LIMIT 5 * a 1", "0 XADD s NOMKSTREAM MAXLEN = 5 1700000000002-1 a 1"},
		{"XADD s MAXLEN 4 * a 1", "0 XADD s MAXLEN 4 1700000000002-2 a 1"},
		{"XADD s MINID ~ 5 1700000000003-0 a 1", "0 XADD s MINID = 1700000000000-0 1700000000003-0 a 1"},
		{"XTRIM s MAXLEN ~ 4", ""},
		{"XTRIM s MAXLEN 4", "0 XTRIM s MAXLEN 4"},
		{"XGROUP CREATE s g 0", "0 XGROUP CREATE s g 0"},
		{"XGROUP CREATECONSUMER s g a", "(0 XGROUP CREATECONSUMER s g a; 0 XCLAIM s g a 0 0-0 TIME 1700000000000 JUSTID)"},
		{"XREADGROUP GROUP g b COUNT 2 STREAMS s >", "(0 XCLAIM s g b 0 1700000000002-0 1700000000002-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID" +
			" LASTID 1700000000002-1; 0 XGROUP SETID s g 1700000000002-1 ENTRIESREAD 5)"},
		{"XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >", "(0 XGROUP CREATECONSUMER s g c; 0 XGROUP SETID s g 1700000000002-2 ENTRIESREAD 6;" +
			" 0 XCLAIM s g c 0 0-0 TIME 1700000000000 JUSTID)"},
		{"XREADGROUP GROUP g d STREAMS s 0", "(0 XGROUP CREATECONSUMER s g d; 0 XCLAIM s g d 0 0-0 TIME 1700000000000 JUSTID)"},
		{"XACK s g 1700000000002-0 9-9", "0 XACK s g 1700000000002-0 9-9"},
		{"XACK s g 9-9", ""},
		{"XCLAIM s g a 0 1700000000002-1 TIME 1000", "(0 XCLAIM s g a 0 1700000000002-1 TIME 1000 RETRYCOUNT 2 FORCE JUSTID LASTID 1700000000002-2;" +
			" 0 XCLAIM s g a 0 0-0 TIME 1700000000000 JUSTID)"},
		{"XCLAIM s g a 0 9-9 LASTID 1700000000005-0", "0 XGROUP SETID s g 1700000000005-0 ENTRIESREAD 6"},
		{"XDEL s 1700000000002-1 1-1", "0 XDEL s 1700000000002-1 1-1"},
		{"XAUTOCLAIM s g a 0 -", "0 XACK s g 1700000000002-1"},
		{"XGROUP DELCONSUMER s g nobody", ""},
		{"XGROUP DELCONSUMER s g a", "0 XGROUP DELCONSUMER s g a"},
		{"XSETID s 1700000000009-0", "0 XSETID s 1700000000009-0"},
		{"XGROUP DESTROY s g", "0 XGROUP DESTROY s g"},
	} {
		n.do(strings.Fields(c.command)...)
		if got := n.entries(); got != c.want {
			t.Errorf("%s: journaled\n %s, want\n %s", c.command, got, c.want)
		}
	}
}

// TestAutoClaimGoesOn looks at where XAUTOCLAIM ends: it looks at ten times as many
// entries as it may claim, whether or not it finds any.
func TestAutoClaimGoesOn(t *testing.T) {
	n := newNode(t)
	n.do("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
	for i := range 25 {
		n.do("XADD", "s", fmt.Sprint(i+1, "-0"), "a", "1")
	}
	n.do("XREADGROUP", "GROUP", "g", "a", "COUNT", "25", "STREAMS", "s", ">")
	n.now.Add(1000)
	n.do("XCLAIM", "s", "g", "a", "0", "24-0", "JUSTID", "IDLE", "5000")
	n.do("XDEL", "s", "14-0")
	n.entries()
	for _, c := range []struct{ command, want, effects string }{
		{"XAUTOCLAIM s g b 2000 0 COUNT 1 JUSTID", "*3\r\n$4\r\n11-0\r\n*0\r\n*0\r\n", ""},
		{"XAUTOCLAIM s g b 2000 25 COUNT 1 JUSTID", "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n", ""},
		{"XAUTOCLAIM s g b 2000 26 COUNT 1 JUSTID", "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n", ""},
		{"XAUTOCLAIM s g b 2000 4 COUNT 1 JUSTID", "*3\r\n$4\r\n14-0\r\n*0\r\n*0\r\n", ""},
		{"XAUTOCLAIM s g b 2000 5 COUNT 1 JUSTID", "*3\r\n$4\r\n15-0\r\n*0\r\n*1\r\n$4\r\n14-0\r\n", "0 XACK s g 14-0"},
		{"XAUTOCLAIM s g b 2000 16 COUNT 2 JUSTID", "*3\r\n$3\r\n0-0\r\n*1\r\n$4\r\n24-0\r\n*0\r\n", "0 XCLAIM s g b 0 24-0 TIME 1700000001000 RETRYCOUNT 1 FORCE JUSTID LASTID 25-0"},
		{"XAUTOCLAIM s g b 500 13 COUNT 1 JUSTID", "*3\r\n$4\r\n15-0\r\n*1\r\n$4\r\n13-0\r\n*0\r\n", "0 XCLAIM s g b 0 13-0 TIME 1700000001000 RETRYCOUNT 1 FORCE JUSTID LASTID 25-0"},
	} {
		if got := n.do(strings.Fields(c.command)...); got != c.want {
			t.Errorf("%s: %q, want %q", c.command, got, c.want)
		}
		if got := n.entries(); got != c.effects {
			t.Errorf("%s: journaled\n %s, want\n %s", c.command, got, c.effects)
		}
	}
}

// TestServedStreamEffects looks at what is journaled of those who waited for a
// stream.
func TestServedStreamEffects(t *testing.T) {
	n := newNode(t)
	n.do("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
	n.entries()
	for _, c := range []struct{ waits, writes, want string }{
		{"XREAD BLOCK 0 STREAMS s $", "XADD s 1-0 a 1", "0 XADD s 1-0 a 1"},
		{
			"XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "XADD s 2-0 a 1",
			"0 XADD s 2-0 a 1 | (0 XCLAIM s g c 0 2-0 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-0;" +
				" 0 XGROUP SETID s g 2-0 ENTRIESREAD 2)",
		},
		{
			"XREADGROUP GROUP g d BLOCK 0 NOACK STREAMS s >", "XADD s 3-0 a 1",
			"0 XADD s 3-0 a 1 | (0 XGROUP CREATECONSUMER s g d; 0 XGROUP SETID s g 3-0 ENTRIESREAD 3;" +
				" 0 XCLAIM s g d 0 0-0 TIME 1700000000000 JUSTID)",
		},
		{"XREADGROUP GROUP g d BLOCK 0 STREAMS s >", "XGROUP DESTROY s g", "0 XGROUP DESTROY s g"},
	} {
		if strings.Contains(c.waits, "GROUP g c") {
			// The entry that was there before.
			n.do("XGROUP", "SETID", "s", "g", "1-0", "ENTRIESREAD", "1")
			n.entries()
		}
		conn := n.sleep(t, strings.Fields(c.waits)...)
		n.do(strings.Fields(c.writes)...)
		if conn.reply == "" {
			t.Errorf("%s is not served", c.waits)
		}
		if got := n.entries(); got != c.want {
			t.Errorf("%s: journaled\n %s, want\n %s", c.waits, got, c.want)
		}
	}
}

// TestStreamAllocations holds XADD and its relatives to their promise, on streams whose
// entries are pending. In the arguments % is the number of the run.
func TestStreamAllocations(t *testing.T) {
	for _, args := range [][]string{
		{"xadd", "*", "field", "value", "n", "1"},
		{"xadd", "MAXLEN", "~", "100", "*", "field", "value"},
		{"xadd", "1700000000000-*", "field", "value"},
		{"xlen"},
		{"xrange", "-", "+", "COUNT", "10"},
		{"xdel", "%-1"},
		{"xack", "g", "%-1"},
		{"xautoclaim", "g", "c", "1000", "0"}, // who ask again and again mostly find nothing
	} {
		n := newNode(t)
		n.journal.on = false
		const runs = 12
		var calls [runs][]*Call
		for i := range calls {
			numbered := append([]string(nil), args...)
			for at := range numbered {
				numbered[at] = strings.ReplaceAll(numbered[at], "%", strconv.Itoa(i+1))
			}
			calls[i] = streamCalls(n, numbered...)
		}
		for _, c := range calls[0] {
			key := string(c.Args[1])
			for i := range runs + 1 {
				n.do("XADD", key, fmt.Sprint(i+1, "-1"), "field", "value")
			}
			n.do("XGROUP", "CREATE", key, "g", "0")
			n.do("XREADGROUP", "GROUP", "g", "c", "STREAMS", key, ">")
		}
		resume := func() {}
		number := 0
		run := func() {
			for _, c := range calls[number] {
				n.out.Buf = n.out.Buf[:0]
				n.engine.Execute(c, resume)
				if n.out.Buf[0] == '-' || string(n.out.Buf) == ":0\r\n" {
					t.Fatalf("%q: %q", c.Args, n.out.Buf)
				}
			}
			number++
		}
		run()
		if allocs := testing.AllocsPerRun(runs-2, run) / float64(len(calls[0])); allocs > 0.1 {
			t.Errorf("%q: %.2f allocations a call", args, allocs)
		}
	}
}
