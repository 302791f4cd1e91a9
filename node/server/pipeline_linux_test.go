package server

import (
	"fmt"
	"net"
	"runtime"
	"strconv"
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

// pipelines are what BenchmarkPipeline sends for request i on a key, and what it
// sends once before that. The profile that the node is built with comes from it:
// see `make profile`.
var pipelines = []struct {
	name    string
	before  func(key string) []string
	request func(key string, i int) []string
}{
	{"ping", nil, func(string, int) []string { return []string{"PING"} }},
	{"set", nil, func(key string, _ int) []string { return []string{"SET", key, text64} }},
	{"get", func(key string) []string { return []string{"SET", key, text64} }, func(key string, _ int) []string { return []string{"GET", key} }},
	{"incr", nil, func(key string, _ int) []string { return []string{"INCR", key} }},
	{"hset", nil, func(key string, _ int) []string { return []string{"HSET", key, "field", "value"} }},
	{"hget", func(key string) []string { return []string{"HSET", key, "field", "value"} }, func(key string, _ int) []string { return []string{"HGET", key, "field"} }},
	{"list", nil, func(key string, i int) []string {
		if i/4%2 == 0 {
			return []string{"LPUSH", key, "value"}
		}
		return []string{"LPOP", key}
	}},
	{"sadd", nil, func(key string, i int) []string { return []string{"SADD", key, strconv.Itoa(i)} }},
	{"zadd", nil, func(key string, i int) []string {
		return []string{"ZADD", key, strconv.Itoa(i), "member" + strconv.Itoa(i)}
	}},
	{"zrem", func(key string) []string { return append([]string{"ZADD", key}, several(scored)...) }, func(key string, i int) []string {
		member := scored(manyElements + i%4)
		if i/4%2 == 0 {
			return []string{"ZADD", key, member[0], member[1]}
		}
		return []string{"ZREM", key, member[1]}
	}},
	{"hdel", func(key string) []string { return append([]string{"HSET", key}, several(valued)...) }, func(key string, i int) []string {
		field := valued(manyElements + i%4)
		if i/4%2 == 0 {
			return []string{"HSET", key, field[0], field[1]}
		}
		return []string{"HDEL", key, field[0]}
	}},
	{"zrange", func(key string) []string { return []string{"ZADD", key, "1", "a", "2", "b", "3", "c"} }, func(key string, _ int) []string { return []string{"ZRANGE", key, "0", "9"} }},
	{"xadd", nil, func(key string, _ int) []string {
		return []string{"XADD", key, "MAXLEN", "~", "1000", "*", "field", "value"}
	}},
}

// manyElements are more than a collection keeps packed.
const manyElements = 200

// several returns the words for as many elements.
func several(element func(i int) [2]string) (words []string) {
	for i := range manyElements {
		words = append(words, element(i)[0], element(i)[1])
	}
	return words
}

func scored(i int) [2]string {
	return [2]string{strconv.Itoa(i * 7919 % 1000), "member" + strconv.Itoa(i)}
}

func valued(i int) [2]string { return [2]string{"field" + strconv.Itoa(i), "value"} }

var text64 = strings.Repeat("x", 64)

// BenchmarkPipeline runs pipelines of 16 requests through a session whose peer
// costs nothing, on one key and on as many as do not fit into a processor's
// nearest caches. The times are those of one request.
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
				var batches [][]byte
				for i := 0; i < max(keys, depth); i += depth {
					var batch []byte
					for j := i; j < i+depth; j++ {
						key := fmt.Sprintf("key:%012d", j*7919%keys)
						if load.before != nil {
							serve(resp.AppendCommand(nil, load.before(key)...))
						}
						batch = resp.AppendCommand(batch, load.request(key, j)...)
					}
					batches = append(batches, batch)
					serve(batch)
				}
				b.ReportAllocs()
				b.ResetTimer()
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				begun := threadTime()
				for i, at := 0, 0; i < b.N; i += depth {
					serve(batches[at])
					if at++; at == len(batches) {
						at = 0
					}
				}
				b.ReportMetric(float64(threadTime()-begun)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
