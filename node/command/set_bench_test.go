package command

import (
	"fmt"
	"strings"
	"testing"

	"slotmesh/node/resp"
)

// setUp are what the commands of the benchmark work on, by the words before
// which SEQ stands for many of them.
var setUp = []string{
	"SADD s10 SEQ m 0 10", "SADD s10b SEQ m 5 15", "SADD s60 SEQ m 0 60", "SADD s1k SEQ m 0 1000", "SADD s1kb SEQ m 500 1500",
	"SADD i10 SEQ x 0 10", "SADD i400 SEQ x 0 400", "SADD i400b SEQ x 200 600", "SADD s100k SEQ m 0 100000",
	"SETBIT b100k 800000 1", "SETBIT b100kb 800001 1", "SET b100 " + strings.Repeat("x", 100), "SET b100b " + strings.Repeat("y", 100),
	"PFADD hs SEQ m 0 300", "PFADD hsb SEQ m 100 400", "PFADD hd SEQ m 0 5000", "PFADD hdb SEQ m 3000 9000",
	"RPUSH l100 SEQ x 0 100", "RPUSH l1k SEQ x 0 1000",
}

var setLines = []string{
	"sadd s10 m3", "sadd s60 m55", "sadd s100k m777", "sadd i400 77", "sismember s10 m3", "sismember s100k m888", "smismember s10 m1 m99", "scard s10",
	"srandmember s10", "srandmember s100k", "srandmember s10 3", "smembers s10", "smembers s1k", "sinter s10 s10b", "sunion s10 s10b",
	"sdiff s10 s10b", "sinterstore d s10 s10b", "sintercard 2 s10 s10b", "sinter s1k s1kb", "sunion s1k s1kb", "sunionstore d s1k s1kb", "sinter i400 i400b", "sscan s10 0", "sscan s100k 0",
	"getbit b100 7", "setbit b100 7 0", "bitcount b100", "bitcount b100k", "bitpos b100 1", "bitpos b100k 1", "bitop and d b100 b100b", "bitop and d b100k b100kb",
	"bitop xor d b100k b100kb", "bitop not d b100k", "bitfield b100 get u8 0", "bitfield b100 set u8 0 1 incrby i5 100 1",
	"pfadd hs m7", "pfadd hd m7", "pfcount hs", "pfcount hd", "pfcount hd hdb", "pfmerge d hs hsb", "pfmerge d hd hdb",
	"sort l100", "sort l1k", "sort l100 alpha", "sort l100 by nosort", "sort l1k limit 0 10",
}

func setCalls(b testing.TB) *node {
	n := newNode(b)
	n.journal.on = false
	for _, line := range setUp {
		words := strings.Fields(line)
		if i := len(words) - 4; i > 0 && words[i] == "SEQ" {
			var from, to int
			fmt.Sscan(words[i+2], &from)
			fmt.Sscan(words[i+3], &to)
			prefix := words[i+1]
			words = words[:i]
			for ; from < to; from++ {
				words = append(words, strings.TrimPrefix(fmt.Sprint(prefix, from), "x"))
			}
		}
		if reply := n.do(words...); reply[0] == '-' {
			b.Fatal(line, reply)
		}
	}
	return n
}

func BenchmarkSets(b *testing.B) {
	n := setCalls(b)
	for _, line := range setLines {
		b.Run(line, func(b *testing.B) {
			var args [][]byte
			for _, word := range strings.Fields(line) {
				args = append(args, []byte(word))
			}
			c := &Call{Spec: n.engine.Table().Lookup(args[0]), Args: args, Reply: &n.out, Conn: n.conn}
			n.out = resp.Writer{Buf: make([]byte, 0, 64<<10)}
			resume := func() {}
			b.ReportAllocs()
			for b.Loop() {
				n.out.Buf = n.out.Buf[:0]
				if c.Spec.Heavy != nil {
					c.Spec.Heavy(c)
				}
				n.engine.Execute(c, resume)
			}
		})
	}
}
