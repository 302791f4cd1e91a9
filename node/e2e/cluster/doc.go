// Package cluster loads a cluster of three primaries and three replicas with
// every type of value, moves slots and kills a primary while clients write, and
// compares what is left with models.
//
// # What it promises
//
// Every write that the cluster acknowledged is repeated on a model: the
// reference implementation, and a single node of ours for what the reference
// does not have. Replies are compared as they come. At the end every key of the
// cluster is dumped, restored beside its model and compared with it; a write
// whose fate is unknown, because its primary was killed under it, may have
// happened or not, and nothing else may differ.
//
// # What it may import
//
// The standard library, slots and the harness.
//
// # How to read it
//
// cluster_test.go is the story; writer_test.go the clients, draw_test.go what
// they write, compare_test.go how two values are compared.
package cluster
