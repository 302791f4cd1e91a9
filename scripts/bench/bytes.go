package main

import (
	"fmt"
	"strconv"
	"strings"

	"slotmesh/node/e2e/harness"
)

// content is a keyspace to weigh.
type content struct {
	name string
	// keys is what the bytes are divided by: keys, or members of the one key.
	keys   int
	target float64
	write  func(l *loader, keys int)
}

func contents() []content {
	small := func(command string, arguments func(i int) []string) func(*loader, int) {
		return func(l *loader, keys int) {
			var fields []string
			for i := range 10 {
				fields = append(fields, arguments(i)...)
			}
			for k := range keys {
				l.send(append([]string{command, keyName(k)}, fields...)...)
			}
		}
	}
	one := func(command string, arguments func(i int) []string) func(*loader, int) {
		return func(l *loader, members int) {
			for from := 0; from < members; from += 100 {
				args := []string{command, "key"}
				for i := from; i < from+100; i++ {
					args = append(args, arguments(i)...)
				}
				l.send(args...)
			}
		}
	}
	pair := func(i int) []string { return []string{"field" + strconv.Itoa(i), "value" + strconv.Itoa(i)} }
	single := func(i int) []string { return []string{"element" + strconv.Itoa(i)} }
	scored := func(i int) []string { return []string{strconv.Itoa(i * 37 % 1000003), "member" + strconv.Itoa(i)} }
	return []content{
		{"strings, 16 B key, 64 B value", manyStrings, 0.70, writeStrings},
		{"hashes of 10 fields", 300_000, 1, small("HSET", pair)},
		{"lists of 10 elements", 300_000, 1, small("RPUSH", single)},
		{"sets of 10 members", 300_000, 1, small("SADD", single)},
		{"sorted sets of 10 members", 300_000, 1, small("ZADD", scored)},
		{"streams of 10 entries", 100_000, 1, func(l *loader, keys int) {
			for k := range keys {
				for i := range 10 {
					l.send("XADD", keyName(k), strconv.Itoa(i+1)+"-1", "field", "value"+strconv.Itoa(i))
				}
			}
		}},
		{"members of one sorted set", 1_000_000, 1, one("ZADD", scored)},
		{"fields of one hash", 1_000_000, 1, one("HSET", pair)},
	}
}

// manyStrings is how many strings are the keyspace of a large node.
const manyStrings = 5_000_000

// keyName is 16 bytes long.
func keyName(i int) string {
	digits := strconv.Itoa(i)
	return "key:" + "000000000000"[:12-len(digits)] + digits
}

func writeStrings(l *loader, keys int) {
	value := strings.Repeat("v", 56)
	for k := range keys {
		l.send("SET", keyName(k), value+strconv.Itoa(10_000_000+k))
	}
}

// bytes prints resident bytes per key.
func (b bench) bytes() {
	fmt.Printf("\nresident bytes per key: growth of the process while it is loaded\n")
	fmt.Printf("%-32s %10s %10s %12s %8s   %s\n", "", "keys", "node", "reference", "ratio", "to reach")
	for _, c := range contents() {
		keys := max(int(float64(c.keys)*b.scale)/1000*1000, 1000)
		var per [2]float64
		for i, server := range []harness.Server{b.node, b.reference} {
			rig := harness.New(b.console, server)
			p := rig.Start(harness.Options{Name: server.String()})
			empty := b.settled(p)
			l := b.loader(p)
			c.write(l, keys)
			l.finish()
			l.close()
			per[i] = float64(b.settled(p)-empty) / float64(keys)
			p.Kill()
		}
		fmt.Printf("%-32s %10d %10.1f %12.1f %8.2f   %.2f\n", c.name, keys, per[0], per[1], per[0]/per[1], c.target)
	}
}
