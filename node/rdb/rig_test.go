package rdb

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/e2e/harness"
	"slotmesh/node/resp"
	"slotmesh/node/store/arena"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/list"
	"slotmesh/node/store/set"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

// reference is a redis-server to compare with. Its strings are not compressed
// in dumps, so that these can be compared byte for byte.
type reference struct {
	t    testing.TB
	dir  string
	conn net.Conn
	in   *resp.ReplyReader
}

func startReference(t testing.TB, options ...string) *reference {
	t.Helper()
	p := harness.StartReference(t, append([]string{"--rdbcompression", "no"}, options...)...)
	conn := p.Connect()
	return &reference{t, p.Dir, conn, resp.NewReplyReader(bufio.NewReader(conn), resp.ReplyLimits{})}
}

// try sends one command and returns the reply, which may be an error.
func (r *reference) try(args ...string) resp.Reply {
	r.t.Helper()
	if _, err := r.conn.Write(resp.AppendCommand(nil, args...)); err != nil {
		r.t.Fatal(err)
	}
	reply, err := r.in.Read()
	if err != nil {
		r.t.Fatalf("%.200q: %v", args, err)
	}
	return reply
}

// do is try for a command that must not fail.
func (r *reference) do(args ...string) resp.Reply {
	r.t.Helper()
	reply := r.try(args...)
	if err := reply.Err(); err != nil {
		r.t.Fatalf("%.200q: %v", args, err)
	}
	return reply
}

// ask returns the reply of a command as text.
func (r *reference) ask(args ...string) string {
	r.t.Helper()
	return replyText(r.do(args...))
}

func replyText(r resp.Reply) string {
	if r.Elements == nil {
		return fmt.Sprintf("%c%d%q", r.Kind, r.Int, r.Text)
	}
	parts := make([]string, len(r.Elements))
	for i, e := range r.Elements {
		parts[i] = replyText(e)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

// told is all that the reference tells of a key's value that a dump carries.
func (r *reference) told(key string) string {
	r.t.Helper()
	text := r.ask("TYPE", key) + r.ask("OBJECT", "ENCODING", key) + r.ask("DEBUG", "DIGEST-VALUE", key)
	if strings.Contains(text, `"stream"`) {
		text += r.ask("XINFO", "STREAM", key, "FULL", "COUNT", "0")
	}
	return text
}

// newTarget returns a target in a Memory of its own.
func newTarget(t testing.TB) (Target, *arena.Memory) {
	t.Helper()
	m, err := arena.New(arena.Options{Reserve: 4 << 30, SmallPages: true})
	if err != nil {
		t.Fatal(err)
	}
	limits := DefaultLimits()
	return Target{Space: tree.Space{Heap: m.Heap(0), Version: 1}, Limits: &limits}, m
}

// contentOf is everything that a value holds, in an order that does not depend
// on how it is kept.
func contentOf(v value.Value) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", v.Kind)
	var words []string
	switch v.Kind {
	case value.KindString:
		fmt.Fprintf(&b, " %q", v.AppendText(nil))
	case value.KindList:
		r := list.Read(v)
		for it := r.At(0); it.Valid(); {
			text := it.Take()
			fmt.Fprintf(&b, " %q", text.Append(nil))
		}
	case value.KindSet:
		for it := set.Read(v).All(); it.Next(); {
			words = append(words, fmt.Sprintf(" %q", it.Member()))
		}
	case value.KindZSet:
		r := zset.Read(v)
		for c := r.At(0); c.Valid(); c.Next() {
			fmt.Fprintf(&b, " %q=%s", c.Member(), zset.AppendScore(nil, c.Score()))
		}
	case value.KindHash:
		r := hash.Read(v, 0)
		for it := r.All(); it.Next(); {
			word := fmt.Sprintf(" %q=%q", it.Field.Append(nil), it.Value.Append(nil))
			if it.Deadline != 0 {
				word += fmt.Sprintf("@%d", it.Deadline)
			}
			words = append(words, word)
		}
	case value.KindStream:
		streamContent(&b, v)
	}
	slices.Sort(words)
	b.WriteString(strings.Join(words, ""))
	return b.String()
}

func streamContent(b *strings.Builder, v value.Value) {
	r := stream.Read(v)
	f := r.Facts()
	fmt.Fprintf(b, " length=%d last=%s first=%s deleted=%s added=%d", f.Length, f.Last, f.First, f.MaxDeleted, f.Added)
	for it := r.Range(stream.ID{}, stream.MaxID, false); it.Next(); {
		b.WriteString(" " + it.Entry.ID.String())
		for pairs := it.Entry.Pairs(); ; {
			field, val, ok := pairs.Next()
			if !ok {
				break
			}
			fmt.Fprintf(b, " %q=%q", field, val)
		}
	}
	for groups := r.Groups(); groups.Next(); {
		g := groups.Group
		fmt.Fprintf(b, "; group %q last=%s read=%d", groups.Name, g.LastID, g.EntriesRead)
		for p := r.Pending(g.Number, stream.ID{}); p.Next(); {
			fmt.Fprintf(b, " %s*%d@%d:%q", p.ID, p.Count, p.TimeMs, r.ConsumerName(p.Consumer))
		}
		for consumers := r.Consumers(g.Number); consumers.Next(); {
			fmt.Fprintf(b, ", consumer %q@%d", consumers.Name, consumers.Consumer.SeenMs)
			for owned := r.Owned(consumers.Consumer.Number, stream.ID{}); owned.Next(); {
				b.WriteString(" " + owned.ID.String())
			}
		}
	}
}

// difference shows two texts from a little before where they part.
func difference(got, want string) string {
	at := 0
	for at < len(got) && at < len(want) && got[at] == want[at] {
		at++
	}
	from := max(at-100, 0)
	return fmt.Sprintf("%.300s\nwant\n%.300s", got[from:], want[from:])
}

func number(n int) string { return strconv.Itoa(n) }
