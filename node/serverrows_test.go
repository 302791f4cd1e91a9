package node

import (
	"slices"
	"strings"
	"testing"

	"slotmesh/node/resp"
)

// TestServerCommandsAnswerAsTheReference runs one script on both servers.
func TestServerCommandsAnswerAsTheReference(t *testing.T) {
	_, dial, _ := startNode(t, "--enable-protected-configs", "yes")
	theirs := startReference(t, "--enable-protected-configs", "yes")
	script := `
set a 1
set b hello
setex c 1000 x
debug digest
debug digest-value a b c nokey
debug digest-value
select 3
set d 4
debug digest
select 0
debug
debug foo
debug sleep
debug sleep abc
debug object nokey
debug object
debug populate
debug populate x
debug populate -1
debug populate 20
debug populate 3 pre
debug populate 2 big 100
strlen big:1
get key:19
dbsize
debug digest
debug set-active-expire
debug set-active-expire 1
debug change-repl-id
debug protocol foo
debug protocol
debug protocol string
debug protocol integer
debug protocol double
debug protocol null
debug protocol array
debug protocol set
debug protocol map
debug protocol attrib
debug protocol push
debug protocol verbatim
debug protocol true
debug protocol false
debug protocol bignum
debug log
debug log hi
debug error boo
debug quicklist-packed-threshold 5
debug pause-cron 0
debug replybuffer resizing 0
debug set-skip-checksum-validation 0
debug stringmatch-len 1 2 3
debug htstats
debug htstats 5
debug htstats 15
debug htstats 16
debug htstats -1
debug htstats 99999999999
debug htstats x
debug htstats 0 foo
debug htstats 0 full 1
debug htstats-key
debug htstats-key nokey
debug htstats-key a
debug htstats-key a foo
debug replicate
debug replicate set nokey x
exists nokey
shutdown foo
shutdown abort
shutdown save nosave
shutdown abort now
time x
module
module list
module foo
module list x
acl
acl whoami
acl users
acl list
acl foo
memory
memory usage
memory usage nokey
memory usage a samples
memory usage a samples x
memory usage a samples -1
memory foo
config
config foo
config get
config get timeout
config get TIMEOUT hz nosuch
config set
config set timeout
config set timeout 1 hz
config set timeout x
config set timeout 5 hz 1000
config get timeout hz
config set timeout 5 timeout 6
config set nosuch 1
config set databases 1
config set maxmemory 1gb maxmemory-policy allkeys-lfu
config get maxmemory*
object freq a
config set maxmemory-policy noeviction
config set proto-max-bulk-len 1mb
setrange long 1048575 xx
setrange long 1048574 xx
append long x
setbit long 8388608 1
config set proto-max-bulk-len 512mb
setrange long 1048575 xx
append long x
config rewrite
config rewrite x
config resetstat
config resetstat x
info nosuchsection
info cluster
multi
config get timeout
time x
exec
`
	for _, proto := range []string{"2", "3"} {
		ours, reference := dial(), theirs()
		for _, c := range []*client{ours, reference} {
			c.do("hello", proto)
			c.do("flushall")
		}
		compared := 0
		for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
			args := strings.Fields(line)
			if proto == "3" && line == "debug protocol push" {
				continue // a push is not read as a reply
			}
			if proto == "3" && line == "debug protocol attrib" {
				got := ours.do(args...)
				if got.Kind == '|' {
					got, _ = ours.receive()
				}
				if text(got) != `$"Some real reply following the attribute"` {
					t.Errorf("attribute: %s", text(got))
				}
				continue
			}
			got, want := ours.do(args...), reference.do(args...)
			compared++
			if line != "config get" && strings.HasPrefix(line, "config get") || args[0] == "exec" {
				sortPairs(&got)
				sortPairs(&want)
			}
			if text(got) != text(want) {
				t.Errorf("RESP%s %s:\n ours   %s\n theirs %s", proto, line, text(got), text(want))
			}
		}
		t.Logf("RESP%s: %d replies compared", proto, compared)
	}
}

// sortPairs orders the pairs of CONFIG GET, which the reference has in the
// order of a hash table.
func sortPairs(r *resp.Reply) {
	var pairs []string
	for i := 0; i+1 < len(r.Elements); i += 2 {
		pairs = append(pairs, text(r.Elements[i])+text(r.Elements[i+1]))
	}
	slices.Sort(pairs)
	for i := range r.Elements {
		r.Elements[i] = resp.Reply{Kind: '$'}
	}
	for i, pair := range pairs {
		r.Elements[i].Text = []byte(pair)
	}
}

// TestCommandFactsAreTheReferences compares COMMAND INFO of everything that
// both servers have: arity, flags, key positions, categories, key specs.
func TestCommandFactsAreTheReferences(t *testing.T) {
	_, dial, _ := startNode(t)
	theirs := startReference(t)()
	ours := dial()
	compared := 0
	var compare func(got, want resp.Reply)
	compare = func(got, want resp.Reply) {
		if got.Null || want.Null || len(got.Elements) < 10 || len(want.Elements) < 10 {
			return
		}
		compared++
		name := string(got.Elements[0].Text)
		for i, field := range []string{"name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs"} {
			if g, w := unordered(got.Elements[i], i), unordered(want.Elements[i], i); g != w {
				t.Errorf("%s: %s:\n ours   %s\n theirs %s", name, field, g, w)
			}
		}
		subs := make(map[string]resp.Reply)
		for _, sub := range want.Elements[9].Elements {
			subs[string(sub.Elements[0].Text)] = sub
		}
		for _, sub := range got.Elements[9].Elements {
			if other, ok := subs[string(sub.Elements[0].Text)]; ok {
				compare(sub, other)
			}
		}
	}
	for _, name := range ours.do("command", "list").Elements {
		if strings.Contains(string(name.Text), "|") {
			continue
		}
		got, want := ours.do("command", "info", string(name.Text)), theirs.do("command", "info", string(name.Text))
		compare(got.Elements[0], want.Elements[0])
	}
	t.Logf("%d commands compared", compared)
	if compared < 150 {
		t.Errorf("only %d commands compared", compared)
	}
}

// unordered is the text of a field whose members may come in any order: flags,
// categories and tips. Key specs are without their notes, which are prose.
func unordered(r resp.Reply, field int) string {
	if field == 8 {
		for i := range r.Elements {
			if pairs := r.Elements[i].Elements; len(pairs) > 2 && string(pairs[0].Text) == "notes" {
				r.Elements[i].Elements = pairs[2:]
			}
		}
	}
	if field != 2 && field != 6 && field != 7 {
		return text(r)
	}
	var words []string
	for _, e := range r.Elements {
		words = append(words, string(e.Text))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}
