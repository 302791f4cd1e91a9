// Package clients proves that five unmodified client libraries live with a
// cluster: go-redis, rueidis, ioredis, node-redis and Debian's python3-redis.
//
// Each is given one seed, writes keys of all slots in pipelines, runs MULTI
// over a hash tag, reads from replicas, and keeps writing while 1000 slots move
// and while a primary is killed. client.go says what a client has to do; the Go
// libraries do it in the test's process, the others in programs under scripts/,
// which take orders and report on standard input and output as lines of JSON.
package clients
