package main

import (
	"fmt"
	"slices"
	"strings"

	"slotmesh/node/e2e/harness"
)

// family is one command, with what must be there before it.
type family struct {
	name    string
	setup   [][]string
	command string
	// target is the greatest ratio to reach at P=16.
	target float64
	// less divides the number of requests, for what takes long; 0 is 1.
	less int
}

func familyRows() []family {
	members := func(command string, n int, per func(i int) []string) [][]string {
		args := []string{command, "key"}
		for i := range n {
			args = append(args, per(i)...)
		}
		return [][]string{args}
	}
	few := func(key string, from, n int) []string {
		args := []string{"SADD", key}
		for i := range n {
			args = append(args, fmt.Sprintf("member%d", from+i))
		}
		return args
	}
	places := members("GEOADD", 1000, func(i int) []string {
		return []string{fmt.Sprint(13 + float64(i%32)/100), fmt.Sprint(38 + float64(i/32)/100), fmt.Sprintf("member%d", i)}
	})
	entries := make([][]string, 100)
	for i := range entries {
		entries[i] = []string{"XADD", "key", fmt.Sprintf("%d-1", i+1), "field", "value"}
	}
	words := strings.Repeat("a few bytes ", 8)
	return []family{
		{"INCR", nil, "INCR key:__rand_int__", 0.75, 0},
		{"EXPIRE", [][]string{{"SET", "key", "v"}}, "EXPIRE key 1000", 1, 0},
		{"HSET", nil, "HSET key:__rand_int__ field value", 0.75, 0},
		{"HGET", members("HSET", 100, func(i int) []string { return []string{fmt.Sprintf("field%d", i), "value"} }), "HGET key field50", 0.75, 0},
		{"LPUSH", nil, "LPUSH key value", 0.75, 0},
		{"LPOP", nil, "LPOP key", 0.75, 0},
		{"SADD", nil, "SADD key member:__rand_int__", 0.75, 0},
		{"ZADD", nil, "ZADD key __rand_int__ member:__rand_int__", 0.75, 0},
		{"ZRANGE of 10", members("ZADD", 1000, func(i int) []string { return []string{fmt.Sprint(i), fmt.Sprintf("member%d", i)} }), "ZRANGE key 100 109", 0.75, 0},
		{"XADD", nil, "XADD key MAXLEN ~ 100000 * field value", 0.75, 0},
		{"SETBIT", nil, "SETBIT key 12345 1", 1, 0},
		{"PFADD", nil, "PFADD key element:__rand_int__", 1, 0},
		{"GEOADD", nil, "GEOADD key 13.361389 38.115556 member:__rand_int__", 1, 0},
		{"SORT of 100", members("RPUSH", 100, func(i int) []string { return []string{fmt.Sprint(i * 7919 % 100)} }), "SORT key", 1.5, 5},
		{"SINTER of 10", [][]string{few("key", 0, 10), few("other", 5, 10)}, "SINTER key other", 1, 0},
		{"GEOSEARCH", places, "GEOSEARCH key FROMLONLAT 13.16 38.16 BYRADIUS 3 km", 1, 5},
		{"XRANGE of 10", entries, "XRANGE key 50 59", 1, 0},
		{"BITOP", [][]string{{"SET", "key", words}, {"SET", "other", words}}, "BITOP AND to key other", 1.5, 0},
		{"PFMERGE", [][]string{{"PFADD", "key", "a", "b"}, {"PFADD", "other", "c"}}, "PFMERGE to key other", 1.5, 5},
		{"LCS", [][]string{{"SET", "key", words}, {"SET", "other", words[3:]}}, "LCS key other", 1.5, 10},
		{"DUMP", [][]string{few("key", 0, 100)}, "DUMP key", 1.5, 5},
	}
}

// families prints the table of one command of every family.
func (b bench) families(rounds int) {
	rig := harness.New(b.console, b.node)
	node := rig.Start(harness.Options{Name: "node", CPU: 1})
	reference := rig.Start(harness.Options{Name: "reference", Server: b.reference, CPU: 1})
	fmt.Printf("\none command of every family, server CPU per operation, median µs of %d rounds; ratio: median (least to greatest)\n", rounds)
	fmt.Printf("%-13s %6s %10s %12s   %-24s %s\n", "", "", "node", "reference", "ratio", "to reach")
	for _, f := range familyRows() {
		for _, load := range []struct{ pipeline, requests int }{{1, 40_000}, {16, 300_000}} {
			load.requests /= max(f.less, 1)
			costs := map[*harness.Process][]float64{}
			for round := range rounds {
				order := []*harness.Process{node, reference}
				if round%2 == 1 {
					slices.Reverse(order)
				}
				for _, p := range order {
					p.Do("FLUSHALL")
					for _, args := range f.setup {
						p.Do(args...)
					}
					if f.name == "LPOP" {
						// What is taken away is put there first, in one list.
						b.fillList(p, int(float64(load.requests)*b.scale))
					}
					costs[p] = append(costs[p], b.measure(p, row{f.command, load.pipeline, manyKeys, load.requests}))
				}
			}
			ratios := make([]float64, rounds)
			for i := range ratios {
				ratios[i] = costs[node][i] / costs[reference][i]
			}
			goal := ""
			if load.pipeline == 16 {
				goal = fmt.Sprintf("%.2f", f.target)
			}
			fmt.Printf("%-13s P=%-4d %10.2f %12.2f   %-24s %s\n", f.name, load.pipeline, median(costs[node]), median(costs[reference]), spread(ratios), goal)
		}
	}
	node.Kill()
	reference.Kill()
}

// spread prints median, least and greatest.
func spread(values []float64) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(values), slices.Min(values), slices.Max(values))
}

func (b bench) fillList(p *harness.Process, n int) {
	l := b.loader(p)
	defer l.close()
	for i := 0; i < n; i += 500 {
		args := []string{"RPUSH", "key"}
		for range 500 {
			args = append(args, "value")
		}
		l.send(args...)
	}
	l.finish()
}
