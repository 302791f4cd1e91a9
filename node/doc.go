// Package node composes a server out of its parts and runs it: configuration,
// keyspace, engine, journal, replication, listeners and, in cluster mode, the
// driver of the cluster state machine with its bus.
//
// It promises that the parts never meet by themselves: each declares the
// interface it needs and this package supplies it. What is left here is what
// needs several of them at once: the rows of CLUSTER, CONFIG, INFO, DEBUG,
// MIGRATE and replication, the fence that holds replies until the lease is
// sure, and the order of starting and stopping.
//
// Read node.go (the parts and their order), cluster.go (how the pure cluster
// state is driven), fence.go, then the files of rows.
package node
