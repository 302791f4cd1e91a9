// Package gossip is the cluster state of one node as a pure state machine:
// who the members are, which slots they claim under which epoch, who is
// suspected and who has failed, who may vote for whom, and until when this
// node may acknowledge writes. There is no socket, disk, clock or goroutine
// in it; package bus moves its bytes and package node does what it orders.
//
// # The caller's duties, in order
//
// One goroutine at a time calls a Machine. It feeds what happens with
// Step(event, now) and then takes one Ready and carries it out in this order:
//
//  1. If Ready.Save is set, make it durable (temporary file, fsync, rename,
//     fsync of the directory). If that fails the node must stop: a vote or a
//     claim that can be forgotten must never be sent. With Ready.SaveSoftly
//     the rename need not be waited for.
//  2. If Ready.View is set, publish it: routing follows it, replication
//     follows its role, and keys of slots that were lost are dropped.
//  3. Set the fence to Ready.Lease. Replies are held while now is past it.
//  4. Hand Ready.Send to the links, Ready.Broadcast to the broadcast queue,
//     open what Ready.Dial names and close what Ready.Drop names.
//
// It feeds a Tick when Due says so, which each Step may change: an idle process
// is not woken for nothing.
//
// now is monotonic time since an arbitrary point of this process. It is never
// compared with another node's.
//
// # What the machine promises
//
//   - It votes at most once for an epoch and shard, and the vote is in Save
//     before the answer is in Send.
//   - It never votes against a primary whose lease it renewed, until that lease
//     is over by its own clock.
//   - A slot belongs to the claim with the greatest (config epoch, node id).
//   - PFAIL is this node's own evidence only. FAIL needs fresh reports from a
//     majority of the primaries that own slots.
//   - Bytes from outside, whatever they are, lead to an error or nothing.
//   - A primary that was started without its data, or with less than a replica
//     in touch with it has, does not serve before that replica had its chance to
//     take over; a replica without its shard's data is not promoted unless an
//     operator forces it.
//
// # What it does not promise
//
//   - TAKEOVER asks nobody: the slots change hands at once, and what the old
//     primary acknowledged and did not replicate is lost. Several at once can make
//     a majority of those that a lost site has left over.
//   - A primary that was started with less waits for a replica that has more no
//     longer than NodeTimeout: then it serves what it has. For a replica that it
//     did not know when it was started it does not wait.
package gossip
