// Command bench measures a node beside the reference: the processor time that
// each spends on one operation, both pinned to the first core and loaded in turn
// from the second by redis-benchmark; resident bytes per key; what the collector
// costs and how long clients wait beside a steady load of writes; and what an
// idle node of a cluster costs.
//
//	go run ./scripts/bench
//	go run ./scripts/bench -rows bytes,latency
//
// main.go has the flags and GET and SET; families.go one command of every
// family; bytes.go memory; latency.go collector and waiting, witness.go what of that
// the machine is to blame for; fullsync.go waiting beside a full sync; durability.go
// files; load.go the client.
package main
