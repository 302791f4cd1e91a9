package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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
	// taken are the words that put there what one request takes away; none if
	// it takes nothing. They are sent before the load, once for each request,
	// with a number for __rand_int__ that grows.
	taken []string
	// cluster marks a command for nodes that serve every slot of a cluster.
	cluster bool
	// payload asks for the DUMP of "key" in the command's place for it. Such
	// bytes are more than redis-benchmark can send.
	payload bool
	// ordered has __rand_int__ in the command stand for a number that grows, too.
	ordered bool
	// last are the commands that follow, each time: a request is one of them all.
	last []string
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
	scored := func(key string, from, n int) [][]string {
		args := []string{"ZADD", key}
		for i := range n {
			args = append(args, fmt.Sprint(i), fmt.Sprintf("member%d", from+i))
		}
		return [][]string{args}
	}
	fields := func(key string, n int) []string {
		args := []string{"HSET", key}
		for i := range n {
			args = append(args, fmt.Sprintf("field%d", i), "value")
		}
		return args
	}
	described := members("HSET", 100, func(i int) []string {
		return []string{fmt.Sprintf("field%d", i), fmt.Sprintf("a few words about field %d", i)}
	})
	elements := members("RPUSH", 100, func(i int) []string { return []string{fmt.Sprintf("element%d", i)} })
	tenKeys := func(command string, value ...string) []string {
		args := []string{command}
		for i := range 10 {
			args = append(append(args, fmt.Sprintf("key:%d", i)), value...)
		}
		return args
	}
	many := []string{"SADD", "key"}
	for i := range 100 {
		many = append(many, fmt.Sprintf("member%d:__rand_int__", i))
	}
	keys := make([][]string, 1000)
	for i := range keys {
		keys[i] = []string{"SET", fmt.Sprintf("key:%d", i), "value"}
	}
	group := [][]string{
		{"XGROUP", "CREATE", "key", "group", "0"},
		{"XREADGROUP", "GROUP", "group", "one", "COUNT", "10", "STREAMS", "key", ">"},
		{"XREADGROUP", "GROUP", "group", "two", "COUNT", "10", "STREAMS", "key", ">"},
	}
	entries := make([][]string, 100)
	for i := range entries {
		entries[i] = []string{"XADD", "key", fmt.Sprintf("%d-1", i+1), "field", "value"}
	}
	weighed := [][]string{{"RPUSH", "key", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}}
	for i := range 10 {
		weighed = append(weighed, []string{"SET", fmt.Sprint("weight:", i), fmt.Sprint(i * 7 % 10)}, []string{"SET", fmt.Sprint("data:", i), fmt.Sprint("data of ", i)})
	}
	words := strings.Repeat("a few bytes ", 8)
	return []family{
		{name: "INCR", command: "INCR key:__rand_int__", target: 0.75},
		{name: "EXPIRE", setup: [][]string{{"SET", "key", "v"}}, command: "EXPIRE key 1000", target: 1},
		{name: "HSET", command: "HSET key:__rand_int__ field value", target: 0.75},
		{name: "HGET", setup: members("HSET", 100, func(i int) []string { return []string{fmt.Sprintf("field%d", i), "value"} }), command: "HGET key field50", target: 0.75},
		{name: "LPUSH", command: "LPUSH key value", target: 0.75},
		{name: "LPOP", command: "LPOP key", target: 0.75, taken: []string{"RPUSH", "key", "value"}},
		{name: "SADD", command: "SADD key member:__rand_int__", target: 0.75},
		{name: "ZADD", command: "ZADD key __rand_int__ member:__rand_int__", target: 0.75},
		{name: "ZRANGE of 10", setup: members("ZADD", 1000, func(i int) []string { return []string{fmt.Sprint(i), fmt.Sprintf("member%d", i)} }), command: "ZRANGE key 100 109", target: 0.75},
		{name: "XADD", command: "XADD key MAXLEN ~ 100000 * field value", target: 0.75},
		{name: "SETBIT", command: "SETBIT key 12345 1", target: 1},
		{name: "PFADD", command: "PFADD key element:__rand_int__", target: 1},
		{name: "GEOADD", command: "GEOADD key 13.361389 38.115556 member:__rand_int__", target: 1},
		{name: "SORT of 100", setup: members("RPUSH", 100, func(i int) []string { return []string{fmt.Sprint(i * 7919 % 100)} }), command: "SORT key", target: 1.5, less: 5},
		{name: "SINTER of 10", setup: [][]string{few("key", 0, 10), few("other", 5, 10)}, command: "SINTER key other", target: 1},
		{name: "GEOSEARCH", setup: places, command: "GEOSEARCH key FROMLONLAT 13.16 38.16 BYRADIUS 3 km", target: 1, less: 5},
		{name: "XRANGE of 10", setup: entries, command: "XRANGE key 50 59", target: 1},
		{name: "BITOP", setup: [][]string{{"SET", "key", words}, {"SET", "other", words}}, command: "BITOP AND to key other", target: 1.5},
		{name: "PFMERGE", setup: [][]string{{"PFADD", "key", "a", "b"}, {"PFADD", "other", "c"}}, command: "PFMERGE to key other", target: 1.5, less: 5},
		{name: "LCS", setup: [][]string{{"SET", "key", words}, {"SET", "other", words[3:]}}, command: "LCS key other", target: 1.5, less: 10},
		{name: "DUMP", setup: [][]string{few("key", 0, 100)}, command: "DUMP key", target: 1.5, less: 5},
		{name: "DUMP of 100 fields", setup: described, command: "DUMP key", target: 1.5, less: 10},
		{name: "DUMP of a list", setup: members("RPUSH", 500, func(i int) []string { return []string{fmt.Sprintf("element%d", i)} }), command: "DUMP key", target: 1.5, less: 10},
		{name: "EXISTS of 10", setup: [][]string{tenKeys("MSET", "value")}, command: strings.Join(tenKeys("EXISTS"), " "), target: 1},
		{name: "MGET of 10", command: "MGET" + strings.Repeat(" key:__rand_int__", 10), target: 1, less: 5, taken: []string{"SET", "key:__rand_int__", "value"}},
		{name: "MSET of 10", command: "MSET" + strings.Repeat(" key:__rand_int__ value", 10), target: 1, less: 5},
		{name: "SET with EX", command: "SET key:__rand_int__ value EX 1000", target: 1},
		{name: "LMPOP", command: "LMPOP 1 key LEFT", target: 1, taken: []string{"RPUSH", "key", "value"}},
		{name: "SINTERSTORE of 200", setup: [][]string{few("key", 0, 200), few("other", 100, 200)}, command: "SINTERSTORE to key other", target: 1, less: 10},
		{name: "PFADD of many keys", command: "PFADD key:__rand_int__ element:__rand_int__", target: 1},
		{name: "SINTERCARD", setup: [][]string{few("key", 0, 100), few("other", 50, 100)}, command: "SINTERCARD 2 key other", target: 1, less: 5},
		{name: "SPOP of 100", command: "SPOP key 100", target: 1, less: 100, taken: many},
		{name: "ZRANGE of 1,000", setup: scored("key", 0, 1000), command: "ZRANGE key 0 -1", target: 1, less: 30},
		{name: "ZUNIONSTORE of 100", setup: slices.Concat(scored("key", 0, 100), scored("other", 50, 100)), command: "ZUNIONSTORE to 2 key other", target: 1, less: 50},
		{name: "ZINTERSTORE of 1,000", setup: slices.Concat(scored("key", 0, 1000), scored("other", 500, 1000)), command: "ZINTERSTORE to 2 key other", target: 1, less: 200},
		{name: "ZDIFFSTORE of 1,000", setup: slices.Concat(scored("key", 0, 1000), scored("other", 500, 1000)), command: "ZDIFFSTORE to 2 key other", target: 1, less: 200},
		{name: "ZREMRANGEBYSCORE", command: "ZREMRANGEBYSCORE key __rand_int__ __rand_int__", target: 1, less: 5, taken: []string{"ZADD", "key", "__rand_int__", "member:__rand_int__"}, ordered: true},
		{name: "SORT BY GET of 10", setup: weighed, command: "SORT key BY weight:* GET data:* GET #", target: 1.5, less: 5},
		{name: "RENAME", command: "RENAME key:__rand_int__ other:__rand_int__", target: 1, less: 3, taken: []string{"SET", "key:__rand_int__", "value"}, ordered: true},
		{name: "MULTI EXEC of 5", setup: [][]string{{"SET", "key", "value"}}, command: "MULTI", last: []string{"GET key", "SET key value", "GET key", "INCR count", "GET key", "EXEC"}, target: 1},
		{name: "XINFO CONSUMERS", setup: slices.Concat(entries, group), command: "XINFO CONSUMERS key group", target: 1},
		{name: "XGROUP SETID", setup: slices.Concat(entries, group), command: "XGROUP SETID key group 50-1", target: 1},
		{name: "XGROUP CREATECONSUMER", setup: slices.Concat(entries, group), command: "XGROUP CREATECONSUMER key group consumer:__rand_int__", target: 1, less: 10},
		{name: "XSETID", setup: entries, command: "XSETID key 200-1", target: 1},
		{name: "SCAN of 100", setup: keys, command: "SCAN 0 COUNT 100", target: 1, less: 10},
		{name: "KEYS of 1,000", setup: keys, command: "KEYS key:*", target: 1, less: 100},
		{name: "COPY of a string", setup: [][]string{{"SET", "key", words}}, command: "COPY key to REPLACE", target: 1},
		{name: "COPY of a set", setup: [][]string{few("key", 0, 100)}, command: "COPY key to REPLACE", target: 1, less: 3},
		{name: "COPY of 1,000", setup: scored("key", 0, 1000), command: "COPY key to REPLACE", target: 1, less: 100},
		{name: "COPY of a stream", setup: entries, command: "COPY key to REPLACE", target: 1, less: 3},
		{name: "RESTORE of a string", setup: [][]string{{"SET", "key", words}}, command: "RESTORE to 0 payload REPLACE", target: 1, payload: true},
		{name: "RESTORE of a hash", setup: [][]string{fields("key", 20)}, command: "RESTORE to 0 payload REPLACE", target: 1, less: 3, payload: true},
		{name: "RESTORE of 100 fields", setup: described, command: "RESTORE to 0 payload REPLACE", target: 1, less: 10, payload: true},
		{name: "RESTORE of a zset", setup: scored("key", 0, 100), command: "RESTORE to 0 payload REPLACE", target: 1, less: 10, payload: true},
		{name: "RESTORE of a list", setup: elements, command: "RESTORE to 0 payload REPLACE", target: 1, less: 10, payload: true},
		{name: "RESTORE of a set", setup: [][]string{few("key", 0, 100)}, command: "RESTORE to 0 payload REPLACE", target: 1, less: 10, payload: true},
		{name: "RESTORE of a stream", setup: entries, command: "RESTORE to 0 payload REPLACE", target: 1, less: 10, payload: true},
		{name: "INFO", command: "INFO default", target: 1, less: 30},
		{name: "CLIENT LIST of 50", command: "CLIENT LIST", target: 1, less: 100},
		{name: "COMMAND LIST", command: "COMMAND LIST", target: 1, less: 30},
		{name: "CONFIG GET", command: "CONFIG GET maxmemory", target: 1},
		{name: "MEMORY USAGE", setup: [][]string{fields("key", 20)}, command: "MEMORY USAGE key", target: 1},
		{name: "CLUSTER SLOTS", command: "CLUSTER SLOTS", target: 1, less: 10, cluster: true},
		{name: "CLUSTER NODES", command: "CLUSTER NODES", target: 1, less: 30, cluster: true},
	}
}

// pair starts a node and the reference, each on the first core. In cluster mode they
// serve every slot.
func (b bench) pair(rig *harness.Rig, cluster bool) [2]*harness.Process {
	var pair [2]*harness.Process
	for i, o := range []harness.Options{{Name: "node"}, {Name: "reference", Server: b.reference}} {
		o.CPU, o.Cluster = 1, cluster
		if cluster {
			o.Name += "-cluster"
		}
		p := rig.Start(o)
		if pair[i] = p; !cluster {
			continue
		}
		p.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
		harness.Await(b.console, 10*time.Second, p.Name+" to serve", func() string {
			if _, err := p.TryDo(time.Second, "SET", "key", "value"); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	return pair
}

// families prints the table of one command of every family.
func (b bench) families(rounds int) {
	rig := harness.New(b.console, b.node)
	pairs := make(map[bool][2]*harness.Process)
	fmt.Printf("\none command of every family, server CPU per operation, median µs of %d rounds; ratio: median (least to greatest)\n", rounds)
	fmt.Printf("%-21s %6s %10s %12s   %-24s %s\n", "", "", "node", "reference", "ratio", "to reach")
	for _, f := range familyRows() {
		for _, load := range []struct{ pipeline, requests int }{{1, 40_000}, {16, 300_000}} {
			if !b.match.MatchString(fmt.Sprintf("%s P=%d", f.name, load.pipeline)) {
				continue
			}
			load.requests /= max(f.less, 1)
			if pairs[f.cluster][0] == nil {
				pairs[f.cluster] = b.pair(rig, f.cluster)
			}
			node, reference := pairs[f.cluster][0], pairs[f.cluster][1]
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
					if f.taken != nil {
						b.fill(p, f.taken, int(float64(load.requests)*b.scale))
					}
					r := row{command: f.command, pipeline: load.pipeline, keys: manyKeys, requests: load.requests}
					if f.payload || f.ordered || len(f.last) > 0 {
						costs[p] = append(costs[p], b.send(p, f, r))
					} else {
						costs[p] = append(costs[p], b.measure(p, r))
					}
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
			fmt.Printf("%-21s P=%-4d %10.2f %12.2f   %-24s %s\n", f.name, load.pipeline, median(costs[node]), median(costs[reference]), spread(ratios), goal)
		}
	}
	for _, pair := range pairs {
		for _, p := range pair {
			p.Kill()
		}
	}
}

// spread prints median, least and greatest.
func spread(values []float64) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(values), slices.Min(values), slices.Max(values))
}

// fill sends a command n times, with its number for __rand_int__.
func (b bench) fill(p *harness.Process, command []string, n int) {
	l := b.loader(p)
	defer l.close()
	for i := range n {
		l.send(numbered(command, i)...)
	}
	l.finish()
}

// numbered returns a command with i for __rand_int__.
func numbered(command []string, i int) []string {
	args := make([]string, len(command))
	for at, word := range command {
		args[at] = strings.ReplaceAll(word, "__rand_int__", strconv.Itoa(i))
	}
	return args
}

// send is measure for what redis-benchmark cannot send.
func (b bench) send(p *harness.Process, f family, r row) float64 {
	commands := [][]string{strings.Fields(f.command)}
	if f.payload {
		commands[0][slices.Index(commands[0], "payload")] = p.Do("DUMP", "key").Text
	}
	for _, line := range f.last {
		commands = append(commands, strings.Fields(line))
	}
	clients := make([]*loader, 50)
	for i := range clients {
		clients[i] = b.loader(p)
		defer clients[i].close()
	}
	b.pin("1")
	defer b.pin("0-1")
	before, sent := b.cpu(p), 0
	limit := int(float64(r.requests) * b.scale)
	for turn := 0; sent < limit; turn++ {
		for _, l := range clients {
			for i := 0; i < r.pipeline && sent < limit; i++ {
				// Each client goes through the commands in their order.
				if command := commands[(turn*r.pipeline+i)%len(commands)]; f.ordered {
					l.send(numbered(command, sent)...)
				} else {
					l.send(command...)
				}
				sent++
			}
			l.flush()
		}
		for _, l := range clients {
			l.collect()
		}
	}
	return microseconds(b.cpu(p)-before) / float64(sent)
}
