// Command cluster runs a cluster of three primaries and three replicas on this
// machine until it is interrupted, and comes back with the same nodes, slots
// and roles the next time. `make run` starts it. It needs nothing but the
// node's binary: it forms the cluster with CLUSTER commands of its own.
package main
