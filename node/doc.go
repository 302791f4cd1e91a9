// Package node composes a server out of its parts and runs it: configuration,
// keyspace, engine, journal, replication, listeners and, in cluster mode, the
// driver of the cluster state machine with its bus.
//
// It promises that the parts never meet by themselves: each declares the
// interface it needs and this package supplies it. What is left here is what
// needs several of them at once: the rows of CLUSTER, CONFIG, INFO, DEBUG,
// MIGRATE, SAVE and replication, the fence that holds replies until the lease is
// sure, the barrier that holds them until the disk has what it must, and the
// order of starting and stopping.
//
// An append only file that is switched on and not there yet begins with what the
// RDB file holds, where the reference begins with nothing: no data are lost by a
// line in a configuration.
//
// Active defragmentation is on unless activedefrag says no, where the reference's
// default is no: there it needs an allocator that the distributions do not build
// with, and costs copies of what hardly ever moves; here it is a walk over pages of
// the store's own, a few blocks at a time, that begins only when there is something
// to gain. See defrag.go.
//
// Read node.go (the parts and their order), cluster.go (how the pure cluster
// state is driven), fence.go, persistence.go and aof.go (files), then the files of
// rows.
package node
