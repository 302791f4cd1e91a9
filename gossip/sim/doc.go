// Package sim runs whole clusters of gossip.Machine in one goroutine, in
// virtual time, under faults, and judges what it sees. One seed is one life of
// one cluster: five to seven primaries with their replicas, formed by the
// operator's own commands, then sixty seconds of writes, slot migrations,
// failovers and overlapping faults, then peace, after which everything must be
// well again. The same seed gives the same run, event by event.
//
// # What is real and what is modelled
//
// The machines are the real ones, driven as package node drives them: Save is
// durable before anything else of a Ready is carried out, the fence follows
// Ready.Lease, the routing follows Ready.View. Modelled are
//
//   - processes (process.go): crash with loss of what was not saved, also
//     between Save and Send; restart with the data, with less of it or without;
//     SIGSTOP; clocks that differ, drift and go on during a pause; slow disks;
//   - the network (network.go): links that are ordered and reliable while they
//     are up, stall and break; gossip that is lost, doubled, late and relayed;
//     membership that forgets the dead; partitions in both directions or one,
//     silent or refusing;
//   - the data (data.go, replication.go): histories that fork, streams, full
//     syncs, what a replica has when it is promoted;
//   - clients (client.go): writes on 64 watched slots, whose replies leave after
//     a while if the fence lets them;
//   - the operator (operator.go): migrations that are abandoned half way and
//     repaired, manual failovers, FORGET and MEET, epochs.
//
// # Who judges
//
// check.go holds the checkers: one vote per voter, epoch and shard; for every
// slot the last acknowledgement of an old claim before the first of a newer
// one, in the simulation's own time, which no node knows; no acknowledged
// write lost by an agreed handover; no data wiped by a primary that came back
// empty or with less than its replica; at the end one slot table, distinct
// epochs, nobody believed failed who is not, everything up and under leases. A
// checker that no bug can trip is worth nothing: plant.go plants the classic ones
// and the tests demand that each is caught.
//
// # What is not claimed
//
// Some orders of an operator ask nobody, here as in the reference, and the
// checkers allow for what follows from them alone. SETSLOT NODE while the
// source's shard fails over can give a slot two owners for a while, and so can a
// repair that closes the slot at the source while a migration's SETSLOT NODE is on
// its way to the target: counted as OperatorRaces. A migration to a node that is being deposed can leave a slot
// without owner, which the operator's fix assigns: Uncovered. TAKEOVER is used
// only while the old primary is down, FORGET only of nodes that nobody takes
// for an owner. Data of a replica that was cut off, paused or forgotten while
// its primary came back empty, or with less, or that this primary did not know
// when it was started, may be replaced: ExcusedWipes. So may what a replica
// brings from the shard that an operator took it from.
//
// # Running it
//
//	go test ./gossip/sim                        # 2000 seeds, the planted bugs, failover times
//	go test ./gossip/sim -run Seeds -sim.seed=7 -v  # one seed with its trace
//	go test ./gossip/sim -run Seeds -sim.first=1000000 -sim.seeds=20000 -timeout 5h
//
// SIM_SEEDS in the environment stands for -sim.seeds. -short runs 100.
//
// The package imports gossip and slots only and is imported by tests only.
package sim
