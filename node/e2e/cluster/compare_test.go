package cluster

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"slotmesh/node/e2e/harness"
)

// scanAll returns the keys of one database of a server.
func scanAll(conn *harness.Conn) ([]string, error) {
	var keys []string
	for cursor := "0"; ; {
		reply, err := conn.Do("SCAN", cursor, "COUNT", "1000")
		if err != nil {
			return nil, err
		}
		keys = append(keys, reply.Elems[1].Strings()...)
		if cursor = reply.Elems[0].Text; cursor == "0" {
			return keys, nil
		}
	}
}

// image returns everything about a key that clients can see as text, but for the
// times of last use, and the encoding: what was moved is packed anew.
func image(conn *harness.Conn, key string) (string, error) {
	var b strings.Builder
	ask := func(args ...string) Reply {
		reply, err := conn.Do(args...)
		if err != nil {
			fmt.Fprintf(&b, "%s: %v\n", args[0], err)
		}
		return reply
	}
	kind, err := conn.Do("TYPE", key)
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "%s\n", kind.Text)
	switch kind.Text {
	case "string":
		b.WriteString(ask("GET", key).Text)
	case "list":
		fmt.Fprintf(&b, "%v", ask("LRANGE", key, "0", "-1"))
	case "set":
		fmt.Fprintf(&b, "%q", slices.Sorted(slices.Values(ask("SMEMBERS", key).Strings())))
	case "zset":
		fmt.Fprintf(&b, "%v", ask("ZRANGE", key, "0", "-1", "WITHSCORES"))
	case "hash":
		pairs(&b, ask("HGETALL", key).Strings())
	case "stream":
		fmt.Fprintf(&b, "%v\n", ask("XRANGE", key, "-", "+"))
		full := ask("XINFO", "STREAM", key, "FULL", "COUNT", "0")
		for i := 0; i+1 < len(full.Elems); i += 2 {
			switch name := full.Elems[i].Text; name {
			case "length", "last-generated-id", "max-deleted-entry-id", "entries-added", "recorded-first-entry-id":
				fmt.Fprintf(&b, "%s %s\n", name, full.Elems[i+1].Text)
			case "groups":
				for _, g := range full.Elems[i+1].Elems {
					group(&b, g.Elems)
				}
			}
		}
	}
	return b.String(), nil
}

func pairs(b *strings.Builder, flat []string) {
	lines := make([]string, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		lines = append(lines, fmt.Sprintf("%q %q", flat[i], flat[i+1]))
	}
	sort.Strings(lines)
	b.WriteString(strings.Join(lines, "\n"))
}

// group prints a consumer group of XINFO STREAM FULL without times, which are
// those of whoever delivered.
func group(b *strings.Builder, fields []Reply) {
	for i := 0; i+1 < len(fields); i += 2 {
		name, value := fields[i].Text, fields[i+1]
		switch name {
		case "pel", "pending":
			for _, entry := range value.Elems {
				for j, part := range entry.Elems {
					if at := len(entry.Elems) - 2; j != at {
						fmt.Fprintf(b, " %s", part)
					}
				}
				b.WriteByte('\n')
			}
		case "consumers":
			for _, consumer := range value.Elems {
				group(b, consumer.Elems)
			}
		case "seen-time", "active-time":
		default:
			fmt.Fprintf(b, "%s %s\n", name, value)
		}
	}
}

// drift is how far moves may shift the end of a key, in ms: for as long as a busy
// machine keeps MIGRATE on its way, and less than two ends drawn differ by.
const drift = 29_000

// deadlinesOf prints the deadlines of a hash's fields.
func deadlinesOf(conn *harness.Conn, key string) (string, error) {
	fields, err := conn.Do("HKEYS", key)
	if err != nil {
		return "", err
	}
	names := slices.Sorted(slices.Values(fields.Strings()))
	if len(names) == 0 {
		return "", nil
	}
	times, err := conn.Do(append([]string{"HPEXPIRETIME", key, "FIELDS", fmt.Sprint(len(names))}, names...)...)
	return times.String(), err
}

// comparison compares the cluster's keys with those of one model.
type comparison struct {
	model *harness.Conn
	// side is a connection to the same process for the copies: another database.
	side      *harness.Conn
	deadlines bool
}

// restore puts what the cluster has under key beside the model.
func (c comparison) restore(dump string, ttl, key string) error {
	_, err := c.side.Do("RESTORE", key, ttl, dump, "REPLACE", "ABSTTL")
	return err
}

// equal returns "" if key's copy beside the model is like the model's.
func (c comparison) equal(key string) (string, error) {
	is, err := image(c.side, key)
	if err != nil {
		return "", err
	}
	want, err := image(c.model, key)
	if err != nil {
		return "", err
	}
	if c.deadlines {
		for _, part := range []struct {
			conn *harness.Conn
			text *string
		}{{c.side, &is}, {c.model, &want}} {
			times, err := deadlinesOf(part.conn, key)
			if err != nil {
				return "", err
			}
			*part.text += "\n" + times
		}
	}
	var ends [2]int64
	for i, conn := range []*harness.Conn{c.side, c.model} {
		reply, err := conn.Do("PEXPIRETIME", key)
		if err != nil {
			return "", err
		}
		ends[i] = reply.Int()
	}
	// MIGRATE sends what is left of a key's life, as the reference does: its time
	// on the wire may be added.
	if d := ends[0] - ends[1]; is == want && (ends[0] > 0) == (ends[1] > 0) && -drift <= d && d <= drift {
		return "", nil
	}
	is, want = fmt.Sprint(ends[0], " ", is), fmt.Sprint(ends[1], " ", want)
	return fmt.Sprintf("%s:\nthe cluster has %.600s\nthe model has %.600s", key, is, want), nil
}
