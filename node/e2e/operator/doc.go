// Package operator tests what whoever runs a cluster does to it by hand: every
// refusal of CLUSTER, forgetting and meeting again, moving slots, restarting
// nodes one by one or all at once, secrets that change, files that are damaged,
// strangers on the ports.
//
// # What it promises
//
// Every claim is made about real processes, in the words that a client reads.
// Nothing waits for a result by sleeping. All of it takes less than a minute on
// two cores.
//
// # What it may import
//
// The standard library, slots and the harness.
//
// # How to read it
//
// commands_test.go is CLUSTER and its views; move_test.go MIGRATE and open
// slots; restart_test.go what is left after nodes have ended; files_test.go
// what stops a start; secret_test.go who may join; hostile_test.go what the
// ports put up with.
package operator
