package server

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"slotmesh/node/resp"
)

// threadTime is the processor time of this thread in nanoseconds.
func threadTime() int64 {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		return 0
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// sink is a transport that takes everything at once.
type sink struct{}

func (sink) write(b []byte) (int, error)     { return len(b), nil }
func (sink) want(bool, bool)                 {}
func (sink) post(fn func())                  { fn() }
func (sink) abort()                          {}
func (sink) close()                          {}
func (sink) take() (net.Conn, []byte, error) { return nil, nil, nil }

// pipelines are what BenchmarkPipeline sends: how request i is written, and what
// runs once before.
var pipelines = []struct {
	name    string
	before  []string
	request func(key string) []string
}{
	{"ping", nil, func(string) []string { return []string{"PING"} }},
	{"set", nil, func(key string) []string { return []string{"SET", key, strings.Repeat("x", 64)} }},
	{"get", []string{"SET"}, func(key string) []string { return []string{"GET", key} }},
	{"incr", nil, func(key string) []string { return []string{"INCR", "n:" + key} }},
	{"hset", nil, func(key string) []string { return []string{"HSET", "h:" + key, "field", "value"} }},
	{"hget", []string{"HSET"}, func(key string) []string { return []string{"HGET", "h:" + key, "field"} }},
	{"lpushlpop", nil, func(key string) []string { return []string{"LPUSH", "l:" + key, "value"} }},
}

// BenchmarkPipeline runs pipelines of 16 requests through a session whose peer
// costs nothing, on one key and on as many as do not fit into a processor's
// nearest caches. The time is that of one request.
func BenchmarkPipeline(b *testing.B) {
	const depth, manyKeys = 16, 20_000
	for _, load := range pipelines {
		for _, keys := range []int{1, manyKeys} {
			b.Run(fmt.Sprintf("%s/keys=%d", load.name, keys), func(b *testing.B) {
				r := newRig(b, nil)
				bn := newBench(r.srv, 0, 64<<10)
				s := newSession(r.srv, bn, "", "", -1)
				s.tr = sink{}
				serve := func(input []byte) {
					s.received(copy(s.room(), input))
					bn.endRound()
				}
				key := func(i int) string { return fmt.Sprintf("key:%012d", i*7919%keys) }
				var batches [][]byte
				for i := 0; i < max(keys, depth); i += depth {
					var batch []byte
					for j := range depth {
						request := load.request(key(i + j))
						if load.name == "lpushlpop" && j%2 == 1 {
							request = []string{"LPOP", request[1]}
						}
						if len(load.before) > 0 {
							first := request
							switch load.before[0] {
							case "SET":
								first = []string{"SET", request[1], strings.Repeat("x", 64)}
							case "HSET":
								first = []string{"HSET", request[1], "field", "value"}
							}
							serve(resp.AppendCommand(nil, first...))
						}
						batch = resp.AppendCommand(batch, request...)
					}
					batches = append(batches, batch)
				}
				for _, batch := range batches {
					serve(batch)
				}
				b.ReportAllocs()
				b.ResetTimer()
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				begun := threadTime()
				defer func() { b.ReportMetric(float64(threadTime()-begun)/float64(b.N), "cpu-ns/op") }()
				for i, at := 0, 0; i < b.N; i += depth {
					serve(batches[at])
					if at++; at == len(batches) {
						at = 0
					}
				}
			})
		}
	}
}
